"""A store in use: who the device is, what it serves, who counts a start, and what metadata it trusts."""

from __future__ import annotations

import json
from hashlib import sha256

import numpy as np
import pytest

import edgerun.log
from edgerun import LIMITS, EdgeRunner, bundle
from edgerun.artifact import digest_of, hex_of
from edgerun.errors import BundleError, ModelError, StoreError
from edgerun.store import Candidate, FolderSource, State, Store, Subscription
from edgerun.testing import SimulatedDisk
from edgerun_bundles.layout_write import manifest_of_folder, write_layout
from support.stores import (
    FOLDER,
    MemorySource,
    assert_whole,
    give,
    make_current,
    new_store,
    publish,
    serves,
    toy,
    unheard,
)

ONE, TWO, THREE = toy("1"), toy("2"), toy("3")
DIGITS = "bundles/recipes/digits/bundle"
ROOT_SHA256 = sha256(b"{}").hexdigest()


@pytest.fixture
def disk() -> SimulatedDisk:
    return SimulatedDisk()


@pytest.fixture
def store(disk) -> Store:
    return new_store(disk)


# Making and joining.


def test_a_new_store_holds_nothing(store):
    assert store.state() == State()
    assert (store.current(), store.previous(), store.candidate(), store.start()) == (None, None, None, None)
    assert (store.history(), store.subscription(), store.root(), store.metadata_folder()) == ((), None, None, None)
    assert store.verify() == (0, 0, ())


def test_a_device_has_one_id_for_ever(tmp_path):
    first = Store.create(tmp_path / "device" / "store")
    assert len(first.device) == 32
    assert Store(tmp_path / "device" / "store").device == first.device
    assert Store.create(tmp_path / "device" / "store").device == first.device
    with pytest.raises(StoreError, match="cannot become that of 'other'"):
        Store.create(tmp_path / "device" / "store", device="other")


@pytest.mark.parametrize("device", ["", "x" * 65, "a/b", "ä", 7])
def test_an_id_is_one_word(disk, device):
    with pytest.raises(StoreError, match="the id of a device"):
        Store.create(FOLDER, device=device, disk=disk)
    assert disk.history == []


@pytest.mark.parametrize("path", ["nothing", "folder", "file"])
def test_where_there_is_no_store_none_is_opened(tmp_path, path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"no store|is it a store"):
        Store(tmp_path / path)


def test_a_device_follows_what_it_subscribed_to(store):
    first = Subscription("https://bundles.example.org", "toy", "canary", ("lab", "north"))
    store.subscribe(first, b"{}")
    assert store.subscription() == first
    store.subscribe(first._replace(channel="stable", groups=()))
    assert store.subscription() == first._replace(channel="stable", groups=())
    assert store.root() == b"{}"


def test_a_device_is_given_one_root_once(store):
    subscription = Subscription("https://bundles.example.org", "toy")
    with pytest.raises(StoreError, match="one root, once"):
        store.subscribe(subscription)
    store.subscribe(subscription, b"{}")
    store.subscribe(subscription, b"{}")
    with pytest.raises(StoreError, match="one root, once"):
        store.subscribe(subscription, b"[]")
    assert store.root() == b"{}"


@pytest.mark.parametrize(
    "wrong",
    [
        {"repository": ""},
        {"bundle": "No"},
        {"channel": 7},
        {"groups": ["a"]},
        {"groups": ("a", "a")},
        {"groups": ("",)},
    ],
    ids=str,
)
def test_a_wrong_subscription_is_refused(store, wrong):
    with pytest.raises(StoreError, match="subscription"):
        store.subscribe(Subscription("https://x", "toy")._replace(**wrong), b"{}")


def test_a_document_is_no_larger_than_the_limit(store):
    room = LIMITS.store_document_max_bytes - len(json.dumps({**Subscription("", "a")._asdict(), "format": 1})) - 1
    store.subscribe(Subscription("x" * room, "a"), bytes(LIMITS.store_document_max_bytes))
    assert len(store.subscription().repository) == room
    with pytest.raises(StoreError, match="at most 65536"):
        store.subscribe(Subscription("x" * (room + 1), "a"))
    with pytest.raises(StoreError, match="at most 65536"):
        store.subscribe(Subscription("x", "a"), bytes(LIMITS.store_document_max_bytes + 1))


@pytest.mark.parametrize(
    "raw", [b"", b"[]", b'{"format":1}', b'{"format":2,"device":"d"}', b'{"format":1,"device":""}']
)
def test_a_damaged_document_is_named(disk, store, raw):
    disk.remove(f"{FOLDER}/device.json")
    file = disk.create(f"{FOLDER}/device.json")
    disk.write(file, 0, raw) if raw else None
    with pytest.raises(StoreError, match="device"):
        _ = store.device


# From fetched to current.


def test_a_real_bundle_is_fetched_proven_served_and_kept(tmp_path):
    write_layout(DIGITS, tmp_path / "layout")
    manifest = manifest_of_folder(DIGITS)
    store = Store.create(tmp_path / "store")
    store.fetch(FolderSource(tmp_path / "layout"), manifest.digest, manifest.size)

    def rehearse(path, limits):
        found = bundle.read(path)
        assert found.limits == limits
        assert len(bundle.open_sessions(found.models, found.graph, threads=1)) == 2

    store.activate(manifest.digest, rehearse=rehearse)
    with store.start() as start:
        read = start.bundle.read()
        assert (read.name, len(read.golden), read.folder.name) == ("digits", 11, hex_of(manifest.digest))
        with EdgeRunner.open(start.bundle.path) as runner:
            assert runner.predict(np.zeros((1, 64), np.float32), key="a").model in {"champion", "challenger"}
        start.confirm()
    assert store.current().digest == manifest.digest
    told = [event["event"] for event in edgerun.log.read(tmp_path / "store" / "log").lifecycle["details"]]
    assert told == [
        "bundle_fetched",
        "bundle_verified",
        "bundle_rehearsed",
        "bundle_activated",
        "candidate_started",
        "bundle_confirmed",
    ]


def test_a_log_that_cannot_be_written_stops_nothing(disk):
    store = Store.create(FOLDER, disk=disk)
    file = disk.create(f"{FOLDER}/log")
    disk.close(file)
    make_current(store, ONE)
    assert store.current().digest == ONE.digest


def test_a_manifest_that_is_not_its_name_is_no_bundle(tmp_path):
    path = tmp_path / hex_of(ONE.digest)
    for raw in (b"{}", ONE.blobs[ONE.digest] + b" "):
        path.write_bytes(raw)
        with pytest.raises(BundleError, match="not the manifest that its name promises"):
            bundle.read(path)
    path.write_bytes(ONE.blobs[ONE.digest])
    with pytest.raises(BundleError, match="cannot be read"):
        bundle.read(path)


def test_a_bundle_in_blobs_has_no_file_but_its_own(tmp_path):
    strange = toy("1", golden="golden.json")
    for digest, data in strange.blobs.items():
        (tmp_path / hex_of(digest)).write_bytes(data)
    with pytest.raises(BundleError, match=r"'golden.json' is none of the bundle's files"):
        bundle.read(tmp_path / hex_of(strange.digest))


def test_what_was_not_fetched_cannot_be_activated(store):
    with pytest.raises(StoreError, match="missing or damaged; fetch it"):
        store.activate(ONE.digest, rehearse=serves)


@pytest.mark.parametrize("name", ["bundle.json", "models/own.onnx", "models/shared.onnx"])
@pytest.mark.parametrize("damage", ["a bit", "gone", "longer"])
def test_every_byte_is_read_again_before_activation(disk, store, name, damage):
    store.fetch(MemorySource(ONE), ONE.digest, ONE.size)
    path = f"{FOLDER}/blobs/sha256/{hex_of(digest_of(ONE.files[name]))}"
    file = disk.claim(path)
    if damage == "gone":
        disk.remove(path)
    else:
        raw = ONE.files[name]
        disk.write(file, 0, raw + b"x" if damage == "longer" else raw[:-1] + bytes([raw[-1] ^ 1]))
    with pytest.raises(StoreError, match=r"not whole|cannot be read back"):
        store.activate(ONE.digest, rehearse=serves)
    assert store.state() == State()


def test_a_machine_that_lacks_something_is_told_so_and_the_bundle_is_not_bad(store):
    picky = toy("1", requires={"cpu": ["abacus"]})
    with pytest.raises(StoreError, match=r"toy@1 cannot be served here: it needs a CPU with abacus"):
        give(store, picky)
    assert store.state() == State()


@pytest.mark.parametrize("error", [BundleError("an answer differs"), ModelError("an answer differs")], ids=["b", "m"])
def test_a_bundle_that_fails_its_rehearsal_is_bad_at_once(store, error):
    make_current(store, ONE)

    def fails(path, limits):
        raise error

    store.fetch(MemorySource(TWO), TWO.digest, TWO.size)
    with pytest.raises(StoreError, match="toy@2 does not serve here: an answer differs"):
        store.activate(TWO.digest, rehearse=fails)
    assert store.state().why_bad(TWO.digest) == "an answer differs"
    with pytest.raises(StoreError, match="bad before"):
        store.activate(TWO.digest, rehearse=serves)
    assert store.start().bundle.digest == ONE.digest


def test_a_rehearsal_is_told_the_limits_of_the_bundle(store):
    told = []
    limited = toy("1", limits={"latency_s": 0.5, "memory_bytes": 10**8})
    store.fetch(MemorySource(limited), limited.digest, limited.size)
    store.activate(limited.digest, rehearse=lambda path, limits: told.append((path, limits)))
    ((path, limits),) = told
    assert path == f"{FOLDER}/blobs/sha256/{hex_of(limited.digest)}"
    assert (limits.latency_s, limits.memory_bytes) == (0.5, 10**8)


def test_what_is_candidate_or_current_is_not_proven_again(store):
    def never(path, limits):
        raise AssertionError

    give(store, ONE)
    store.start().close()
    store.activate(ONE.digest, rehearse=never)
    assert store.state().candidate.starts_left == 2
    store.start().confirm()
    store.activate(ONE.digest, rehearse=never)
    assert store.state().candidate is None


def test_a_candidate_without_proof_is_given_up_after_three_starts(store):
    make_current(store, ONE)
    give(store, TWO)
    for left in (2, 1, 0):
        with store.start() as start:
            assert (start.bundle.digest, start.is_candidate) == (TWO.digest, True)
        assert store.state().candidate.starts_left == left
    with store.start() as start:
        assert (start.bundle.digest, start.is_candidate) == (ONE.digest, False)
    assert store.state().why_bad(TWO.digest) == "3 starts without proof of health"


def test_a_first_bundle_that_is_given_up_leaves_nothing_to_serve(store):
    give(store, ONE)
    for _ in range(3):
        store.start().close()
    assert store.start() is None


def test_a_start_counts_only_where_nobody_else_serves_the_candidate(disk, store):
    give(store, ONE)
    other = Store(FOLDER, disk=disk, say=unheard)
    first = store.start()
    second = other.start()
    assert second.bundle.digest == ONE.digest
    assert store.state().candidate.starts_left == 2
    first.close()
    third = store.start()
    assert store.state().candidate.starts_left == 2
    second.close()
    third.close()
    store.start()
    assert store.state().candidate.starts_left == 1


def test_with_no_starts_left_others_may_join_one_that_serves(disk, store):
    make_current(store, ONE)
    give(store, TWO)
    for _ in range(2):
        store.start().close()
    last = store.start()
    assert store.state().candidate.starts_left == 0
    joined = Store(FOLDER, disk=disk, say=unheard).start()
    assert joined.bundle.digest == TWO.digest
    last.close()
    joined.confirm()
    assert store.current().digest == TWO.digest


def test_whoever_served_one_candidate_makes_a_start_of_the_next(disk, store):
    give(store, ONE)
    first, second = store.start(), Store(FOLDER, disk=disk, say=unheard).start()
    second.confirm()
    give(store, TWO)
    assert store.start().bundle.digest == TWO.digest
    assert store.state().candidate == Candidate(TWO.digest, 2)
    first.close()


def test_a_bundle_is_confirmed_once_and_rejected_by_one(disk, store):
    make_current(store, ONE)
    give(store, TWO)
    other = Store(FOLDER, disk=disk, say=unheard)
    first, second = store.start(), other.start()
    first.reject("too many errors")
    second.reject("too many errors")
    with pytest.raises(StoreError, match="no longer the candidate"):
        second.confirm()
    assert [found.what for found in store.history()] == ["activated", "confirmed", "activated", "rejected"]
    assert store.start().bundle.digest == ONE.digest


def test_to_reject_what_is_current_by_now_rolls_back_once(disk, store):
    make_current(store, ONE)
    make_current(store, TWO)
    starts = [store.start(), Store(FOLDER, disk=disk, say=unheard).start()]
    for start in starts:
        assert not start.is_candidate
        start.reject("too many errors")
    assert (store.current().digest, store.previous()) == (ONE.digest, None)
    with pytest.raises(StoreError, match="no previous"):
        store.start().reject("too many errors")


def test_where_the_manifest_of_the_current_bundle_is_lost_the_previous_one_serves(disk, store):
    make_current(store, ONE)
    make_current(store, TWO)
    disk.remove(f"{FOLDER}/blobs/sha256/{hex_of(TWO.digest)}")
    with pytest.raises(StoreError, match="missing or damaged"):
        store.current()
    assert "manifest of a bundle is missing" in store.verify().damaged[0]
    assert store.start().bundle.digest == ONE.digest
    assert_whole(store)


def test_a_candidate_whose_manifest_is_lost_is_given_up(disk, store):
    make_current(store, ONE)
    give(store, TWO)
    disk.remove(f"{FOLDER}/blobs/sha256/{hex_of(TWO.digest)}")
    assert store.start().bundle.digest == ONE.digest
    assert store.state().why_bad(TWO.digest) == "its manifest is damaged"


def test_rot_is_found_by_verifying(disk, store):
    make_current(store, ONE)
    publish(store, disk, 5)
    assert store.verify() == (4, sum(map(len, ONE.blobs.values())), ())
    for path in (f"blobs/sha256/{hex_of(digest_of(ONE.files['models/own.onnx']))}", "metadata/1/root.json"):
        file = disk.claim(f"{FOLDER}/{path}")
        disk.write(file, 2, b"rot")
        disk.close(file)
    assert [line.partition(":")[0].rpartition("/")[2] for line in store.verify().damaged] == [
        hex_of(digest_of(ONE.files["models/own.onnx"])),
        "1",
    ]


def test_every_step_is_told(disk):
    told = []
    store = Store.create(FOLDER, disk=disk, say=lambda event, **details: told.append((event, details)))
    make_current(store, ONE)
    make_current(store, TWO)
    store.rollback("wrong answers")
    publish(store, disk, 4)
    assert [event for event, _ in told if event != "candidate_started"] == [
        *["bundle_fetched", "bundle_verified", "bundle_rehearsed", "bundle_activated", "bundle_confirmed"] * 2,
        "bundle_rolled_back",
        "metadata_published",
    ]
    assert dict(told)["bundle_rolled_back"] == {"digest": TWO.digest, "reason": "wrong answers"}


# Metadata.


def scratch(disk, files):
    disk.make_folder("/scratch/files")
    for name, content in files.items():
        file = disk.create(f"/scratch/files/{name}")
        disk.write(file, 0, content)
        disk.close(file)
    return "/scratch/files"


def test_trusted_metadata_is_a_copy_in_a_folder_of_its_own(disk, store):
    publish(store, disk, 5, seen_s=100)
    folder = store.metadata_folder()
    assert folder == f"{FOLDER}/metadata/1"
    assert {*disk.contents(folder)} == {"root.json", "timestamp.json", "snapshot.json"}
    publish(store, disk, 6, seen_s=90)
    assert store.metadata_folder() == f"{FOLDER}/metadata/2"
    assert disk.folders(f"{FOLDER}/metadata") == ["2"]
    assert (store.state().floors["timestamp"], store.state().seen_s) == (6, 100)


def test_older_metadata_is_refused_and_nothing_is_written(disk, store):
    publish(store, disk, 5)
    before = store.state()
    with pytest.raises(StoreError, match="version 4 of timestamp is older than version 5"):
        publish(store, disk, 4)
    assert store.state() == before
    assert disk.folders(f"{FOLDER}/metadata") == ["1"]


@pytest.mark.parametrize("damage", ["another root", "no json", "gone"])
def test_damaged_metadata_is_not_trusted(disk, store, damage):
    publish(store, disk, 5)
    name = "timestamp.json" if damage == "no json" else "root.json"
    disk.remove(f"{FOLDER}/metadata/1/{name}")
    if damage != "gone":
        file = disk.create(f"{FOLDER}/metadata/1/{name}")
        disk.write(file, 0, b"{}" if damage == "another root" else b"{")
    assert store.metadata_folder() is None
    publish(store, disk, 6)
    assert store.metadata_folder() == f"{FOLDER}/metadata/2"


def test_only_metadata_is_published(disk, store):
    folder = scratch(disk, {"root.json": b"{}", "notes.txt": b""[:0] + b"x"})
    with pytest.raises(StoreError, match="no file of metadata"):
        store.publish_metadata(folder, {}, ROOT_SHA256, 1)
    disk.remove(f"{folder}/notes.txt")
    with pytest.raises(StoreError, match="is not the root"):
        store.publish_metadata(folder, {}, "0" * 64, 1)
    store.publish_metadata(folder, {}, ROOT_SHA256, 1)


def test_metadata_has_as_many_files_as_the_limit_says(disk, store):
    names = [f"role-{number}.json" for number in range(LIMITS.store_metadata_files_max - 1)]
    folder = scratch(disk, {"root.json": b"{}", **dict.fromkeys(names, b"{}")})
    store.publish_metadata(folder, {}, ROOT_SHA256, 1)
    disk.close(disk.create(f"{folder}/more.json"))
    with pytest.raises(StoreError, match="65 files; at most 64"):
        store.publish_metadata(folder, {}, ROOT_SHA256, 1)


def test_a_file_of_metadata_is_no_larger_than_the_limit(disk, store):
    large = b'"' + b"x" * (LIMITS.store_metadata_max_bytes - 2) + b'"'
    folder = scratch(disk, {"root.json": b"{}", "targets.json": large})
    store.publish_metadata(folder, {}, ROOT_SHA256, 1)
    file = disk.claim(f"{folder}/targets.json")
    disk.write(file, len(large), b" ")
    with pytest.raises(StoreError, match="at most 16777216"):
        store.publish_metadata(folder, {}, ROOT_SHA256, 1)
