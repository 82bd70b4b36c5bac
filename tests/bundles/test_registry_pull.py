"""Pulling from a registry that lies: nothing is believed, and nothing is left behind."""

from __future__ import annotations

import hashlib
import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgerun.errors import BundleError
from edgerun_bundles.errors import RegistryError
from edgerun_bundles.layout_write import write_layout
from edgerun_bundles.limits import LIMITS
from edgerun_bundles.registry import (
    Reference,
    Transport,
    client,
    pull,
    pull_with_provenance,
    push,
    transfer,
    transport,
)
from support.registry import MANIFEST_TYPE, Reply, at, fail_once, refuse, serving

# Pulling from a registry that lies.


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


def test_a_bundle_has_at_most_referrers_max_provenance_artifacts(fake, connect, attached, tmp_path, monkeypatch):
    push(attached, at(fake.host, tag="1"), connect(fake.host))
    count = len(attached.referrers)
    monkeypatch.setattr(transfer, "LIMITS", LIMITS._replace(referrers_max=count))
    found = pull_with_provenance(at(fake.host, tag="1"), tmp_path / "back", connect(fake.host))
    assert len(found.referrers) == count
    monkeypatch.setattr(transfer, "LIMITS", LIMITS._replace(referrers_max=count - 1))
    with pytest.raises(RegistryError, match=f"more than {count - 1} artifacts"):
        pull_with_provenance(at(fake.host, tag="1"), tmp_path / "more", connect(fake.host))
