"""Garbage: what nobody needs goes, oldest first, until the store is within its budget; what is kept never does."""

from __future__ import annotations

import pytest

from edgerun.artifact import hex_of
from edgerun.errors import StoreError
from edgerun.store import Collected, Store
from edgerun.testing import SimulatedDisk
from support.stores import FOLDER, MemorySource, assert_whole, give, make_current, new_store, toy, unheard

BLOBS, PARTIAL = f"{FOLDER}/blobs/sha256", f"{FOLDER}/partial"
OLD, PREVIOUS, CURRENT, CANDIDATE, FETCHED = (
    toy(version, shared=b"") for version in ("old", "previous", "current", "candidate", "fetched")
)


@pytest.fixture
def disk() -> SimulatedDisk:
    return SimulatedDisk()


@pytest.fixture
def store(disk) -> Store:
    store = new_store(disk)
    make_current(store, OLD)
    make_current(store, PREVIOUS)
    make_current(store, CURRENT)
    give(store, CANDIDATE)
    store.fetch(MemorySource(FETCHED), FETCHED.digest, FETCHED.size)
    return store


def with_budget(disk, budget_bytes):
    return Store(FOLDER, disk=disk, say=unheard, budget_bytes=budget_bytes)


def held(disk, bundle):
    return bundle.names <= {*disk.contents(BLOBS)}


def used(disk):
    return sum(map(len, [*disk.contents(BLOBS).values(), *disk.contents(PARTIAL).values()]))


def test_within_its_budget_a_store_keeps_everything(disk, store):
    assert with_budget(disk, used(disk)).collect_garbage() == Collected(0, 0)
    assert held(disk, OLD)


def test_the_oldest_goes_first_and_no_more_than_needs_be(disk, store):
    before = used(disk)
    removed = with_budget(disk, before - 1).collect_garbage()
    assert removed.blobs == 1
    assert used(disk) == before - removed.bytes < before
    assert not held(disk, OLD)
    assert held(disk, FETCHED)


def test_whatever_the_budget_the_three_stay(disk, store):
    with_budget(disk, 0).collect_garbage()
    assert {*disk.contents(BLOBS)} == PREVIOUS.names | CURRENT.names | CANDIDATE.names
    assert_whole(store)
    assert with_budget(disk, 0).collect_garbage() == Collected(0, 0)


def test_what_was_begun_and_left_goes_too(disk, store):
    file = disk.create(f"{PARTIAL}/{'0' * 64}")
    disk.write(file, 0, bytes(100))
    disk.close(file)
    with_budget(disk, 0).collect_garbage()
    assert disk.contents(PARTIAL) == {}


def test_a_file_of_another_name_is_left_alone(disk, store):
    disk.close(disk.create(f"{BLOBS}/notes.txt"))
    with_budget(disk, 0).collect_garbage()
    assert "notes.txt" in disk.contents(BLOBS)


def test_while_somebody_fetches_or_activates_nothing_goes(disk, store):
    small = with_budget(disk, 0)
    found = []

    def rehearse(path, limits):
        found.append(small.collect_garbage())

    store.activate(FETCHED.digest, rehearse=rehearse)
    assert found == [Collected(0, 0)]
    assert held(disk, OLD)


def test_a_fetch_keeps_to_the_budget_and_never_takes_what_it_needs(disk, store):
    budget_bytes = used(disk)
    more = toy("more", shared=b"")
    with_budget(disk, budget_bytes).fetch(MemorySource(more), more.digest, more.size)
    assert used(disk) <= budget_bytes
    for bundle in (PREVIOUS, CURRENT, CANDIDATE, more):
        assert held(disk, bundle)


def test_where_a_manifest_is_damaged_nobody_knows_what_is_needed(disk, store):
    disk.remove(f"{BLOBS}/{hex_of(CURRENT.digest)}")
    with pytest.raises(StoreError, match="manifest of a bundle"):
        with_budget(disk, 0).collect_garbage()
    assert held(disk, OLD)


def test_after_a_rollback_what_was_bad_may_go(disk, store):
    store.rollback("wrong answers")
    with_budget(disk, 0).collect_garbage()
    assert {*disk.contents(BLOBS)} == PREVIOUS.names | CANDIDATE.names
