"""Pushing on a bad day: what fails is repeated from where it broke off, and given up in the end."""

from __future__ import annotations

import json
import random
import socket

import pytest

from edgerun.errors import BundleError
from edgerun_bundles.errors import RegistryError
from edgerun_bundles.layout_write import write_layout
from edgerun_bundles.limits import LIMITS
from edgerun_bundles.registry import (
    client,
    pull_with_provenance,
    push,
    transport,
)
from support.registry import DROP, MANIFEST_TYPE, SHA, Reply, at, fail_once

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
