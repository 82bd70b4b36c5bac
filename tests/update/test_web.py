"""A repository behind a web server: a real nginx, and servers that do what no honest one does."""

from __future__ import annotations

import subprocess
import threading

import pytest

from edgerun.errors import UpdateError
from edgerun.update.source import open_source
from edgerun.update.web import Pace, Web
from support.nginx import nginx_serving
from support.wire import head, listening

QUICK = Pace(connect_s=2, silence_s=0.3, span_s=0.6, span_bytes=64)
"""What a test waits for."""


def read(source, path, offset=0):
    pieces = source.open(path, offset)
    return None if pieces is None else b"".join(pieces)


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    folder = tmp_path_factory.mktemp("served")
    (folder / "large").write_bytes(bytes(range(256)) * 4096)
    (folder / "small").write_bytes(b"hello")
    (folder / "empty").write_bytes(b"")
    (folder / "folder").mkdir()
    with nginx_serving(folder, tmp_path_factory.mktemp("nginx")) as server:
        yield server


@pytest.fixture
def web(served):
    found = open_source(served.url + "/")
    yield found
    found.close()


def test_a_file_is_read_whole(web):
    assert read(web, "small") == b"hello"
    assert read(web, "large") == bytes(range(256)) * 4096
    assert read(web, "empty") == b""


def test_a_file_is_read_from_an_offset_on_and_only_that_part_is_sent(web, served):
    served.exchanges()
    assert read(web, "large", 2**20 - 10) == bytes(range(246, 256))
    assert read(web, "small", 1) == b"ello"
    (large, small) = served.exchanges()
    assert (large.status, small.status) == (206, 206)
    assert large.bytes < 1000


def test_a_file_that_is_not_there_is_none(web):
    assert web.open("nothing") is None
    assert web.open("metadata/2.root.json", 7) is None


def test_all_requests_use_one_connection(served):
    made = []
    with listening(lambda connection, path: made.append(connection) or answer_twice(connection, path)) as url:
        source = Web(url)
        assert read(source, "a") == b"hi"
        assert source.open("missing") is None
        assert read(source, "b") == b"hi"
        source.close()
    assert len({id(connection) for connection in made}) == 1


def answer_twice(connection, path):
    if path == "/missing":
        connection.sendall(head("404 Not Found", content_length=4) + b"none")
    else:
        connection.sendall(head(content_length=2) + b"hi")


def test_what_is_sent_says_nothing_of_who_asks(monkeypatch, tmp_path):
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login me password secret\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    asked = []

    def answer(connection, path):
        asked.append(path)
        connection.sendall(head(content_length=0))

    with listening(answer) as url:
        assert read(Web(url), "x") == b""
    assert asked == ["/x"]


def test_a_server_that_ignores_the_range_gives_the_rest_all_the_same():
    with listening(lambda connection, path: connection.sendall(head(content_length=10) + b"0123456789")) as url:
        assert read(Web(url), "x", 7) == b"789"


@pytest.mark.parametrize("status", ["403 Forbidden", "404 Not Found", "410 Gone"])
def test_each_way_to_say_that_nothing_is_there_is_understood(status):
    with listening(lambda connection, path: connection.sendall(head(status, content_length=0))) as url:
        assert Web(url).open("x") is None


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (head("301 Moved", content_length=0, location="http://127.0.0.1:9/"), "leads elsewhere .* not followed"),
        (head("302 Found", content_length=0, location="/y"), "leads elsewhere .* not followed"),
        (head("500 Oh", content_length=0), "HTTP 500; try again later"),
        (head("401 Who", content_length=0, www_authenticate="Basic"), "HTTP 401"),
        (head("206 Part", content_length=2, content_range="bytes 0-1/2") + b"ab", "HTTP 206"),
        (head(content_length=2, content_encoding="gzip") + b"ab", "compressed"),
        (head(content_length=10) + b"abc", "broke off"),
        (b"\0\1\2 nothing of HTTP\r\n\r\n", "connection failed"),
        (b"", "connection failed"),
        (b"HTTP/1.1 200 OK\r\n" + b"x: " + b"y" * 70000 + b"\r\n\r\n", "connection failed"),
        (b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 200 + b"\r\n", "connection failed"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", "broke off"),
    ],
)
def test_an_answer_that_is_none_is_an_error_of_ours(answer, told):
    def give(connection, path):
        connection.sendall(answer)
        connection.close()

    with listening(give) as url, pytest.raises(UpdateError, match=told):
        read(Web(url, pace=QUICK), "x")


def test_another_part_than_was_asked_for_is_refused():
    answer = head("206 Part", content_length=2, content_range="bytes 3-4/5") + b"ab"
    with (
        listening(lambda connection, path: connection.sendall(answer)) as url,
        pytest.raises(UpdateError, match="part"),
    ):
        read(Web(url), "x", 2)


def test_nobody_listens():
    with pytest.raises(UpdateError, match="cannot be reached: the connection failed"):
        read(Web("http://127.0.0.1:9"), "x")


def test_a_name_that_nobody_has_is_an_error_of_ours():
    with pytest.raises(UpdateError, match="cannot be reached"):
        read(Web("http://nobody.invalid"), "x")


# Slow retrieval.


def dripping(first, drip):
    """Send the first bytes, then one byte each tenth of a second for as long as the client listens."""

    def answer(connection, path):
        connection.sendall(first)
        for _ in range(100):
            connection.sendall(drip)
            threading.Event().wait(0.1)

    return answer


def test_a_server_that_says_nothing_is_given_up():
    with (
        listening(lambda connection, path: threading.Event().wait(1)) as url,
        pytest.raises(UpdateError, match=r"no answer in time|came in"),
    ):
        read(Web(url, pace=QUICK), "x")


def test_a_body_that_stops_is_given_up():
    def answer(connection, path):
        connection.sendall(head(content_length=100) + b"a")
        threading.Event().wait(1)

    with listening(answer) as url, pytest.raises(UpdateError, match=r"no answer in time|came in"):
        read(Web(url, pace=QUICK), "x")


@pytest.mark.parametrize(
    ("first", "drip"),
    [
        (head(content_length=1000), b"a"),
        (head(transfer_encoding="chunked"), b"1\r\na\r\n"),
        (b"HTTP/1.1 200 OK\r\nx: ", b"a"),
        (b"HTTP/1.1 2", b"0"),
        (head("404 Not Found", content_length=1000), b"a"),
    ],
    ids=["body", "chunks", "head", "status", "the body of a 404"],
)
def test_a_server_that_drips_is_cut_off_however_it_drips(first, drip):
    with listening(dripping(first, drip)) as url:
        source = Web(url, pace=QUICK)
        if b"404" in first:
            assert source.open("x") is None
        else:
            with pytest.raises(UpdateError, match=r"less than 64 bytes came in 0.6 s"):
                read(source, "x")


def test_a_server_that_is_slow_but_brings_enough_is_waited_for():
    def answer(connection, path):
        connection.sendall(head(content_length=1200))
        for _ in range(12):
            connection.sendall(b"a" * 100)
            threading.Event().wait(0.1)

    with listening(answer) as url:
        assert read(Web(url, pace=QUICK), "x") == b"a" * 1200


# TLS.


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    subprocess.run(
        [
            *(
                "openssl",
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:P-256",
                "-nodes",
                "-days",
                "2",
            ),
            *("-days", "2", "-subj", "/CN=here", "-addext", "subjectAltName=IP:127.0.0.1"),
            *("-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")),
        ],
        check=True,
        capture_output=True,
    )
    return folder / "cert.pem", folder / "key.pem"


def test_a_server_is_believed_for_the_certificates_that_were_given(certificate, tmp_path):
    (tmp_path / "www").mkdir()
    (tmp_path / "www" / "x").write_bytes(b"safe")
    (tmp_path / "nginx").mkdir()
    with nginx_serving(tmp_path / "www", tmp_path / "nginx", tls=certificate) as server:
        assert read(open_source(server.url, str(certificate[0])), "x") == b"safe"
        with pytest.raises(UpdateError, match="certificate is not accepted"):
            read(open_source(server.url), "x")


def test_a_file_of_certificates_that_is_not_there_or_none_is_told(served, tmp_path):
    with pytest.raises(UpdateError, match="no file of certificates"):
        open_source(served.url, str(tmp_path / "missing"))
    (tmp_path / "none").write_text("none")
    with pytest.raises(UpdateError, match="cannot be reached"):
        read(open_source("https://127.0.0.1:9", str(tmp_path / "none")), "x")


def test_a_token_is_shown_to_the_server_and_to_nobody_that_it_leads_to(tmp_path):
    shown = []

    def answer(connection, path):
        shown.append(path)
        connection.sendall(head("302 Found", location="http://127.0.0.1:1/x", content_length=0))

    with listening(answer) as url:
        source = Web(url, token="er1_device_x")
        with pytest.raises(UpdateError, match="leads elsewhere"):
            source.open("a")
        source.close()
    assert shown == ["/a"]


def test_a_token_does_not_go_to_another_machine_in_the_clear():
    with pytest.raises(UpdateError, match="in the clear"):
        Web("http://models.example/fleet", token="er1_device_x")
    Web("https://models.example/fleet", token="er1_device_x").close()


def test_a_server_that_does_not_take_the_token_is_told_apart_from_one_that_has_nothing():
    with listening(lambda connection, _: connection.sendall(head("401 Unauthorized", content_length=0))) as url:
        source = Web(url)
        with pytest.raises(UpdateError, match="does not take this device's token"):
            source.open("a")
        source.close()
