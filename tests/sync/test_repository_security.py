"""What nobody may do to the routes of the repository: names, bodies, ranges and clients that mean no good."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import socket
from contextlib import ExitStack
from pathlib import Path

import pytest

from edgerun.limits import LIMITS as DEVICE_LIMITS
from edgerun_sync.collector.credentials import Role
from edgerun_sync.limits import LIMITS
from support.collector import collecting
from support.publishers import founded, team
from support.served import until

METADATA, BLOBS = "/v1/repository/metadata", "/v1/repository/blobs/sha256"
IS_NEW = {"If-None-Match": "*"}
KINDS = ("2.root.json", "2.targets.json", "2.snapshot.json", "1.bundle-toy.json", "1.channel-stable.json")


@pytest.fixture(scope="module")
def collector(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.mktemp("settings")))
        founded(folder / "repository", team())
    with collecting(folder=folder) as found:
        yield found


@pytest.fixture(scope="module")
def publisher(collector):
    return collector.token(Role.PUBLISH)


def kept(collector):
    folder = Path(collector.service.repository.storage.where).parent
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def named(body):
    return hashlib.sha256(body).hexdigest()


# Names.

TRICKS = [
    b"%2e%2e%2f%2e%2e%2fconfig.json", b"..%5c..%5cconfig.json", b"..\\..\\config.json", b"%252e%252e%252fconfig.json",
    b"....//config.json", b"/etc/passwd", b"%2fetc%2fpasswd", b"file:%2f%2f%2fetc%2fpasswd", b"timestamp.json%00",
    b"timestamp.json%0a", b"timestamp.json%20", b"timestamp.json/", b"timestamp.json;x=y", b"TIMESTAMP.JSON",
    b"timestamp%E2%80%AE.json", b"%EF%BC%91.root.json", b"%c0%ae%c0%ae%c0%afconfig.json", b"1.root.json%FF",
    b"1.bundle-...json", b"1.bundle-a%2f..%2f..%2fx.json", b"1.channel-" + b"a" * 65 + b".json", b"a" * 5000,
    b"9" * 400 + b".root.json", b"0.root.json", b"-1.root.json", b"1.root.json.tmp", b".1.root.json", b"%00",
]  # fmt: skip


@pytest.mark.parametrize("trick", TRICKS, ids=lambda trick: trick[:40].decode())
@pytest.mark.parametrize("folder", [METADATA, BLOBS])
def test_a_name_that_is_none_names_nothing(collector, publisher, folder, trick):
    before = kept(collector)
    for method, body in ((b"GET", b""), (b"HEAD", b""), (b"PUT", b"{}")):
        head = b"%s %s/%s HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer %s\r\nIf-None-Match: *\r\n"
        request = head % (method, folder.encode(), trick, publisher.encode())
        found = raw(collector, request + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        assert int(found.split()[1]) in {400, 404, 405, 422}, found
    assert kept(collector) == before


def raw(collector, request):
    host, port = collector.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(request)
        return b"".join(iter(lambda: connection.recv(4096), b""))


# Bodies.

DEEP = 200_000
NASTY = {
    "nothing": b"",
    "no JSON": b"\xff\xfe{}",
    "a list": b"[]",
    "null": b"null",
    "a number of many digits": b'{"signed": {"version": ' + b"9" * 10_000 + b'}, "signatures": []}',
    "an infinite number": b'{"signed": {"version": 1e999}, "signatures": []}',
    "not a number": b'{"signed": {"version": NaN}, "signatures": []}',
    "half a pair": b'{"signed": {"_type": "\\ud800"}, "signatures": []}',
    "lists in lists": b'{"signed": ' + b"[" * DEEP + b"]" * DEEP + b', "signatures": []}',
    "objects in objects": b'{"a": ' * DEEP + b"1" + b"}" * DEEP,
    "lists without end": b"[" * DEEP,
    "a name twice": b'{"signed": {}, "signed": {"_type": "root"}, "signatures": []}',
    "other types": b'{"signed": {"_type": [], "version": {}, "spec_version": 1, "expires": []}, "signatures": {}}',
    "many signatures": json.dumps({"signed": {}, "signatures": [{"keyid": "a", "sig": "b"}] * 10_000}).encode(),
    "a date that is none": b'{"signed": {"_type": "targets", "version": 2, "spec_version": "1.0.31", '
    b'"expires": "9999-99-99T99:99:99Z", "targets": {}}, "signatures": []}',
}


@pytest.mark.parametrize("name", NASTY)
def test_metadata_that_is_none_is_refused_and_nothing_breaks(collector, publisher, name):
    before = kept(collector)
    tag = collector.ask("GET", f"{METADATA}/timestamp.json", publisher).headers["ETag"]
    for file, headers in ((kind, IS_NEW) for kind in KINDS):
        answer = collector.ask("PUT", f"{METADATA}/{file}", publisher, data=NASTY[name], headers=headers)
        assert (answer.status_code, answer.json()["error"]) == (422, "invalid"), (file, answer.text)
    if len(NASTY[name]) <= DEVICE_LIMITS.timestamp_max_bytes:
        answer = collector.ask(
            "PUT", f"{METADATA}/timestamp.json", publisher, data=NASTY[name], headers={"If-Match": tag}
        )
        assert (answer.status_code, answer.json()["error"]) == (422, "invalid"), answer.text
    assert kept(collector) == before


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "zstd", "br", "gzip, gzip", "x"])
def test_nothing_is_ever_unpacked_for_a_publisher(collector, publisher, encoding):
    bomb = gzip.compress(bytes(2**24))
    before = kept(collector)
    for path, headers in ((f"{BLOBS}/{named(bytes(2**24))}", {}), (f"{METADATA}/2.targets.json", IS_NEW)):
        given = {**headers, "Content-Encoding": encoding}
        answer = collector.ask("PUT", path, publisher, data=bomb, headers=given)
        assert (answer.status_code, answer.json()["error"]) == (415, "encoded")
    assert kept(collector) == before


def test_a_blob_that_is_packed_stays_packed(collector, publisher):
    bomb = gzip.compress(bytes(2**24))
    assert collector.ask("PUT", f"{BLOBS}/{named(bomb)}", publisher, data=bomb).status_code == 201
    answer = collector.ask("GET", f"{BLOBS}/{named(bomb)}", publisher, headers={"Accept-Encoding": "gzip"})
    assert (answer.content, answer.headers.get("Content-Encoding")) == (bomb, None)


def test_a_body_without_a_length_is_read_up_to_the_limit_alone(collector, publisher):
    """`upload_part_max_bytes` and `timestamp_max_bytes`, of what comes in chunks."""
    tag = collector.ask("GET", f"{METADATA}/timestamp.json", publisher).headers["ETag"]
    part = bytes(LIMITS.upload_part_max_bytes)
    stamp = b" " * DEVICE_LIMITS.timestamp_max_bytes
    for path, body, headers, status in (
        (f"{BLOBS}/{named(part)}", part, {}, 201),
        (f"{METADATA}/timestamp.json", stamp, {"If-Match": tag}, 422),
    ):
        assert collector.ask("PUT", path, publisher, data=iter([body]), headers=headers).status_code == status
        assert collector.ask("PUT", path, publisher, data=iter([body, b"0"]), headers=headers).status_code == 413


# Ranges.


@pytest.mark.parametrize(
    "said",
    ["bytes", "bytes ", "bytes 0-9", "bytes 0-9/", "bytes -9/10", "bytes 0-/10", "bytes */", "bytes */*",
     "octets 0-9/10",
     "bytes 0-9/10, bytes 0-9/10", "bytes 00-9/1e1", "bytes 0x0-0x9/10", "bytes +0-9/10", "bytes 0--9/10",
     "bytes 9-0/10",
     "bytes 1-10/10", "bytes 0-9/9", "bytes 0-8/10", "bytes 0-10/11", "bytes  0-9/10", "bytes 0 - 9/10",
     f"bytes 0-{10**18 - 1}/{10**18}", f"bytes {10**30}-{10**30 + 9}/{10**31}", "bytes */10", f"bytes */{10**17}"],
)  # fmt: skip
def test_a_content_range_that_is_none_keeps_nothing(collector, publisher, said):
    before = kept(collector)
    answer = collector.ask("PUT", f"{BLOBS}/{'1' * 64}", publisher, data=b"0123456789", headers={"Content-Range": said})
    assert answer.status_code in {413, 422}
    assert kept(collector) == before


def test_a_blob_of_nothing_is_one(collector, publisher):
    path = f"{BLOBS}/{named(b'')}"
    assert collector.ask("PUT", path, publisher, data=b"", headers={"Content-Range": "bytes */5"}).status_code == 409
    assert collector.ask("PUT", path, publisher, data=b"").status_code == 201
    assert collector.ask("GET", path, publisher).content == b""
    assert collector.ask("GET", path, publisher, headers={"Range": "bytes=0-0"}).status_code == 416


def test_many_ranges_at_once_bring_the_file_once(collector, publisher):
    body = os.urandom(1000)
    path = f"{BLOBS}/{named(body)}"
    assert collector.ask("PUT", path, publisher, data=body).status_code == 201
    asked = "bytes=" + ",".join(["0-"] * 1000)
    answer = collector.ask("GET", path, publisher, headers={"Range": asked})
    assert (answer.status_code, answer.content) == (200, body)


# Slow clients.


def putting(collector, token, path, declared, *headers):
    host, port = collector.url.removeprefix("http://").split(":")
    connection = socket.create_connection((host, int(port)), timeout=10)
    lines = [f"PUT {path} HTTP/1.1", "Host: x", f"Authorization: Bearer {token}", f"Content-Length: {declared}"]
    connection.sendall("\r\n".join([*lines, *headers, "", ""]).encode())
    return connection


def test_a_publisher_that_sends_too_slowly_is_told_so_and_nothing_is_kept(collector, publisher, monkeypatch):
    """`body_timeout_s`."""
    monkeypatch.setattr("edgerun_sync.collector.http.repository.LIMITS", LIMITS._replace(body_timeout_s=0.5))
    before = kept(collector)
    for path, headers in ((f"{BLOBS}/{'2' * 64}", ()), (f"{METADATA}/2.targets.json", ("If-None-Match: *",))):
        with putting(collector, publisher, path, 1000, *headers) as connection:
            connection.sendall(b"drop by drop")
            assert connection.recv(4096).startswith(b"HTTP/1.1 408")
    assert kept(collector) == before


def test_a_publisher_that_hangs_up_within_a_body_leaves_nothing(collector, publisher):
    before = kept(collector)
    for _ in range(5):
        with putting(collector, publisher, f"{BLOBS}/{'3' * 64}", 1000) as connection:
            connection.sendall(b"drop")
    assert collector.ask("HEAD", f"{BLOBS}/{'3' * 64}", publisher).headers["Upload-Offset"] == "0"
    assert kept(collector) == before


def test_whoever_sends_many_bodies_at_once_fills_no_memory_and_is_in_nobody_elses_way(tmp_path, monkeypatch):
    """`bodies_max_bytes`, at the limit and one past it."""
    monkeypatch.setattr("edgerun_sync.collector.http.app.LIMITS", LIMITS._replace(bodies_max_bytes=1000))
    path, body = f"{BLOBS}/{named(b'x' * 500)}", b"x" * 500
    with collecting(folder=tmp_path) as small, ExitStack() as stack:
        own, other = small.token(Role.PUBLISH), small.token(Role.PUBLISH)
        assert small.ask("PUT", f"{BLOBS}/{named(b'y' * 1000)}", own, data=b"y" * 1000).status_code == 201
        answer = small.ask("PUT", f"{BLOBS}/{named(b'y' * 1001)}", own, data=b"y" * 1001)
        assert (answer.status_code, answer.json()["error"], answer.headers["Retry-After"]) == (429, "too-much", "1")
        for _ in range(2):
            stack.enter_context(putting(small, own, path, 2000)).sendall(body)
        until(lambda: small.ask("PUT", f"{BLOBS}/{named(b'z')}", own, data=b"z").status_code == 429)
        assert small.ask("PUT", path, other, data=body).status_code == 201
        assert small.ask("GET", path, own).content == body
        stack.close()
        until(lambda: small.ask("PUT", f"{BLOBS}/{named(b'z' * 1000)}", own, data=b"z" * 1000).status_code == 201)


def test_publishers_that_send_slowly_and_readers_that_read_nothing_keep_nobody_out(collector, publisher):
    body = os.urandom(2**23)
    path = f"{BLOBS}/{named(body)}"
    assert collector.ask("PUT", path, publisher, data=body).status_code == 201
    host, port = collector.url.removeprefix("http://").split(":")
    with ExitStack() as stack:
        for _ in range(150):
            connection = stack.enter_context(putting(collector, publisher, f"{BLOBS}/{'4' * 64}", 1000))
            connection.sendall(b"drop")
        for _ in range(50):
            reader = stack.enter_context(socket.create_connection((host, int(port)), timeout=10))
            reader.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {publisher}\r\n\r\n".encode())
        other = collector.token(Role.ADMIN)
        assert collector.ask("GET", path, other).content == body
        assert collector.ask("PUT", f"{BLOBS}/{named(b'quick')}", other, data=b"quick").status_code == 201
    until(lambda: collector.ask("GET", "/readyz").status_code == 200)
