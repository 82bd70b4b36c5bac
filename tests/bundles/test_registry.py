"""Bundles in registries: a real one, and one that misbehaves. Only missing blobs travel, and nothing is believed."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import random
import select
import socket
import subprocess
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgerun.errors import BundleError, EdgerunError, InputError
from edgerun_bundles.errors import RegistryError
from edgerun_bundles.layout import read_layout
from edgerun_bundles.layout_write import write_layout
from edgerun_bundles.limits import LIMITS
from edgerun_bundles.referrers import PROVENANCE_TYPE, Attachment
from edgerun_bundles.registry import (
    Credentials,
    Reference,
    Transport,
    client,
    find_credentials,
    parse_reference,
    pull,
    pull_with_provenance,
    push,
    transport,
)
from edgerun_bundles.registry.reference import tag_of_version
from support import models
from support.docker_registry import registry_running
from support.registry import DROP, Reply, serving

MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
REWEIGHTED_MAX_BYTES = 20_000
SHA = "sha256:" + "0" * 64


@pytest.fixture
def fake():
    """A registry that does as told."""
    with serving() as found:
        yield found


@pytest.fixture
def waits():
    """The seconds that a transport would have waited."""
    return []


@pytest.fixture
def connect(waits):
    """Connect to a registry, waiting for nothing."""
    opened = []

    def connect(host, credentials=None):
        opened.append(Transport(Reference(host, "any"), credentials, sleep=waits.append))
        return opened[-1]

    yield connect
    for found in opened:
        found.__exit__()


@pytest.fixture
def attached(make_bundle, tmp_path):
    """A layout with provenance."""
    statement, lock = tmp_path / "statement", tmp_path / "lock"
    statement.write_text("{}")
    lock.write_text("numpy==2")
    provenance = [Attachment(PROVENANCE_TYPE, statement), Attachment("text/plain", lock)]
    return write_layout(make_bundle("attached"), tmp_path / "attached-layout", provenance)


def at(host, name="team/toy", tag="1.0.0"):
    return Reference(host, name, tag)


# A real registry.


def test_what_is_pushed_comes_back_with_the_same_digest(registry, connect, layout, tmp_path):
    connection = connect(registry.host)
    done = push(layout, at(registry.host, "a", None), connection)
    assert (done.digest, done.tag, done.replaced) == (layout.manifest.digest, "1.0.0", None)
    back = pull(at(registry.host, "a"), tmp_path / "back", connection)
    assert back == layout._replace(folder=tmp_path / "back")
    assert read_layout(back.folder) == back
    by_digest = pull(Reference(registry.host, "a", None, layout.manifest.digest), tmp_path / "again", connection)
    assert by_digest.manifest == layout.manifest


def test_a_second_push_sends_nothing(registry, connect, layout):
    first = push(layout, at(registry.host, "b"), connect(registry.host))
    again = push(layout, at(registry.host, "b"), connect(registry.host))
    assert first.sent == layout.manifest.blobs
    assert (again.sent, again.known) == ({}, layout.manifest.blobs)


def test_provenance_travels_by_the_fallback_tag_where_there_is_no_list_of_referrers(
    registry, connect, attached, tmp_path
):
    connection = connect(registry.host)
    for _ in range(2):
        push(attached, at(registry.host, "c"), connection)
    assert pull(at(registry.host, "c"), tmp_path / "alone", connection).referrers == ()
    whole = pull_with_provenance(at(registry.host, "c"), tmp_path / "whole", connection)
    assert whole.referrers == attached.referrers
    assert read_layout(whole.folder) == whole


def test_other_tools_inspect_what_was_pushed(registry, connect, layout, skopeo):
    push(layout, at(registry.host, "d"), connect(registry.host))
    raw = skopeo("inspect", "--raw", "--tls-verify=false", f"docker://{registry.host}/d:1.0.0")
    assert raw.encode() == layout.blob(layout.manifest.digest).read_bytes()


def test_other_tools_carry_a_layout_to_a_registry_and_back(registry, connect, layout, skopeo, tmp_path):
    skopeo("copy", "--dest-tls-verify=false", f"oci:{layout.folder}:1.0.0", f"docker://{registry.host}/e:x")
    assert pull(at(registry.host, "e", "x"), tmp_path / "ours", connect(registry.host)).manifest == layout.manifest
    skopeo("copy", "--src-tls-verify=false", f"docker://{registry.host}/e:x", f"oci:{tmp_path / 'theirs'}:1.0.0")
    assert read_layout(tmp_path / "theirs").manifest == layout.manifest


BCRYPT_OF_U_STAR_U = "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"
"""A published test vector of bcrypt: the hash of ``U*U``."""


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    """A real registry that speaks TLS and asks for a name and password; its folder holds the certificate."""
    folder = tmp_path_factory.mktemp("guarded")
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=registry -addext subjectAltName=IP:127.0.0.1"
    subprocess.run(
        [*command.split(), "-keyout", folder / "key.pem", "-out", folder / "cert.pem"], check=True, capture_output=True
    )
    (folder / "htpasswd").write_text(f"ada:{BCRYPT_OF_U_STAR_U}\n")
    tls = {"tls": {"certificate": str(folder / "cert.pem"), "key": str(folder / "key.pem")}}
    auth = {"htpasswd": {"realm": "here", "path": str(folder / "htpasswd")}}
    with registry_running(folder, tls, auth=auth) as found:
        yield found.host, folder / "cert.pem"


def test_a_real_registry_with_tls_and_a_password(guarded, connect, layout, tmp_path, monkeypatch, waits):
    host, certificate = guarded
    monkeypatch.setattr(Reference, "is_loopback", False)
    with pytest.raises(RegistryError, match="its certificate is not accepted"):
        push(layout, at(host), connect(host))
    assert waits == []
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    with pytest.raises(RegistryError, match="asks for a name and password"):
        push(layout, at(host), connect(host))
    with pytest.raises(RegistryError, match="HTTP 401"):
        push(layout, at(host), connect(host, Credentials("ada", "U*V")))
    connection = connect(host, Credentials("ada", "U*U"))
    push(layout, at(host), connection)
    assert pull(at(host), tmp_path / "back", connection).manifest == layout.manifest


def test_a_proxy_never_sees_what_is_meant_for_this_machine(fake, connect, layout, monkeypatch):
    with serving() as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
            monkeypatch.setenv(name, f"http://{proxy.host}")
        push(layout, at(fake.host), connect(fake.host, WHO))
        assert proxy.requests == []


class CountingProxy:
    """Passes bytes between a client and a server, and counts them: what really goes over the wire."""

    def __init__(self, target):
        self.up = self.down = 0
        host, port = target.split(":")
        self._target = (host, int(port))
        self._server = socket.create_server(("127.0.0.1", 0))
        self.host = f"127.0.0.1:{self._server.getsockname()[1]}"
        self._thread = threading.Thread(target=self._accept)
        self._thread.start()

    def _accept(self):
        with self._server, contextlib.suppress(OSError):
            while True:
                near, _ = self._server.accept()
                with near, socket.create_connection(self._target) as far:
                    self._pass(near, far)

    def _pass(self, near, far):
        """One connection at a time, which is all that a client with one session opens."""
        while True:
            ready, _, _ = select.select([near, far], [], [])
            for source in ready:
                data = source.recv(65536)
                if not data:
                    return
                if source is near:
                    self.up += len(data)
                    far.sendall(data)
                else:
                    self.down += len(data)
                    near.sendall(data)

    def close(self):
        self._server.shutdown(socket.SHUT_RDWR)
        self._thread.join()


@pytest.mark.slow
def test_a_change_of_the_weights_alone_in_a_large_bundle_sends_next_to_nothing(
    registry, connect, make_bundle, tmp_path
):
    contents = (models.heavy(50), models.mlp(sizes=(2, 8, 2)))
    first = write_layout(make_bundle("large", contents=contents), tmp_path / "one")
    assert first.manifest.content_bytes > 50 * 10**6
    push(first, at(registry.host, "large"), connect(registry.host))
    nodes = {"ab": {"kind": "random_split", "weights": {"champion": 50, "challenger": 50}, "split_key": "user"}}
    second = write_layout(make_bundle("reweighted", contents=contents, nodes=nodes, version="1.0.1"), tmp_path / "two")
    proxy = CountingProxy(registry.host)
    connection = connect(proxy.host)
    done = push(second, Reference(proxy.host, "large"), connection)
    connection.__exit__()
    proxy.close()
    assert len(done.sent) == 2  # bundle.json, and the config
    assert proxy.up + proxy.down <= REWEIGHTED_MAX_BYTES
    print(f"sent {sum(done.sent.values())} bytes of blobs; on the wire {proxy.up} up, {proxy.down} down")


# Pushing, when things go wrong.


def test_the_manifest_is_the_last_thing_that_is_sent(fake, connect, attached):
    push(attached, at(fake.host), connect(fake.host))
    changes = [request.path for request in fake.requests if request.method in {"POST", "PATCH", "PUT"}]
    assert changes[-1] == "/v2/team/toy/manifests/1.0.0"
    assert changes[-2].startswith("/v2/team/toy/manifests/sha256:")


def test_a_registry_that_lists_referrers_needs_no_fallback_tag(fake, connect, attached, tmp_path):
    push(attached, at(fake.host), connect(fake.host))
    assert not [path for path in fake.asked("PUT") if "sha256-" in path]
    whole = pull_with_provenance(at(fake.host), tmp_path / "whole", connect(fake.host))
    assert whole.referrers == attached.referrers


def test_what_others_listed_under_the_fallback_tag_stays_there(fake, connect, attached):
    fake.knows_referrers = False
    tag = attached.manifest.digest.replace(":", "-")
    signature = {"mediaType": MANIFEST_TYPE, "digest": SHA, "size": 7, "annotations": {"by": "somebody"}}
    index = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [signature]}
    fake.manifests[tag] = (index["mediaType"], json.dumps(index).encode())
    push(attached, at(fake.host), connect(fake.host))
    listed = json.loads(fake.manifests[tag][1])["manifests"]
    assert listed[0] == signature
    assert [entry["digest"] for entry in listed[1:]] == [attached.referrers[0].digest]


def test_a_tag_that_led_elsewhere_is_told(fake, connect, layout, make_bundle, tmp_path):
    push(layout, at(fake.host), connect(fake.host))
    other = write_layout(make_bundle("other", version="2"), tmp_path / "other-layout")
    assert push(other, at(fake.host), connect(fake.host)).replaced == layout.manifest.digest


def test_a_reference_to_another_digest_is_refused(fake, connect, layout):
    with pytest.raises(BundleError, match="names another bundle"):
        push(layout, at(fake.host)._replace(digest=SHA), connect(fake.host))
    assert fake.requests == []


@pytest.fixture
def pieces(monkeypatch):
    """Send a blob in pieces of 1000 bytes."""
    monkeypatch.setattr(client, "LIMITS", LIMITS._replace(upload_chunk_bytes=1000))


def large(make_bundle, tmp_path, size=5_500):
    """A layout whose golden examples make one large blob."""
    examples = [{"inputs": {"x": [[random.Random(i).random(), i / 7]]}} for i in range(size // 250)]
    return write_layout(make_bundle("big", golden=examples), tmp_path / "big-layout")


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


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
@pytest.mark.parametrize("method", ["HEAD", "POST", "PATCH", "PUT", "GET"])
def test_a_passing_failure_of_any_request_is_overcome(fake, connect, waits, layout, status, method):
    failed = fail_once(fake, lambda request: request.method == method, Reply(status))
    push(layout, at(fake.host), connect(fake.host))
    assert len(failed) == 1
    assert 1 <= len(waits) <= 2
    assert fake.manifests["1.0.0"][1] == layout.blob(layout.manifest.digest).read_bytes()
    assert all(fake.blobs[digest] == layout.blob(digest).read_bytes() for digest in layout.manifest.blobs)


@pytest.mark.parametrize("reply", [Reply(500), DROP], ids=["error", "dropped"])
@pytest.mark.parametrize("number", range(10))
def test_an_upload_goes_on_where_it_broke_off(fake, connect, make_bundle, tmp_path, pieces, number, reply):
    """Something fails after a piece was taken and before its answer came."""
    layout = large(make_bundle, tmp_path)
    seen = []

    def first(request):
        if request.method != "PATCH":
            return None
        seen.append(request)
        if len(seen) == number + 1:
            fake._answer(request)
            return reply
        return None

    fake.first = first
    push(layout, at(fake.host), connect(fake.host))
    assert len(seen) > number
    assert sum(len(request.body) for request in seen) == sum(layout.manifest.blobs.values())
    assert all(fake.blobs[digest] == layout.blob(digest).read_bytes() for digest in layout.manifest.blobs)


def test_an_upload_that_the_registry_forgot_begins_anew(fake, connect, make_bundle, tmp_path, pieces):
    layout = large(make_bundle, tmp_path)
    seen = []

    def first(request):
        if request.method == "PATCH":
            seen.append(request)
            if len(seen) == 5:
                fake.uploads.clear()

    fake.first = first
    push(layout, at(fake.host), connect(fake.host))
    assert all(fake.blobs[digest] == layout.blob(digest).read_bytes() for digest in layout.manifest.blobs)


def test_an_upload_whose_last_answer_was_lost_is_not_repeated(fake, connect, layout):
    lost = []

    def first(request):
        if request.method == "PUT" and "uploads" in request.path and not lost:
            lost.append(request)
            fake._answer(request)
            return Reply(503)
        return None

    fake.first = first
    push(layout, at(fake.host), connect(fake.host))
    assert len(fake.asked("POST")) == len(layout.manifest.blobs)


def test_a_registry_that_never_recovers_is_given_up(fake, connect, waits, layout):
    fake.first = lambda request: Reply(503, {}, b"<html>maintenance</html>")
    with pytest.raises(RegistryError, match="HTTP 503"):
        push(layout, at(fake.host), connect(fake.host))
    assert len(fake.requests) == LIMITS.attempts_max
    assert len(waits) == LIMITS.attempts_max - 1


def test_a_registry_that_never_takes_a_piece_is_given_up(fake, connect, layout):
    fake.first = lambda request: Reply(500) if request.method == "PATCH" else None
    with pytest.raises(RegistryError, match="a piece of an upload: HTTP 500"):
        push(layout, at(fake.host), connect(fake.host))
    assert len(fake.asked("PATCH")) == LIMITS.attempts_max


def test_a_registry_that_forgets_every_upload_at_its_end_is_given_up(fake, connect, layout):
    fake.first = lambda request: Reply(404) if request.method == "PUT" else None
    with pytest.raises(RegistryError, match="HTTP 404"):
        push(layout, at(fake.host), connect(fake.host))
    assert len(fake.asked("PATCH")) <= LIMITS.attempts_max


def test_nobody_listens(connect, layout, waits):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{probe.getsockname()[1]}"
        with pytest.raises(RegistryError, match="cannot be reached: the connection failed"):
            push(layout, at(host), connect(host))
    assert len(waits) == LIMITS.attempts_max - 1


@pytest.mark.parametrize(
    ("status", "said", "told"),
    [
        (401, b"", "asks for an authentication"),
        (403, b'{"errors":[{"code":"DENIED","message":"quota\\nexceeded"}]}', "quota\nexceeded; you may not do that"),
        (404, b"", "refuses an upload: HTTP 404; it is not there"),
        (405, b"x" * (LIMITS.registry_answer_max_bytes + 1), "HTTP 405"),
        (400, b'{"errors":7}', "HTTP 400"),
        (400, b'{"errors":[7]}', "HTTP 400"),
        (302, b"", "HTTP 302"),
    ],
)
def test_a_refusal_is_told_and_not_repeated(fake, connect, layout, waits, status, said, told):
    fake.first = lambda request: Reply(status, {}, said) if request.method == "POST" else None
    with pytest.raises(RegistryError) as refused:
        push(layout, at(fake.host), connect(fake.host))
    assert told in str(refused.value)
    assert waits == []


def test_a_blob_of_another_size_is_not_taken_for_known(fake, connect, layout):
    fake.first = lambda request: Reply(200, {"Content-Length": "5"}) if request.method == "HEAD" else None
    with pytest.raises(RegistryError, match="with another size"):
        push(layout, at(fake.host), connect(fake.host))


# Waiting.


def test_a_registry_that_says_when_to_come_back_is_obeyed(fake, connect, waits, layout):
    fail_once(fake, lambda request: request.method == "POST", Reply(429, {"Retry-After": "7"}))
    push(layout, at(fake.host), connect(fake.host))
    (waited,) = waits
    assert 7 <= waited <= 7 + transport.WAIT_FIRST_S


@pytest.mark.parametrize("asked", ["99999999", "-1", "soon", "1e9", "\u0667", "Wed, 21 Oct 2026 07:28:00 GMT"])
def test_no_registry_makes_one_wait_for_long(connect, waits, asked):
    connect("127.0.0.1:1").wait(3, asked)
    assert 0 <= waits[0] <= 2 * transport.WAIT_MAX_S


def test_waits_are_random_parts_of_growing_spans(connect, waits):
    connection = connect("127.0.0.1:1")
    for attempt in range(20):
        for _ in range(50):
            connection.wait(attempt)
    spans = [min(transport.WAIT_MAX_S, transport.WAIT_FIRST_S * 2**attempt) for attempt in range(20)]
    for number, span in enumerate(spans):
        part = waits[50 * number : 50 * number + 50]
        assert 0 <= min(part) < span / 4
        assert span * 3 / 4 < max(part) <= span


# Pulling from a registry that lies.


@pytest.fixture
def stored(fake, connect, layout):
    """A registry that has a bundle."""
    push(layout, at(fake.host), connect(fake.host))
    fake.requests.clear()
    return fake


def refuse(stored, connect, target, match, error=BundleError):
    with pytest.raises(error, match=match):
        pull(at(stored.host), target, connect(stored.host))
    assert not target.exists()
    assert not [path for path in target.parent.iterdir() if path.name.startswith(".new-")]


def test_a_blob_with_a_wrong_byte_is_refused(stored, connect, layout, tmp_path):
    for digest, size in layout.manifest.blobs.items():
        right = stored.blobs[digest]
        stored.blobs[digest] = bytes(size)
        refuse(stored, connect, tmp_path / "back", "has the digest")
        stored.blobs[digest] = right


def test_endless_data_is_cut_off(stored, connect, layout, tmp_path):
    digest = layout.manifest.layers[-1].digest
    stored.blobs[digest] += bytes(10**7)
    refuse(stored, connect, tmp_path / "back", "has more than")


def test_an_endless_manifest_is_cut_off(stored, connect, tmp_path):
    stored.manifests["1.0.0"] = (MANIFEST_TYPE, b" " * (2**20 + 1))
    refuse(stored, connect, tmp_path / "back", "answers more than 1048576 bytes", RegistryError)


def test_another_bundle_than_the_digest_asked_for_is_refused(stored, connect, make_bundle, tmp_path, layout):
    other = write_layout(make_bundle("other", version="2"), tmp_path / "other-layout")
    digest = layout.manifest.digest
    stored.manifests[digest] = (MANIFEST_TYPE, other.blob(other.manifest.digest).read_bytes())
    with pytest.raises(BundleError, match=f"the manifest {digest} has the digest {other.manifest.digest}"):
        pull(Reference(stored.host, "any", "1.0.0", digest), tmp_path / "back", connect(stored.host))


@pytest.mark.parametrize(
    ("media_type", "raw", "why", "error"),
    [
        ("application/vnd.oci.image.index.v1+json", b"{}", "is of type", RegistryError),
        ("text/html", b"<html>", "is of type 'text/html'", RegistryError),
        (MANIFEST_TYPE, b"{}", "is missing", BundleError),
        (MANIFEST_TYPE, b"", "not valid JSON", BundleError),
    ],
)
def test_what_is_no_bundle_is_refused(stored, connect, tmp_path, media_type, raw, why, error):
    stored.manifests["1.0.0"] = (media_type, raw)
    refuse(stored, connect, tmp_path / "back", why, error)


def test_a_body_that_is_compressed_unasked_is_refused(stored, connect, tmp_path):
    def first(request):
        if "/blobs/" in request.path:
            return Reply(200, {"Content-Encoding": "gzip"}, b"\x1f\x8b" + bytes(100))
        return None

    stored.first = first
    refuse(stored, connect, tmp_path / "back", "compressed body that was not asked for", RegistryError)


def test_a_missing_tag_and_a_missing_blob_are_told(stored, connect, layout, tmp_path):
    with pytest.raises(RegistryError, match=r"oci://.*/team/toy:2 is not there"):
        pull(at(stored.host, tag="2"), tmp_path / "back", connect(stored.host))
    del stored.blobs[layout.manifest.layers[0].digest]
    refuse(stored, connect, tmp_path / "back", "HTTP 404; it is not there", RegistryError)


def test_a_reference_without_tag_and_digest_is_refused(connect, tmp_path):
    with pytest.raises(BundleError, match="needs a tag or a digest"):
        pull(Reference("127.0.0.1:1", "any"), tmp_path / "back", connect("127.0.0.1:1"))


@pytest.mark.parametrize("cut", [0, 1, 65_535, 65_536, 65_537, 131_072, 199_999, 200_000])
def test_a_download_that_breaks_off_goes_on_from_the_last_whole_piece(fake, connect, tmp_path, cut):
    content = random.Random(7).randbytes(200_000)
    digest = "sha256:" + hashlib.sha256(content).hexdigest()
    fake.blobs[digest] = content
    fail_once(fake, lambda _: True, Reply(200, {"Content-Length": "200000"}, content, cut=cut))
    done = []
    expected = client.Descriptor("", digest, len(content))
    client.Registry(connect(fake.host), "any").download(expected, tmp_path / "blob", done.append)
    assert (tmp_path / "blob").read_bytes() == content
    assert sum(done) == len(content)
    kept = cut - cut % transport.PIECE_BYTES
    resumed = [request.headers.get("Range") for request in fake.requests[1:]]
    assert resumed == ([] if cut == len(content) else [f"bytes={kept}-" if kept else None])


@given(st.lists(st.integers(0, 100_000), max_size=5))
def test_a_download_is_whole_however_often_it_breaks_off(tmp_path_factory, cuts):
    folder, left = tmp_path_factory.mktemp("cut"), [*cuts]
    content = random.Random(7).randbytes(200_000)
    digest = "sha256:" + hashlib.sha256(content).hexdigest()
    with serving() as fake:
        fake.blobs[digest] = content
        fake.first = lambda request: fake._answer(request)._replace(cut=left.pop() if left else None)
        with Transport(Reference(fake.host, "any"), sleep=lambda _: None) as connection:
            expected = client.Descriptor("", digest, len(content))
            client.Registry(connection, "any").download(expected, folder / "blob", lambda _: None)
    assert (folder / "blob").read_bytes() == content


def test_a_registry_that_knows_no_ranges_sends_a_blob_again(stored, connect, layout, tmp_path):
    largest = max(layout.manifest.layers, key=lambda layer: layer.size)
    count = []

    def first(request):
        if largest.digest in request.path:
            count.append(request)
            cut = 100 if len(count) == 1 else None
            return Reply(200, {"Content-Length": str(largest.size)}, stored.blobs[largest.digest], cut=cut)
        return None

    stored.first = first
    assert pull(at(stored.host), tmp_path / "back", connect(stored.host)).manifest == layout.manifest
    assert len(count) == 2


def test_a_download_that_never_gets_on_is_given_up(stored, connect, layout, tmp_path, waits):
    stored.first = lambda request: (
        Reply(200, {"Content-Length": "1000"}, b"", cut=0) if "/blobs/" in request.path else None
    )
    refuse(stored, connect, tmp_path / "back", "broke off", RegistryError)
    assert len(waits) == LIMITS.attempts_max - 1


def test_a_referrer_of_another_bundle_is_left_alone(fake, connect, attached, make_bundle, tmp_path):
    other = write_layout(make_bundle("other", version="2"), tmp_path / "other-layout")
    for layout, tag in ((attached, "1"), (other, "2")):
        push(layout, at(fake.host, tag=tag), connect(fake.host))
    entry = {"mediaType": MANIFEST_TYPE, "digest": attached.referrers[0].digest, "size": attached.referrers[0].size}
    index = json.dumps({"schemaVersion": 2, "manifests": [entry]}).encode()
    fake.first = lambda request: (
        Reply(200, {"Content-Type": "application/vnd.oci.image.index.v1+json"}, index)
        if "/referrers/" in request.path
        else None
    )
    assert pull_with_provenance(at(fake.host, tag="2"), tmp_path / "back", connect(fake.host)).referrers == ()


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
        ('Bearer realm=""', "in the clear"),
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
            server.close()
            thread.join()


# References.


@pytest.mark.parametrize(
    ("text", "reference"),
    [
        ("oci://host/name", Reference("host", "name")),
        ("oci://host:5000/a/b-c/d__e.f:T_1.0-x", Reference("host:5000", "a/b-c/d__e.f", "T_1.0-x")),
        ("oci://[::1]:5000/a:1", Reference("[::1]:5000", "a", "1")),
        (f"oci://h/a:1@{SHA}", Reference("h", "a", "1", SHA)),
        (f"oci://h/a@{SHA}", Reference("h", "a", None, SHA)),
    ],
)
def test_a_reference_is_read_and_written(text, reference):
    assert parse_reference(text) == reference
    assert str(reference) == text


@pytest.mark.parametrize(
    "text",
    [
        "", "host/name", "http://host/name", "oci://", "oci://host", "oci://host/", "oci:///name", "oci://host/Name",
        "oci://host/a//b", "oci://host/../b", "oci://host/a/", "oci://host/a:", "oci://host/a:-x", "oci://host/a:b:c",
        "oci://user:password@host/a", "oci://host:0/a", "oci://host:65536/a", "oci://host:x/a", "oci://host/a@",
        "oci://host/a@sha256:1", "oci://host/a@md5:1", "oci://ho st/a", "oci://host/a b", "oci://host/a?b", "oci://host/a#b",
        "oci://host\n/a", "oci://host/a\n", "oci://-host/a", f"oci://host/{'a' * 256}", f"oci://host/a:{'1' * 129}",
    ],
)  # fmt: skip
def test_what_is_no_reference_is_refused(text):
    with pytest.raises((InputError, BundleError)):
        parse_reference(text)


@given(st.text(max_size=60))
def test_no_text_makes_a_reference_fail_otherwise(text):
    try:
        found = parse_reference("oci://" + text)
    except (InputError, BundleError):
        return
    assert str(found) == "oci://" + text


def test_a_version_with_a_plus_has_a_tag_without():
    assert tag_of_version("1.0.0+cpu.2") == "1.0.0_cpu.2"


# Credentials.


def auth(text):
    return base64.b64encode(text.encode()).decode()


def config(folder, document, name="config.json"):
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(document if isinstance(document, str) else json.dumps(document))
    return folder


def test_the_environment_names_one_host_and_no_other():
    environ = {"EDGERUN_REGISTRY_HOST": "h:1", "EDGERUN_REGISTRY_USERNAME": "a", "EDGERUN_REGISTRY_PASSWORD": "b"}
    assert find_credentials("h:1", environ) == Credentials("a", "b")
    assert find_credentials("h", environ) is None
    assert find_credentials("h:1", {**environ, "EDGERUN_REGISTRY_HOST": ""}) is None


def test_what_docker_podman_and_skopeo_know_is_found(tmp_path):
    docker = config(tmp_path / "docker", {"auths": {"https://h/v1/": {"auth": auth("a:b:c")}, "g": {}, "x.h": 7}})
    podman = config(tmp_path / "containers", {"auths": {"p:1": {"auth": auth("c:d")}}}, "auth.json")
    skopeo = config(tmp_path / "skopeo", {"auths": {"s": {"identitytoken": "t"}}}, "auth.json")
    environ = {
        "DOCKER_CONFIG": str(docker),
        "XDG_RUNTIME_DIR": str(podman.parent),
        "REGISTRY_AUTH_FILE": str(skopeo / "auth.json"),
    }
    assert find_credentials("h", environ) == Credentials("a", "b:c")
    assert find_credentials("p:1", environ) == Credentials("c", "d")
    assert find_credentials("s", environ) == Credentials("", "", "t")
    for host in ("g", "x.h", "p", "p:12", "other"):
        assert find_credentials(host, environ) is None


def test_docker_keeps_its_file_in_the_home_folder(tmp_path):
    config(tmp_path / ".docker", {"auths": {"h": {"auth": auth("a:b")}}})
    assert find_credentials("h", {"HOME": str(tmp_path)}) == Credentials("a", "b")
    assert find_credentials("h", {"HOME": str(tmp_path / "other")}) is None


@pytest.mark.parametrize("document", ["", "[", '{"auths":{"h":{"auth":"%"}}}', '{"auths":{"h":{"auth":"YWI="}}}'])
def test_a_file_that_is_damaged_is_told_without_its_secrets(tmp_path, document):
    with pytest.raises(RegistryError, match=r"config.json"):
        find_credentials("h", {"DOCKER_CONFIG": str(config(tmp_path / "d", document))})


@pytest.mark.parametrize("document", ["[]", "7", '{"auths":[]}', '{"auths":{"h":[]}}', '{"auths":{"h":{"auth":7}}}'])
def test_a_file_that_says_nothing_is_no_error(tmp_path, document):
    assert find_credentials("h", {"DOCKER_CONFIG": str(config(tmp_path / "d", document))}) is None


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        ('{"Username":"a","Secret":"b"}', Credentials("a", "b")),
        ('{"Username":"<token>","Secret":"b"}', Credentials("", "", "b")),
        ("{}", None),
    ],
)
@pytest.mark.parametrize("where", ["credHelpers", "credsStore"])
def test_a_helper_is_asked_for_the_secret_of_one_host(tmp_path, answer, found, where):
    helper = tmp_path / "docker-credential-mine"
    helper.write_text(f"#!/bin/sh\n[ \"$(cat)\" = h ] && [ $1 = get ] && echo '{answer}'\n")
    helper.chmod(0o755)
    folder = config(tmp_path / "d", {where: {"h": "mine"} if where == "credHelpers" else "mine"})
    environ = {"DOCKER_CONFIG": str(folder), "PATH": f"{tmp_path}:/usr/bin:/bin"}
    assert find_credentials("h", environ) == found
    assert find_credentials("g", environ) is None


@pytest.mark.parametrize("name", ["../x", "a b", "none-such", "a;b"])
def test_a_helper_that_is_none_is_told(tmp_path, name):
    folder = config(tmp_path / "d", {"credHelpers": {"h": name}})
    with pytest.raises(RegistryError, match=r"helper|failed"):
        find_credentials("h", {"DOCKER_CONFIG": str(folder), "PATH": "/usr/bin:/bin"})


def test_a_password_is_in_no_repr():
    assert "s3cret" not in repr(WHO) + str([WHO]) + f"{WHO}"


def test_the_file_of_the_user_is_left_alone_where_a_home_is_missing():
    assert find_credentials("h", {}) is None
    assert Path.home()
