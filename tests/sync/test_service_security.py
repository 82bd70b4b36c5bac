"""What nobody may do to the service: every role on every route, tokens in logs, slow and many clients, bombs."""

from __future__ import annotations

import hashlib
import io
import json
import logging
import resource
import socket
import subprocess
import sys
import textwrap
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import NamedTuple

import msgpack
import pytest
import zstandard

from edgerun.limits import LIMITS as LIMITS_OF_LOG
from edgerun_sync.collector.credentials import Role
from edgerun_sync.collector.http.logs import JsonLines
from edgerun_sync.collector.http.openapi import openapi_document
from edgerun_sync.limits import LIMITS
from edgerun_sync.names import SEGMENT_TYPE
from support.collector import collecting
from support.fleet import made
from support.publishers import founded, team
from support.served import until
from sync.test_service_http import CHECK_IN, digest_of
from vectors.log import log_reference as reference

ENROL = {"machine": "cd" * 32, "edgerun": "0.1.0"}
WHO = ("nobody", "wrong", "revoked", "gone", "enroll", "read", "publish", "admin", "own", "other")
WORTHLESS = {"nobody", "wrong", "revoked", "gone"}
"""No token, one that nobody made, an admin's that was revoked, and that of a device that was."""


class Door(NamedTuple):
    """A route: what is asked there, and who gets in."""

    method: str
    path: str
    may: frozenset[str]
    body: dict | bytes | None = None
    headers: dict[str, str] = {}  # noqa: RUF012 - nobody changes it


EVERYONE = frozenset(WHO)
KNOWN = EVERYONE - WORTHLESS
PUBLISHERS = frozenset({"publish", "admin"})
BLOB = b"any bytes"
METADATA, BLOBS = "/v1/repository/metadata", "/v1/repository/blobs/sha256"
IS_NEW = {"If-None-Match": "*"}
DOORS = [
    Door("GET", "/healthz", EVERYONE),
    Door("GET", "/readyz", EVERYONE),
    Door("GET", "/metrics", EVERYONE),
    Door("GET", "/openapi.json", EVERYONE),
    Door("POST", "/v1/enroll", frozenset({"enroll"}), ENROL),
    Door("GET", "/v1/devices", frozenset({"read", "admin"})),
    Door("DELETE", "/v1/devices/nobody-7", frozenset({"admin"})),
    Door("POST", "/v1/devices/pump-7/token", frozenset({"own"})),
    Door("POST", "/v1/devices/pump-7/checkin", frozenset({"own"}), CHECK_IN),
    Door("PUT", "/v1/devices/pump-7/segments/{segment}", frozenset({"own"})),
    Door("POST", "/v1/tokens", frozenset({"admin"}), {"role": "read"}),
    Door("DELETE", "/v1/tokens/nothing", frozenset({"admin"})),
    Door("GET", f"{METADATA}/timestamp.json", KNOWN),
    Door("HEAD", f"{METADATA}/timestamp.json", KNOWN),
    Door("PUT", f"{METADATA}/timestamp.json", PUBLISHERS, b"{}", IS_NEW),
    Door("PUT", f"{METADATA}/2.targets.json", PUBLISHERS, b"{}", IS_NEW),
    Door("GET", f"{BLOBS}/{'0' * 64}", KNOWN),
    Door("HEAD", f"{BLOBS}/{'0' * 64}", KNOWN),
    Door("PUT", f"{BLOBS}/{hashlib.sha256(BLOB).hexdigest()}", PUBLISHERS, BLOB),
    Door("PUT", f"{BLOBS}/{'0' * 64}", PUBLISHERS, BLOB[:4], {"Content-Range": f"bytes 0-3/{len(BLOB)}"}),
]
SEGMENT = made("pump-7", 1)[0]


@pytest.fixture(scope="module")
def collector(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.mktemp("settings")))
        founded(folder / "repository", team())
    with collecting(folder=folder) as found:
        yield found


@pytest.fixture(scope="module")
def tokens(collector):
    found = {
        role.value: collector.token(role, **({"uses": 50} if role is Role.ENROLL else {}))
        for role in Role
        if role is not Role.DEVICE
    }
    revoked, credential = collector.service.credentials.issue(Role.ADMIN)
    collector.ask("DELETE", f"/v1/tokens/{credential.name}", found["admin"])
    gone = collector.device("pump-9")
    collector.ask("DELETE", "/v1/devices/pump-9", found["admin"])
    return {
        **found, "nobody": None, "wrong": "er1_admin_" + "A" * 43, "revoked": revoked, "gone": gone,
        "own": collector.device("pump-7"), "other": collector.device("pump-8"),
    }  # fmt: skip


def kept(collector):
    """All that the collector keeps: its objects, and the files of its repository."""
    folder = Path(collector.service.repository.storage.where)
    files = {str(path): path.read_bytes() for path in folder.parent.rglob("*") if path.is_file()}
    return {**collector.objects.found, **files}


def knock(collector, door, token):
    path = door.path.format(segment=SEGMENT.landed.segment)
    if "segments" in path:
        headers = {"Content-Type": SEGMENT_TYPE, "Content-Digest": digest_of(SEGMENT.body), "If-None-Match": "*"}
        return collector.ask(door.method, path, token, data=SEGMENT.body, headers=headers)
    if isinstance(door.body, bytes):
        return collector.ask(door.method, path, token, data=door.body, headers=door.headers)
    return collector.ask(door.method, path, token, json=door.body)


def test_the_table_of_doors_has_every_route():
    described = {(method.upper(), path) for path, item in openapi_document()["paths"].items() for method in item}
    own = {("device", "pump-7"), ("device", "nobody-7"), ("name", "nothing"), ("file", "timestamp.json")}
    own |= {("file", "2.targets.json"), ("hex", "0" * 64), ("hex", hashlib.sha256(BLOB).hexdigest())}
    listed = set()
    for door in DOORS:
        path = door.path
        for name, value in own:
            path = path.replace(f"/{value}", f"/{{{name}}}")
        listed.add((door.method, path))
    mine = {(method, path) for method, path in described if method != "PARAMETERS"}
    assert listed == mine


@pytest.mark.parametrize("who", WHO)
@pytest.mark.parametrize("door", DOORS, ids=lambda door: f"{door.method} {door.path}")
def test_each_role_gets_in_where_it_may_and_nowhere_else(collector, tokens, door, who):
    before = kept(collector)
    status = knock(collector, door, tokens[who]).status_code
    if who in door.may:
        assert status in ({412, 422} if door.headers == IS_NEW else {200, 201, 202, 204, 404})
    else:
        assert status == (401 if who in WORTHLESS else 403)
        assert kept(collector) == before


# Logs.


def test_no_token_is_in_the_log_or_the_counters(collector, tokens, monkeypatch):
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(JsonLines())
    for name in ("edgerun.collector", "uvicorn.error", "uvicorn.access", "uvicorn"):
        monkeypatch.setattr(logging.getLogger(name), "level", logging.DEBUG)
        logging.getLogger(name).addHandler(handler)
    try:
        secrets = {token for token in tokens.values() if token}
        for door in DOORS:
            for token in secrets:
                answer = knock(collector, door, token)
                if "token" in (
                    answer.json() if answer.content and "json" in answer.headers.get("content-type", "") else {}
                ):
                    secrets = secrets | {answer.json()["token"]}
        for token in secrets:
            collector.ask("GET", f"/v1/devices/{token}")
            collector.ask("DELETE", f"/v1/tokens/{token}", tokens["admin"])
            collector.ask("GET", f"/healthz?token={token}")
            collector.ask("POST", f"/v1/devices/{token}/checkin", token, data=token.encode())
        with monkeypatch.context() as patched:
            patched.setattr(collector.objects, "get", None)
            assert collector.ask("GET", "/v1/devices", tokens["admin"]).status_code == 500
    finally:
        for name in ("edgerun.collector", "uvicorn.error", "uvicorn.access", "uvicorn"):
            logging.getLogger(name).removeHandler(handler)
    said = written.getvalue() + collector.ask("GET", "/metrics").text
    assert len(said.splitlines()) > len(DOORS)
    assert all(json.loads(line)["message"] for line in written.getvalue().splitlines() if line.startswith("{"))
    assert [token for token in secrets if token in said or token.split("_", 2)[2][:20] in said] == []


# Clients that mean no good.


def raw(collector, *pieces, until=4096):
    host, port = collector.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        found = b""
        with suppress(BrokenPipeError, ConnectionResetError):
            for piece in pieces:
                connection.sendall(piece)
            while piece := connection.recv(until):
                found += piece
    return found


SMUGGLED = b"GET /v1/smuggled HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
HEAD = b"POST /v1/enroll HTTP/1.1\r\nHost: x\r\n"


@pytest.mark.parametrize(
    "request_",
    [
        HEAD + b"Content-Length: 3\r\nContent-Length: 40\r\n\r\nabc" + SMUGGLED,
        HEAD + b"Content-Length: 3, 40\r\n\r\nabc" + SMUGGLED,
        HEAD + b"Content-Length: +3\r\n\r\nabc" + SMUGGLED,
        HEAD + b"Content-Length: 0x3\r\n\r\nabc" + SMUGGLED,
        HEAD + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
        HEAD + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n" + SMUGGLED,
        HEAD + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
        HEAD + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
        b"POST /v1/enroll HTTP/1.1\r\nHost: x\r\nX: y\r\n z\x00\r\n\r\n" + SMUGGLED,
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ],
)  # fmt: skip
def test_a_request_whose_end_can_be_read_in_two_ways_hides_no_other(collector, request_):
    found = raw(collector, request_)
    statuses = [int(line.split()[1]) for line in found.split(b"\r\n") if line.startswith(b"HTTP/1.1 ")]
    if (
        b"Transfer-Encoding: chunked\r\n\r\n0" in request_
    ):  # RFC 9112 6.1: refused, or chunked counts and what follows is a request
        assert statuses in ([400], [401], [401, 404])
    else:
        assert statuses == [400]
    assert collector.ask("GET", "/healthz").status_code == 200


def test_nobody_is_sent_to_the_host_that_a_request_names(collector, tokens):
    for path in ("/v1/enroll/", "/v1/devices/", "/healthz/", f"{METADATA}/timestamp.json/", "//evil.example/healthz"):
        request = f"GET {path} HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n".encode()
        assert raw(collector, request).startswith(b"HTTP/1.1 404"), path


def test_a_head_without_end_is_refused(collector):
    found = raw(collector, b"GET /healthz HTTP/1.1\r\nHost: x\r\n", b"X-Long: " + b"y" * 2**20)
    assert found.startswith(b"HTTP/1.1 400") or found == b""  # it hangs up while much more comes


def test_many_idle_connections_keep_nobody_out(collector):
    host, port = collector.url.removeprefix("http://").split(":")
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    with ExitStack() as stack:
        for _ in range(min(300, soft // 4)):
            idle = stack.enter_context(socket.create_connection((host, int(port)), timeout=10))
            idle.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n")
        assert collector.ask("GET", "/readyz").status_code == 200


def test_beyond_the_limit_of_connections_requests_are_refused_and_not_kept(monkeypatch):
    """`connections_max`."""
    monkeypatch.setattr("edgerun_sync.collector.http.server.LIMITS", LIMITS._replace(connections_max=8))
    with collecting() as small, ExitStack() as stack:
        host, port = small.url.removeprefix("http://").split(":")
        for _ in range(8):
            stack.enter_context(socket.create_connection((host, int(port)), timeout=10))
        assert small.ask("GET", "/healthz").status_code == 503
        stack.close()
        with ExitStack() as fewer:
            for _ in range(6):
                fewer.enter_context(socket.create_connection((host, int(port)), timeout=10))
            until(lambda: small.ask("GET", "/healthz").status_code == 200)  # once it has seen that the others left


# Bombs.

ROOM_BYTES = 192 * 2**20
CHECKER = textwrap.dedent(
    """
    import resource, sys
    from edgerun_sync.collector.segments import check
    from edgerun_sync.errors import SegmentError
    body = open(sys.argv[1], "rb").read()
    pages = int(open("/proc/self/statm").read().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + int(sys.argv[3]),) * 2)
    try:
        check(sys.argv[2], body)
    except SegmentError as error:
        print(error.status, error.slug)
    """
)


def declared(size):
    """A zstd frame that says that it holds so much, and holds a few bytes."""
    return (
        zstandard.ZstdCompressor(level=1).compress(bytes(1000))[:4]
        + b"\xe0"
        + size.to_bytes(8, "little")
        + b"\x01\x00\x00"
    )


def bombs():
    zeros = zstandard.ZstdCompressor().compress(bytes(LIMITS_OF_LOG.log_frame_max_bytes))
    roomy = msgpack.packb(
        {0: 0, 1: 1, 2: [0, 0], 3: {}, 4: [reference.notes(reference.LABEL, [0], [{"id": "x" * (15 * 2**20)}])]}
    )
    full = zstandard.ZstdCompressor().compress(roomy)
    yield "declares 1 TB", (reference.Segment().stored(declared(2**40)),), "422 not-a-segment"
    yield (
        "declares a frame's limit and has less",
        (reference.Segment().stored(declared(16 * 2**20)),),
        "422 not-a-segment",
    )
    yield "500 frames of zeros", (grown(500, zeros),), "422 not-a-segment"
    yield "60 valid frames of 15 MiB", (grown(60, full),), "413 too-large"


def grown(count, kept):
    segment = reference.Segment()
    for _ in range(count):
        segment.stored(kept)
    return segment


@pytest.mark.parametrize(
    ("_", "bomb", "said"), [pytest.param(name, bomb, said, id=name) for name, (bomb,), said in bombs()]
)
def test_a_small_body_that_unpacks_to_much_is_refused_in_little_memory(tmp_path, _, bomb, said):
    (tmp_path / "body").write_bytes(bomb.data)
    assert len(bomb.data) < 2**20
    command = [sys.executable, "-c", CHECKER, tmp_path / "body", bomb.name, str(ROOM_BYTES)]
    found = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert (found.stdout.strip(), found.stderr) == (said, "")
