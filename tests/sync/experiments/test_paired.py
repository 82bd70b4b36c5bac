"""Paired tests: published and hand-worked values, statsmodels, calibration where calls of a device hang together."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from statsmodels.stats.contingency_tables import mcnemar as peer

from edgerun_sync.errors import ExperimentError
from edgerun_sync.experiments.moments import merge
from edgerun_sync.experiments.paired import (
    mcnemar,
    mcnemar_corrected,
    mcnemar_mid_p,
    obuchowski,
    paired_difference,
    paired_moments,
)
from support.fleets import CALLS, UNITS, binomial_bounds, chances

THYROIDS = [
    *[(2, 3), (1, 3), (0, 3), (0, 1), (1, 3), (0, 4), (0, 3), (0, 2), (-1, 2), (0, 1), (0, 3)],
    *[(0, 2), (0, 3), (0, 2), (2, 2), (0, 3), (0, 3), (1, 3), (0, 2), (0, 1), (0, 2)],
]
"""Glands that only SPECT found less those that only PET found, and all glands, of 21 patients: the example of
Obuchowski (1998), as the R package clust.bin.pair 0.1.2 publishes it in its data set `thyroids`."""

PSYCHIATRY = (
    [0, 1, 1, 1, 0, 3, 3, 3, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 3, 1, 1, 2, 0, 0, 0, 0, 0, 0, 0],
    [4, 2, 3, 2, 1, 3, 0, 2, 2, 4, 2, 4, 3, 2, 1, 3, 1, 2, 0, 0, 0, 2, 1, 2, 2, 0, 0, 1, 1],
    [7, 6, 7, 6, 4, 6, 5, 8, 4, 7, 3, 6, 7, 6, 5, 4, 6, 5, 4, 3, 5, 4, 4, 2, 3, 2, 2, 3, 1],
)
"""Patients of 29 psychiatrists of whom only the one said so, only the other, and all: the example of Durkalski et al.
(2003), as the same package publishes it in its data set `psychiatry`."""

COUNTS = st.integers(0, 200)
UNITS_COUNTS = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9), st.integers(0, 9)), min_size=2, max_size=20)


def of(units):
    only, other, alike = np.array(units).T
    return paired_moments(only, other, only + other + alike)


def thyroids():
    surplus, glands = np.array(THYROIDS).T
    return paired_moments(np.maximum(-surplus, 0), np.maximum(surplus, 0), glands)


# McNemar.


def test_the_corrected_statistic_is_the_one_that_r_publishes():
    # R: mcnemar.test(matrix(c(101, 121, 59, 33), nrow = 2)), which corrects unless told otherwise; quoted by
    # statsmodels, stats/tests/test_nonparametric.py, test_mcnemar_chisquare.
    found = mcnemar_corrected(121, 59)
    assert found.statistic == pytest.approx(20.67222, abs=5e-6)
    assert found.p_value == pytest.approx(5.450095e-06, rel=1e-6)


def test_without_the_correction_the_same_table_gives_3844_over_180():
    found = mcnemar(121, 59)
    assert found.statistic == pytest.approx(3844 / 180, rel=1e-14)
    assert found.statistic == pytest.approx(21.36, abs=0.005)


@given(COUNTS, COUNTS)
def test_the_tests_are_those_of_statsmodels(b, c):
    assume(b + c)
    table = [[10, b], [c, 10]]
    for ours, corrects in ((mcnemar(b, c), False), (mcnemar_corrected(b, c), True)):
        expected = peer(table, exact=False, correction=corrects)
        if corrects and b == c:  # there statsmodels corrects to beyond 0
            assert ours.p_value == 1
            continue
        assert ours.statistic == pytest.approx(expected.statistic, rel=1e-12)
        assert ours.p_value == pytest.approx(expected.pvalue, rel=1e-9, abs=1e-300)


@given(COUNTS, COUNTS)
def test_the_mid_p_value_is_the_exact_one_less_half_of_what_was_seen_on_each_side(b, c):
    assume(b + c)
    exact = peer([[0, b], [c, 0]], exact=True).pvalue
    seen = float(Fraction(math.comb(b + c, b), 2 ** (b + c)))
    expected = 1.0 if b == c else exact - seen
    assert mcnemar_mid_p(b, c).p_value == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("test", [mcnemar, mcnemar_corrected, mcnemar_mid_p])
def test_models_that_never_differ_are_no_evidence(test):
    assert test(0, 0).p_value == 1


@pytest.mark.parametrize("test", [mcnemar, mcnemar_corrected, mcnemar_mid_p])
def test_a_negative_count_is_refused(test):
    with pytest.raises(ExperimentError, match="at least 0"):
        test(-1, 3)


# Obuchowski.


def test_the_glands_give_the_statistic_worked_out_by_hand():
    # The surplus is 6 and its squares sum to 12 over 21 patients: 20/21 * 36/12.
    assert obuchowski(thyroids()).statistic == pytest.approx(20 / 7, rel=1e-12)
    assert mcnemar(1, 7).statistic == 4.5  # what Durkalski et al. (2003) give for these glands


def test_psychiatrists_give_a_smaller_statistic_than_their_patients_taken_apart():
    only, other, patients = PSYCHIATRY
    assert mcnemar(sum(only), sum(other)).statistic == pytest.approx(11.85, abs=0.005)  # the package's tests
    found = obuchowski(paired_moments(only, other, patients))
    assert found.statistic == pytest.approx(in_full(list(zip(*PSYCHIATRY, strict=True))), rel=1e-12)
    assert found.statistic < 11.85


def in_full(units):
    """Obuchowski's statistic as her paper has it: ratio estimators, variance of the pooled share, in rationals."""
    k, total = len(units), sum(n for _, _, n in units)
    first, second = sum(b for b, _, _ in units), sum(c for _, c, _ in units)
    pooled = Fraction(first + second, 2 * total)
    away = [(b - n * pooled, c - n * pooled) for b, c, n in units]
    one, two, both = (sum(x) for x in zip(*((p * p, q * q, p * q) for p, q in away), strict=True))
    variance = Fraction(k, k - 1) * (one + two - 2 * both) / total**2
    return Fraction(first - second, total) ** 2 / variance


@given(UNITS_COUNTS)
def test_the_statistic_is_that_of_the_full_formula(units):
    assume(any(b != c for b, c, _ in units))
    counts = [(b, c, b + c + alike) for b, c, alike in units]
    assert obuchowski(of(units)).statistic == pytest.approx(float(in_full(counts)), rel=1e-9, abs=1e-12)


@given(UNITS_COUNTS)
def test_swapping_the_models_changes_only_the_sign(units):
    assume(any(b + c + alike for b, c, alike in units))
    swapped = [(c, b, alike) for b, c, alike in units]
    assert obuchowski(of(units)).p_value == pytest.approx(obuchowski(of(swapped)).p_value)
    assert paired_difference(of(units)).value == pytest.approx(-paired_difference(of(swapped)).value)


def test_with_one_call_a_unit_it_is_mcnemars_but_for_the_factor():
    units = [(1, 0, 0)] * 30 + [(0, 1, 0)] * 14 + [(0, 0, 1)] * 56
    assert obuchowski(of(units)).statistic == pytest.approx(0.99 * mcnemar(30, 14).statistic)


def test_moments_of_days_put_together_give_the_same_test():
    only, other, patients = (np.array(counts) for counts in PSYCHIATRY)
    parts = [paired_moments(only[part], other[part], patients[part]) for part in (slice(0, 11), slice(11, None))]
    whole = obuchowski(paired_moments(only, other, patients))
    assert obuchowski(merge(parts)).statistic == pytest.approx(whole.statistic)


def test_units_that_never_differ_are_no_evidence():
    found = of([(0, 0, 5)] * 4)
    assert obuchowski(found).p_value == 1
    assert np.isnan(paired_difference(found).p_value)


# Calibration.


def fleets(rng, fleets):
    """Counts [fleets, units] of calls that only one model got right; where they differ hangs together in a device."""
    differing = rng.binomial(CALLS, chances(rng, 0.2, (fleets, UNITS)))
    only = rng.binomial(differing, chances(rng, 0.5, (fleets, UNITS)))
    return only, differing - only


def test_the_false_alarms_of_models_that_are_alike_are_one_in_twenty():
    seed, runs = 20261, 1000
    only, other = fleets(np.random.default_rng(seed), runs)
    found = [paired_moments(a, b, np.full(UNITS, CALLS)) for a, b in zip(only, other, strict=True)]
    alarms = sum(obuchowski(moments).p_value < 0.05 for moments in found)
    missed = sum(paired_difference(moments).p_value < 0.05 for moments in found)
    naive = sum(mcnemar(int(a.sum()), int(b.sum())).p_value < 0.05 for a, b in zip(only, other, strict=True))
    print(f"seed {seed}: of {runs}, Obuchowski {alarms}, interval {missed}, McNemar {naive}")
    low, high = binomial_bounds(runs, 0.05)
    assert low <= alarms <= high
    assert low <= missed <= high
    assert naive > high  # why it is not used on devices with many calls


def test_the_interval_of_the_difference_holds_the_true_one_in_19_of_20_fleets():
    seed, runs = 20262, 1000
    rng = np.random.default_rng(seed)
    calls = 1 + rng.poisson(CALLS - 1, (runs, UNITS))
    differing = rng.binomial(calls, chances(rng, 0.2, (runs, UNITS)))
    better = rng.binomial(differing, chances(rng, 0.6, (runs, UNITS)))
    held = 0
    for new, all_of, pairs in zip(better, differing, calls, strict=True):
        found = paired_difference(paired_moments(all_of - new, new, pairs))
        held += found.low <= 0.2 * (0.6 - 0.4) <= found.high
    print(f"seed {seed}: {held} of {runs}")
    low, high = binomial_bounds(runs, 0.95)
    assert low <= held <= high
