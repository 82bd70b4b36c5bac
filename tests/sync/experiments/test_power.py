"""Plans: R's tables, statsmodels, and the chance of crossing against simulated paths."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.power import TTestIndPower

from edgerun_sync.errors import ExperimentError
from edgerun_sync.experiments.crossing import crossing_chance, drift_for
from edgerun_sync.experiments.planning import Traffic, days_needed, levels, power_curve, sample
from edgerun_sync.experiments.power import (
    Design,
    Spread,
    clustered_deviation,
    design_effect,
    detectable,
    inflation,
    power_of,
    units_for_conversion,
    units_for_margin,
    units_for_mean,
)
from edgerun_sync.experiments.sequential import mixing_at_plan, one_sided_multiplier, two_sided_multiplier
from edgerun_sync.limits import LIMITS

FIXED = Design(0.05, 0.9, 0.5, 0.5, analysis="fixed")
ALIKE = Spread(1.0, 1.0)


def test_the_published_examples_of_r_for_means():
    """Source: R's ?power.t.test. power.t.test(n = 20, delta = 1) prints power = 0.8689528; power.t.test(power = .90,
    delta = 1) prints n = 22.02110, and with alternative = "one.sided" n = 17.84713."""
    assert power_of(FIXED, 40, 1.0, ALIKE) == pytest.approx(0.8689528, abs=5e-8)
    assert units_for_mean(FIXED, 1.0, ALIKE) / 2 == pytest.approx(22.02110, abs=1e-5)
    assert units_for_mean(FIXED._replace(sides=1), 1.0, ALIKE) / 2 == pytest.approx(17.84713, abs=1e-5)


def test_the_published_example_of_r_for_conversions():
    """Source: R's ?power.prop.test: power.prop.test(p1 = .50, p2 = .75, power = .90) gives n = 76.7."""
    assert units_for_conversion(FIXED, 0.50, 0.75) / 2 == pytest.approx(76.7, abs=0.05)


@settings(max_examples=15)
@given(st.floats(0.1, 1.5), st.floats(0.001, 0.2), st.floats(0.6, 0.95))
def test_the_sample_of_equal_arms_is_that_of_statsmodels(effect, alpha, power):
    units = units_for_mean(FIXED._replace(alpha=alpha, power=power), effect, ALIKE)
    theirs = TTestIndPower().power(effect, units / 2, alpha / 2, alternative="larger")
    assert theirs == pytest.approx(power, abs=1e-4 if units > 20_000 else 1e-6)


@pytest.mark.parametrize(("sides", "drift"), [(2, 0.0), (2, 2.0), (2, 3.6), (1, 0.0), (1, 2.5), (1, -1.0)])
def test_the_chance_of_crossing_is_that_of_simulated_paths(sides, drift):
    """Seed 7; 100,000 paths with 28 looks; four standard errors of the simulation are allowed."""
    rng, alpha, looks, paths = np.random.default_rng(7), 0.1, 28, 100_000
    fractions = np.arange(1, looks + 1) / looks
    multiplier = two_sided_multiplier if sides == 2 else one_sided_multiplier
    tuned = mixing_at_plan(alpha * (3 - sides))
    border = np.array([multiplier(tuned * f, alpha) * math.sqrt(f) for f in fractions.tolist()])
    at = np.cumsum(rng.normal(drift / looks, math.sqrt(1 / looks), (paths, looks)), axis=1)
    first_up, first_down = ((s * at > border).argmax(axis=1) + looks * ~(s * at > border).any(axis=1) for s in (1, -1))
    up = (first_up < looks) & ((first_up < first_down) | (sides == 1))
    found = crossing_chance(drift, alpha, looks, sides)
    error = math.sqrt(found * (1 - found) / paths)
    print(f"seed 7: {sides} sides, drift {drift}: computed {found:.5f}, simulated {up.mean():.5f}")
    assert abs(found - up.mean()) < 4 * error + 1e-5


@given(st.floats(0.5, 0.99), st.floats(0.001, 0.2), st.integers(1, 40), st.sampled_from([1, 2]))
@settings(max_examples=20)
def test_the_drift_for_a_power_has_that_power(power, alpha, looks, sides):
    assert crossing_chance(drift_for(power, alpha, looks, sides), alpha, looks, sides) == pytest.approx(power, abs=1e-6)


def test_looking_often_is_paid_for_less_than_it_seems():
    once, daily, hundred = (inflation(Design(0.05, 0.8, 0.5, 0.5, looks=looks)) for looks in (1, 28, LIMITS.looks_max))
    assert once > daily > hundred > 1.6
    assert inflation(FIXED) == 1
    assert units_for_mean(FIXED._replace(analysis="sequential"), 0.1, ALIKE) == pytest.approx(
        units_for_mean(FIXED, 0.1, ALIKE) * inflation(FIXED._replace(analysis="sequential")), rel=1e-12
    )


@pytest.mark.parametrize("analysis", ["fixed", "sequential"])
@pytest.mark.parametrize("spread", [ALIKE, Spread(2.0, 1.0)])
def test_what_can_be_seen_is_what_the_sample_is_for(analysis, spread):
    design = Design(0.05, 0.8, 0.3, 0.7, analysis=analysis)
    units = units_for_mean(design, 0.2, spread)
    assert detectable(design, units, spread) == pytest.approx(0.2, rel=1e-4)
    assert power_of(design, units, 0.2, spread) == pytest.approx(0.8, abs=0.002)
    curve = power_curve(design, units, spread, [0.05, 0.1, 0.2, 0.4])
    assert [effect for effect, _ in curve] == [0.05, 0.1, 0.2, 0.4]
    assert sorted(power for _, power in curve) == [power for _, power in curve]


def test_a_margin_needs_more_where_the_treatment_is_expected_to_be_a_little_worse():
    design = FIXED._replace(sides=1)
    alike, worse = (units_for_margin(design, 0.02, 0.9, treatment) for treatment in (0.9, 0.895))
    assert alike == pytest.approx((1.6448536 + 1.2815516) ** 2 * 0.9 * 0.1 * 4 / 0.02**2, rel=1e-6)
    assert worse > 1.7 * alike


def test_inferences_of_a_device_count_for_less_the_more_alike_they_are():
    assert design_effect(0.1, 20) == pytest.approx(2.9)
    assert design_effect(0.1, 20, 0.5) == pytest.approx(3.4)
    assert design_effect(0, 20) == design_effect(0.3, 1) == 1
    assert clustered_deviation(1.0, 0.1, 20) == pytest.approx(math.sqrt(0.1 + 0.9 / 20))


def test_guardrails_cost_power_and_success_metrics_alpha():
    found = levels(0.05, 0.8, successes=2, guardrails=3, treatments=2)
    assert found == pytest.approx((0.0125, 0.05, 0.005, 0.95))
    assert levels(0.05, 0.8, successes=1, guardrails=0, treatments=1) == pytest.approx((0.05, 0.05, 0.05, 0.8))


def test_the_metric_that_needs_the_most_sets_the_sample():
    found = sample({"accuracy": 1000.2, "latency": 400}, {"control": 0.5, "a": 0.25, "b": 0.25}, 1.5)
    assert found.units == {"control": 751, "a": 376, "b": 376}
    assert found.binding == "accuracy"
    assert found.information("a", "control") == pytest.approx(751 * 376 / 1127)
    with pytest.raises(ExperimentError, match="'c'"):
        found.information("c", "control")


@pytest.mark.parametrize(
    ("units", "traffic", "minimum", "days"),
    [
        (1000, Traffic(0, 100), 0, 10),
        (1001, Traffic(0, 100), 0, 11),
        (1000, Traffic(0, 100), 14, 14),
        (1000, Traffic(900, 50), 0, 2),
        (1000, Traffic(2000, 0), 0, 1),
        (1000, Traffic(999, 0), 14, None),
    ],
)
def test_days_follow_from_traffic(units, traffic, minimum, days):
    assert days_needed(units, traffic, minimum) == days


@pytest.mark.parametrize(
    "call",
    [
        lambda: units_for_mean(FIXED, 0.0, ALIKE),
        lambda: units_for_mean(FIXED, math.nan, ALIKE),
        lambda: units_for_mean(FIXED, 1.0, Spread(0.0, 0.0)),
        lambda: units_for_mean(FIXED, 1.0, Spread(-1.0, 1.0)),
        lambda: units_for_mean(FIXED._replace(alpha=0.0), 1.0, ALIKE),
        lambda: units_for_mean(FIXED._replace(alpha=0.5, sides=1), 1.0, ALIKE),
        lambda: units_for_mean(FIXED._replace(power=0.05), 1.0, ALIKE),
        lambda: units_for_mean(FIXED._replace(power=1.0), 1.0, ALIKE),
        lambda: units_for_mean(FIXED._replace(control_share=0.6), 1.0, ALIKE),
        lambda: units_for_mean(FIXED._replace(treatment_share=0.0), 1.0, ALIKE),
        lambda: units_for_mean(FIXED._replace(sides=3), 1.0, ALIKE),
        lambda: units_for_conversion(FIXED, 0.5, 0.5),
        lambda: units_for_conversion(FIXED, 0.0, 0.5),
        lambda: units_for_conversion(FIXED, 0.5, 1.0),
        lambda: units_for_margin(FIXED._replace(sides=1), 0.02, 0.9, 0.88),
        lambda: power_of(FIXED, 2, 1.0, ALIKE),
        lambda: power_of(FIXED, 100, 1.0, Spread(0.0, 0.0)),
        lambda: detectable(FIXED, 0, ALIKE),
        lambda: design_effect(1.1, 20),
        lambda: design_effect(0.1, 0.5),
        lambda: design_effect(0.1, 20, -1),
        lambda: crossing_chance(1.0, 0.05, 0, 2),
        lambda: crossing_chance(1.0, 0.05, LIMITS.looks_max + 1, 2),
        lambda: crossing_chance(1.0, 0.05, 28, 3),
        lambda: drift_for(0.05, 0.05, 28, 2),
        lambda: levels(0.05, 0.8, successes=0, guardrails=0, treatments=1),
        lambda: levels(0.5, 0.8, successes=1, guardrails=0, treatments=1),
        lambda: levels(0.05, 0.05, successes=1, guardrails=0, treatments=1),
        lambda: sample({}, {"a": 1}),
        lambda: sample({"x": math.inf}, {"a": 1}),
        lambda: sample({"x": 10}, {"a": 0.6, "b": 0.6}),
        lambda: sample({"x": 10}, {"a": 0.6, "b": 0.0}),
        lambda: sample({"x": 10}, {"a": 0.6, "b": 0.4}, 0.9),
        lambda: days_needed(-1, Traffic(0, 1)),
        lambda: days_needed(1, Traffic(0, math.inf)),
    ],
)
def test_a_plan_that_makes_no_sense_is_refused(call):
    with pytest.raises(ExperimentError):
        call()


def test_so_many_looks_can_be_planned():
    assert 0.8 < crossing_chance(4.0, 0.05, LIMITS.looks_max, 2) < 1
