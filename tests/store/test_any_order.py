"""A store under operations in any order, with power cuts, dying processes and a failing disk between them."""

from __future__ import annotations

import errno
from contextlib import suppress
from random import Random

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from edgerun.errors import BundleError, StoreError
from edgerun.store import State, Store
from edgerun.testing import SimulatedDisk
from support.stores import FOLDER, MemorySource, assert_whole, new_store, publish, serves, toy, unheard

BUNDLES = [toy(str(number), model_bytes=100 * number) for number in range(5)]
bundles = st.sampled_from(BUNDLES)


def fails(path: str, limits: object) -> None:
    raise BundleError("an answer differs")


class AnyOrder(RuleBasedStateMachine):
    """What was bad is not activated again, floors never fall, and every byte of what is kept is right."""

    def __init__(self) -> None:
        super().__init__()
        self.disk = SimulatedDisk()
        self.store = new_store(self.disk, budget_bytes=4000)
        self.starts: list = []
        self.durable = State()

    def open(self) -> None:
        self.starts.clear()
        self.store = Store(FOLDER, disk=self.disk, say=unheard, budget_bytes=4000)

    def settle(self) -> None:
        """What an operation left is what the next one begins with."""
        state = self.store.state()
        assert all(state.floors.get(role, 0) >= floor for role, floor in self.durable.floors.items())
        assert state.generation >= self.durable.generation
        self.durable = state

    @rule(bundle=bundles)
    def fetch(self, bundle):
        self.store.fetch(MemorySource(bundle), bundle.digest, bundle.size)

    @rule(bundle=bundles, rehearse=st.sampled_from([serves, serves, fails]))
    def activate(self, bundle, rehearse):
        was_bad = self.store.state().why_bad(bundle.digest) is not None
        try:
            self.store.activate(bundle.digest, rehearse=rehearse)
            assert not was_bad
        except StoreError:
            pass
        self.settle()

    @rule()
    def start(self):
        found = self.store.start()
        if found is not None:
            assert self.store.state().why_bad(found.bundle.digest) is None
            self.starts.append(found)
        self.settle()

    @rule(which=st.integers(0, 3), what=st.sampled_from(["confirm", "reject", "close"]))
    def end_a_start(self, which, what):
        if which < len(self.starts):
            start = self.starts.pop(which)
            with suppress(StoreError):
                start.close() if what == "close" else getattr(start, what)(*["no"] * (what == "reject"))
            self.settle()

    @rule()
    def roll_back(self):
        with suppress(StoreError):
            self.store.rollback("no")
        self.settle()

    @rule(version=st.integers(1, 30))
    def publish(self, version):
        with suppress(StoreError):
            publish(self.store, self.disk, version)
        self.settle()

    @rule()
    def collect(self):
        self.store.collect_garbage()

    @rule(operation=st.sampled_from(["write", "sync", "sync_folder", "replace", "create"]), after=st.integers(0, 5))
    def let_the_disk_fail_while_a_bundle_is_made_current(self, operation, after):
        self.disk.fail(operation, errno.EIO, after=after)
        with suppress(StoreError):
            self.fetch(BUNDLES[after % 5])
            self.store.activate(BUNDLES[after % 5].digest, rehearse=serves)
            self.store.start().confirm()
        self.disk.heal()
        self.settle()

    @rule(random=st.integers(0, 2**32))
    def cut_the_power(self, random):
        self.disk = self.disk.after_power_cut(len(self.disk.history), Random(random))
        self.open()
        self.settle()

    @rule()
    def die(self):
        self.disk.kill()
        self.open()
        self.settle()

    @invariant()
    def it_is_whole(self):
        assert_whole(self.store)


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = settings(max_examples=30, stateful_step_count=25)
