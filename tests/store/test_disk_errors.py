"""Any operation of the disk fails, at any moment: it is a StoreError, and the store is as good as before."""

from __future__ import annotations

import errno
from contextlib import suppress

import pytest

from edgerun.errors import StoreError, UpdateError
from edgerun.store import Store
from edgerun.testing import SimulatedDisk
from support.stores import (
    FOLDER,
    MemorySource,
    assert_whole,
    give,
    make_current,
    metadata,
    new_store,
    publish,
    serves,
    toy,
    unheard,
)

ONE, TWO, THREE, OLD = toy("1"), toy("2"), toy("3"), toy("old")

OPERATIONS = (
    "ages",
    "claim",
    "create",
    "folders",
    "free_bytes",
    "hold",
    "let_share",
    "make_folder",
    "read",
    "remove",
    "remove_folder",
    "replace",
    "share",
    "sizes",
    "sync",
    "sync_folder",
    "truncate",
    "write",
)


def fetch(store: Store) -> None:
    small = Store(FOLDER, disk=store._holdings.disk, say=unheard, budget_bytes=3000)
    small.fetch(MemorySource(THREE), THREE.digest, THREE.size)


def start(store: Store) -> None:
    started = store.start()
    assert started.bundle.digest in {ONE.digest, TWO.digest}
    started.close()


def republish(store: Store) -> None:
    _, versions, root = metadata(8)
    store.publish_metadata("/scratch/8", versions, root, 8)


USES = {
    "fetch": fetch,
    "activate": lambda store: store.activate(THREE.digest, rehearse=serves),
    "start": start,
    "confirm": lambda store: store.start().confirm(),
    "reject": lambda store: store.start().reject("no"),
    "roll back": lambda store: store.rollback("no"),
    "publish": republish,
    "see": lambda store: store.saw_fresh(99),
    "collect": lambda store: Store(FOLDER, disk=store._holdings.disk, say=unheard, budget_bytes=0).collect_garbage(),
    "read": lambda store: (store.current(), store.candidate(), store.history(), store.metadata_folder(), store.device),
    "create": lambda store: new_store(store._holdings.disk),
}


def lived_in(use: str) -> tuple[SimulatedDisk, Store]:
    """A store with a previous and a current bundle, a candidate, metadata, and something to remove."""
    disk = SimulatedDisk()
    store = new_store(disk)
    make_current(store, OLD)
    make_current(store, ONE)
    publish(store, disk, 7)
    store.fetch(MemorySource(THREE), THREE.digest, THREE.size)
    give(store, TWO)
    files, _, _ = metadata(8)
    disk.make_folder("/scratch/8")
    for name, content in files.items():
        file = disk.create(f"/scratch/8/{name}")
        disk.write(file, 0, content)
        disk.close(file)
    if use == "fetch":
        for digest in {*THREE.blobs} - {*TWO.blobs}:
            disk.remove(f"{FOLDER}/blobs/sha256/{digest[7:]}")
        file = disk.create(f"{FOLDER}/partial/{THREE.digest[7:]}")
        disk.write(file, 0, b"not the beginning")
        disk.close(file)
        garbage = toy("garbage")
        store.fetch(MemorySource(garbage), garbage.digest, garbage.size)
    return disk, store


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("use", USES)
def test_an_operation_that_fails_is_an_error_of_the_store_and_harms_nothing(use, operation):
    for number in range(1000):
        disk, store = lived_in(use)
        before = store.state()
        disk.fail(operation, errno.EIO, after=number)
        why = None
        try:
            USES[use](store)
        except StoreError as error:
            why = str(error)
        assert why is None or "Input/output error" in why
        was_reached = not disk._failures
        disk.heal()
        disk.kill()
        again = Store(FOLDER, disk=disk, say=unheard)
        assert all(again.state().floors[role] >= floor for role, floor in before.floors.items())
        assert_whole(again)
        if why is not None and use not in {"start", "confirm", "reject", "roll back"}:
            USES[use](again)
        make_current(again, toy("next"))
        assert_whole(again)
        if not was_reached:
            return
    pytest.fail("it never ends")


def test_a_disk_that_may_not_be_written_still_serves_what_is_current():
    disk = SimulatedDisk()
    store = new_store(disk)
    make_current(store, ONE)
    disk.is_read_only = True
    again = Store(FOLDER, disk=disk, say=unheard)
    assert again.start().bundle.digest == ONE.digest
    assert again.verify().damaged == ()


def test_where_a_start_cannot_be_counted_the_current_bundle_is_served_and_told_so():
    told = []
    disk = SimulatedDisk()
    store = new_store(disk)
    make_current(store, ONE)
    give(store, TWO)
    disk.is_read_only = True
    again = Store(FOLDER, disk=disk, say=lambda event, **details: told.append(event))
    start = again.start()
    assert (start.bundle.digest, start.is_candidate) == (ONE.digest, False)
    assert told == ["start_failed"]
    assert again.state().candidate.starts_left == 3


@pytest.mark.parametrize("number", range(4))
def test_a_state_whose_sync_failed_is_taken_back(number):
    disk = SimulatedDisk()
    store = new_store(disk)
    make_current(store, ONE)
    give(store, TWO)
    before = store.state()
    disk.fail("sync", errno.EIO, after=1, times=1 + number)
    with suppress(StoreError):
        store.start().confirm()
    disk.heal()
    assert store.state().current in {before.current, TWO.digest}
    assert_whole(store)


def test_a_blob_whose_sync_failed_is_fetched_again():
    disk = SimulatedDisk()
    store = new_store(disk)
    source = MemorySource(ONE)
    disk.fail("sync", errno.EIO)
    with pytest.raises(StoreError, match="Input/output"):
        store.fetch(source, ONE.digest, ONE.size)
    assert disk.contents(f"{FOLDER}/partial") == {}
    store.fetch(source, ONE.digest, ONE.size)
    assert source.asked[:2] == [(ONE.digest, 0), (ONE.digest, 0)]


def test_a_write_that_falls_short_is_gone_on_with():
    disk = SimulatedDisk()
    store = new_store(disk)
    disk.fall_short(times=5)
    make_current(store, ONE)
    assert_whole(store)


def test_a_source_that_fails_is_its_own_error():
    store = new_store()
    source = MemorySource(ONE)
    source.breaks_after = 10
    with pytest.raises(UpdateError, match="the line broke"):
        store.fetch(source, ONE.digest, ONE.size)
