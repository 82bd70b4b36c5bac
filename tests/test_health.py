"""What serves is judged by its recent calls: by enough of them, and by no older ones than that takes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgerun import HealthPolicy, InputError, ModelError
from edgerun.health import FailedCalls, Health, Sample

POLICY = HealthPolicy(calls_min=100, window_s=60)


def health_of(samples, policy=POLICY):
    health = Health(policy, Sample(*samples[0]))
    for sample in samples[1:]:
        health.observe(Sample(*sample))
    return health


STEPS = st.lists(
    st.tuples(st.floats(0.01, 40), st.integers(0, 80)).flatmap(
        lambda step: st.tuples(st.just(step[0]), st.just(step[1]), st.integers(0, step[1]))
    ),
    min_size=1,
    max_size=40,
)


@given(STEPS)
def test_the_window_is_the_shortest_that_is_long_enough_in_time_and_calls(steps):
    samples = [(0.0, 0, 0)]
    for seconds, calls, failed in steps:
        at_s, before, failed_before = samples[-1]
        samples.append((at_s + seconds, before + calls, failed_before + failed))
    health = health_of(samples)
    at_s, calls, failed = samples[-1]
    enough = [s for s in samples[:-1] if at_s - s[0] >= POLICY.window_s and calls - s[1] >= POLICY.calls_min]
    first = enough[-1] if enough else samples[0]
    assert health.calls == calls - first[1]
    assert health.share == pytest.approx((failed - first[2]) / (calls - first[1]) if calls > first[1] else 0)


@pytest.mark.parametrize(("calls", "failed", "is_bad"), [(99, 99, False), (100, 20, False), (100, 21, True)])
def test_the_limit_is_passed_by_one_call_more_than_it_allows(calls, failed, is_bad):
    assert health_of([(0, 0, 0), (1, calls, failed)]).is_bad(0.2) is is_bad


def test_an_old_good_bundle_that_starts_to_fail_is_noticed_within_a_window():
    samples = [(float(second), 1000 * second, 0) for second in range(3600)]
    health = health_of(samples)
    failing_s = 0
    while not health.is_bad(0.2):
        failing_s += 1
        health.observe(Sample(3599 + failing_s, 1000 * (3599 + failing_s), 1000 * failing_s))
    assert failing_s == 13


def test_a_second_of_trouble_in_a_busy_minute_is_forgiven_and_forgotten():
    samples = [(float(second), 1000 * second, 1000 * (second > 100)) for second in range(300)]
    health = health_of(samples[:110])
    assert health.share == pytest.approx(1 / 60)
    assert health_of(samples).share == 0


def test_no_calls_are_no_failure_but_failures_without_new_calls_are():
    assert health_of([(0, 5, 0), (1, 5, 0)]).share == 0
    assert health_of([(0, 5, 0), (1, 5, 1)]).share == 1
    assert health_of([(0, 5, 0), (1, 6, 3)]).share == 1


def test_many_quiet_hours_take_no_memory():
    health = health_of([(float(second), 0, 0) for second in range(10_000)])
    assert len(health._samples) == 2
    busy = health_of([(float(second), 1000 * second, 0) for second in range(10_000)])
    assert len(busy._samples) <= 62


def test_failed_calls_are_counted_by_whose_fault_they_may_be():
    failed = FailedCalls()
    failed.count_error(InputError("x"), 2)
    failed.count_error(ModelError("x"), 3)
    failed.count_fallbacks(4)
    assert (failed.refused, failed.raised, failed.fell_back) == (2, 3, 4)
