"""One look at a repository: what comes of it, what it costs on the wire, and what a broken one leaves behind."""

from __future__ import annotations

import os
import shutil
import time
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgerun.artifact import digest_of
from edgerun.errors import BundleError, EdgerunError, StoreError, UpdateError
from edgerun.limits import LIMITS
from edgerun.requirements import Requires
from edgerun.store import Store
from edgerun.update import client, trust
from edgerun.update import repository as repositories
from edgerun.update.channel import Channel, Release, write_channel
from edgerun.update.client import DOCUMENT, SEEN_EVERY_S, update
from edgerun.update.clock import BUILT_S, moment_of, reference_time_s
from edgerun.update.source import Folder
from support.nginx import nginx_serving
from support.tuf_repository import CHANNEL, NAME, OWNER, PUBLISHER, TufRepository, small_bundle
from support.wire import cutting
from update.conftest import Device

# What comes of a look.


def test_a_device_takes_what_the_channel_names(tmp_path, repository):
    digest = repository.release("1.0.0")
    device = Device(tmp_path / "device", repository)
    found = device.look()
    assert (found.what, found.version, found.digest) == ("activated", "1.0.0", digest)
    assert found.received_bytes > 0
    assert device.store.state().candidate.digest == digest
    assert device.store.state().floors == {
        "root": 1,
        "targets": 1,
        "snapshot": 2,
        "timestamp": 2,
        PUBLISHER: 2,
        OWNER: 2,
    }


def test_a_device_that_has_it_already_does_nothing(device):
    before = device.store.state()
    found = device.look()
    assert (found.what, found.version, found.received_bytes) == ("current", "1.0.0", 0)
    assert device.store.state() == before


def test_a_candidate_that_has_not_proven_healthy_yet_is_not_activated_again(repository, device):
    repository.release("1.1.0")
    assert device.look().what == "activated"
    assert device.look().what == "current"
    assert device.store.state().candidate.starts_left == 3


def test_a_channel_that_goes_back_to_what_is_current_ends_the_candidate(repository, device):
    repository.release("1.1.0")
    device.look()
    repository.set_channel("1.0.0")
    repository.publish(OWNER)
    assert device.look().what == "activated"
    assert device.store.state().candidate is None
    assert device.store.current().version == "1.0.0"


def test_only_blobs_that_are_missing_are_fetched(repository, device):
    repository.release("1.1.0")  # the same model
    found = device.look()
    model = len(small_bundle()["models/only.onnx"])
    assert 0 < found.received_bytes < 2500
    assert model > 0


@pytest.mark.parametrize(
    ("releases", "told"),
    [
        ([], "has no release of cards"),
        ([Release("2.0.0", groups=("lab",))], "it is for lab"),
        ([Release("2.0.0", share_ppm=0)], "it is for 0 of a million devices"),
        ([Release("2.0.0", requires=Requires(arch=("riscv64",)))], "it needs a machine of riscv64"),
    ],
)
def test_a_channel_with_nothing_for_this_device_changes_nothing_and_says_why(repository, device, releases, told):
    repository.set_channel(*releases)
    repository.publish(OWNER)
    current = device.store.state().current
    found = device.look()
    assert (found.what, found.version, device.store.state().current) == ("none", None, current)
    assert told in found.why


def test_a_device_in_a_group_gets_what_is_for_that_group(repository, device):
    repository.add_bundle(small_bundle(version="2.0.0"), "2.0.0")
    repository.set_channel(Release("2.0.0", groups=("lab",)), "1.0.0")
    repository.publish(PUBLISHER, OWNER)
    assert device.look().version == "1.0.0"
    device.follow(str(repository.folder), groups=("north", "lab"))
    assert device.look().version == "2.0.0"


def test_a_bad_version_is_passed_over_for_the_next_release(repository, device):
    repository.add_bundle(small_bundle(version="2.0.0"), "2.0.0")
    repository.set_channel("2.0.0", "1.0.0")
    repository.publish(PUBLISHER, OWNER)
    device.look()
    with device.store.start() as start:
        start.reject("it answers nonsense")
    assert device.look().version == "1.0.0"


def test_a_bundle_that_does_not_serve_here_is_told_and_not_tried_again(repository, device):
    def fails(path, limits):
        raise BundleError("golden example 0 differs")

    repository.release("1.1.0")
    current = device.store.state().current
    with pytest.raises(StoreError, match="does not serve here"):
        device.look(rehearse=fails)
    assert device.store.state().current == current
    assert device.look().what == "none"


def test_a_store_that_follows_nothing_says_how_to(tmp_path):
    with pytest.raises(StoreError, match="edgerun device join"):
        update(Store.create(tmp_path / "store"))


def test_progress_is_told_up_to_the_end(repository, device):
    told = []
    repository.release("1.1.0", factor=3.0)
    device.look(progress=lambda done, total: told.append((done, total)))
    assert told[-1][0] == told[-1][1] > 0
    assert told == sorted(told)


# Time.


def test_the_reference_time_is_the_latest_of_clock_memory_and_build():
    assert reference_time_s(BUILT_S + 9.5, 0) == BUILT_S + 9
    assert reference_time_s(0, BUILT_S + 5) == BUILT_S + 5
    assert reference_time_s(-5, 0) == BUILT_S
    assert moment_of(10**15).year == 9999


def test_edgerun_was_built_before_now_and_not_before_its_newest_release():
    assert time.time() >= BUILT_S
    assert moment_of(BUILT_S).year >= 2026


def test_that_metadata_is_fresh_is_remembered_now_and_then_without_copying_it(device):
    state = device.store.state()
    device.look(now_s=state.seen_s + SEEN_EVERY_S - 1)
    assert device.store.state() == state
    device.look(now_s=state.seen_s + SEEN_EVERY_S)
    after = device.store.state()
    assert (after.seen_s, after.metadata) == (state.seen_s + SEEN_EVERY_S, state.metadata)


# What it costs on the wire.


@pytest.fixture
def served(tmp_path, repository):
    (tmp_path / "nginx").mkdir()
    with nginx_serving(repository.folder, tmp_path / "nginx") as server:
        yield server


def test_an_idle_look_is_two_requests_and_two_kilobytes(device, served):
    device.follow(served.url)
    device.look()
    served.exchanges()
    assert device.look().what == "current"
    found = served.exchanges()
    assert [(exchange.uri, exchange.status) for exchange in found] == [
        ("/metadata/2.root.json", 404),
        ("/metadata/timestamp.json", 200),
    ]
    assert sum(exchange.bytes for exchange in found) <= 2000


def test_a_whole_update_uses_one_connection(repository, device, served):
    device.follow(served.url)
    repository.release("1.1.0", factor=3.0)
    assert device.look().what == "activated"
    found = served.exchanges()
    assert len(found) >= 8
    assert len({exchange.connection for exchange in found}) == 1


def test_other_weights_of_a_large_bundle_cost_little(tmp_path, repository, served):
    """The models of 50 MB are there already; what is fetched is bundle.json, the manifest, and what signs them."""
    model = np.random.default_rng(7).bytes(25 * 10**6)

    def files(version, challenger):
        weights = {"champion": 100 - challenger, "challenger": challenger}
        found = small_bundle(
            version=version,
            models={"champion": "models/only.onnx", "challenger": "models/challenger.onnx"},
            route="ab",
            nodes={"ab": {"kind": "random_split", "weights": weights, "split_key": "session_id"}},
        )
        return {**found, "models/only.onnx": model, "models/challenger.onnx": model[::-1]}

    repository.add_bundle(files("1.0.0", 10), "1.0.0")
    repository.set_channel("1.0.0")
    repository.publish(PUBLISHER, OWNER)
    device = Device(tmp_path / "device", repository, served.url)
    device.take()
    served.exchanges()
    repository.add_bundle(files("1.1.0", 20), "1.1.0")
    repository.set_channel("1.1.0")
    repository.publish(PUBLISHER, OWNER)
    assert device.look().what == "activated"
    assert sum(exchange.bytes for exchange in served.exchanges()) <= 20_000


# Broken connections, wrong bytes, full disks.


def large_release(repository, size=400_000):
    files = {**small_bundle(version="1.1.0"), "models/only.onnx": np.random.default_rng(7).bytes(size)}
    repository.add_bundle(files, "1.1.0")
    repository.set_channel("1.1.0")
    repository.publish(PUBLISHER, OWNER)
    return size


def test_a_connection_that_breaks_off_is_taken_up_where_it_was(repository, device, served):
    size = large_release(repository)
    with cutting(served, after_bytes=150_000, cuts=2) as (url, passed):
        device.follow(url)
        assert device.look().what == "activated"
    assert size < sum(passed) < size + 20_000, "what had come was not sent again"
    assert [exchange.status for exchange in served.exchanges()].count(206) == 2


def test_a_look_that_broke_off_is_taken_up_by_the_next_one(repository, device, served):
    size = large_release(repository)
    with cutting(served, after_bytes=60_000, cuts=LIMITS.fetch_attempts_max) as (url, passed):
        device.follow(url)
        with device.serving_on("broke off"):
            device.look()
        sent = sum(passed)
        assert sent > 200_000
        assert device.look().what == "activated"
    assert size < sum(passed) < size + 30_000


def test_fetch_attempts_max_is_how_often_a_blob_is_asked_for(repository, device, monkeypatch):
    asked = []

    class Broken(Folder):
        def open(self, path, offset=0):
            if not path.startswith("blobs"):
                return super().open(path, offset)
            asked.append(offset)
            return self.breaking(super().open(path, offset))

        def breaking(self, pieces):
            yield next(pieces)[:10]
            raise UpdateError("it broke off")

    repository.release("1.1.0", factor=3.0)
    document = write_channel(Channel(CHANNEL, NAME, (Release("1.1.0"),)))
    with device.unmoved("it broke off"):  # the document is small, and asked for once
        device.look(source=Broken(str(repository.folder)))
    assert asked == [0]
    asked.clear()
    monkeypatch.setattr(client, "fetch_document", lambda source, wanted: document)
    with device.serving_on("it broke off"):
        device.look(source=Broken(str(repository.folder)))
    assert len(asked) == LIMITS.fetch_attempts_max == repositories.LIMITS.fetch_attempts_max


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """A repository with 1.1.0, and a device that has 1.0.0."""
    folder = tmp_path_factory.mktemp("published")
    repository = TufRepository(folder / "repository")
    repository.release("1.0.0")
    device = Device(folder / "device", repository)
    device.take()
    return repository, device, repository.release("1.1.0", factor=3.0)


class Flipped(Folder):
    """A repository with one wrong byte in one of the files that a device reads: in the n-th of all of them."""

    def __init__(self, path, position, change):
        super().__init__(path)
        self._left, self._change, self.was_read = position, change, False

    def open(self, path, offset=0):
        pieces = super().open(path, offset)
        return None if pieces is None else self._changed(pieces)

    def _changed(self, pieces):
        for piece in pieces:
            changed = bytearray(piece)
            if 0 <= self._left < len(piece):
                self.was_read = True
                changed[self._left] ^= self._change
            self._left -= len(piece)
            yield bytes(changed)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(position=st.integers(0, 5000), change=st.integers(1, 255))
def test_a_wrong_byte_anywhere_is_found_before_use(published, tmp_path_factory, position, change):
    repository, known, digest = published
    store_folder = tmp_path_factory.mktemp("device") / "store"
    shutil.copytree(known.store.path, store_folder)
    store = Store(store_folder, say=lambda event, **details: None)
    before = store.state()
    known_store, known.store = known.store, store
    source = Flipped(str(repository.folder), position, change)
    try:
        found = known.look(source=source)
    except EdgerunError:
        assert source.was_read
        after = store.state()
        assert (after.current, after.candidate) == (before.current, before.candidate)
    else:  # a byte that nobody needs, such as the case of a digit in a signature
        assert found.digest == digest
        assert store.state().candidate.digest == digest
        held = {path.name: digest_of(path.read_bytes()) for path in (store_folder / "blobs" / "sha256").iterdir()}
        assert all(found == f"sha256:{name}" for name, found in held.items())
    finally:
        known.store = known_store
        shutil.rmtree(store_folder)


def test_a_full_disk_is_found_before_the_download(repository, device, monkeypatch):
    large_release(repository, 300_000)
    read = []

    class Watched(Folder):
        def open(self, path, offset=0):
            read.append(path)
            return super().open(path, offset)

    full = namedtuple("full", "f_bavail f_frsize")(f_bavail=300, f_frsize=4096)
    monkeypatch.setattr(os, "statvfs", lambda path: full)
    with device.serving_on("make room", StoreError):
        device.look(source=Watched(str(repository.folder)))
    model = [path for path in read if path.startswith("blobs")]
    assert len(model) <= 2, "the channel document and the manifest, at most"


def test_a_full_disk_for_the_scratch_folder_is_an_error_of_ours(device, monkeypatch, tmp_path):
    monkeypatch.setattr(client.tempfile, "tempdir", str(tmp_path / "missing"))
    with device.unmoved("no room for a scratch folder"):
        device.look()


# Limits of metadata.


def test_metadata_max_bytes_is_the_most_that_a_role_has(repository, device, monkeypatch):
    repository.release("1.1.0")
    largest = max(repository.path(role).stat().st_size for role in (PUBLISHER, OWNER, "snapshot"))
    monkeypatch.setattr(trust, "LIMITS", LIMITS._replace(metadata_max_bytes=largest - 1))
    with device.unmoved("more than it may|larger than"):
        device.look()
    monkeypatch.setattr(trust, "LIMITS", LIMITS._replace(metadata_max_bytes=largest))
    assert device.look().what == "activated"


def test_timestamp_max_bytes_is_the_most_that_a_timestamp_has(repository, device, monkeypatch):
    size = repository.path("timestamp").stat().st_size
    monkeypatch.setattr(trust, "LIMITS", LIMITS._replace(timestamp_max_bytes=size - 1))
    with device.unmoved("more than it may"):
        device.look()
    monkeypatch.setattr(trust, "LIMITS", LIMITS._replace(timestamp_max_bytes=size))
    assert device.look().what == "current"


def test_metadata_version_max_is_the_highest_version_that_is_trusted(repository, device, monkeypatch):
    repository.renew()
    version = repository.roles["timestamp"].version
    monkeypatch.setattr(trust, "LIMITS", LIMITS._replace(metadata_version_max=version - 1))
    with device.unmoved(f"above {version - 1}"):
        device.look()
    monkeypatch.setattr(trust, "LIMITS", LIMITS._replace(metadata_version_max=version))
    assert device.look().what == "current"


def test_root_rotations_max_is_how_many_roots_are_followed_in_one_go(repository, device, monkeypatch):
    for _ in range(3):
        repository.rotate_root("root")
    monkeypatch.setattr(trust, "LIMITS", LIMITS._replace(root_rotations_max=2))
    device.look()
    assert device.store.state().floors["root"] == 3
    device.look()
    assert device.store.state().floors["root"] == 4


def test_a_document_that_a_device_keeps_is_fetched_again_where_it_is_damaged(repository, device, served):
    device.follow(served.url)
    path = Path(device.store.metadata_folder()) / DOCUMENT
    path.write_bytes(b'{"format":2}' + b" " * 100)
    served.exchanges()
    assert device.look().what == "current"
    assert sum(exchange.uri.startswith("/blobs") for exchange in served.exchanges()) == 1
