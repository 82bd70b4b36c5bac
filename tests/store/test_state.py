"""The state of a store: what may follow what, and that no order of changes breaks what must always hold."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from edgerun import LIMITS
from edgerun.errors import StoreError
from edgerun.store import Candidate, State
from edgerun.store.sector import decode_sector, encode_sector
from edgerun.store.state import activated, confirmed, published, rejected, rolled_back, seen, started
from support.stores import assert_sound

A, B, C = (f"sha256:{letter * 64}" for letter in "abc")
ROOT = "0" * 64


def current(*digests: str) -> State:
    """A state in which these bundles became current, one after the other."""
    state = State()
    for digest in digests:
        state = confirmed(activated(state, digest, 1), digest, 2)
    return state


def test_a_bundle_becomes_candidate_current_and_previous():
    state = activated(State(), A, 1)
    assert state.candidate == Candidate(A, 3)
    state = confirmed(state, A, 2)
    assert (state.current, state.previous, state.candidate) == (A, None, None)
    state = confirmed(activated(state, B, 3), B, 4)
    assert (state.current, state.previous, state.candidate) == (B, A, None)
    assert [(found.time_s, found.what, found.digest) for found in state.history] == [
        (1, "activated", A),
        (2, "confirmed", A),
        (3, "activated", B),
        (4, "confirmed", B),
    ]


def test_a_candidate_has_three_starts():
    state = activated(State(), A, 1)
    for left in (2, 1, 0):
        state = started(state, A)
        assert state.candidate == Candidate(A, left)
    with pytest.raises(StoreError, match="cannot be started"):
        started(state, A)


def test_only_the_candidate_is_started():
    with pytest.raises(StoreError, match="cannot be started"):
        started(activated(State(), A, 1), B)
    with pytest.raises(StoreError, match="cannot be started"):
        started(State(), A)


def test_a_candidate_that_is_activated_again_gets_no_further_starts():
    state = started(activated(State(), A, 1), A)
    assert activated(state, A, 2) == state


def test_activating_what_is_current_takes_a_candidate_back():
    state = activated(current(A), B, 5)
    assert activated(state, A, 6) == state._replace(candidate=None)


def test_a_rejected_candidate_is_bad_and_never_activated_again():
    state = rejected(activated(current(A), B, 5), B, "too many errors", 6)
    assert (state.current, state.candidate, state.why_bad(B)) == (A, None, "too many errors")
    with pytest.raises(StoreError, match=r"bad before \(too many errors\); build another version"):
        activated(state, B, 7)
    assert rejected(state, B, "again", 8) == state


def test_what_is_current_cannot_be_rejected():
    with pytest.raises(StoreError, match="roll back"):
        rejected(current(A), A, "no", 5)


def test_a_rejected_candidate_that_was_the_previous_bundle_is_not_gone_back_to():
    state = rejected(activated(current(A, B), A, 5), A, "no", 6)
    assert (state.current, state.previous) == (B, None)


def test_a_rollback_goes_back_once():
    state = rolled_back(current(A, B), "wrong answers", 5)
    assert (state.current, state.previous, state.why_bad(B)) == (A, None, "wrong answers")
    assert state.history[-1] == (5, "rolled_back", B)
    with pytest.raises(StoreError, match="no previous bundle"):
        rolled_back(state, "again", 6)


def test_a_rollback_leaves_another_candidate_as_it_is():
    state = rolled_back(activated(current(A, B), C, 5), "no", 6)
    assert (state.current, state.candidate) == (A, Candidate(C, 3))
    state = rolled_back(activated(current(A, B), A, 5), "no", 6)
    assert (state.current, state.candidate) == (A, None)


def test_only_the_candidate_is_confirmed_and_only_once():
    state = current(A)
    assert confirmed(state, A, 9) == state
    with pytest.raises(StoreError, match="another took its place"):
        confirmed(activated(state, B, 5), C, 6)
    with pytest.raises(StoreError, match="it was slow"):
        confirmed(rejected(activated(state, B, 5), B, "it was slow", 6), B, 7)


def test_a_floor_never_falls():
    state = published(State(), 1, ROOT, {"timestamp": 5}, 100)
    assert published(state, 2, ROOT, {"timestamp": 5}, 100).floors == {"timestamp": 5}
    with pytest.raises(StoreError, match="version 4 of timestamp is older than version 5"):
        published(state, 2, ROOT, {"timestamp": 4}, 100)


def test_a_role_that_metadata_does_not_name_keeps_its_floor():
    state = published(State(), 1, ROOT, {"bundle-a": 5}, 100)
    assert published(state, 2, ROOT, {"bundle-b": 1}, 100).floors == {"bundle-a": 5, "bundle-b": 1}


def test_the_time_at_which_metadata_was_fresh_never_goes_back():
    assert seen(seen(State(), 100), 50).seen_s == 100


def test_as_many_floors_are_remembered_as_the_limit_says():
    roles = {f"bundle-{number}": 1 for number in range(LIMITS.store_floors_max)}
    assert published(State(), 1, ROOT, roles, 1).floors == roles
    with pytest.raises(StoreError, match="17 roles; at most 16"):
        published(State(), 1, ROOT, roles | {"more": 1}, 1)


def test_the_name_of_a_role_may_be_as_long_as_the_limit_says():
    published(State(), 1, ROOT, {"r" * LIMITS.store_role_max_bytes: 1}, 1)
    with pytest.raises(StoreError, match="longer than 128 bytes"):
        published(State(), 1, ROOT, {"r" * (LIMITS.store_role_max_bytes + 1): 1}, 1)


@pytest.mark.parametrize(
    ("why", "kept"),
    [
        ("x" * LIMITS.store_why_max_bytes, "x" * 64),
        ("x" * (LIMITS.store_why_max_bytes + 1), "x" * 64),
        ("x" * 63 + "é", "x" * 63),
        ("\ud800", "?"),
    ],
    ids=["at the limit", "one past it", "within a letter", "a lone surrogate"],
)
def test_a_reason_is_cut_where_it_is_too_long(why, kept):
    assert rejected(State(), A, why, 1).why_bad(A) == kept


def test_the_oldest_bad_and_happenings_are_forgotten():
    state = State()
    digests = [f"sha256:{number:064x}" for number in range(LIMITS.store_bad_max + 1)]
    for at, digest in enumerate(digests):
        state = rejected(activated(state, digest, at), digest, "no", at)
    assert [bad.digest for bad in state.bad] == digests[1:]
    assert len(state.history) == LIMITS.store_history_max
    assert state.history[0].digest == digests[1]


digests = st.sampled_from([f"sha256:{number:064x}" for number in range(20)])
times = st.integers(-(2**40), 2**40)


class AnyOrder(RuleBasedStateMachine):
    """Changes in any order, each written to a sector and read back."""

    def __init__(self) -> None:
        super().__init__()
        self.state = State()
        self.was_bad: dict[str, int] = {}

    def take(self, change, *arguments) -> None:
        before = self.state
        try:
            after = change(before, *arguments)
        except StoreError:
            return
        assert after.candidate is None or before.why_bad(after.candidate.digest) is None, "nothing bad is activated"
        assert after.current in {before.current, before.previous, before.candidate and before.candidate.digest}
        assert all(after.floors[role] >= floor for role, floor in before.floors.items())
        assert after.seen_s >= before.seen_s
        assert after.metadata >= before.metadata
        self.state = decode_sector(encode_sector(after))

    @rule(digest=digests, now_s=times)
    def activate(self, digest, now_s):
        self.take(activated, digest, now_s)

    @rule()
    def start(self):
        if self.state.candidate is not None:
            self.take(started, self.state.candidate.digest)

    @rule(now_s=times)
    def confirm_the_candidate(self, now_s):
        if self.state.candidate is not None:
            self.take(confirmed, self.state.candidate.digest, now_s)

    @rule(digest=digests, now_s=times)
    def confirm_any(self, digest, now_s):
        self.take(confirmed, digest, now_s)

    @rule(digest=digests, why=st.text(max_size=80), now_s=times)
    def reject(self, digest, why, now_s):
        self.take(rejected, digest, why, now_s)

    @rule(why=st.text(max_size=80), now_s=times)
    def roll_back(self, why, now_s):
        self.take(rolled_back, why, now_s)

    @rule(
        versions=st.dictionaries(st.sampled_from([f"role-{i}" * 8 for i in range(20)]), st.integers(1, 9), max_size=5),
        seen_s=st.integers(0, 2**40),
    )
    def publish(self, versions, seen_s):
        self.take(published, self.state.metadata + 1, ROOT, versions, seen_s)

    @rule(seen_s=st.integers(0, 2**40))
    def see(self, seen_s):
        self.take(seen, seen_s)

    @invariant()
    def it_is_sound(self):
        assert_sound(self.state)


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = settings(max_examples=40, stateful_step_count=30)


@given(st.text())
def test_a_reason_is_always_one_that_fits(why):
    kept = rejected(State(), A, why, 1).why_bad(A)
    assert len(kept.encode()) <= LIMITS.store_why_max_bytes
    assert why.startswith(kept)
