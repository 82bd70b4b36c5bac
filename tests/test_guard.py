"""A breaker opens after failures in a row, lets trials run in its time, and closes after good ones in a row."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from edgerun import BreakerPolicy, EdgeRunner
from edgerun.errors import InputError
from edgerun.guard import Breaker
from support import models
from support.serve import write_bundle


@dataclass
class Clock:
    """A clock that stands still until told."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


def opened(clock, **policy):
    """A breaker that has just opened."""
    breaker = Breaker(BreakerPolicy(**policy), clock)
    while not breaker.is_open:
        breaker.record_failure()
    return breaker


# One behaviour at a time.


def test_a_breaker_is_closed_at_first(clock):
    breaker = Breaker(BreakerPolicy(), clock)
    assert not breaker.is_open
    assert breaker.failures == 0
    assert not breaker.claim_trial()


@pytest.mark.parametrize("failures", [1, 2, 5])
def test_it_opens_at_the_last_of_so_many_failures_in_a_row(clock, failures):
    breaker = Breaker(BreakerPolicy(failures=failures), clock)
    for _ in range(failures - 1):
        breaker.record_failure()
        assert not breaker.is_open
    breaker.record_failure()
    assert breaker.is_open


def test_a_success_between_failures_starts_the_count_again(clock):
    breaker = Breaker(BreakerPolicy(failures=2), clock)
    for _ in range(10):
        breaker.record_failure()
        breaker.record_success()
    assert not breaker.is_open
    assert breaker.failures == 0


def test_a_late_success_does_not_close_it(clock):
    breaker = opened(clock)
    breaker.record_success()
    assert breaker.is_open


def test_a_late_failure_neither_opens_it_twice_nor_puts_the_trial_off(clock):
    breaker = opened(clock, retry_after_s=30)
    clock.now += 29
    breaker.record_failure()
    clock.now += 1
    assert breaker.claim_trial()


def test_the_first_trial_is_due_when_the_time_is_over_and_not_before(clock):
    breaker = opened(clock, retry_after_s=30)
    assert not breaker.claim_trial()
    clock.now += 29.999
    assert not breaker.claim_trial()
    clock.now += 0.001
    assert breaker.claim_trial()


def test_a_trial_is_claimed_once(clock):
    breaker = opened(clock, retry_after_s=30)
    clock.now += 30
    assert [breaker.claim_trial() for _ in range(3)] == [True, False, False]


def test_a_trial_that_never_reports_is_tried_again_after_the_same_time(clock):
    breaker = opened(clock, retry_after_s=30)
    clock.now += 30
    assert breaker.claim_trial()
    clock.now += 29
    assert not breaker.claim_trial()
    clock.now += 1
    assert breaker.claim_trial()


def test_a_trial_that_is_returned_is_due_again_at_once(clock):
    breaker = opened(clock, retry_after_s=30)
    clock.now += 30
    assert breaker.claim_trial()
    breaker.return_trial()
    assert breaker.claim_trial()
    assert not breaker.claim_trial()


def test_a_good_trial_may_be_followed_by_the_next_at_once(clock):
    breaker = opened(clock, trials=2)
    clock.now += 30
    assert breaker.claim_trial()
    breaker.record_trial(good=True)
    assert breaker.claim_trial()


def test_a_failed_trial_waits_the_whole_time_from_its_failure(clock):
    breaker = opened(clock, retry_after_s=30)
    clock.now += 30
    assert breaker.claim_trial()
    clock.now += 20  # a slow trial
    breaker.record_trial(good=False)
    clock.now += 29
    assert not breaker.claim_trial()
    clock.now += 1
    assert breaker.claim_trial()


@pytest.mark.parametrize("trials", [1, 3])
def test_it_closes_at_the_last_of_so_many_good_trials_in_a_row(clock, trials):
    breaker = opened(clock, trials=trials)
    for _ in range(trials - 1):
        breaker.record_trial(good=True)
        assert breaker.is_open
    breaker.record_trial(good=True)
    assert not breaker.is_open
    assert breaker.failures == 0


def test_a_failed_trial_starts_the_count_of_good_ones_again(clock):
    breaker = opened(clock, trials=2)
    for good in (True, False, True):
        breaker.record_trial(good=good)
    assert breaker.is_open
    breaker.record_trial(good=True)
    assert not breaker.is_open


def test_after_closing_it_takes_as_many_failures_as_ever_to_open(clock):
    breaker = opened(clock, failures=2, trials=1)
    breaker.record_trial(good=True)
    breaker.record_failure()
    assert not breaker.is_open
    breaker.record_failure()
    assert breaker.is_open


def test_a_breaker_that_opens_again_counts_its_trials_anew(clock):
    breaker = opened(clock, failures=1, trials=2)
    breaker.record_trial(good=True)
    breaker.record_trial(good=True)
    breaker.record_failure()
    breaker.record_trial(good=True)
    assert breaker.is_open


@pytest.mark.parametrize("good", [True, False])
def test_a_trial_that_ends_after_closing_changes_nothing(clock, good):
    breaker = Breaker(BreakerPolicy(failures=2), clock)
    breaker.record_failure()
    breaker.record_trial(good=good)
    assert breaker.failures == 1
    assert not breaker.is_open


def test_of_many_threads_exactly_one_gets_the_trial(clock):
    breaker = opened(clock, retry_after_s=30)
    clock.now += 30
    start, claims = threading.Barrier(8), []

    def claim():
        start.wait()
        claims.append(breaker.claim_trial())

    threads = [threading.Thread(target=claim) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(claims) == [False] * 7 + [True]


def test_failures_of_many_threads_are_all_counted(clock):
    breaker = Breaker(BreakerPolicy(failures=8 * 500), clock)
    threads = [threading.Thread(target=lambda: [breaker.record_failure() for _ in range(500)]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert breaker.failures == 8 * 500
    assert breaker.is_open


# The policy.


@pytest.mark.parametrize("name", ["failures", "trials"])
@pytest.mark.parametrize("count", [0, -1, 1.0, float("nan"), "1", None, True])
def test_a_policy_counts_from_one(name, count):
    with pytest.raises(InputError, match=rf"^BreakerPolicy: {name} must be an integer of 1 or more, got "):
        Breaker(BreakerPolicy(**{name: count}))


@pytest.mark.parametrize(
    "seconds", [-1, float("nan"), float("inf"), "30", None, True, pytest.param(10**400, id="huge")]
)
def test_a_policy_waits_for_a_time_that_passes(seconds):
    with pytest.raises(InputError, match=r"^BreakerPolicy: retry_after_s must be a number of seconds, 0 or more, got "):
        Breaker(BreakerPolicy(retry_after_s=seconds))


def test_a_runner_is_not_opened_with_a_policy_that_cannot_be_meant(tmp_path):
    folder = write_bundle(tmp_path / "b", models.steady())
    with pytest.raises(InputError, match=r"^BreakerPolicy: failures must be"):
        EdgeRunner.open(folder, breaker=BreakerPolicy(failures=0))


def test_a_policy_may_retry_at_once(clock):
    assert opened(clock, retry_after_s=0).claim_trial()


def test_a_policy_cannot_be_changed():
    with pytest.raises(AttributeError):
        BreakerPolicy().failures = 1


# Any history, against a model that is as plain as can be.


@dataclass
class Model:
    """What a breaker should be, told as a log of what happened since it last opened or closed."""

    policy: BreakerPolicy
    failures_in_a_row: int = 0
    is_open: bool = False
    waits_until: float = 0.0
    trials: list[bool] = field(default_factory=list)

    def good_in_a_row(self) -> int:
        return [*reversed(self.trials), False].index(False)


class AnyHistory(RuleBasedStateMachine):
    @initialize(failures=st.integers(1, 4), trials=st.integers(1, 3), retry=st.sampled_from([0, 1, 30]))
    def make(self, failures, trials, retry):
        policy = BreakerPolicy(failures=failures, trials=trials, retry_after_s=retry)
        self.clock = Clock()
        self.breaker, self.model = Breaker(policy, self.clock), Model(policy)

    @rule(seconds=st.sampled_from([0.5, 1, 29, 30, 1000]))
    def time_passes(self, seconds):
        self.clock.now += seconds

    @rule()
    def a_served_run_fails(self):
        self.breaker.record_failure()
        self.model.failures_in_a_row += 1
        if not self.model.is_open and self.model.failures_in_a_row == self.model.policy.failures:
            self.model.is_open, self.model.trials = True, []
            self.model.waits_until = self.clock.now + self.model.policy.retry_after_s

    @rule()
    def a_served_run_is_good(self):
        self.breaker.record_success()
        if not self.model.is_open:
            self.model.failures_in_a_row = 0

    @rule()
    def a_trial_is_asked_for(self):
        due = self.model.is_open and self.clock.now >= self.model.waits_until
        assert self.breaker.claim_trial() == due
        if due:
            self.model.waits_until = self.clock.now + self.model.policy.retry_after_s

    @precondition(lambda self: self.model.is_open)
    @rule(good=st.booleans())
    def a_trial_ends(self, good):
        self.breaker.record_trial(good=good)
        self.model.trials.append(good)
        self.model.waits_until = self.clock.now + (0 if good else self.model.policy.retry_after_s)
        if self.model.good_in_a_row() == self.model.policy.trials:
            self.model.is_open, self.model.failures_in_a_row = False, 0

    @precondition(lambda self: not self.model.is_open)
    @rule(good=st.booleans())
    def a_trial_ends_too_late(self, good):
        self.breaker.record_trial(good=good)

    @invariant()
    def breaker_and_model_agree(self):
        if hasattr(self, "model"):
            assert self.breaker.is_open == self.model.is_open
            assert self.breaker.failures == self.model.failures_in_a_row


TestAnyHistory = AnyHistory.TestCase
TestAnyHistory.settings = settings(max_examples=100, stateful_step_count=40)
