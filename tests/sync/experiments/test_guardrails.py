"""Guardrails and several questions at once: against statsmodels."""

from __future__ import annotations

import math

import numpy as np
import pytest
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.weightstats import CompareMeans, DescrStatsW

from edgerun_sync.errors import ExperimentError
from edgerun_sync.experiments.comparing import contrast
from edgerun_sync.experiments.effects import Terms
from edgerun_sync.experiments.guardrails import Margin, guard
from edgerun_sync.experiments.metrics import Mean
from edgerun_sync.experiments.moments import moments_of
from edgerun_sync.experiments.multiplicity import holm

TERMS = Terms(0.05, 100.0)


def arms(seed=1, worse=0.0, units=200):
    rng = np.random.default_rng(seed)
    return rng.normal(10 - worse, 1, units), rng.normal(10, 2, units)


def of(treatment, control):
    return contrast(Mean("x"), moments_of({"x": treatment}), moments_of({"x": control}))


@pytest.mark.parametrize("worse", [-0.2, 0.1, 0.6])
def test_non_inferiority_is_the_shifted_one_sided_test_of_statsmodels(worse):
    treatment, control = arms(worse=worse)
    compare = CompareMeans(DescrStatsW(treatment), DescrStatsW(control))
    p = compare.ttest_ind(alternative="larger", usevar="unequal", value=-0.3)[1]
    found = guard(of(treatment, control), "up", Margin(0.3, False), TERMS, 0.01)
    assert found.within_fixed.p == pytest.approx(p, rel=1e-9)
    p_worse = compare.ttest_ind(alternative="smaller", usevar="unequal", value=0)[1]
    assert (found.worse.p < 1) or p_worse > 0.05
    assert found.within.confidence == found.within_fixed.confidence == 0.95
    assert found.worse.confidence == 0.99


def test_less_is_better_is_the_mirror_image():
    treatment, control = arms(worse=0.1)
    up = guard(of(treatment, control), "up", Margin(0.3, False), TERMS, 0.01)
    down = guard(of(-treatment, -control), "down", Margin(0.3, False), TERMS, 0.01)
    assert down.within.low == pytest.approx(up.within.low, rel=1e-12)
    assert down.worse.low == pytest.approx(up.worse.low, rel=1e-12)


@pytest.mark.parametrize(("direction", "sign"), [("up", -1), ("down", 1)])
def test_a_relative_margin_is_the_test_of_a_scaled_control(direction, sign):
    treatment, control = arms(worse=0.1)
    share = 1 + sign * 0.05
    scaled = DescrStatsW(control * share)
    error = math.sqrt(treatment.var(ddof=1) / 200 + scaled.var / 199)
    gap = -sign * (treatment.mean() - control.mean() * share)
    found = guard(of(treatment, control), direction, Margin(0.05, True), TERMS, 0.01)
    t = (gap - found.within_fixed.low) / error
    assert t == pytest.approx(1.65, abs=0.01)


def test_a_relative_margin_of_a_negative_value_is_worse_all_the_same():
    treatment, control = arms()
    found = guard(of(treatment - 20, control - 20), "up", Margin(0.05, True), TERMS, 0.01)
    other = guard(of(20 - treatment, 20 - control), "down", Margin(0.05, True), TERMS, 0.01)
    assert found.within_fixed.low == pytest.approx(other.within_fixed.low, rel=1e-9)


def test_that_nothing_was_seen_shows_nothing():
    treatment, control = arms(units=20)
    found = guard(of(treatment, control), "up", Margin(0.1, False), TERMS, 0.01)
    assert found.within.low < 0
    assert found.worse.low < 0


@pytest.mark.parametrize(
    ("direction", "margin", "worse_alpha"),
    [
        ("up", Margin(-0.1, False), 0.01),
        ("up", Margin(math.nan, False), 0.01),
        ("up", Margin(math.inf, True), 0.01),
        ("up", Margin(0.1, False), 0.5),
        ("better", Margin(0.1, False), 0.01),
    ],
)
def test_a_guardrail_that_makes_no_sense_is_refused(direction, margin, worse_alpha):
    with pytest.raises(ExperimentError, match=r"margin|better|alpha"):
        guard(of(*arms()), direction, margin, TERMS, worse_alpha)


@pytest.mark.parametrize("seed", range(5))
def test_holm_is_that_of_statsmodels(seed):
    p_values = np.random.default_rng(seed).random(1 + 3 * seed) ** 3
    assert holm(p_values) == pytest.approx(multipletests(p_values, method="holm")[1].tolist(), rel=1e-12)


def test_holm_worked_by_hand():
    """4 * 0.01, 3 * 0.02, 2 * 0.03, and 1 * 0.04, which is no less than those before it."""
    assert holm([0.01, 0.02, 0.03, 0.04]) == pytest.approx([0.04, 0.06, 0.06, 0.06])
    assert holm([]) == []


@pytest.mark.parametrize("p", [-0.1, 1.1, math.nan])
def test_what_is_no_p_value_is_refused(p):
    with pytest.raises(ExperimentError, match="p-value"):
        holm([0.5, p])
