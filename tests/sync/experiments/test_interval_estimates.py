"""Estimates: intervals, Welch's difference and the delta method, against scipy and statsmodels."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from edgerun_sync.errors import ExperimentError
from edgerun_sync.experiments.comparing import contrast
from edgerun_sync.experiments.interval_estimates import (
    as_difference,
    contrast_of,
    difference,
    interval_estimate,
    ratio,
    smooth,
)
from edgerun_sync.experiments.metrics import Ratio
from edgerun_sync.experiments.moments import moments_of

SAMPLES = st.lists(st.floats(-100, 100), min_size=3, max_size=30).filter(lambda values: np.std(values) > 1e-3)


def mean_of(values):
    return ratio(moments_of({"x": values, "one": np.ones(len(values))}), {"x": 1}, "one", 0.05)


@given(SAMPLES)
def test_the_interval_of_a_mean_is_students(values):
    found = mean_of(values)
    low, high = stats.ttest_1samp(values, 0).confidence_interval()
    assert (found.low, found.high) == pytest.approx((low, high), rel=1e-6, abs=1e-6)


@given(SAMPLES, SAMPLES)
def test_the_difference_of_means_is_welchs(control, treatment):
    found = difference(mean_of(control), mean_of(treatment), 0.05)
    expected = stats.ttest_ind(treatment, control, equal_var=False)
    interval = expected.confidence_interval()
    assert found.degrees == pytest.approx(expected.df, rel=1e-6)
    assert found.statistic == pytest.approx(expected.statistic, rel=1e-6, abs=1e-9)
    assert found.p_value == pytest.approx(expected.pvalue, rel=1e-6)
    assert (found.low, found.high) == pytest.approx(tuple(interval), rel=1e-6, abs=1e-6)


def test_a_ratio_has_the_error_of_its_residuals():
    rng = np.random.default_rng(20308)
    y, x = rng.random(40), 1 + rng.random(40)
    found = ratio(moments_of({"y": y, "x": x}), {"y": 1}, "x", 0.05)
    residual = y - y.sum() / x.sum() * x
    assert found.value == pytest.approx(y.sum() / x.sum())
    assert found.standard_error == pytest.approx(residual.std(ddof=1) / np.sqrt(40) / x.mean())


def test_a_smooth_function_has_the_error_of_its_tangent():
    x = np.random.default_rng(20309).random(40)
    moments = moments_of({"x": x})
    found = smooth(moments, math.log(x.mean()), [1 / x.mean()], 0.05)
    assert found.standard_error == pytest.approx(x.std(ddof=1) / math.sqrt(40) / x.mean())


@pytest.mark.parametrize("alpha", [0.5, 0.05, 1e-6])
def test_a_smaller_alpha_is_a_wider_interval_around_the_same_value(alpha):
    found = interval_estimate(2.0, 0.25, math.inf, alpha)
    assert found.high - 2.0 == pytest.approx(0.5 * stats.norm.isf(alpha / 2))
    assert 2.0 - found.low == pytest.approx(found.high - 2.0)


def test_units_that_do_not_differ_say_nothing_of_others():
    found = mean_of(np.full(10, 3.0))
    assert found.value == 3
    assert math.isnan(found.low)
    assert math.isnan(difference(found, found, 0.05).p_value)
    varied = mean_of(np.arange(10.0))
    assert difference(found, varied, 0.05).degrees == pytest.approx(9)


def test_nothing_divided_by_nothing_is_nothing():
    found = ratio(moments_of({"y": [0, 0], "x": [0, 0]}), {"y": 1}, "x", 0.05)
    assert all(math.isnan(number) for number in (found.value, found.standard_error, found.low, found.high))
    assert math.isnan(as_difference(found).p_value)


def test_the_contrast_of_two_ratios_is_the_one_that_effects_make():
    rng = np.random.default_rng(20314)
    arms = [moments_of({"y": rng.random(size), "x": 1 + rng.random(size)}) for size in (40, 60)]
    expected = contrast(Ratio("y", "x"), arms[1], arms[0])
    assert contrast_of(*(ratio(arm, {"y": 1}, "x", 0.05) for arm in arms)) == pytest.approx(expected)


def test_a_metric_that_is_not_defined_has_no_contrast():
    varied = mean_of(np.arange(10.0))
    for other in (varied._replace(value=math.nan, standard_error=math.nan), mean_of(np.full(10, 3.0))):
        with pytest.raises(ExperimentError, match="not defined"):
            contrast_of(other, other)


@pytest.mark.parametrize("alpha", [0, 1, -0.1, math.nan])
def test_an_alpha_that_is_no_chance_is_refused(alpha):
    with pytest.raises(ExperimentError, match="alpha"):
        interval_estimate(0.0, 1.0, 3, alpha)


def test_one_unit_is_refused():
    with pytest.raises(ExperimentError, match="two units"):
        mean_of([1.0])
