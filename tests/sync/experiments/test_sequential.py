"""Confidence sequences: the published formulas, the p-values that go with them, and the promise over all looks."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, optimize, stats

from edgerun_sync.errors import ExperimentError
from edgerun_sync.experiments.contrasts import Contrast
from edgerun_sync.experiments.effects import Terms, as_normal, as_t, effect, fixed_bound, sequential_bound
from edgerun_sync.experiments.sequential import (
    mixing_at_plan,
    one_sided_multiplier,
    one_sided_p,
    two_sided_multiplier,
    two_sided_p,
)

ALPHAS = st.floats(0.001, 0.4)
MIXINGS = st.floats(1e-3, 1e4)


def of(difference=1.0, variance=0.1, degrees=math.inf, information=100.0):
    return Contrast(200, 200, 5 + difference, 5.0, difference, difference, variance, degrees, 0.05, -0.05, information)


@given(ALPHAS, st.floats(1, 1e6), st.floats(1e-3, 10))
def test_the_interval_is_that_of_the_paper(alpha, n, rho):
    """Source: "Time-uniform central limit theory and asymptotic confidence sequences" (2024): the half-width is
    sigma * sqrt(2 (n rho^2 + 1) / (n^2 rho^2) * log(sqrt(n rho^2 + 1) / alpha))."""
    theirs = math.sqrt(2 * (n * rho**2 + 1) / (n**2 * rho**2) * math.log(math.sqrt(n * rho**2 + 1) / alpha))
    assert two_sided_multiplier(n * rho**2, alpha) / math.sqrt(n) == pytest.approx(theirs, rel=1e-10)


@given(ALPHAS)
def test_the_interval_is_narrowest_at_the_planned_sample(alpha):
    tuned = mixing_at_plan(alpha)
    found = optimize.minimize_scalar(lambda log: two_sided_multiplier(math.exp(log), alpha), bracket=(0, 2))
    assert math.exp(found.x) == pytest.approx(tuned, rel=1e-3)
    assert two_sided_multiplier(tuned, alpha) == pytest.approx(math.sqrt(1 + tuned), rel=1e-10)


@given(ALPHAS, MIXINGS)
def test_the_exact_one_sided_bound_is_a_little_inside_the_closed_form(alpha, mixing):
    """Source: the one-sided sequence of the same paper has log(1 + sqrt(n rho^2 + 1) / (2 alpha)) in that place."""
    closed = math.sqrt(2 * (1 + 1 / mixing) * math.log1p(math.sqrt(1 + mixing) / (2 * alpha)))
    exact = one_sided_multiplier(mixing, alpha)
    assert 0.7 * closed < exact <= closed
    assert one_sided_multiplier(mixing, alpha) < two_sided_multiplier(mixing, alpha)


@settings(max_examples=25)
@given(st.floats(-6, 12), MIXINGS)
def test_the_p_values_are_mixtures_of_likelihood_ratios(z, mixing):
    """The mean over a normal (one-sided: half-normal) drift of the chance of the path, against no drift."""

    def ratio(drift):
        return math.exp(drift * z - drift**2 / 2) * stats.norm.pdf(drift, scale=math.sqrt(mixing))

    centre, width = z * mixing / (1 + mixing), math.sqrt(mixing / (1 + mixing))
    edges = centre - 12 * width, centre + 12 * width
    both = integrate.quad(ratio, *edges, epsabs=0, limit=200)[0]
    assert two_sided_p(z, mixing) == pytest.approx(min(1, 1 / both), rel=1e-6)
    if centre + 6 * width > 0:
        above = 2 * integrate.quad(ratio, max(0, edges[0]), max(edges[1], width), epsabs=0, limit=200)[0]
        assert one_sided_p(z, mixing) == pytest.approx(min(1, 1 / above), rel=1e-6)


@given(ALPHAS, MIXINGS)
def test_a_p_value_is_alpha_where_the_interval_ends(alpha, mixing):
    assert two_sided_p(two_sided_multiplier(mixing, alpha), mixing) == pytest.approx(alpha, rel=1e-9)
    assert one_sided_p(one_sided_multiplier(mixing, alpha), mixing) == pytest.approx(alpha, rel=1e-9)


@given(st.floats(-9, 9), st.floats(2, 1e5), st.floats(1, 1e4), ALPHAS)
def test_an_effect_is_rejected_exactly_where_its_interval_leaves_0_out(difference, degrees, information, alpha):
    contrast, terms = of(difference, 1.0, degrees, information), Terms(alpha, 100.0)
    found = effect(contrast, terms)
    for interval, p in ((found.sequential, found.sequential_p), (found.fixed, found.fixed_p)):
        edge = min(abs(interval.low), abs(interval.high))
        assert edge < 1e-6 or (p <= alpha) == (0 not in interval)
    for bound in (sequential_bound(contrast, terms), fixed_bound(contrast, alpha)):
        assert abs(bound.low) < 1e-6 or (bound.p <= alpha) == (bound.low > 0)


@given(st.floats(-15, 15), st.floats(2, 1e7))
def test_the_t_of_equal_tail_leads_back(z, degrees):
    assert as_normal(math.copysign(as_t(abs(z), degrees), z), degrees) == pytest.approx(z, rel=1e-3, abs=1e-6)


def test_what_is_beyond_all_doubles_is_still_an_answer():
    found = effect(of(1e6, 1e-6, 3.0, 1.0), Terms(0.05, 1e12))
    assert found.sequential[:2] == (-math.inf, math.inf)
    assert 0 <= found.sequential_p <= 1
    assert two_sided_p(math.inf, 8.0) == one_sided_p(math.inf, 8.0) == 0
    assert one_sided_p(-math.inf, 8.0) == 1


@pytest.mark.parametrize("sides", [1, 2])
def test_over_all_looks_at_a_path_without_drift_the_error_is_below_alpha(sides):
    """Seed 20; 20,000 paths of 1,000 looks each, planned for the 500th. Finitely many looks use a part of alpha."""
    rng, alpha, looks = np.random.default_rng(20), 0.1, np.arange(1, 1001)
    tuned = mixing_at_plan(alpha * (3 - sides)) * looks / 500
    multiplier = two_sided_multiplier if sides == 2 else one_sided_multiplier
    border = np.array([multiplier(mixing, alpha) for mixing in tuned.tolist()]) * np.sqrt(looks)
    crossed = 0
    for _ in range(20):
        paths = rng.standard_normal((1000, 1000), np.float32).cumsum(axis=1)
        crossed += int((((np.abs(paths) if sides == 2 else paths) > border).any(axis=1)).sum())
    print(f"seed 20: {crossed / 20000:.4f} of paths crossed where {alpha} was promised, {sides}-sided")
    assert 0.3 * alpha < crossed / 20000 <= alpha


@pytest.mark.parametrize(
    "call",
    [
        lambda: mixing_at_plan(0.0),
        lambda: mixing_at_plan(1.0),
        lambda: two_sided_multiplier(0.0, 0.05),
        lambda: two_sided_multiplier(math.inf, 0.05),
        lambda: two_sided_p(1.0, -1.0),
        lambda: one_sided_multiplier(1.0, 0.5),
        lambda: one_sided_p(1.0, math.nan),
        lambda: fixed_bound(of(), 0.5),
    ],
)
def test_levels_and_information_must_make_sense(call):
    with pytest.raises(ExperimentError, match=r"alpha|information"):
        call()
