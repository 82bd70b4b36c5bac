"""The routes of the repository: files by ranges, streamed from the store, and what publishers send."""

from __future__ import annotations

import re
from itertools import chain
from typing import TYPE_CHECKING

from starlette.responses import Response, StreamingResponse

from edgerun.limits import LIMITS as DEVICE_LIMITS
from edgerun_sync.collector.credentials import Role
from edgerun_sync.collector.http.bodies import read_body
from edgerun_sync.collector.http.threads import in_thread
from edgerun_sync.collector.repository import TIMESTAMP, need_publisher
from edgerun_sync.collector.uploads import Span
from edgerun_sync.errors import RefusedError
from edgerun_sync.limits import LIMITS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from starlette.requests import Request

    from edgerun_sync.collector.credentials import Credential
    from edgerun_sync.collector.repository import Repository

HELD = "Upload-Offset"
"""The header that says how much of a blob is there."""
METADATA_TYPE = "application/json"
BLOB_TYPE = "application/octet-stream"

_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")
_CONTENT_RANGE = re.compile(r"bytes (?:(\d{1,18})-(\d{1,18})|\*)/(\d{1,18})")


class RepositoryRoutes:
    """What the application does for each route of the repository.

    Args:
        repository: what is served; None where this collector serves none.
        caller: finds out whom a request is from.
    """

    def __init__(self, repository: Repository | None, caller: Callable[[Request], Awaitable[Credential]]) -> None:
        self._served, self._caller = repository, caller

    async def get_metadata(self, request: Request) -> Response:
        """Answer with a file of metadata."""
        caller = await self._caller(request)
        try:
            found = await in_thread(self._repository.metadata, request.path_params["file"])
        except RefusedError as error:
            return _absent(request, caller, error)
        headers = {"ETag": found.etag, **_allowed(request, caller)}
        if _has(request.headers.get("if-none-match"), found.etag):
            return Response(status_code=304, headers=headers)
        return Response(found.raw, headers=headers, media_type=METADATA_TYPE)

    async def get_blob(self, request: Request) -> Response:
        """Answer with a blob, or with a part of it."""
        caller, hexadecimal = await self._caller(request), request.path_params["hex"]
        try:
            size = await in_thread(self._repository.blob_size, hexadecimal)
        except RefusedError as error:
            held = 0
            if request.method == "HEAD" and caller.may(Role.PUBLISH):
                held = await in_thread(self._repository.held, caller, hexadecimal)
            return _absent(request, caller, error, held)
        etag = f'"{hexadecimal}"'
        headers = {"ETag": etag, "Accept-Ranges": "bytes", **_allowed(request, caller)}
        if _has(request.headers.get("if-none-match"), etag):
            return Response(status_code=304, headers=headers)
        begin, end = 0, size
        span = _span(request, etag, size)
        if span is not None:
            begin, end = span
            if begin >= end:
                return Response(status_code=416, headers={"Content-Range": f"bytes */{size}"})
            headers["Content-Range"] = f"bytes {begin}-{end - 1}/{size}"
        headers["Content-Length"] = str(end - begin)
        status = 200 if span is None else 206
        if request.method == "HEAD":
            return Response(status_code=status, headers=headers, media_type=BLOB_TYPE)
        pieces = self._repository.blob(hexadecimal, begin)
        first = await in_thread(next, pieces, b"")  # a store that fails does so before the answer begins
        content = _cut(chain((first,), pieces), end - begin)
        return StreamingResponse(content, status, headers, media_type=BLOB_TYPE)

    async def put_blob(self, request: Request) -> Response:
        """Take a blob, or a part of one."""
        caller = await self._caller(request)
        need_publisher(caller)
        declared = _CONTENT_RANGE.fullmatch(request.headers.get("content-range", ""))
        if declared is None and "content-range" in request.headers:
            raise RefusedError(422, "no-range", "send Content-Range: bytes FIRST-LAST/SIZE")
        if declared is not None and int(declared[3]) > LIMITS.blob_max_bytes:
            raise RefusedError(413, "too-large", f"the blob is larger than {LIMITS.blob_max_bytes} bytes")
        body = await read_body(request, LIMITS.upload_part_max_bytes, LIMITS.body_timeout_s)
        span = Span(0, len(body)) if declared is None else _part(declared, len(body))
        held = await in_thread(self._repository.put_blob, caller, request.path_params["hex"], span, body)
        return Response(status_code=201) if held is None else Response(status_code=202, headers={HELD: str(held)})

    async def put_metadata(self, request: Request) -> Response:
        """Make a file of metadata, or publish by the timestamp."""
        caller, file = await self._caller(request), request.path_params["file"]
        need_publisher(caller)
        is_new = request.headers.get("if-none-match") == "*"
        etag = request.headers.get("if-match")
        if file == TIMESTAMP:
            if is_new is (etag is not None):
                raise RefusedError(422, "no-condition", "send If-Match: and the ETag, or If-None-Match: * at first")
            body = await read_body(request, DEVICE_LIMITS.timestamp_max_bytes, LIMITS.body_timeout_s)
            published = await in_thread(self._repository.publish, caller, body, etag)
            return Response(status_code=201 if is_new else 204, headers={"ETag": published})
        if not is_new:
            raise RefusedError(422, "no-condition", "send If-None-Match: *; metadata is never replaced")
        body = await read_body(request, DEVICE_LIMITS.metadata_max_bytes, LIMITS.body_timeout_s)
        await in_thread(self._repository.put_metadata, caller, file, body)
        return Response(status_code=201)

    @property
    def _repository(self) -> Repository:
        if self._served is None:
            raise RefusedError(404, "unknown", "this collector serves no repository")
        return self._served


def _allowed(request: Request, caller: Credential) -> dict[str, str]:
    """Say what the caller may do here, to those who ask without wanting the file."""
    if request.method != "HEAD":
        return {}
    return {"Allow": "GET, HEAD, PUT" if caller.may(Role.PUBLISH) else "GET, HEAD"}


def _absent(request: Request, caller: Credential, error: RefusedError, held: int = 0) -> Response:
    """Say that something is not there, and to publishers how much of it is."""
    if request.method != "HEAD":
        raise error
    return Response(status_code=error.status, headers={**_allowed(request, caller), HELD: str(held)})


def _has(condition: str | None, etag: str) -> bool:
    found = {text.strip().removeprefix("W/") for text in (condition or "").split(",")}
    return etag in found or "*" in found


def _span(request: Request, etag: str, size: int) -> tuple[int, int] | None:
    """Where the part that is asked for begins and ends; None for all of it. Of several parts, all of it is sent."""
    asked = _RANGE.fullmatch(request.headers.get("range", "").replace(" ", ""))
    if asked is None or request.headers.get("if-range", etag) != etag or not (asked[1] or asked[2]):
        return None
    if not asked[1]:
        return max(0, size - int(asked[2])), size
    begin, last = int(asked[1]), int(asked[2] or size)
    return None if asked[2] and last < begin else (begin, min(size, last + 1))


def _part(declared: re.Match[str], size: int) -> Span:
    if declared[1] is None:
        if size:
            raise RefusedError(422, "no-range", "a request to put a blob together has no body")
        return Span(None, int(declared[3]))
    first, last, total = int(declared[1]), int(declared[2]), int(declared[3])
    if last - first + 1 != size or not first <= last < total:
        raise RefusedError(422, "no-range", f"Content-Range says {first}-{last}/{total}, and {size} bytes came")
    return Span(first, total)


def _cut(pieces: Iterator[bytes], size: int) -> Iterator[bytes]:
    for piece in pieces:
        yield piece[:size]
        size -= min(size, len(piece))
        if not size:
            return
