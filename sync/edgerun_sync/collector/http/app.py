"""The routes of the collector. Each reads its request, hands it to the Service in a thread, and says what that says."""

from __future__ import annotations

import logging
import math
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from edgerun.errors import EdgerunError
from edgerun_sync.collector.http.bodies import Allowances, Share, declared_bytes, read_body, read_digest
from edgerun_sync.collector.http.openapi import openapi_document
from edgerun_sync.collector.http.rates import Rates
from edgerun_sync.collector.http.repository import RepositoryRoutes
from edgerun_sync.collector.http.threads import Threads, in_thread
from edgerun_sync.errors import RefusedError
from edgerun_sync.limits import LIMITS
from edgerun_sync.names import SEGMENT_TYPE

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request

    from edgerun_sync.collector.credentials import Credential
    from edgerun_sync.collector.documents import Document
    from edgerun_sync.collector.http.metrics import Metrics
    from edgerun_sync.collector.service import Service, Stored

logger = logging.getLogger("edgerun.collector")
SEGMENT = "/v1/devices/{device}/segments/{segment}"
"""By far the most requests. Those that go well are counted, and not written into the log one by one."""


class Application:
    """The collector's HTTP application.

    Args:
        service: what it serves.
        metrics: where it counts.
    """

    def __init__(self, service: Service, metrics: Metrics) -> None:
        self._service, self._metrics = service, metrics
        self._landing = Threads(service.objects.at_once)
        self._rates = Rates(LIMITS.requests_per_s, LIMITS.requests_burst)
        self._allowances = Allowances(LIMITS.bodies_max_bytes)
        self._repository = RepositoryRoutes(service.repository, self._caller)

    def asgi(self) -> Starlette:
        """Return what a server runs."""
        device, files, bundles = "/v1/devices/{device}", "/v1/repository", self._repository
        routes = [
            Route(SEGMENT, self._answered(self._put_segment), methods=["PUT"]),  # they are tried in their order
            Route("/healthz", self._healthz, methods=["GET"]),
            Route("/readyz", self._answered(self._readyz), methods=["GET"]),
            Route("/metrics", self._answered(self._scrape), methods=["GET"]),
            Route("/openapi.json", self._openapi, methods=["GET"]),
            Route("/v1/enroll", self._answered(self._enrol), methods=["POST"]),
            Route("/v1/devices", self._answered(self._devices), methods=["GET"]),
            Route(device, self._answered(self._revoke_device), methods=["DELETE"]),
            Route(f"{device}/token", self._answered(self._rotate), methods=["POST"]),
            Route(f"{device}/checkin", self._answered(self._check_in), methods=["POST"]),
            Route("/v1/tokens", self._answered(self._issue_token), methods=["POST"]),
            Route("/v1/tokens/{name}", self._answered(self._revoke_token), methods=["DELETE"]),
            Route(f"{files}/metadata/{{file}}", self._answered(bundles.get_metadata), methods=["GET"]),
            Route(f"{files}/metadata/{{file}}", self._answered(bundles.put_metadata), methods=["PUT"]),
            Route(f"{files}/blobs/sha256/{{hex}}", self._answered(bundles.get_blob), methods=["GET"]),
            Route(f"{files}/blobs/sha256/{{hex}}", self._answered(bundles.put_blob), methods=["PUT"]),
        ]
        handlers: Any = {HTTPException: _http_problem, Exception: _unexpected}
        found = Starlette(routes=routes, exception_handlers=handlers)
        found.router.redirect_slashes = False  # it would send whoever asks to the host that the request names
        return found

    # ---- what every route shares ----

    def _answered(self, handle: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            started = time.perf_counter()
            route = request.scope["route"].path if "route" in request.scope else request.url.path
            try:
                response = await handle(request)
            except RefusedError as error:
                response = _refusal(error)
            except EdgerunError as error:
                logger.warning("the store failed", extra={"route": route, "problem": str(error)})
                response = _refusal(RefusedError(503, "store-failed", "the store does not answer; try again", 5))
            finally:
                if (share := getattr(request.state, "share", None)) is not None:
                    share.end()
            taken_s = time.perf_counter() - started
            self._metrics.answered(request.method, route, response.status_code, taken_s)
            if route != SEGMENT or response.status_code >= 300:
                said = {"method": request.method, "route": route, "status": response.status_code}
                logger.info("answered", extra={**said, "seconds": round(taken_s, 6)})
            return response

        return answer

    async def _caller(self, request: Request) -> Credential:
        credential = await in_thread(self._admitted, request.headers.get("authorization"))
        request.state.share = Share(self._allowances, _name_of(credential))
        return credential

    def _admitted(self, authorization: str | None) -> Credential:
        credential = self._service.authenticate(authorization)
        self._rates.take(_name_of(credential))
        return credential

    async def _small_body(self, request: Request) -> bytes:
        return await read_body(request, LIMITS.document_max_bytes, LIMITS.body_timeout_s)

    # ---- the routes ----

    async def _healthz(self, _: Request) -> Response:
        return JSONResponse({"status": "alive"})

    async def _readyz(self, _: Request) -> Response:
        await in_thread(self._service.objects.get, "config.json")
        return JSONResponse({"status": "ready"})

    async def _scrape(self, _: Request) -> Response:
        content, media_type = await in_thread(self._metrics.text)
        return Response(content, media_type=media_type)

    async def _openapi(self, _: Request) -> Response:
        return JSONResponse(openapi_document())

    async def _enrol(self, request: Request) -> Response:
        authorization = request.headers.get("authorization")
        self._rates.take(f"enroll/{request.client.host if request.client else ''}")
        body = await self._small_body(request)
        return _said(await in_thread(self._service.enrol, authorization, body), 201)

    async def _devices(self, request: Request) -> Response:
        caller = await self._caller(request)
        return JSONResponse({"devices": await in_thread(self._service.list_devices, caller)})

    async def _revoke_device(self, request: Request) -> Response:
        caller = await self._caller(request)
        await in_thread(self._service.revoke_device, caller, request.path_params["device"])
        return Response(status_code=204)

    async def _rotate(self, request: Request) -> Response:
        caller = await self._caller(request)
        return _said(await in_thread(self._service.rotate, caller, request.path_params["device"]), 201)

    async def _check_in(self, request: Request) -> Response:
        caller = await self._caller(request)
        body = await self._small_body(request)
        return _said(await in_thread(self._service.check_in, caller, request.path_params["device"], body))

    async def _put_segment(self, request: Request) -> Response:
        """Land a segment; one that is as small as any document needs one turn of a thread, and not two."""
        if declared_bytes(request) <= LIMITS.document_max_bytes:
            sent = await _read_segment(request)
            landed = await self._landing.run(self._land_small, request.headers.get("authorization"), sent)
        else:
            caller = await self._caller(request)  # nobody else makes it read more
            sent = await _read_segment(request)
            landed = await self._landing.run(self._service.put_segment, caller, *sent)
        self._metrics.landed(len(sent.body), landed.rows, is_new=landed.status == 201)
        return Response(status_code=landed.status)

    def _land_small(self, authorization: str | None, sent: _Sent) -> Stored:
        return self._service.put_segment(self._admitted(authorization), *sent)

    async def _issue_token(self, request: Request) -> Response:
        caller = await self._caller(request)
        body = await self._small_body(request)
        return _said(await in_thread(self._service.issue_token, caller, body), 201)

    async def _revoke_token(self, request: Request) -> Response:
        caller = await self._caller(request)
        await in_thread(self._service.revoke_token, caller, request.path_params["name"])
        return Response(status_code=204)


class _Sent(NamedTuple):
    """A segment as a request brings it: whose, its name, its bytes, and the SHA-256 that they are said to have."""

    device: str
    segment: str
    body: bytes
    digest: str


async def _read_segment(request: Request) -> _Sent:
    media_type = request.headers.get("content-type", "")
    if media_type != SEGMENT_TYPE:
        raise RefusedError(415, "media-type", f"send Content-Type: {SEGMENT_TYPE}, not {media_type[:80]!r}")
    if request.headers.get("if-none-match") != "*":
        raise RefusedError(422, "no-condition", "send If-None-Match: *; a segment is never replaced")
    digest = read_digest(request)
    body = await read_body(request, LIMITS.segment_max_bytes, LIMITS.body_timeout_s)
    return _Sent(request.path_params["device"], request.path_params["segment"], body, digest)


def _name_of(caller: Credential) -> str:
    return f"{caller.role}/{caller.name}"


def _said(document: Document, status: int = 200) -> Response:
    return Response(
        document.model_dump_json(), status, media_type="application/json", headers={"Cache-Control": "no-store"}
    )


def _refusal(error: RefusedError) -> Response:
    headers = {"Cache-Control": "no-store"}
    if error.retry_after_s is not None:
        headers["Retry-After"] = str(max(1, math.ceil(error.retry_after_s)))
    if error.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return JSONResponse({"error": error.slug, "message": str(error)}, error.status, headers)


async def _http_problem(_: Request, error: HTTPException) -> Response:
    slug = {404: "unknown", 405: "method"}.get(error.status_code, "refused")
    return JSONResponse({"error": slug, "message": error.detail}, error.status_code, error.headers)


async def _unexpected(request: Request, error: Exception) -> Response:
    logger.error("a request failed", extra={"route": request.url.path, "problem": f"{type(error).__name__}: {error}"})
    return JSONResponse({"error": "internal", "message": "the collector failed; its log says why"}, 500)
