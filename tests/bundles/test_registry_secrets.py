"""Secrets go to the registry and its token service, and nowhere else."""

from __future__ import annotations

import base64
import json
import socket
import threading

import pytest

from edgerun.errors import EdgerunError
from edgerun_bundles.errors import RegistryError
from edgerun_bundles.limits import LIMITS
from edgerun_bundles.registry import (
    Credentials,
    Reference,
    Transport,
    pull,
    push,
)
from support.registry import Reply, at, refuse, serving

# Redirects, and secrets that must not travel with them.

WHO = Credentials("ada", "s3cret")
BASIC = "Basic " + base64.b64encode(b"ada:s3cret").decode()


def demand(request, challenge, right):
    """Ask who somebody is unless they have said so."""
    if request.headers.get("Authorization") == right:
        return None
    return Reply(401, {"WWW-Authenticate": challenge})


def test_a_name_and_password_are_told_only_when_asked_for(fake, connect, layout):
    fake.first = lambda request: demand(request, 'Basic realm="here"', BASIC)
    push(layout, at(fake.host), connect(fake.host, WHO))
    assert "Authorization" not in fake.requests[0].headers
    assert all(request.headers["Authorization"] == BASIC for request in fake.requests[1:])


def test_a_token_is_fetched_for_what_the_registry_names(fake, connect, layout):
    asked = []

    def first(request):
        if request.path.startswith("/token"):
            asked.append((request.path, request.headers.get("Authorization")))
            return Reply(200, {}, b'{"token":"t0ken"}')
        challenge = f'Bearer realm="http://{fake.host}/token",service="it",scope="repository:team/toy:pull,push"'
        return demand(request, challenge, "Bearer t0ken")

    fake.first = first
    push(layout, at(fake.host), connect(fake.host, WHO))
    assert asked == [("/token?service=it&scope=repository%3Ateam%2Ftoy%3Apull%2Cpush", BASIC)]


def test_a_refresh_token_is_posted_and_never_in_a_url(fake, connect, layout):
    def first(request):
        if request.path.startswith("/token"):
            assert request.method == "POST"
            assert b"refresh_token=r3fresh" in request.body
            return Reply(200, {}, b'{"access_token":"t0ken"}')
        return demand(request, f'Bearer realm="http://{fake.host}/token"', "Bearer t0ken")

    fake.first = first
    push(layout, at(fake.host), connect(fake.host, Credentials("", "", "r3fresh")))
    assert not [request.path for request in fake.requests if "r3fresh" in request.path]


def test_a_token_that_ran_out_is_fetched_again(fake, connect, layout):
    tokens = iter(["first", "second"])
    current = []

    def first(request):
        if request.path.startswith("/token"):
            current[:] = [next(tokens)]
            return Reply(200, {}, json.dumps({"token": current[0]}).encode())
        if current == ["first"] and request.method == "PUT":
            current[:] = []
        return demand(request, f'Bearer realm="http://{fake.host}/token"', f"Bearer {(current or ['none'])[0]}")

    fake.first = first
    push(layout, at(fake.host), connect(fake.host))
    assert current == ["second"]


@pytest.mark.parametrize(
    ("challenge", "why"),
    [
        ("", "an authentication that is not known"),
        ("Negotiate", "an authentication that is not known"),
        ("Bearer", "an authentication that is not known"),
        ('Bearer realm="http://elsewhere.example/token"', "in the clear to http://elsewhere.example/token"),
        ('Bearer realm="ftp://elsewhere.example/token"', "in the clear"),
        ('Bearer realm="//elsewhere.example/token"', "in the clear"),
        ('Bearer realm="https://["', "no URL"),
    ],
)
def test_a_strange_challenge_gets_no_secret(fake, connect, layout, challenge, why):
    fake.first = lambda request: Reply(401, {"WWW-Authenticate": challenge})
    with pytest.raises(RegistryError, match=why) as refused:
        push(layout, at(fake.host), connect(fake.host, WHO))
    assert "s3cret" not in str(refused.value)
    assert not [request for request in fake.requests if "Authorization" in request.headers]


def test_somebody_whom_the_registry_does_not_know_is_told_once(fake, connect, layout, waits):
    fake.first = lambda request: Reply(401, {"WWW-Authenticate": 'Basic realm="here"'})
    with pytest.raises(RegistryError, match="HTTP 401; log in first"):
        push(layout, at(fake.host), connect(fake.host, WHO))
    with pytest.raises(RegistryError, match="asks for a name and password"):
        push(layout, at(fake.host), connect(fake.host))
    assert waits == []


def test_a_blob_may_lie_elsewhere_and_no_secret_goes_there(stored, connect, layout, tmp_path):
    with serving() as elsewhere:
        elsewhere.blobs = stored.blobs

        def first(request):
            refused = demand(request, 'Basic realm="here"', BASIC)
            if refused is None and request.method == "GET" and "/blobs/" in request.path:
                return Reply(307, {"Location": f"http://{elsewhere.host}{request.path}?signature=x"})
            return refused

        stored.first = first
        back = pull(at(stored.host), tmp_path / "back", connect(stored.host, WHO))
        assert back.manifest == layout.manifest
        assert len(elsewhere.requests) == len(layout.manifest.blobs)
        assert not [request for request in elsewhere.requests if "Authorization" in request.headers]


def test_where_an_upload_is_sent_gets_no_secret_either(fake, connect, layout):
    with serving() as elsewhere:

        def first(request):
            refused = demand(request, 'Basic realm="here"', BASIC)
            if refused is None and request.method == "POST":
                elsewhere.uploads["u"] = b""
                return Reply(202, {"Location": f"http://{elsewhere.host}/v2/any/blobs/uploads/u"})
            if refused is None and request.method == "HEAD" and elsewhere.blobs:
                return Reply(404)
            return refused

        fake.first = first
        push(layout, at(fake.host), connect(fake.host, WHO))
        assert {*elsewhere.blobs} == {*layout.manifest.blobs}
        assert not [request for request in elsewhere.requests if "Authorization" in request.headers]


def test_another_place_that_asks_who_one_is_is_not_told(stored, connect, tmp_path):
    with serving() as elsewhere:
        elsewhere.first = lambda request: Reply(401, {"WWW-Authenticate": 'Basic realm="there"'})
        stored.first = lambda request: (
            Reply(307, {"Location": f"http://{elsewhere.host}/x"}) if "/blobs/" in request.path else None
        )
        refuse(stored, lambda host: connect(host, WHO), tmp_path / "back", "HTTP 401", RegistryError)
        assert not [request for request in elsewhere.requests if "Authorization" in request.headers]


def test_a_redirect_in_a_circle_is_left(stored, connect, tmp_path):
    stored.first = lambda request: Reply(307, {"Location": request.path}) if "/blobs/" in request.path else None
    refuse(stored, connect, tmp_path / "back", f"redirects more than {LIMITS.redirects_max} times", RegistryError)
    assert len(stored.requests) == LIMITS.redirects_max + 2


@pytest.mark.parametrize(
    "location", ["ftp://elsewhere.example/x", "file:///etc/passwd", "https://[", "http://127.0.0.1:x/"]
)
def test_a_redirect_to_nowhere_is_refused(stored, connect, tmp_path, location):
    stored.first = lambda request: Reply(307, {"Location": location}) if "/blobs/" in request.path else None
    refuse(stored, connect, tmp_path / "back", ".", RegistryError)


def test_tls_is_never_left_for_plain_http():
    connection = Transport(Reference("registry.example", "any"))
    with pytest.raises(RegistryError, match="not protected by TLS"):
        connection.send("GET", "http://registry.example/v2/")


def test_plain_http_is_spoken_to_this_machine_or_when_asked_for():
    for host, scheme in {
        "localhost:5000": "http",
        "127.0.0.1": "http",
        "127.9.9.9:1": "http",
        "[::1]:5000": "http",
        "registry.example": "https",
        "localhost.example": "https",
        "127.0.0.1.example": "https",
        "10.0.0.1:5000": "https",
    }.items():
        assert Transport(Reference(host, "a")).origin == f"{scheme}://{host}"
    assert Transport(Reference("registry.example", "a"), is_plain=True).origin == "http://registry.example"


def test_a_proxy_never_sees_what_is_meant_for_this_machine(fake, connect, layout, monkeypatch):
    with serving() as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
            monkeypatch.setenv(name, f"http://{proxy.host}")
        push(layout, at(fake.host), connect(fake.host, WHO))
        assert proxy.requests == []


def test_a_netrc_is_never_read(fake, connect, layout, tmp_path, monkeypatch):
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login ada password s3cret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    push(layout, at(fake.host), connect(fake.host))
    assert not [request for request in fake.requests if "Authorization" in request.headers]


def test_no_error_of_the_http_library_escapes(connect, layout):
    for reply in (b"", b"HTTP/1.1 abc\r\n\r\n", b"\x00" * 100, b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n"):
        with socket.create_server(("127.0.0.1", 0)) as server:
            server.settimeout(5)

            def speak(reply=reply, server=server):
                for _ in range(LIMITS.attempts_max):
                    try:
                        near, _ = server.accept()
                    except OSError:
                        return
                    near.recv(65536)
                    near.sendall(reply)
                    near.close()

            thread = threading.Thread(target=speak)
            thread.start()
            host = f"127.0.0.1:{server.getsockname()[1]}"
            with pytest.raises(EdgerunError):
                push(layout, at(host), connect(host))
            server.shutdown(socket.SHUT_RDWR)  # which wakes who waits for another connection
            thread.join()


def test_a_token_is_shown_where_it_is_asked_for_and_never_in_the_clear_to_another_machine(fake):
    fake.first = lambda request: demand(request, "Bearer", "Bearer er1_publish_x")
    with Transport(Reference(fake.host, "any"), token="er1_publish_x") as here:
        assert here.send("GET", "/anything").status != 401
    with (
        Transport(Reference("fleet.example", "any"), token="er1_publish_x", is_plain=True) as there,
        pytest.raises(RegistryError, match="send a token in the clear"),
    ):
        there._authorize("Bearer")
