"""Power fails after any change of the disk, or a process dies at any operation: what is current is whole."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, NamedTuple

import pytest

from edgerun.errors import StoreError
from edgerun.store import State, Store
from edgerun.testing import SimulatedDisk
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

if TYPE_CHECKING:
    from collections.abc import Callable

ONE, TWO, THREE = toy("1"), toy("2", model_bytes=1500), toy("3")
NEXT = toy("next")


class Step(NamedTuple):
    """What was done, after how many changes of the disk it was, and the state then."""

    what: str
    changes: int
    state: State


def refused(path: str, limits: object) -> None:
    raise AssertionError("it is refused before")


def confirm(store: Store) -> None:
    store.start().confirm()


def reject(store: Store) -> None:
    store.start().reject("too many errors")


def fail_to_prove(store: Store) -> None:
    for _ in range(4):
        start = store.start()
        if start is not None:
            start.close()


def resume(store: Store) -> None:
    source = MemorySource(TWO)
    source.breaks_after = 900
    with pytest.raises(Exception, match="the line broke"):
        store.fetch(source, TWO.digest, TWO.size)
    store.fetch(MemorySource(TWO), TWO.digest, TWO.size)


def fetch(store: Store, bundle) -> None:
    store.fetch(MemorySource(bundle), bundle.digest, bundle.size)


def collect(store: Store) -> None:
    Store(FOLDER, disk=store._holdings.disk, say=unheard, budget_bytes=0).collect_garbage()


SCRIPTS: dict[str, list[tuple[str, Callable[[Store], object]]]] = {
    "a life": [
        ("fetch", lambda store: fetch(store, ONE)),
        ("activate", lambda store: store.activate(ONE.digest, rehearse=serves)),
        ("confirm", confirm),
        ("publish", lambda store: publish(store, store._holdings.disk, 5)),
        ("fetch in two goes", resume),
        ("activate", lambda store: store.activate(TWO.digest, rehearse=serves)),
        ("confirm", confirm),
        ("publish", lambda store: publish(store, store._holdings.disk, 6)),
        ("roll back", lambda store: store.rollback("wrong answers")),
        ("collect", collect),
    ],
    "bad candidates": [
        ("a bundle", lambda store: make_current(store, ONE)),
        ("another", lambda store: give(store, TWO)),
        ("reject", reject),
        ("collect", collect),
        ("a third", lambda store: give(store, THREE)),
        ("no proof", fail_to_prove),
        ("publish", lambda store: publish(store, store._holdings.disk, 9)),
    ],
}


def run(script: str) -> tuple[SimulatedDisk, list[Step]]:
    disk = SimulatedDisk()
    store = new_store(disk)
    steps = [Step("create", len(disk.history), store.state())]
    for what, do in SCRIPTS[script]:
        do(store)
        steps.append(Step(what, len(disk.history), store.state()))
    return disk, steps


def floors_hold(before: State, after: State) -> bool:
    return all(after.floors.get(role, 0) >= floor for role, floor in before.floors.items())


def assert_goes_on(store: Store, disk: SimulatedDisk) -> None:
    """The store takes another bundle and newer metadata, and is whole all along."""
    before = store.state()
    start = store.start()
    if start is not None:
        start.close()
    make_current(store, NEXT)
    publish(store, disk, 50)
    assert store.state().current == NEXT.digest
    assert floors_hold(before, store.state())
    assert_whole(store)


def assert_one_of(state: State, before: State, after: State) -> None:
    """A state is that before a step or that after it, or one that the step passes through."""
    assert state.generation <= after.generation
    assert state.generation >= before.generation
    assert state.current in {before.current, after.current}
    assert state.metadata in {before.metadata, after.metadata}
    assert floors_hold(before, state)
    assert floors_hold(state, after)
    assert {bad.digest for bad in before.bad} <= {bad.digest for bad in state.bad}


@pytest.mark.slow
@pytest.mark.parametrize("script", SCRIPTS)
def test_whatever_the_power_takes_the_store_is_whole_and_goes_on(script):
    disk, steps = run(script)
    cuts = len(disk.history) + 1
    for changes in range(cuts):
        done = [step for step in steps if step.changes <= changes]
        due = [step for step in steps if step.changes > changes]
        for variant in range(5):
            after = disk.after_power_cut(changes, Random(1000 * changes + variant))
            if not done:
                store = Store.create(FOLDER, device="d", disk=after, say=unheard)
                assert store.state() == State()
            else:
                store = Store(FOLDER, disk=after, say=unheard)
                assert_one_of(store.state(), done[-1].state, (due or done[-1:])[0].state)
            assert_whole(store)
            if (changes + variant) % 2:
                assert_goes_on(store, after)


class Died(BaseException):
    """A process is no more: nothing of it runs any longer."""


class DyingDisk(SimulatedDisk):
    """A disk whose user dies at one of its operations, and does nothing more."""

    operations_left = 10**9

    def _may(self, operation: str, *, changes: bool = False) -> bool:
        if changes or operation == "sync_folder":
            self.operations_left -= 1
        if self.operations_left < 0:
            raise Died
        return super()._may(operation, changes=changes)

    def close(self, file: int) -> None:
        if self.operations_left >= 0:
            super().close(file)


@pytest.mark.slow
@pytest.mark.parametrize("script", SCRIPTS)
def test_where_a_process_dies_another_goes_on_and_the_power_may_fail_then(script):
    number = 0
    while True:
        disk = DyingDisk()
        store = new_store(disk)
        disk.operations_left = number
        before = store.state()
        try:
            for _, do in SCRIPTS[script]:
                before = store.state()
                do(store)
        except Died:
            pass
        else:
            return
        disk.operations_left = 10**9
        disk.kill()
        store = Store(FOLDER, disk=disk, say=unheard)
        seen = store.state()
        assert floors_hold(before, seen)
        assert_whole(store)
        first = len(disk.history)
        store.saw_fresh(10**9 + number)
        assert_goes_on(store, disk)
        random = Random(number)
        for changes in [random.randint(first, len(disk.history)) for _ in range(4)]:
            cut = disk.after_power_cut(changes, random)
            store = Store(FOLDER, disk=cut, say=unheard)
            assert store.state().current in {seen.current, NEXT.digest}
            assert floors_hold(before, store.state())
            assert_whole(store)
        number += 1


def test_a_bundle_is_whole_once_it_is_activated_whoever_of_its_fetchers_died():
    number, is_done = 0, False
    while not is_done:
        disk = DyingDisk()
        store = new_store(disk)
        disk.operations_left = number
        try:
            fetch(store, ONE)
            is_done = True
        except Died:
            pass
        disk.operations_left = 10**9
        disk.kill()
        give(Store(FOLDER, disk=disk, say=unheard), ONE)
        for variant in range(8):
            cut = disk.after_power_cut(len(disk.history), Random(variant))
            store = Store(FOLDER, disk=cut, say=unheard)
            assert store.candidate().digest == ONE.digest
            assert_whole(store)
        number += 1


def test_a_full_disk_does_not_keep_a_candidate_from_being_rejected_or_confirmed():
    for settle in (confirm, reject):
        disk = SimulatedDisk()
        store = new_store(disk)
        make_current(store, ONE)
        give(store, TWO)
        disk.capacity = disk._used_bytes()
        settle(store)
        assert store.state().candidate is None
        assert_whole(store)


def test_a_store_that_lost_its_state_says_so_and_is_not_made_anew():
    disk = SimulatedDisk()
    make_current(new_store(disk), ONE)
    disk.remove(f"{FOLDER}/state")
    with pytest.raises(StoreError, match="lost its state"):
        Store(FOLDER, disk=disk, say=unheard)
    with pytest.raises(StoreError, match="lost its state"):
        new_store(disk)


def test_a_state_without_a_valid_sector_is_not_written_over():
    disk = SimulatedDisk()
    store = new_store(disk)
    make_current(store, ONE)
    file = disk.hold(f"{FOLDER}/state")
    disk.write(file, 100, b"x")
    disk.write(file, 4196, b"x")
    disk.release(file)
    damaged = disk.read(f"{FOLDER}/state")
    for use in (store.state, store.start, store.current, lambda: give(store, TWO), lambda: new_store(disk).state()):
        with pytest.raises(StoreError, match="damaged"):
            use()
    assert disk.read(f"{FOLDER}/state") == damaged
