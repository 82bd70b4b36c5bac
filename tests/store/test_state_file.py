"""The state on its disk: what a dying process, a failed sync or rot leaves is never built upon."""

from __future__ import annotations

import errno
from random import Random

import pytest

from edgerun.errors import StoreError
from edgerun.store import State
from edgerun.store.sector import FILE_BYTES, SECTOR_BYTES, TAKEN_BACK
from edgerun.store.state import seen
from edgerun.store.state_file import StateFile
from edgerun.testing import SimulatedDisk

FOLDER = "/device/store"


class Died(BaseException):
    """A process is no more."""


@pytest.fixture
def disk() -> SimulatedDisk:
    found = SimulatedDisk()
    found.make_folder(FOLDER)
    return found


@pytest.fixture
def file(disk) -> StateFile:
    found = StateFile(disk, FOLDER)
    found.create()
    return found


def see(file: StateFile, seen_s: int) -> State:
    return file.change(lambda state: seen(state, seen_s))


def seen_after_cut(disk: SimulatedDisk, first: int, variants: int = 60) -> set[int]:
    """What the state says after a power cut at any change from the first on."""
    found = set()
    for changes in range(first, len(disk.history) + 1):
        for variant in range(variants):
            after = disk.after_power_cut(changes, Random(1000 * changes + variant))
            found.add(StateFile(after, FOLDER).read().seen_s)
    return found


def test_a_new_file_is_zeros_and_says_nothing(disk, file):
    assert disk.read(file.path) == bytes(FILE_BYTES)
    assert file.read() == State()
    file.create()
    assert disk.sizes(FOLDER) == {"state": FILE_BYTES}


def test_every_change_counts_and_one_that_changes_nothing_is_not_written(disk, file):
    assert see(file, 5).generation == 2
    assert see(file, 6).generation == 3
    changes = len(disk.history)
    assert see(file, 4).generation == 3
    assert len(disk.history) == changes


def test_the_changes_go_to_both_sectors_in_turn(disk, file):
    see(file, 5)
    before = disk.read(file.path)
    for seen_s, changed in ((6, 0), (7, 1), (8, 0)):
        see(file, seen_s)
        after = disk.read(file.path)
        halves = [slice(0, SECTOR_BYTES), slice(SECTOR_BYTES, FILE_BYTES)]
        assert [before[half] != after[half] for half in halves] == [changed == 0, changed == 1]
        before = after


def test_after_the_very_first_change_a_sector_that_rots_is_damage_and_no_new_store(disk, file):
    see(file, 5)
    held = disk.hold(file.path)
    for offset in (10, SECTOR_BYTES + 10):
        disk.write(held, offset, b"rot")
    disk.release(held)
    with pytest.raises(StoreError, match="damaged"):
        file.read()


def test_one_sector_that_rots_leaves_the_state_before(disk, file):
    see(file, 5)
    see(file, 6)
    held = disk.hold(file.path)
    disk.write(held, 10, b"rot")
    disk.release(held)
    assert file.read().seen_s == 5


def test_what_a_process_wrote_before_it_died_is_synced_before_anything_else_is_written(disk, file, monkeypatch):
    see(file, 5)
    with monkeypatch.context() as patch:

        def die(_: int) -> None:
            if disk.history[-1].what == "write":
                raise Died

        patch.setattr(disk, "sync", die)
        with pytest.raises(Died):
            see(file, 6)
    disk.kill()
    first = len(disk.history)
    assert file.read().seen_s == 6
    see(file, 7)
    assert seen_after_cut(disk, first) == {5, 6, 7}


@pytest.mark.parametrize("also_fails", ["nothing", "the sync after it"])
def test_a_write_whose_sync_failed_is_taken_back_and_not_built_upon(disk, file, also_fails):
    see(file, 5)
    see(file, 6)
    disk.fail("sync", errno.EIO, after=1, times=1 + (also_fails != "nothing"))
    with pytest.raises(StoreError, match="Input/output"):
        see(file, 7)
    assert file.read().seen_s == 6
    assert disk.read(file.path)[SECTOR_BYTES:] == TAKEN_BACK
    first = len(disk.history)
    see(file, 8)
    assert seen_after_cut(disk, first) <= {6, 7, 8}


def test_a_reader_looks_again_where_it_met_writes_in_both_sectors(disk, file, monkeypatch):
    see(file, 5)
    right, torn = disk.read(file.path), b"x" * FILE_BYTES
    answers = [torn, torn, right]
    monkeypatch.setattr(disk, "read", lambda path, bytes_max: answers.pop(0))
    assert file.read().seen_s == 5


def test_two_that_make_the_file_at_once_make_one(disk):
    file = StateFile(disk, FOLDER)
    left = disk.create(f"{FOLDER}/state.new")
    disk.write(left, 0, b"left by a process that died")
    disk.kill()
    file.create()
    assert disk.read(file.path) == bytes(FILE_BYTES)
    assert disk.sizes(FOLDER) == {"state": FILE_BYTES}
