"""A small OCI registry in this process that misbehaves as told: what a real one does only on a bad day.

It keeps to the distribution specification by itself, knows the referrers API, and writes down every request. A test
gives it a function that may answer in its place.
"""

from __future__ import annotations

import hashlib
import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import parse_qs, urlsplit

import pytest

from edgerun.errors import BundleError
from edgerun_bundles.registry import Reference, pull

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping


MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
SHA = "sha256:" + "0" * 64


class Request(NamedTuple):
    """One request as it came."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


class Reply(NamedTuple):
    """One answer; where it is cut, the connection ends after so many bytes of the body."""

    status: int
    headers: Mapping[str, str] = {}
    body: bytes = b""
    cut: int | None = None


DROP = Reply(0)
"""The connection ends without an answer."""


class FakeRegistry:
    """What is stored, what was asked, and who may answer first."""

    def __init__(self) -> None:
        self.host = ""
        self.blobs: dict[str, bytes] = {}
        self.manifests: dict[str, tuple[str, bytes]] = {}
        self.uploads: dict[str, bytes] = {}
        self.requests: list[Request] = []
        self.knows_referrers = True
        self.first: Callable[[Request], Reply | None] = lambda _: None
        self.lock = threading.Lock()

    def asked(self, method: str) -> list[str]:
        """The paths that were asked for by a method."""
        return [request.path for request in self.requests if request.method == method]

    def answer(self, request: Request) -> Reply:
        """Answer as a registry does."""
        with self.lock:
            self.requests.append(request)
            return self.first(request) or self._answer(request)

    def _answer(self, request: Request) -> Reply:
        parts = urlsplit(request.path)
        _, _, rest = parts.path.removeprefix("/v2/").partition("/blobs/")
        if rest.startswith("uploads/"):
            return self._upload(request, rest.removeprefix("uploads/"), parse_qs(parts.query))
        if rest:
            return self._blob(request, rest)
        _, _, rest = parts.path.removeprefix("/v2/").partition("/manifests/")
        if rest:
            return self._manifest(request, rest)
        _, _, rest = parts.path.removeprefix("/v2/").partition("/referrers/")
        return self._referrers(rest) if rest and self.knows_referrers else Reply(404)

    def _blob(self, request: Request, digest: str) -> Reply:
        if digest not in self.blobs:
            return Reply(404)
        content = self.blobs[digest]
        first, _, _ = request.headers.get("Range", "bytes=0-").removeprefix("bytes=").partition("-")
        status = 206 if int(first) else 200
        return Reply(status, {"Content-Length": str(len(content) - int(first))}, content[int(first) :])

    def _upload(self, request: Request, upload: str, query: Mapping[str, list[str]]) -> Reply:
        if request.method == "POST":
            upload = f"u{len(self.uploads)}"
            self.uploads[upload] = b""
        if upload not in self.uploads:
            return Reply(404)
        where = {"Location": f"/v2/any/blobs/uploads/{upload}?state=1"}
        if request.method == "GET":
            return Reply(204, {**where, "Range": f"0-{max(0, len(self.uploads[upload]) - 1)}"})
        start = request.headers.get("Content-Range", f"{len(self.uploads[upload])}-").partition("-")[0]
        if int(start) != len(self.uploads[upload]):
            return Reply(416, where)
        self.uploads[upload] += request.body
        if request.method != "PUT":
            return Reply(202, where)
        content = self.uploads.pop(upload)
        (digest,) = query["digest"]
        if digest != "sha256:" + hashlib.sha256(content).hexdigest():
            return Reply(400, {}, b'{"errors":[{"code":"DIGEST_INVALID","message":"digest differs"}]}')
        self.blobs[digest] = content
        return Reply(201)

    def _manifest(self, request: Request, reference: str) -> Reply:
        if request.method == "PUT":
            digest = "sha256:" + hashlib.sha256(request.body).hexdigest()
            for known in (reference, digest):
                self.manifests[known] = (request.headers["Content-Type"], request.body)
            subject = json.loads(request.body).get("subject", {}).get("digest")
            return Reply(201, {"OCI-Subject": subject} if subject and self.knows_referrers else {})
        if reference not in self.manifests:
            return Reply(404)
        media_type, raw = self.manifests[reference]
        return Reply(200, {"Content-Type": media_type}, raw)

    def _referrers(self, digest: str) -> Reply:
        found = []
        for reference, (media_type, raw) in self.manifests.items():
            if reference.startswith("sha256:") and json.loads(raw).get("subject", {}).get("digest") == digest:
                found.append({"mediaType": media_type, "digest": reference, "size": len(raw)})
        index = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": found}
        return Reply(200, {"Content-Type": index["mediaType"]}, json.dumps(index).encode())


@contextmanager
def serving(fake: FakeRegistry | None = None) -> Iterator[FakeRegistry]:
    """Serve a registry on a port of its own."""
    fake = fake or FakeRegistry()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            reply = fake.answer(Request(self.command, self.path, dict(self.headers), body))
            if reply is DROP:
                self.close_connection = True
                return
            self.send_response(reply.status)
            headers = {"Content-Length": str(len(reply.body)), **reply.headers}
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(reply.body[: reply.cut])
            self.close_connection = reply.cut is not None

        do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do  # noqa: N815 - the names that the library calls

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        fake.host = f"127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield fake
        finally:
            server.shutdown()
            thread.join()


def at(host, name="team/toy", tag="1.0.0"):
    """Where the tests put a bundle."""
    return Reference(host, name, tag)


def fail_once(fake, match, reply):
    """Answer the first request of a kind in a way of one's own."""
    failed = []

    def first(request):
        if match(request) and not failed:
            failed.append(request)
            return reply
        return None

    fake.first = first
    return failed


def refuse(stored, connect, target, match, error=BundleError):
    """Pull what must be refused, and see that nothing is left behind."""
    with pytest.raises(error, match=match):
        pull(at(stored.host), target, connect(stored.host))
    assert not target.exists()
    assert not [path for path in target.parent.iterdir() if path.name.startswith(".new-")]
