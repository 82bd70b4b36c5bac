"""The real disk and the simulated one do the same; and the simulated one loses only what was not synced."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgerun.disk import Disk, RealDisk, write_all
from edgerun.testing import SimulatedDisk


@pytest.fixture(params=["real", "simulated"])
def disk(request) -> Disk:
    return RealDisk() if request.param == "real" else SimulatedDisk()


@pytest.fixture
def folder(disk, tmp_path) -> str:
    path = os.fspath(tmp_path / "device" / "log")
    disk.make_folder(path)
    return path


def test_what_is_written_is_read(disk, folder):
    file = disk.create(f"{folder}/a")
    write_all(disk, file, 0, b"hello")
    write_all(disk, file, 5, b" world")
    write_all(disk, file, 0, b"J")
    disk.sync(file)
    disk.sync_folder(folder)
    disk.close(file)
    assert disk.read(f"{folder}/a") == b"Jello world"
    assert disk.read(f"{folder}/a", 3) == b"Jel"
    assert disk.sizes(folder) == {"a": 11}


def test_a_file_can_be_cut(disk, folder):
    file = disk.create(f"{folder}/a")
    write_all(disk, file, 0, b"hello")
    disk.truncate(file, 2)
    assert disk.read(f"{folder}/a") == b"he"
    disk.close(file)


def test_a_file_is_not_made_twice(disk, folder):
    disk.close(disk.create(f"{folder}/a"))
    with pytest.raises(FileExistsError):
        disk.create(f"{folder}/a")


@pytest.mark.parametrize(
    "use",
    [
        lambda disk, folder: disk.create(f"{folder}/no/a"),
        lambda disk, folder: disk.read(f"{folder}/a"),
        lambda disk, folder: disk.remove(f"{folder}/a"),
        lambda disk, folder: disk.replace(f"{folder}/a", f"{folder}/b"),
        lambda disk, folder: disk.sizes(f"{folder}/no"),
        lambda disk, folder: disk.sync_folder(f"{folder}/no"),
    ],
    ids=["create", "read", "remove", "replace", "sizes", "sync_folder"],
)
def test_what_is_not_there_is_an_error(disk, folder, use):
    with pytest.raises(FileNotFoundError):
        use(disk, folder)


def test_a_file_that_somebody_holds_cannot_be_claimed(disk, folder):
    file = disk.create(f"{folder}/a")
    assert disk.claim(f"{folder}/a") is None
    disk.close(file)
    claimed = disk.claim(f"{folder}/a")
    assert claimed is not None
    assert disk.claim(f"{folder}/a") is None
    disk.close(claimed)


def test_a_file_that_is_gone_cannot_be_claimed(disk, folder):
    assert disk.claim(f"{folder}/a") is None


def test_a_file_knows_whether_it_still_has_its_name(disk, folder):
    file = disk.create(f"{folder}/a")
    assert disk.is_linked(file, f"{folder}/a")
    disk.replace(f"{folder}/a", f"{folder}/b")
    assert not disk.is_linked(file, f"{folder}/a")
    assert disk.is_linked(file, f"{folder}/b")
    other = disk.create(f"{folder}/a")
    assert not disk.is_linked(file, f"{folder}/a")
    disk.close(other)
    disk.close(file)


def test_a_renamed_file_takes_the_place_of_another(disk, folder):
    for name in "ab":
        file = disk.create(f"{folder}/{name}")
        write_all(disk, file, 0, name.encode())
        disk.close(file)
    disk.replace(f"{folder}/a", f"{folder}/b")
    assert disk.sizes(folder) == {"b": 1}
    assert disk.read(f"{folder}/b") == b"a"


def test_making_a_folder_twice_is_fine(disk, folder):
    disk.make_folder(folder)
    assert disk.sizes(folder) == {}


def test_a_file_where_the_folder_should_be_is_an_error(tmp_path):
    (tmp_path / "log").write_text("")
    with pytest.raises(OSError, match=r"exists|Not a directory"):
        RealDisk().make_folder(os.fspath(tmp_path / "log"))


def test_a_lock_dies_with_its_process(tmp_path):
    path = os.fspath(tmp_path / "a")
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:  # pragma: no cover - in another process
        RealDisk().create(path)
        os.write(writer, b"x")
        os.read(reader, 0)
        os._exit(0)
    os.read(reader, 1)
    os.waitpid(child, 0)
    os.close(reader)
    os.close(writer)
    assert RealDisk().claim(path) is not None


def test_links_and_folders_are_no_files_of_the_log(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    (tmp_path / "file").write_bytes(b"12")
    assert RealDisk().sizes(os.fspath(tmp_path)) == {"file": 2}


# The simulated disk.


def test_a_failure_comes_when_it_was_asked_for():
    disk = SimulatedDisk()
    disk.fail("create", errno.EIO, after=1, times=2)
    disk.create("/a")
    for _ in range(2):
        with pytest.raises(OSError, match="Input/output"):
            disk.create("/b")
    disk.create("/b")


def test_a_disk_takes_what_it_has_room_for():
    disk = SimulatedDisk()
    file = disk.create("/a")
    disk.capacity = 5
    assert disk.write(file, 0, b"1234567") == 5
    with pytest.raises(OSError, match="No space"):
        disk.write(file, 5, b"67")
    assert disk.write(file, 0, b"abcde") == 5


pieces = st.lists(st.binary(min_size=1, max_size=900), min_size=1, max_size=6)


@given(pieces, pieces, st.randoms(use_true_random=False))
def test_a_power_cut_takes_nothing_that_was_synced(synced, unsynced, random):
    disk = SimulatedDisk()
    file, size = disk.create("/a"), 0
    for i, piece in enumerate([*synced, *unsynced]):
        write_all(disk, file, size, piece)
        size += len(piece)
        if i == len(synced) - 1:
            disk.sync(file)
            disk.sync_folder("/")
    kept = b"".join(synced)
    assert disk.after_power_cut(len(disk.history), random).read("/a")[: len(kept)] == kept


def outcomes(disk: SimulatedDisk, path: str, tries: int = 300) -> set[bytes | None]:
    found: set[bytes | None] = set()
    for seed in range(tries):
        after = disk.after_power_cut(len(disk.history), Random(seed))
        found.add(after.read(path) if Path(path).name in after.sizes("/") else None)
    return found


def test_a_name_that_was_not_synced_may_be_there_or_not():
    disk = SimulatedDisk()
    file = disk.create("/a")
    write_all(disk, file, 0, b"x")
    disk.sync(file)
    assert outcomes(disk, "/a") == {b"x", None}
    disk.sync_folder("/")
    assert outcomes(disk, "/a") == {b"x"}
    disk.remove("/a")
    assert outcomes(disk, "/a") == {b"x", None}
    disk.sync_folder("/")
    assert outcomes(disk, "/a") == {None}


def test_a_rename_happens_wholly_or_not_at_all():
    disk = SimulatedDisk()
    for name in "ab":
        file = disk.create(f"/{name}")
        write_all(disk, file, 0, name.encode())
        disk.sync(file)
    disk.sync_folder("/")
    disk.replace("/a", "/b")
    assert outcomes(disk, "/b") == {b"a", b"b"}


def test_sectors_that_were_not_synced_may_be_lost_in_any_order_and_have_wrong_bits():
    disk = SimulatedDisk()
    file = disk.create("/a")
    disk.sync_folder("/")
    for i in range(3):
        write_all(disk, file, 512 * i, bytes([i + 1]) * 512)
    found = {content for content in outcomes(disk, "/a") if content}
    whole = b"".join(bytes([i + 1]) * 512 for i in range(3))
    assert {b"", whole} <= outcomes(disk, "/a")
    assert any(content[1024:] == whole[1024:] and content[:512] != whole[:512] for content in found), "out of order"
    assert any(bytes(512) in content for content in found), "zeros"
    assert any(0 < sum(a != b for a, b in zip(content, whole, strict=False)) < 9 for content in found), "wrong bits"


def test_what_a_failed_sync_was_to_write_is_not_made_safe_by_the_next():
    disk = SimulatedDisk()
    file = disk.create("/a")
    disk.sync_folder("/")
    write_all(disk, file, 0, b"x" * 100)
    disk.fail("sync", errno.EIO)
    with pytest.raises(OSError, match="Input/output"):
        disk.sync(file)
    assert disk.read("/a") == b"x" * 100
    disk.sync(file)
    assert b"" in outcomes(disk, "/a")
