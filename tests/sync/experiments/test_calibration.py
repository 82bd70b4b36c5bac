"""Calibration: what is promised of an error, a power and a coverage holds in simulated experiments. Seeds are printed.

Experiments have 200 devices an arm with 20 inferences each, and an ICC of 0.1. The same runs several times as often in
``pytest benchmarks/bench_experiments.py``.
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from edgerun_sync.experiments.guardrails import Margin
from edgerun_sync.experiments.power import Design, Spread, units_for_conversion, units_for_mean
from support import calibrated
from support.calibrated import ALPHA, chance
from support.simulated import DEVIATION, METHODS, QUANTILES, latencies

pytestmark = pytest.mark.slow

FIXED = Design(ALPHA, 0.8, 0.5, 0.5, analysis="fixed")
SEQUENTIAL = FIXED._replace(analysis="sequential")
ALIKE = Spread(DEVIATION, DEVIATION)


def report(seed, experiments, what, rate, promised):
    print(f"seed {seed}, {experiments} experiments: {what}: {rate:.4f} where {promised} was promised")


def test_inferences_taken_as_units_would_be_wrong_in_these_simulations():
    rng, wrong = np.random.default_rng(1), 0
    for _ in range(300):
        a, b = np.log(latencies(rng, 2, 200)).reshape(2, -1)
        wrong += stats.ttest_ind(a, b).pvalue < ALPHA
    report(1, 300, "false positives of a test over inferences", wrong / 300, ALPHA)
    assert wrong / 300 > 0.2


@pytest.mark.parametrize("effect", [0.0, 0.1])
@pytest.mark.parametrize("method", METHODS)
def test_a_fixed_interval_misses_as_often_as_it_says(method, effect):
    """Without an effect, that is the rate of false positives; with one, the coverage."""
    absolute, relative = calibrated.missed(method, 11, 1200, effect)
    report(11, 1200, f"{method}, effect {effect}, missed", absolute, ALPHA)
    report(11, 1200, f"{method}, effect {effect}, relative, missed", relative, ALPHA)
    assert abs(absolute - ALPHA) <= chance(ALPHA, 1200)
    assert relative <= ALPHA + chance(ALPHA, 1200)


@pytest.mark.parametrize("effect", [0.0, 0.1])
@pytest.mark.parametrize("quantile", QUANTILES)
def test_a_fixed_interval_of_a_quantile_misses_as_often_as_it_says(quantile, effect):
    rate = calibrated.missed_quantile(quantile, 12, 1000, effect)
    report(12, 1000, f"{quantile}, effect {effect}, missed", rate, ALPHA)
    assert abs(rate - ALPHA) <= chance(ALPHA, 1000)


@pytest.mark.parametrize("method", [name for name in METHODS if name != "mean over a ramp"])
def test_a_sequential_interval_is_wrong_at_any_of_28_looks_less_often_than_it_says(method):
    sequential, fixed = calibrated.ever_wrong(method, 13, 200)
    report(13, 200, f"{method}, wrong at one of 28 looks", sequential, ALPHA)
    report(13, 200, f"{method}, the fixed interval looked at daily", fixed, ALPHA)
    assert sequential <= ALPHA + chance(ALPHA, 200, 2.0)
    assert fixed > 0.15


def test_so_it_is_where_the_same_devices_report_more_every_day():
    rate = calibrated.ever_wrong_in_a_fleet(14, 400)
    report(14, 400, "mean of a fleet, wrong at one of 28 looks", rate, ALPHA)
    assert rate <= ALPHA + chance(ALPHA, 400, 2.0)


def test_and_of_quantiles():
    rate = calibrated.ever_wrong_quantile(15, 300, 0.5)
    report(15, 300, "median, wrong at one of 7 looks", rate, ALPHA)
    assert rate <= ALPHA + chance(ALPHA, 300, 2.0)


@pytest.mark.parametrize("margin", [Margin(0.1, False), Margin(0.02, True)], ids=["absolute", "relative"])
def test_a_guardrail_at_its_margin_passes_no_more_often_than_it_may(margin):
    sequential, fixed = calibrated.let_through(16, 400, margin, "mean")
    report(16, 400, f"at {margin}, within at one of 28 looks", sequential, ALPHA)
    report(16, 400, f"at {margin}, within at the end", fixed, ALPHA)
    assert sequential <= ALPHA + chance(ALPHA, 400, 2.0)
    assert abs(fixed - ALPHA) <= chance(ALPHA, 400)


def test_holm_claims_anything_no_more_often_than_one_test_may():
    rate = calibrated.any_claim(18, 1500)
    report(18, 1500, "a claim for one of three metrics", rate, ALPHA)
    assert rate <= ALPHA + chance(ALPHA, 1500)


@pytest.mark.parametrize(
    ("method", "units"),
    [
        ("mean", units_for_mean(FIXED, 0.1, ALIKE)),
        ("conversion", units_for_conversion(FIXED, 0.1, 0.13)),
    ],
)
def test_the_planned_sample_has_the_planned_power(method, units):
    rate = calibrated.shown(method, 19, 1500, 0.1, round(units / 2))
    report(19, 1500, f"{method}, shown by {round(units / 2)} units an arm", rate, 0.8)
    assert abs(rate - 0.8) <= 0.02 + chance(0.8, 1500, 1.0)


@pytest.mark.parametrize(
    ("method", "experiments", "units"),
    [
        ("mean", 1000, units_for_mean(SEQUENTIAL, 0.1, ALIKE)),
        ("conversion", 600, units_for_conversion(SEQUENTIAL, 0.1, 0.13)),
    ],
)
def test_the_planned_sequential_sample_has_the_planned_power(method, experiments, units):
    rate = calibrated.shown_in_time(method, 20, experiments, 0.1, round(units / 2))
    report(20, experiments, f"{method}, shown in time by at most {round(units / 2)} units an arm", rate, 0.8)
    assert abs(rate - 0.8) <= 0.02 + chance(0.8, experiments, 1.5)


@pytest.mark.parametrize("design", [FIXED, SEQUENTIAL], ids=["fixed", "sequential"])
def test_the_planned_sample_of_a_guardrail_has_the_planned_power(design):
    units = round(units_for_mean(design._replace(sides=1), 0.1, ALIKE) / 2)
    sequential, fixed = calibrated.within_in_time(23, 600, 0.1, units)
    rate = fixed if design is FIXED else sequential
    report(23, 600, f"{design.analysis} guardrail, within its margin by {units} units an arm", rate, 0.8)
    assert abs(rate - 0.8) <= 0.02 + chance(0.8, 600, 1.5)
