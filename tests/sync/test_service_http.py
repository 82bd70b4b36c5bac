from __future__ import annotations

import base64
import hashlib
import json
import os
import socket
import time
from http.client import HTTPResponse

import pytest

from edgerun.log import LogPolicy
from edgerun.log.handover import segment_files
from edgerun.log.rows import Kind, Note
from edgerun.log.writer import LogWriter
from edgerun_sync.collector.credentials import Role
from edgerun_sync.collector.http.app import Application
from edgerun_sync.collector.http.metrics import Metrics
from edgerun_sync.limits import LIMITS
from edgerun_sync.names import SEGMENT_TYPE
from support.collector import collecting

CHECK_IN = {
    "machine": "ab" * 32,
    "boot": "",
    "instance": "0123456789abcdef",
    "count": 1,
    "time": "2026-11-23T12:00:00Z",
    "synchronised": True,
    "edgerun": "0.1.0",
    "onnxruntime": None,
    "arch": "x86_64",
    "bundle": None,
    "backlog": {"segments": 0, "bytes": 0, "oldest": None},
    "lost": {},
    "errors": [],
}


@pytest.fixture(scope="module")
def collector():
    with collecting() as found:
        yield found


@pytest.fixture
def device(collector):
    name = f"device-{os.urandom(4).hex()}"
    return name, collector.device(name)


@pytest.fixture(scope="module")
def segment(tmp_path_factory) -> tuple[str, bytes]:
    """The name and bytes of a sealed journal."""
    folder = tmp_path_factory.mktemp("log")
    writer = LogWriter(folder, policy=LogPolicy())
    writer.write(None, [Note(Kind.LABEL, number, {"id": f"{number:016x}-1", "value": number}) for number in range(50)])
    writer.close()
    (file,) = segment_files(str(folder))
    return file.name.removesuffix(".log"), (folder / file.name).read_bytes()


def digest_of(body: bytes) -> str:
    return f"sha-256=:{base64.b64encode(hashlib.sha256(body).digest()).decode()}:"


def put(collector, device, name: str, body: bytes, **headers: str):
    who, token = device
    given = {"Content-Type": SEGMENT_TYPE, "Content-Digest": digest_of(body), "If-None-Match": "*", **headers}
    given = {field: value for field, value in given.items() if value}
    return collector.ask("PUT", f"/v1/devices/{who}/segments/{name}", token, data=body, headers=given)


def test_a_segment_is_stored_once_and_then_known(collector, device, segment):
    name, body = segment
    assert put(collector, device, name, body).status_code == 201
    assert collector.objects.found[f"segments/{device[0]}/{name}"] == body
    assert put(collector, device, name, body).status_code == 200


def test_other_bytes_under_its_name_are_refused_and_written_down(collector, device, segment):
    name, body = segment
    put(collector, device, name, body)
    other = body[:-20] + bytes([body[-20] ^ 1]) + body[-19:]
    answer = put(collector, device, name, other)
    if answer.status_code != 409:  # the one frame is damaged, so that nothing can be read
        assert answer.status_code == 422
        return
    assert [entry["subject"] for entry in collector.service.audit.entries()][-1] == f"{device[0]}/{name}"


@pytest.mark.parametrize(
    ("headers", "status", "slug"),
    [
        ({"Content-Digest": ""}, 422, "no-digest"),
        ({"Content-Digest": "md5=:AAAA:"}, 422, "no-digest"),
        ({"Content-Digest": digest_of(b"something else")}, 422, "wrong-digest"),
        ({"Content-Type": "application/json"}, 415, "media-type"),
        ({"If-None-Match": ""}, 422, "no-condition"),
        ({"Content-Encoding": "gzip"}, 415, "encoded"),
    ],
)
def test_a_segment_that_is_sent_wrongly_is_refused(collector, device, segment, headers, status, slug):
    answer = put(collector, device, *segment, **headers)
    assert (answer.status_code, answer.json()["error"]) == (status, slug)
    assert not [key for key in collector.objects.found if device[0] in key and not key.startswith("credentials")]


def test_a_segment_of_another_name_is_refused(collector, device, segment):
    answer = put(collector, device, f"{7:016x}-{0:016x}", segment[1])
    assert (answer.status_code, answer.json()["error"]) == (422, "wrong-name")


@pytest.mark.parametrize("body", [b"", b"x", os.urandom(1000)])
def test_what_is_no_segment_is_refused(collector, device, segment, body):
    assert put(collector, device, segment[0], body).status_code == 422


def test_a_body_beyond_the_limit_is_refused_before_it_is_read(collector, device, segment):
    answer = put(collector, device, segment[0], bytes(LIMITS.segment_max_bytes + 1))
    assert (answer.status_code, answer.json()["error"]) == (413, "too-large")


@pytest.mark.parametrize("name", ["x", "..", f"{0:016x}", f"{0:016X}-{0:015X}g", "%2e%2e%2fconfig.json"])
def test_a_path_that_is_no_segment_leads_nowhere(collector, device, segment, name):
    before = dict(collector.objects.found)
    assert put(collector, device, name, segment[1]).status_code in {404, 405, 422}
    assert collector.objects.found == before


def test_nobody_gets_in_without_a_token(collector, device, segment):
    answer = put(collector, (device[0], None), *segment)
    assert (answer.status_code, answer.json()["error"]) == (401, "unauthenticated")
    assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_whoever_has_no_token_is_told_so_before_a_body_of_any_size_is_read(collector, device, segment):
    host, port = collector.url.removeprefix("http://").split(":")
    head = [f"PUT /v1/devices/{device[0]}/segments/{segment[0]} HTTP/1.1", "Host: x", "If-None-Match: *",
            f"Content-Type: {SEGMENT_TYPE}", f"Content-Digest: {digest_of(b'')}",
            f"Content-Length: {LIMITS.document_max_bytes + 1}", "", ""]  # fmt: skip
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall("\r\n".join(head).encode())
        assert connection.recv(100).startswith(b"HTTP/1.1 401")


def test_segments_that_are_taken_are_counted_and_those_that_are_refused_are_logged_too(
    collector, device, segment, caplog
):
    caplog.set_level("INFO", "edgerun.collector")
    assert put(collector, device, *segment).status_code == 201
    assert put(collector, device, *segment, **{"Content-Digest": ""}).status_code == 422
    assert [record.status for record in caplog.records if record.getMessage() == "answered"] == [422]


def test_a_device_cannot_speak_for_another(collector, device, segment):
    other = collector.device(f"other-{os.urandom(4).hex()}")
    assert put(collector, (device[0], other), *segment).status_code == 403


@pytest.mark.parametrize("role", [Role.ENROLL, Role.READ, Role.PUBLISH, Role.ADMIN])
def test_no_operator_speaks_for_a_device(collector, device, segment, role):
    assert put(collector, (device[0], collector.token(role)), *segment).status_code == 403


def test_a_revoked_device_is_refused_at_once(collector, device, segment):
    assert collector.ask("DELETE", f"/v1/devices/{device[0]}", collector.token(Role.ADMIN)).status_code == 204
    assert put(collector, device, *segment).status_code == 401


def test_a_device_enrols_and_then_speaks_for_itself(collector, segment):
    wish = {"machine": "cd" * 32, "edgerun": "0.1.0"}
    answer = collector.ask("POST", "/v1/enroll", collector.token(Role.ENROLL), json=wish)
    assert answer.status_code == 201
    enrolled = answer.json()
    assert put(collector, (enrolled["device"], enrolled["token"]), *segment).status_code == 201


def test_an_enrolment_token_enrols_as_many_as_it_may(collector):
    token = collector.token(Role.ENROLL, uses=2)
    wish = {"machine": "cd" * 32, "edgerun": "0.1.0"}
    statuses = [collector.ask("POST", "/v1/enroll", token, json=wish).status_code for _ in range(3)]
    assert statuses == [201, 201, 401]


def test_a_name_that_is_taken_costs_no_enrolment(collector, device):
    token = collector.token(Role.ENROLL)
    wish = {"machine": "cd" * 32, "edgerun": "0.1.0"}
    taken = collector.ask("POST", "/v1/enroll", token, json={**wish, "device": device[0]})
    assert (taken.status_code, taken.json()["error"]) == (409, "name-taken")
    assert collector.ask("POST", "/v1/enroll", token, json=wish).status_code == 201


def test_a_check_in_is_taken_down_and_told_to_readers(collector, device):
    name, token = device
    answer = collector.ask("POST", f"/v1/devices/{name}/checkin", token, json=CHECK_IN)
    assert (answer.status_code, answer.json()["flags"]) == (200, [])
    listed = collector.ask("GET", "/v1/devices", collector.token(Role.READ)).json()["devices"]
    assert [entry["last"]["arch"] for entry in listed if entry["device"] == name] == ["x86_64"]


@pytest.mark.parametrize(
    ("field", "value"),
    [("machine", "AB" * 32), ("count", -1), ("count", 1.5), ("count", "1"), ("time", "yesterday"),
     ("errors", ["x"] * 9),
     ("errors", ["x" * 501]), ("arch", "../x"), ("unknown", 1), ("backlog", None), ("lost", {"call": -1})],
)  # fmt: skip
def test_a_check_in_with_a_wrong_field_is_refused_by_its_name(collector, device, field, value):
    name, token = device
    answer = collector.ask("POST", f"/v1/devices/{name}/checkin", token, json={**CHECK_IN, field: value})
    assert answer.status_code == 422
    assert field in answer.json()["message"]
    assert collector.service.devices.find(name) is None


@pytest.mark.parametrize("field", CHECK_IN)
def test_a_check_in_lacks_no_field(collector, device, field):
    name, token = device
    lacking = {other: value for other, value in CHECK_IN.items() if other != field}
    assert collector.ask("POST", f"/v1/devices/{name}/checkin", token, json=lacking).status_code == 422


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"null", b'{"a":' * 5000, b"\xff"])
def test_a_body_that_is_no_object_is_refused(collector, device, body):
    name, token = device
    answer = collector.ask("POST", f"/v1/devices/{name}/checkin", token, data=body)
    assert (answer.status_code, answer.json()["error"]) == (422, "invalid")


def test_a_document_beyond_the_limit_is_refused(collector, device):
    name, token = device
    body = json.dumps(CHECK_IN).encode()
    for size, status in ((LIMITS.document_max_bytes, 200), (LIMITS.document_max_bytes + 1, 413)):
        answer = collector.ask("POST", f"/v1/devices/{name}/checkin", token, data=body.ljust(size))
        assert answer.status_code == status


def test_the_former_token_works_until_the_next_one_was_used(collector, device):
    name, first = device
    second = collector.ask("POST", f"/v1/devices/{name}/token", first).json()["token"]
    assert collector.ask("POST", f"/v1/devices/{name}/checkin", first, json=CHECK_IN).status_code == 200
    assert collector.ask("POST", f"/v1/devices/{name}/checkin", second, json=CHECK_IN).status_code == 200
    assert collector.ask("POST", f"/v1/devices/{name}/checkin", first, json=CHECK_IN).status_code == 401


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/v1/devices"), ("POST", "/v1/tokens"), ("DELETE", "/v1/tokens/x"), ("DELETE", "/v1/devices/x")],
)
def test_a_device_is_no_operator(collector, device, method, path):
    assert collector.ask(method, path, device[1]).status_code == 403


def test_an_admin_makes_tokens_and_revokes_them(collector):
    admin = collector.token(Role.ADMIN)
    made = collector.ask("POST", "/v1/tokens", admin, json={"role": "read", "note": "grafana"}).json()["token"]
    assert collector.ask("GET", "/v1/devices", made).status_code == 200
    (name,) = [found.name for found in collector.service.credentials.list() if found.note == "grafana"]
    assert collector.ask("DELETE", f"/v1/tokens/{name}", admin).status_code == 204
    assert collector.ask("GET", "/v1/devices", made).status_code == 401
    assert [entry["action"] for entry in collector.service.audit.entries()][-2:] == ["token.issue", "token.revoke"]
    assert collector.service.audit.verify().problem is None


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics", "/openapi.json"])
def test_what_tells_nothing_secret_is_open(collector, path):
    assert collector.ask("GET", path).status_code == 200


def test_counters_speak_of_routes_and_never_of_devices(collector, device, segment):
    put(collector, device, *segment)
    text = collector.ask("GET", "/metrics").text
    assert 'route="/v1/devices/{device}/segments/{segment}"' in text
    assert device[0] not in text


def test_what_is_not_there_is_told_as_json(collector):
    answer = collector.ask("GET", "/v2/anything")
    assert (answer.status_code, answer.json()["error"]) == (404, "unknown")


def test_a_connection_that_says_nothing_is_closed(collector, monkeypatch):
    monkeypatch.setattr("edgerun_sync.collector.http.server.LIMITS", LIMITS._replace(headers_timeout_s=0.2))
    host, port = collector.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Slow: ")
        started = time.monotonic()
        assert connection.recv(100) == b""
        assert time.monotonic() - started < 5


def test_a_body_that_does_not_come_is_given_up(collector, device, segment, monkeypatch):
    monkeypatch.setattr("edgerun_sync.collector.http.app.LIMITS", LIMITS._replace(body_timeout_s=0.2))
    host, port = collector.url.removeprefix("http://").split(":")
    head = [f"PUT /v1/devices/{device[0]}/segments/{segment[0]} HTTP/1.1", "Host: x",
            f"Authorization: Bearer {device[1]}",
            f"Content-Type: {SEGMENT_TYPE}", f"Content-Digest: {digest_of(segment[1])}", "If-None-Match: *",
            "Content-Length: 5000", "", "part"]  # fmt: skip
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall("\r\n".join(head).encode())
        assert connection.recv(1000).startswith(b"HTTP/1.1 408")


def test_the_openapi_document_has_every_route(collector):
    routes: dict[str, set[str]] = {}
    for route in Application(collector.service, Metrics()).asgi().routes:
        routes.setdefault(route.path, set()).update(route.methods - {"HEAD"})
    paths = collector.ask("GET", "/openapi.json").json()["paths"]
    verbs = {"get", "put", "post", "delete"}
    assert {path: {verb.upper() for verb in verbs & found.keys()} for path, found in paths.items()} == routes


def test_headers_without_an_end_are_cut_off_at_the_limit(collector):
    host, port = collector.url.removeprefix("http://").split(":")
    piece = b"X-More: " + b"x" * 1014 + b"\r\n"
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n")
        with pytest.raises(OSError, match=r"reset|[Bb]roken"):
            connection.sendall(piece * 8 * 1024)


def test_a_connection_that_breaks_off_within_a_body_is_no_failure_of_the_collector(collector, device, caplog):
    host, port = collector.url.removeprefix("http://").split(":")
    head = [f"POST /v1/devices/{device[0]}/checkin HTTP/1.1", "Host: x", f"Authorization: Bearer {device[1]}"]
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall("\r\n".join([*head, "Content-Length: 5000", "", "part"]).encode())
    counted = r'route="/v1/devices/{device}/checkin",status="400"'
    end = time.monotonic() + 20
    while counted not in collector.ask("GET", "/metrics").text:
        assert time.monotonic() < end
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


QUICK_AT_FIRST, ASKED = 24, 8
"""Linux acknowledges what comes first on a connection at once, and then waits for what could go with it."""
DELAYED_S = 0.04
"""The least that it waits."""


@pytest.mark.skipif(not hasattr(socket, "TCP_QUICKACK"), reason="other systems are not told when to acknowledge")
def test_a_body_that_is_sent_after_its_head_does_not_wait_for_a_delayed_acknowledgement(collector):
    host, port = collector.url.removeprefix("http://").split(":")
    head, body = b"POST /v1/enroll HTTP/1.1\r\nHost: x\r\nContent-Length: 2000\r\n\r\n", b"x" * 2000
    taken_s = []
    with socket.create_connection((host, int(port)), timeout=10) as connection:  # with Nagle's algorithm
        for _ in range(QUICK_AT_FIRST + ASKED):
            started = time.monotonic()
            connection.sendall(head)
            connection.sendall(body)
            answer = HTTPResponse(connection, method="POST")
            answer.begin()
            assert (answer.status, json.loads(answer.read())["error"]) == (401, "unauthenticated")
            taken_s.append(time.monotonic() - started)
    assert min(taken_s[QUICK_AT_FIRST:]) < DELAYED_S
