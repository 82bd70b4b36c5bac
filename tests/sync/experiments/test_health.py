"""Health: published sample ratios, exact tests, and that what is broken is found while what is not goes free."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from edgerun_sync.errors import ExperimentError
from edgerun_sync.experiments.comparing import contrast
from edgerun_sync.experiments.facts import DeviceClocks
from edgerun_sync.experiments.health import (
    CLOCK_SKEWED_MAX_SHARE,
    MISASSIGNED_MAX_SHARE,
    SEVERAL_ARMS_MAX_SHARE,
    assignment_audit,
    clock_skew,
    label_rate,
    minimum_duration,
    pre_period_imbalance,
    reporting_rate,
    several_arms,
)
from edgerun_sync.experiments.metrics import Mean
from edgerun_sync.experiments.moments import moments_of
from edgerun_sync.experiments.proportions import equal_shares_p
from edgerun_sync.experiments.sample_ratio import PhaseCounts, log_likelihood_ratio, sample_ratio

HALVES = {"control": 50, "challenger": 50}


def phase(name="1.0.0", weights=HALVES, **counts):
    return PhaseCounts(name, counts, weights)


# The sample ratio.


def test_a_published_sample_ratio_mismatch():
    """Source: Kohavi, Tang and Xu, "Trustworthy Online Controlled Experiments" (2020), chapter 21: 821,588 users in the
    control and 815,482 in the treatment of an even split, a ratio of 0.993, have p = 1.8e-6."""
    found = sample_ratio([phase(control=821_588, challenger=815_482)])
    assert found.numbers["chi_square_p"] == pytest.approx(1.8e-6, abs=0.05e-6)
    assert found.numbers["sequential_p"] < 0.001
    assert not found.is_ok
    assert "815,482 where 818,535 were due" in found.sentence


@given(st.lists(st.integers(10, 5000), min_size=2, max_size=5))
def test_chi_square_is_that_of_scipy(counts):
    weights = {str(arm): arm + 1 for arm in range(len(counts))}
    found = sample_ratio([PhaseCounts("1", dict(zip(weights, counts, strict=True)), weights)])
    expected = np.array([*weights.values()]) / sum(weights.values()) * sum(counts)
    if expected.min() >= 5:
        assert found.numbers["chi_square_p"] == pytest.approx(stats.chisquare(counts, expected).pvalue, rel=1e-9)
    else:
        assert found.numbers["chi_square_p"] is None


@pytest.mark.parametrize("shares", [(0.5, 0.5), (0.1, 0.3, 0.6)])
def test_the_sequential_test_is_a_fair_bet(shares):
    """The mean of the likelihood ratio under the split is 1 after any number of units: summed over all counts."""
    units, mean = 12, 0.0
    for counts in itertools.product(range(units + 1), repeat=len(shares)):
        if sum(counts) == units:
            chance = stats.multinomial.pmf(counts, units, shares)
            mean += chance * math.exp(log_likelihood_ratio(counts, shares))
    assert mean == pytest.approx(1.0, rel=1e-9)


@pytest.mark.slow
def test_looked_at_after_every_hundred_units_it_is_wrong_less_often_than_it_promises():
    """Seed 5: 300 experiments of 20,000 units, 200 looks each, at a level of 5 %."""
    rng = np.random.default_rng(5)
    wrong = 0
    for _ in range(300):
        counts = rng.binomial(100, 0.2, 200).cumsum().tolist()
        worst = max(
            log_likelihood_ratio((count, 100 * look - count), (0.2, 0.8)) for look, count in enumerate(counts, 1)
        )
        wrong += worst > math.log(20)
    print(f"seed 5: {wrong / 300:.3f} of experiments had p < 0.05 at one of 200 looks")
    assert wrong / 300 <= 0.05


@pytest.mark.parametrize("units", [3000, 300_000])
def test_a_lost_part_of_an_arm_is_found(units):
    lost = 0.2 if units < 10_000 else 0.02
    found = sample_ratio([phase(control=units, challenger=round(units * (1 - lost)))])
    assert not found.is_ok
    assert found.numbers["sequential_p"] < 0.001


def test_a_ramp_is_no_alarm():
    ramp = [
        phase("1", {"control": 99, "challenger": 1}, control=9900, challenger=100),
        phase("2", control=500, challenger=500),
    ]
    found = sample_ratio(ramp)
    assert found.is_ok
    assert found.numbers["sequential_p in 1"] > 0.5
    together = sample_ratio([phase(control=10_400, challenger=600)])
    assert not together.is_ok


def test_the_phase_that_is_wrong_is_named():
    found = sample_ratio([phase("right", control=500, challenger=500), phase("wrong", control=600, challenger=400)])
    assert not found.is_ok
    assert found.sentence.startswith("In wrong, control has 600 where 500 were due")
    assert found.numbers["chi_square_p in right"] == 1


def test_arms_of_weight_0_are_not_counted():
    weights = {**HALVES, "old": 0}
    found = sample_ratio([phase("1", weights, control=500, challenger=500, old=37)])
    assert found.is_ok
    assert (found.numbers["units"], found.numbers["units_of_weight_0"]) == (1000, 37)


def test_an_arm_without_any_unit_is_found_and_one_arm_alone_is_no_ratio():
    assert not sample_ratio([phase(control=500)]).is_ok
    assert sample_ratio([phase("1", {"control": 1}, control=500)]).is_ok
    assert sample_ratio([]).is_ok


@pytest.mark.parametrize(
    "wrong",
    [phase(control=1, other=1), phase(control=-1), phase("1", {"control": 0}, control=1), phase("1", {"control": -1})],
)
def test_counts_that_cannot_be_are_refused(wrong):
    with pytest.raises(ExperimentError):
        sample_ratio([wrong])


# Shares of units.


@given(st.integers(0, 30), st.integers(0, 30), st.integers(1, 30), st.integers(1, 30))
def test_two_arms_are_compared_by_an_exact_test(a, b, a_more, b_more):
    found = equal_shares_p([a, b], [a + a_more, b + b_more])
    theirs = [stats.fisher_exact([[a, a_more], [b, b_more]], alternative=side).pvalue for side in ("less", "greater")]
    assert found == pytest.approx(min(1.0, 2 * min(theirs)), rel=1e-7)


def test_many_units_are_compared_by_chi_square():
    did, of = [50_100, 24_000, 10_200], [100_000, 50_000, 20_000]
    table = np.array([did, np.subtract(of, did)])
    assert equal_shares_p(did, of) == pytest.approx(stats.chi2_contingency(table, correction=False).pvalue, rel=1e-9)


def test_few_that_fell_silent_in_a_small_arm_are_no_alarm_of_chi_squares_kind():
    """4 of 8 silent units in an arm of a tenth: chi-square says p = 0.0002, and chance says 0.01."""
    found = reporting_rate({"control": 1796, "challenger": 196}, {"control": 1800, "challenger": 200})
    assert stats.chi2_contingency([[4, 4], [1796, 196]], correction=False).pvalue < 0.001
    assert found.numbers["p"] > 0.005
    assert found.is_ok


def test_an_arm_whose_devices_fall_silent_is_found():
    found = reporting_rate({"control": 198, "challenger": 170}, {"control": 200, "challenger": 200})
    assert not found.is_ok
    assert found.stops == "verdict"
    assert "challenger 85 % (170 of 200)" in found.sentence


def test_three_arms_of_which_one_falls_silent():
    assert not reporting_rate({"a": 200, "b": 199, "c": 160}, {"a": 200, "b": 200, "c": 200}).is_ok
    assert reporting_rate({"a": 190, "b": 189, "c": 191}, {"a": 200, "b": 200, "c": 200}).is_ok


def labelled(seed, rate, units=300):
    rng = np.random.default_rng(seed)
    calls = rng.poisson(20, units) + 1
    return moments_of({"calls": calls, "labels": rng.binomial(calls, rate)})


def test_labels_that_come_more_to_one_arm_are_found():
    alike = label_rate({"control": labelled(1, 0.3), "a": labelled(2, 0.3)}, "control", "labels", "calls")
    apart = label_rate({"control": labelled(1, 0.3), "a": labelled(2, 0.25)}, "control", "labels", "calls")
    assert alike.is_ok
    assert not apart.is_ok
    assert "control 30" in apart.sentence


def test_labels_of_every_call_and_of_none_are_alike():
    for rate in (0.0, 1.0):
        arms = {"control": labelled(1, rate), "a": labelled(2, rate)}
        assert label_rate(arms, "control", "labels", "calls").is_ok


def test_labels_of_every_call_of_one_arm_and_of_none_of_the_other_are_found():
    arms = {"control": labelled(1, 1.0), "a": labelled(2, 0.0)}
    assert label_rate(arms, "control", "labels", "calls").numbers["p"] == 0


def test_units_in_several_arms_are_found_beyond_one_in_a_thousand():
    assert several_arms(10, round(10 / SEVERAL_ARMS_MAX_SHARE)).is_ok
    assert not several_arms(11, round(10 / SEVERAL_ARMS_MAX_SHARE)).is_ok


def test_wrong_assignments_are_found_beyond_one_in_a_thousand_and_so_is_no_audit_at_all():
    assert assignment_audit(10, round(10 / MISASSIGNED_MAX_SHARE)).is_ok
    assert not assignment_audit(11, round(10 / MISASSIGNED_MAX_SHARE)).is_ok
    assert not assignment_audit(0, 0).is_ok


def test_clocks_may_be_wrong_a_little_and_alike():
    devices = {"control": 1000, "a": 1000}
    some = round(1000 * CLOCK_SKEWED_MAX_SHARE)
    assert clock_skew({"control": some, "a": some}, devices).is_ok
    assert not clock_skew({"control": some, "a": some + 1}, devices).is_ok
    assert not clock_skew({"control": 0, "a": 30}, devices).is_ok
    assert clock_skew({}, devices).is_ok


def test_a_device_that_is_in_both_arms_is_one_device():
    """51 of 1000 devices have a wrong clock, and 40 of them are in both arms, as all others are."""
    skewed, devices = {"control": 45, "a": 46}, {"control": 1000, "a": 1000}
    found = clock_skew(skewed, devices, DeviceClocks(1000, 51))
    assert clock_skew(skewed, devices).is_ok
    assert not found.is_ok
    assert found.sentence.startswith("51 of 1,000 devices have a clock that cannot be repaired")
    with pytest.raises(ExperimentError, match="1001 of 1000"):
        clock_skew(skewed, devices, DeviceClocks(1000, 1001))


def test_arms_that_were_unlike_before_are_found():
    rng = np.random.default_rng(4)
    control, alike, unlike = (moments_of({"x": rng.normal(mean, 1, 500)}) for mean in (0, 0, 0.3))
    good = {"errors in a": contrast(Mean("x"), alike, control)}
    assert pre_period_imbalance(good).is_ok
    found = pre_period_imbalance(good | {"errors in b": contrast(Mean("x"), unlike, control)})
    assert not found.is_ok
    assert "errors in b differed by 0.3" in found.sentence
    assert pre_period_imbalance({}).is_ok


def test_a_short_experiment_stops_only_shipping():
    assert minimum_duration(14, 14).is_ok
    found = minimum_duration(13.9, 14)
    assert (found.is_ok, found.stops) == (False, "ship")


@pytest.mark.parametrize(
    "call",
    [
        lambda: reporting_rate({"a": 2}, {"a": 1}),
        lambda: reporting_rate({"b": 1}, {"a": 1}),
        lambda: reporting_rate({"a": -1}, {"a": 1}),
        lambda: several_arms(2, 1),
        lambda: assignment_audit(-1, 1),
        lambda: clock_skew({"a": 2}, {"a": 1}),
        lambda: minimum_duration(-1, 7),
        lambda: label_rate({"a": labelled(1, 0.5)}, "control", "labels", "calls"),
    ],
)
def test_counts_that_contradict_themselves_are_refused(call):
    with pytest.raises(ExperimentError):
        call()
