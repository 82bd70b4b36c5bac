"""Objects by key: the same promises on a disk and in the memory of tests; a bucket is in test_bucket.py."""

from __future__ import annotations

import os
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from edgerun_sync.collector.files import Files
from edgerun_sync.errors import StorageError
from support.fleet import Memory


@pytest.fixture(params=["files", "memory"])
def objects(request, tmp_path):
    return Files(tmp_path / "data") if request.param == "files" else Memory()


def test_an_object_is_made_once(objects):
    assert objects.put_new("segments/a/1", b"one")
    assert not objects.put_new("segments/a/1", b"two")
    assert objects.get("segments/a/1") == b"one"


def test_an_object_may_be_replaced_and_removed(objects):
    objects.replace("a/b", b"one")
    objects.replace("a/b", b"two")
    assert objects.get("a/b") == b"two"
    objects.delete("a/b")
    objects.delete("a/b")
    assert objects.get("a/b") is None


def test_many_objects_may_be_replaced_and_removed_together(objects):
    objects.put_new("a/1", b"former")
    found = {f"a/{number}" if number % 2 else f"b/c/{number}": b"%d" % number for number in range(20)}
    objects.replace_all([*found.items()])
    assert {key: objects.get(key) for key in found} == found
    objects.delete_all([*found, "a/none"])
    assert [*objects.list("a/"), *objects.list("b/")] == []
    objects.replace_all([])
    objects.delete_all([])


def test_keys_are_listed_in_their_order_below_a_prefix(objects):
    for key in ("inbox/1/b~2", "inbox/1/a~1", "inbox/10/c~3", "inbox/1/a~0", "batches/1/x"):
        objects.put_new(key, b"")
    assert [*objects.list("inbox/1/")] == ["inbox/1/a~0", "inbox/1/a~1", "inbox/1/b~2"]
    assert [*objects.list("nothing/")] == []


def test_one_of_many_that_make_an_object_at_once_is_told_that_it_did(objects):
    with ThreadPoolExecutor(8) as threads:
        for number in range(20):
            made = [*threads.map(lambda who, key=f"k/{number}": objects.put_new(key, b"%d" % who), range(8))]
            assert sum(made) == 1
            assert objects.get(f"k/{number}") == b"%d" % made.index(True)


@pytest.mark.parametrize("key", ["../x", "a/../../x", "/etc/x", "a//b", "", ".drafts/x", "a/.", "a\0b"])
def test_a_key_never_leads_out_of_the_folder(tmp_path, key):
    files = Files(tmp_path / "data")
    for use in (files.get, files.delete, lambda key: files.put_new(key, b""), lambda key: files.replace(key, b"")):
        with pytest.raises(StorageError, match="no key"):
            use(key)


# What a power cut may not take.


class Syncs:
    """What was synced, in order: a file's draft with the size that it had, or a folder with the names in it."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, object]] = []

    def __call__(self, file: int) -> None:
        path = Path(f"/proc/self/fd/{file}").readlink()
        names = sorted(found.name for found in path.iterdir()) if path.is_dir() else None
        self.seen.append((str(path), os.fstat(file).st_size if names is None else names))
        os.fsync(file)


def test_an_object_is_whole_on_the_disk_before_it_has_a_name_and_named_before_it_is_acknowledged(tmp_path):
    syncs = Syncs()
    files = Files(tmp_path, sync=syncs)
    syncs.seen.clear()
    assert files.put_new("segments/oven/1", b"12345")
    (draft, size), *folders = syncs.seen
    assert draft.startswith(str(tmp_path / ".drafts"))
    assert size == 5
    assert folders == [
        (str(tmp_path), [".drafts", "segments"]),
        (str(tmp_path / "segments"), ["oven"]),
        (str(tmp_path / "segments" / "oven"), ["1"]),
    ]


def test_what_another_process_has_made_is_named_durably_before_anybody_relies_on_it(tmp_path):
    Files(tmp_path).put_new("segments/oven/1", b"12345")
    syncs = Syncs()
    files = Files(tmp_path, sync=syncs)
    syncs.seen.clear()
    assert not files.put_new("segments/oven/1", b"12345")
    assert syncs.seen == [(str(tmp_path / "segments" / "oven"), ["1"])]


def test_what_replaces_an_object_is_on_the_disk_before_it_takes_its_place(tmp_path):
    Files(tmp_path).put_new("a/b", b"former")
    syncs = Syncs()
    files = Files(tmp_path, sync=syncs)
    syncs.seen.clear()
    files.replace("a/b", b"new")
    assert [found for _, found in syncs.seen] == [3, ["b"]]
    assert (tmp_path / "a" / "b").read_bytes() == b"new"


def test_what_replaces_many_objects_is_on_the_disk_before_any_takes_its_place_and_each_folder_is_synced_once(tmp_path):
    keys = [f"a/{number}" for number in range(5)] + [f"b/{number}" for number in range(3)]
    for key in keys:
        Files(tmp_path).put_new(key, b"former")
    seen, lock = [], threading.Lock()

    def sync(file: int) -> None:
        path = Path(f"/proc/self/fd/{file}").readlink()
        with lock:
            seen.append(path.name if path.is_dir() else {(tmp_path / key).read_bytes() for key in keys})

    files = Files(tmp_path, sync=sync)
    seen.clear()
    files.replace_all([(key, b"new") for key in keys])
    assert seen[: len(keys)] == [{b"former"}] * len(keys)
    assert sorted(seen[len(keys) :]) == ["a", "b"]
    assert {files.get(key) for key in keys} == {b"new"}


def test_a_disk_that_fills_up_under_many_objects_leaves_no_draft_behind(tmp_path):
    left, lock = iter([None] * 3), threading.Lock()

    def sync(file: int) -> None:
        with lock:
            if not stat.S_ISDIR(os.fstat(file).st_mode) and next(left, "full"):
                raise OSError(28, "No space left on device")

    files = Files(tmp_path, sync=sync)
    with pytest.raises(StorageError, match="No space left"):
        files.replace_all([(f"a/{number}", b"x") for number in range(20)])
    assert [*files.list("a/")] == []
    assert [*(tmp_path / ".drafts").iterdir()] == []


def test_a_full_disk_is_a_storage_error_and_leaves_nothing_behind(tmp_path):
    def full(file: int) -> None:
        if not stat.S_ISDIR(os.fstat(file).st_mode):
            raise OSError(28, "No space left on device")

    files = Files(tmp_path, sync=full)
    with pytest.raises(StorageError, match="No space left"):
        files.put_new("a/b", b"x")
    assert files.get("a/b") is None
    assert [*(tmp_path / ".drafts").iterdir()] == []


def test_a_folder_that_cannot_be_made_is_a_storage_error(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageError, match="file"):
        Files(tmp_path / "file" / "data")


def test_a_reader_sees_the_former_bytes_or_the_new_ones(tmp_path):
    files, seen, stop = Files(tmp_path), set(), threading.Event()
    files.put_new("a", b"0" * 1000)

    def read():
        while not stop.is_set():
            seen.add(files.get("a"))

    thread = threading.Thread(target=read)
    thread.start()
    for number in range(50):
        files.replace("a", b"%d" % (number % 10) * 1000)
    stop.set()
    thread.join()
    assert seen <= {b"%d" % number * 1000 for number in range(10)}


# Threads that want the same folder synced.


def test_threads_that_wait_for_a_sync_of_their_folder_share_the_next_one(tmp_path):
    syncs, begun, go_on, folder = [], threading.Event(), threading.Event(), tmp_path / "inbox"

    def slow(file: int) -> None:
        if Path(f"/proc/self/fd/{file}").readlink() == folder:
            syncs.append(sorted(found.name for found in folder.iterdir()))
            begun.set()
            assert go_on.wait(20)

    files = Files(tmp_path, sync=slow)
    folder.mkdir()
    threads = [threading.Thread(target=files.put_new, args=(f"inbox/{number}", b"")) for number in range(9)]
    threads[0].start()
    assert begun.wait(20)
    for thread in threads[1:]:
        thread.start()
    while len([*folder.iterdir()]) < 9:
        pass
    go_on.set()
    for thread in threads:
        thread.join()
    assert syncs[0] == ["0"]
    assert syncs[-1] == [str(number) for number in range(9)]
    assert len(syncs) < 9


def test_a_sync_that_fails_for_one_is_tried_by_the_next(tmp_path):
    failures = iter([True, False, False])

    def sync(file: int) -> None:
        if Path(f"/proc/self/fd/{file}").readlink() == tmp_path / "inbox" and next(failures):
            raise OSError(5, "Input/output error")

    files = Files(tmp_path, sync=sync)
    (tmp_path / "inbox").mkdir()
    with pytest.raises(StorageError, match="Input/output"):
        files.put_new("inbox/1", b"")
    assert not files.put_new("inbox/1", b"")
