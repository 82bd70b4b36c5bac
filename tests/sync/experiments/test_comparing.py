"""Contrasts: against scipy and statsmodels on the units themselves, and against regressions for covariates."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.proportion import confint_proportions_2indep
from statsmodels.stats.weightstats import CompareMeans, DescrStatsW

from edgerun_sync.errors import ExperimentError
from edgerun_sync.experiments.comparing import adjusted_contrast, contrast
from edgerun_sync.experiments.contrasts import across_phases
from edgerun_sync.experiments.effects import AT_EVERY_LOOK, AT_THE_END, Terms, effect
from edgerun_sync.experiments.guardrails import Margin, guard
from edgerun_sync.experiments.metrics import Conversion, Mean, Ratio, Share, unit_deviation
from edgerun_sync.experiments.moments import merge, moments_of

X = Mean("x")
TERMS = Terms(alpha=0.05, planned_information=50.0)
SAMPLE = st.lists(st.integers(-50, 50), min_size=2, max_size=40)


def arm(**columns):
    return moments_of({name: np.asarray(column, np.float64) for name, column in columns.items()})


def drawn(seed, units, effect=0.0, correlation=0.7):
    """Units with a number, a count below it, and both from before."""
    rng = np.random.default_rng(seed)
    level = rng.normal(size=units)
    calls, calls_before = rng.poisson(20, units) + 1, rng.poisson(20, units) + 1

    def seen(count):
        own = rng.normal(size=units) * math.sqrt(1 - correlation)
        return count * (5 + math.sqrt(correlation) * level + own) + rng.normal(size=units) * np.sqrt(count)

    return {"x": seen(calls) + effect * calls, "n": calls, "before": seen(calls_before), "n_before": calls_before}


@given(SAMPLE, SAMPLE)
def test_means_are_compared_as_scipy_and_statsmodels_do(treatment, control):
    if 0 in {np.ptp(treatment), np.ptp(control)}:
        return  # of which scipy warns
    found = effect(contrast(X, arm(x=treatment), arm(x=control)), TERMS)
    theirs = stats.ttest_ind(treatment, control, equal_var=False)
    other = CompareMeans(DescrStatsW(treatment), DescrStatsW(control))
    assert found.contrast.degrees == pytest.approx(theirs.df, rel=1e-9)
    assert found.fixed_p == pytest.approx(theirs.pvalue, rel=1e-7, abs=1e-12)
    low, high = other.tconfint_diff(alpha=0.05, usevar="unequal")
    assert found.fixed[:2] == pytest.approx((low, high), rel=1e-9, abs=1e-9)


def test_a_published_comparison_of_two_samples():
    """Source: the extra hours of sleep of "Student" (1908), R's data set `sleep`; ?t.test prints t = -1.8608,
    df = 17.776, p-value = 0.07939 and the interval -3.3654832 to 0.2054832."""
    first = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0]
    second = [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4]
    found = effect(contrast(X, arm(x=first), arm(x=second)), TERMS)
    assert found.contrast.difference / math.sqrt(found.contrast.variance) == pytest.approx(-1.8608, abs=5e-5)
    assert found.contrast.degrees == pytest.approx(17.776, abs=5e-4)
    assert found.fixed_p == pytest.approx(0.07939, abs=5e-6)
    assert found.fixed[:2] == pytest.approx((-3.3654832, 0.2054832), abs=5e-8)


@given(st.integers(0, 60), st.integers(0, 60), st.integers(1, 60), st.integers(1, 60))
def test_conversions_are_compared_as_statsmodels_does(t, c, t_more, c_more):
    treatment, control = (arm(x=[1] * yes + [0] * no) for yes, no in ((t, t_more), (c, c_more)))
    found = effect(contrast(Conversion("x"), treatment, control), TERMS)
    theirs = confint_proportions_2indep(t, t + t_more, c, c + c_more, method="agresti-caffo", compare="diff")
    assert found.fixed[:2] == pytest.approx(theirs, abs=1e-12)
    assert found.contrast.difference == pytest.approx(t / (t + t_more) - c / (c + c_more), abs=1e-12)


def test_nobody_converted_and_still_the_interval_has_a_length():
    nobody = arm(x=[0] * 200)
    found = effect(contrast(Conversion("x"), nobody, nobody), TERMS)
    assert found.fixed.low == -found.fixed.high < 0
    assert found.fixed_p == found.sequential_p == 1


def test_of_calls_that_never_failed_something_is_known_and_less_than_of_units_that_never_did():
    fallbacks = Share("failed", "calls")
    treatment, control = (arm(failed=[0] * n, calls=[7, 9] * (n // 2)) for n in (40, 60))
    found, of_units = contrast(fallbacks, treatment, control), contrast(Conversion("failed"), treatment, control)
    assert (found.treatment, found.control, found.information) == (0, 0, of_units.information)
    assert of_units.variance < found.variance < 3 * of_units.variance
    assert found == adjusted_contrast(fallbacks, [Ratio("calls", "calls")], treatment, control)
    one = arm(failed=[1] + [0] * 39, calls=[7, 9] * 20)
    assert contrast(fallbacks, one, control) == contrast(Ratio(*fallbacks), one, control)  # once seen, its spread is


@pytest.mark.parametrize("margin", [0.002, 0.02, 0.1])
def test_never_seen_is_within_a_margin_only_if_it_would_have_been_seen_beyond_it(margin):
    """Worst of all is that every call of a unit fails: a share of the margin of all units, none of which came."""
    within = []
    for units, more in itertools.product(np.unique(np.geomspace(8, 20_000, 60).astype(int)), (0.25, 1, 1.5, 4)):
        treatment, control = (arm(failed=np.zeros(n), calls=np.ones(n)) for n in (units, int(more * units)))
        never = contrast(Share("failed", "calls"), treatment, control)
        found = guard(never, "down", Margin(margin, False), TERMS, 0.01)
        if found.within.p <= TERMS.alpha or found.within_fixed.p <= TERMS.alpha:
            within.append((1 - margin) ** units)
    assert within
    assert max(within) <= TERMS.alpha


def test_the_variance_of_a_ratio_is_that_of_a_regression_clustered_by_unit():
    units = drawn(1, 500)
    ratio = Ratio("x", "n")
    assert unit_deviation(ratio, arm(**units)) == pytest.approx(_clustered_deviation(units), rel=0.002)


def _clustered_deviation(units):
    """The mean of x / n over calls, with errors clustered by unit: every unit's calls are n rows of x / n."""
    rows = np.repeat(units["x"] / units["n"], units["n"])
    groups = np.repeat(np.arange(len(units["n"])), units["n"])
    fit = sm.OLS(rows, np.ones(len(rows))).fit(cov_type="cluster", cov_kwds={"groups": groups})
    return float(fit.bse[0]) * math.sqrt(len(units["n"]))


def test_a_covariate_takes_away_what_a_regression_explains():
    treatment, control = drawn(1, 2000, effect=0.1), drawn(2, 2000)
    found = adjusted_contrast(X, [Mean("before")], arm(**treatment), arm(**control))
    table = np.concatenate([[units["x"], units["before"]] for units in (treatment, control)], axis=1)
    design = np.column_stack([np.ones(4000), np.repeat([1.0, 0.0], 2000), table[1]])
    fit = sm.OLS(table[0], design).fit(cov_type="HC1")
    assert found.difference == pytest.approx(fit.params[1], rel=1e-9)
    assert math.sqrt(found.variance) == pytest.approx(fit.bse[1], rel=0.01)
    assert found.variance < contrast(X, arm(**treatment), arm(**control)).variance


def test_a_ratio_with_a_ratio_from_before_is_the_regression_of_what_both_are_derived_to():
    arms = [drawn(seed, 3000) for seed in (1, 2)]
    found = adjusted_contrast(Ratio("x", "n"), [Ratio("before", "n_before")], *(arm(**units) for units in arms))
    lines = []
    for units in arms:
        now, then = units["x"].sum() / units["n"].sum(), units["before"].sum() / units["n_before"].sum()
        y = (units["x"] - now * units["n"]) / units["n"].mean() + now
        x = (units["before"] - then * units["n_before"]) / units["n_before"].mean() + then
        lines.append((y, x))
    y, x = np.concatenate(lines, axis=1)
    fit = sm.OLS(y, np.column_stack([np.ones(6000), np.repeat([1.0, 0.0], 3000), x])).fit(cov_type="HC1")
    assert found.difference == pytest.approx(fit.params[1], rel=1e-9)
    assert math.sqrt(found.variance) == pytest.approx(fit.bse[1], rel=0.01)
    assert found.variance < 0.7 * contrast(Ratio("x", "n"), *(arm(**units) for units in arms)).variance


def test_several_covariates_are_taken_together_and_one_that_is_constant_or_twice_there_does_no_harm():
    treatment, control = ({**drawn(seed, 300), "still": np.ones(300)} for seed in (1, 2))
    arms = (arm(**treatment), arm(**control))
    once = adjusted_contrast(X, [Mean("before"), Mean("n_before")], *arms)
    again = adjusted_contrast(X, [Mean("before"), Mean("n_before"), Mean("before"), Mean("still")], *arms)
    assert again.difference == pytest.approx(once.difference, rel=1e-9)
    assert again.variance == pytest.approx(once.variance, rel=1e-9)


def test_every_treatment_is_compared_with_the_same_adjusted_control():
    first, second, control = (arm(**drawn(seed, 300)) for seed in (1, 2, 3))
    one = adjusted_contrast(X, [Mean("before")], first, control, [second])
    two = adjusted_contrast(X, [Mean("before")], second, control, [first])
    between = adjusted_contrast(X, [Mean("before")], first, second, [control])
    assert one.difference - two.difference == pytest.approx(between.difference, rel=1e-9)


def test_phases_are_compared_apart_so_that_a_ramp_on_a_good_day_is_no_effect():
    rng = np.random.default_rng(1)
    quiet = [arm(x=rng.normal(0, 1, n)) for n in (100, 9900)]
    busy = [arm(x=rng.normal(5, 1, n)) for n in (5000, 5000)]
    together = contrast(X, *(merge(pair) for pair in zip(quiet, busy, strict=True)))
    apart = across_phases([contrast(X, *quiet), contrast(X, *busy)])
    assert together.difference > 50 * math.sqrt(together.variance)
    assert abs(apart.difference) < 3 * math.sqrt(apart.variance)
    assert apart.information == pytest.approx(99 + 2500)
    assert (apart.treatment_units, apart.control_units) == (5100, 14900)


def test_one_phase_is_itself():
    only = contrast(X, arm(x=[1, 2, 3]), arm(x=[2, 3, 5]))
    assert across_phases([only]) is only


@given(st.floats(0.05, 0.5), st.floats(-0.5, 0.5), st.integers(1, 50))
def test_a_relative_interval_holds_the_ratios_that_a_test_of_each_does_not_reject(base_error, centre, seed):
    rng = np.random.default_rng(seed)
    treatment, control = rng.normal(5 + centre, base_error * 5, 30), rng.normal(5, base_error * 5, 30)
    found = effect(contrast(X, arm(x=treatment), arm(x=control)), TERMS)
    t = stats.t.ppf(0.975, found.contrast.degrees)
    for edge in found.relative.fixed[:2]:
        gap = treatment.mean() - (1 + edge) * control.mean()
        error = math.sqrt(treatment.var(ddof=1) / 30 + (1 + edge) ** 2 * control.var(ddof=1) / 30)
        assert abs(gap) == pytest.approx(t * error, rel=1e-6)
    assert found.relative.value in found.relative.fixed
    assert found.relative.value in found.relative.sequential


@pytest.mark.parametrize("base", [0.0, 0.2, -5.0])
def test_nothing_is_relative_to_a_control_near_0_or_below(base):
    rng = np.random.default_rng(3)
    arms = (arm(x=rng.normal(base, 1, 100)) for _ in range(2))
    assert effect(contrast(X, *arms), TERMS).relative is None


def test_each_interval_says_when_it_is_valid():
    found = effect(contrast(X, arm(x=[1, 2, 3, 5]), arm(x=[2, 3, 5, 9])), TERMS)
    assert (found.sequential.validity, found.fixed.validity) == (AT_EVERY_LOOK, AT_THE_END)
    assert found.sequential.low < found.fixed.low < found.fixed.high < found.sequential.high


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: contrast(X, arm(x=[1, 1]), arm(x=[1, 1])), "no unit differs"),
        (lambda: contrast(X, arm(x=[0.1] * 7), arm(x=[0.1] * 1000)), "no unit differs"),
        (lambda: contrast(X, arm(x=[1]), arm(x=[1, 2])), "two units"),
        (lambda: contrast(Ratio("x", "n"), arm(x=[1], n=[1]), arm(x=[1, 2], n=[1, 1])), "two units"),
        (lambda: contrast(Mean("z"), arm(x=[1, 2]), arm(x=[1, 2])), "'z'"),
        (lambda: contrast(Conversion("x"), arm(x=[0, 2]), arm(x=[1, 0])), "not 0 or 1"),
        (lambda: contrast(Conversion("x"), arm(x=[0.5, 0.5]), arm(x=[1, 0])), "not 0 or 1"),
        (lambda: contrast(Conversion("x"), arm(x=[]), arm(x=[1, 0])), "no units"),
        (lambda: contrast(Ratio("x", "n"), *(arm(x=[1, 2], n=[0, 1]) for _ in range(2))), "too near to 0"),
        (lambda: across_phases([]), "no phase"),
        (lambda: effect(contrast(X, arm(x=[1, 2]), arm(x=[1, 2])), Terms(0.05, 0.0)), "planned information"),
        (lambda: effect(contrast(X, arm(x=[1, 2]), arm(x=[1, 2])), Terms(0.0, 1.0)), "alpha"),
        (lambda: effect(contrast(X, arm(x=[1, 2]), arm(x=[1, 2])), Terms(1.0, 1.0)), "alpha"),
    ],
)
def test_what_cannot_be_compared_is_refused(call, says):
    with pytest.raises(ExperimentError, match=says):
        call()
