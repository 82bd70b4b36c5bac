"""Fetching: nothing is believed, what came is kept, what is there is not sent twice, and room is found before."""

from __future__ import annotations

import pytest

from edgerun import LIMITS
from edgerun.artifact import digest_of, hex_of
from edgerun.errors import BundleError, StoreError, UpdateError
from edgerun.store import FolderSource, Store
from edgerun.testing import SimulatedDisk
from support.stores import FOLDER, MemorySource, assert_whole, new_store, toy, unheard

ONE, TWO = toy("1", model_bytes=1000), toy("2", model_bytes=1000)
BLOBS, PARTIAL = f"{FOLDER}/blobs/sha256", f"{FOLDER}/partial"
OWN = digest_of(ONE.files["models/own.onnx"])


@pytest.fixture
def disk() -> SimulatedDisk:
    return SimulatedDisk()


@pytest.fixture
def store(disk) -> Store:
    return new_store(disk)


def fetch(store, bundle, source=None, progress=None):
    return store.fetch(source or MemorySource(bundle), bundle.digest, bundle.size, progress)


def put(disk, path, content):
    if path.rpartition("/")[2] in disk.sizes(path.rpartition("/")[0]):
        disk.remove(path)
    file = disk.create(path)
    disk.write(file, 0, content)
    disk.close(file)


def test_what_is_fetched_is_there_under_its_digest(disk, store):
    found = fetch(store, ONE)
    assert (found.digest, found.name, found.version) == (ONE.digest, "toy", "1")
    assert disk.contents(BLOBS) == {hex_of(digest): data for digest, data in ONE.blobs.items()}
    assert disk.contents(PARTIAL) == {}


def test_what_two_versions_share_is_sent_once(store):
    fetch(store, ONE)
    source = MemorySource(TWO)
    fetch(store, TWO, source)
    shared = digest_of(ONE.files["models/shared.onnx"])
    assert {digest for digest, _ in source.asked} == {*TWO.blobs} - {shared}
    source.asked.clear()
    fetch(store, TWO, source)
    assert source.asked == []


def test_a_broken_fetch_goes_on_where_it_broke(store):
    source = MemorySource(ONE)
    source.breaks_after = ONE.size + len(ONE.files["bundle.json"]) + 700
    with pytest.raises(UpdateError, match="the line broke"):
        fetch(store, ONE, source)
    source.asked.clear()
    source.breaks_after = None
    heard = []
    fetch(store, ONE, source, lambda done, total: heard.append((done, total)))
    assert source.asked[0] == (OWN, 600)
    assert heard[0][0] == 600
    assert heard[-1] == (1000 + 180, 1000 + 180)
    assert_whole(store)


@pytest.mark.parametrize("offset", [0, 500, 999])
def test_a_wrong_byte_anywhere_is_found_and_costs_that_file(disk, store, offset):
    source = MemorySource(ONE)
    wrong = bytearray(source.blobs[OWN])
    wrong[offset] ^= 1
    source.blobs[OWN] = bytes(wrong)
    with pytest.raises(StoreError, match="other bytes than were promised"):
        fetch(store, ONE, source)
    assert hex_of(OWN) not in {**disk.contents(BLOBS), **disk.contents(PARTIAL)}
    fetch(store, ONE)


@pytest.mark.parametrize("left", [b"nothing of it", b"x" * 1000, b"x" * 5000], ids=["wrong", "as long", "longer"])
def test_a_beginning_that_turns_out_wrong_is_fetched_anew_at_once(disk, store, left):
    put(disk, f"{PARTIAL}/{hex_of(OWN)}", left)
    source = MemorySource(ONE)
    fetch(store, ONE, source)
    assert (OWN, 0) in source.asked
    assert disk.contents(BLOBS)[hex_of(OWN)] == ONE.blobs[OWN]


def test_a_whole_beginning_needs_no_source(disk, store):
    put(disk, f"{PARTIAL}/{hex_of(OWN)}", ONE.blobs[OWN])
    source = MemorySource(ONE)
    fetch(store, ONE, source)
    assert OWN not in {digest for digest, _ in source.asked}


def test_a_source_without_an_end_is_left_when_it_gave_too_much(disk, store):
    source = MemorySource(ONE)
    source.blobs[OWN] += bytes(10**6)
    given = []
    pieces = source._pieces

    def counted(data):
        for piece in pieces(data):
            given.append(piece)
            yield piece

    source._pieces = counted
    with pytest.raises(StoreError, match="other bytes"):
        fetch(store, ONE, source)
    assert sum(map(len, given)) < 3000


def test_a_source_that_ends_early_is_asked_again_for_the_rest(store):
    source = MemorySource(ONE)
    whole = source.blobs[OWN]
    source.blobs[OWN] = whole[:300]
    with pytest.raises(StoreError, match="only 300 of 1000 bytes"):
        fetch(store, ONE, source)
    source.blobs[OWN] = whole
    source.asked.clear()
    fetch(store, ONE, source)
    assert (OWN, 300) in source.asked


def test_a_blob_that_rotted_is_fetched_again_by_whoever_needs_it(disk, store):
    fetch(store, ONE)
    put(disk, f"{BLOBS}/{hex_of(OWN)}", b"rot" * 100)
    source = MemorySource(ONE)
    fetch(store, ONE, source)
    assert source.asked == [(OWN, 0)]
    assert disk.contents(BLOBS)[hex_of(OWN)] == ONE.blobs[OWN]


def test_a_full_disk_is_found_before_the_download(disk, store):
    total = sum(map(len, ONE.blobs.values()))
    disk.capacity = disk._used_bytes() + 2**20 + total - 1
    source = MemorySource(ONE)
    with pytest.raises(StoreError, match=r"\d+ bytes are to be fetched, and \d+ are free; make room"):
        fetch(store, ONE, source)
    assert {digest for digest, _ in source.asked} == {ONE.digest}
    disk.capacity += 1
    fetch(store, ONE)


def test_what_was_begun_counts_as_room(disk, store):
    put(disk, f"{PARTIAL}/{hex_of(OWN)}", ONE.blobs[OWN][:900])
    total = sum(map(len, ONE.blobs.values()))
    disk.capacity = disk._used_bytes() + 2**20 + total - 900
    fetch(store, ONE)


def test_room_is_made_of_what_nobody_needs(disk, store):
    fetch(store, TWO)
    total = sum(map(len, ONE.blobs.values()))
    disk.capacity = disk._used_bytes() + 2**20 + total - 500
    fetch(store, ONE)
    assert ONE.names <= {*disk.contents(BLOBS)}
    assert not TWO.names <= {*disk.contents(BLOBS)}


def test_a_blob_that_another_process_is_fetching_is_left_to_it(disk, store):
    file = disk.create(f"{PARTIAL}/{hex_of(OWN)}")
    with pytest.raises(StoreError, match=f"another process is fetching {OWN}"):
        fetch(store, ONE)
    disk.close(file)
    fetch(store, ONE)


def test_a_manifest_is_no_larger_than_the_limit(store):
    with pytest.raises(StoreError, match="at most 1048576"):
        store.fetch(MemorySource(ONE), ONE.digest, LIMITS.manifest_max_bytes + 1)


def test_what_is_no_manifest_is_refused(disk, store):
    raw = b"{}"
    source = MemorySource()
    source.blobs[digest_of(raw)] = raw
    with pytest.raises(BundleError, match="the manifest"):
        store.fetch(source, digest_of(raw), len(raw))
    with pytest.raises(BundleError, match="digest"):
        store.fetch(source, "sha256:../../etc/passwd", 2)


def test_a_folder_of_blobs_is_a_source(tmp_path):
    folder = tmp_path / "layout" / "blobs" / "sha256"
    folder.mkdir(parents=True)
    for digest, data in ONE.blobs.items():
        (folder / hex_of(digest)).write_bytes(data)
    store = Store.create(tmp_path / "store", say=unheard)
    left = tmp_path / "store" / "partial" / hex_of(OWN)
    left.write_bytes(ONE.blobs[OWN][:700])
    fetch(store, ONE, FolderSource(tmp_path / "layout"))
    found = {path.name: path.read_bytes() for path in (tmp_path / "store" / "blobs" / "sha256").iterdir()}
    assert found == {hex_of(digest): data for digest, data in ONE.blobs.items()}


def test_a_folder_without_a_blob_says_which(tmp_path):
    store = Store.create(tmp_path / "store", say=unheard)
    with pytest.raises(UpdateError, match=rf"{hex_of(ONE.digest)} cannot be read: No such file"):
        fetch(store, ONE, FolderSource(tmp_path))
    (tmp_path / "blobs" / "sha256" / hex_of(ONE.digest)).mkdir(parents=True)
    with pytest.raises(UpdateError, match="Is a directory"):
        fetch(store, ONE, FolderSource(tmp_path))
