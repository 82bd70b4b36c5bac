"""Reliability: sklearn's curve and isotonic regression, intervals that hold, and an error that knows its own noise."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.calibration import calibration_curve
from sklearn.isotonic import IsotonicRegression

from edgerun_sync.errors import ExperimentError
from edgerun_sync.experiments.reliability import ScoreBins, isotonic, recalibrated, reliability, score_bins
from support.fleets import CALLS, UNITS

EDGES = np.linspace(0, 1, 11)


def binned(scores, labels):
    """Sums [units, bins] of calls [units, calls]."""
    places = np.minimum(np.searchsorted(EDGES, scores, side="right") - 1, 9)
    sums = np.zeros((3, len(scores), 10))
    for table, values in zip(sums, (np.ones(scores.shape), scores, labels), strict=True):
        np.add.at(table, (np.arange(len(scores))[:, None], places), values)
    return score_bins(*sums)


def calls(rng, units=UNITS, shape=lambda p: p):
    """Scores and labels [units, calls]: a positive has the chance `shape` of the score."""
    scores = rng.beta(1.2, 1.2, (units, CALLS))
    return scores, rng.random(scores.shape) < shape(scores)


def test_the_curve_is_sklearns():
    scores, labels = calls(np.random.default_rng(20285))
    rate, score = calibration_curve(labels.ravel(), scores.ravel(), n_bins=10)
    found = reliability(binned(scores, labels))
    assert found.rate == pytest.approx(rate)
    assert found.score == pytest.approx(score)
    assert found.error == pytest.approx(np.average(np.abs(rate - score), weights=found.calls))


def test_sums_of_weeks_add_up():
    scores, labels = calls(np.random.default_rng(20286))
    parts = [binned(scores[part], labels[part]) for part in (slice(0, 80), slice(80, None))]
    merged = ScoreBins(*(first + second for first, second in zip(*parts, strict=True)))
    for ours, expected in zip(reliability(merged), reliability(binned(scores, labels)), strict=True):
        assert ours == pytest.approx(expected)


def test_a_calibrated_models_error_is_its_noise_and_a_wrong_ones_is_far_above():
    rng = np.random.default_rng(20287)
    found = [reliability(binned(*calls(rng))) for _ in range(200)]
    error, noise = (np.mean([getattr(each, name) for each in found]) for name in ("error", "noise"))
    print(f"seed 20287: error {error:.4f}, noise {noise:.4f}")
    assert error == pytest.approx(noise, rel=0.05)
    wrong = reliability(binned(*calls(rng, shape=lambda p: 0.15 + 0.7 * p)))
    assert wrong.error > 3 * wrong.noise


def test_fewer_calls_have_more_noise():
    rng = np.random.default_rng(20288)
    few, many = (reliability(binned(*calls(rng, units))) for units in (20, 2000))
    assert few.noise == pytest.approx(10 * many.noise, rel=0.2)
    assert few.error > 3 * many.error


def test_the_intervals_hold_the_true_rates_though_a_devices_calls_hang_together():
    seed, runs = 20289, 300
    rng = np.random.default_rng(seed)
    held = np.zeros(10)
    for _ in range(runs):
        scores = rng.beta(1.2, 1.2, (UNITS, CALLS))
        # A device's labels share the draw that makes them, half of the time: their rates are still the scores.
        shared = np.where(rng.random(scores.shape) < 0.5, rng.random((UNITS, 1)), rng.random(scores.shape))
        found = reliability(binned(scores, shared < scores))
        held += (found.low <= found.score) & (found.score <= found.high)
    print(f"seed {seed}: of {runs}, {held.astype(int).tolist()}")
    assert (held >= 0.9 * runs).all()
    assert held.sum() >= 0.94 * 10 * runs


def test_empty_bins_say_nothing():
    found = reliability(score_bins([[2, 0], [1, 0]], [[0.4, 0], [0.1, 0]], [[1, 0], [0, 0]]))
    assert np.isnan(found.rate[1])
    assert np.isnan(found.low[1])
    assert found.rate[0] == pytest.approx(1 / 3)
    assert found.error == pytest.approx(1 / 3 - 0.5 / 3)


def test_a_bin_of_one_unit_has_the_interval_of_one_call():
    # Wilson's interval of 1 of 1 begins at 1 / (1 + z²).
    found = reliability(score_bins([[50], [0]], [[25], [0]], [[50], [0]]))
    assert found.low[0] == pytest.approx(1 / (1 + 1.959964**2), rel=1e-6)
    assert found.high[0] == pytest.approx(1)


# Recalibration.

ROWS = st.lists(st.tuples(st.floats(-100, 100), st.floats(0.1, 10)), min_size=1, max_size=30)


@given(ROWS)
def test_the_ascending_fit_is_sklearns(rows):
    values, weights = np.array(rows).T
    expected = IsotonicRegression().fit_transform(np.arange(len(values)), values, sample_weight=weights)
    assert isotonic(values, weights) == pytest.approx(expected, abs=1e-9)


def test_recalibrated_scores_are_worth_what_came_true():
    rng = np.random.default_rng(20290)
    scores, labels = calls(rng, 2000, lambda p: 0.15 + 0.7 * p)
    bins = binned(scores, labels)
    better = recalibrated(scores, bins)
    assert better.shape == scores.shape
    assert (np.diff(better.ravel()[np.argsort(scores.ravel())]) >= 0).all()
    before, after = (reliability(binned(each, labels)) for each in (scores, better))
    assert after.error < 0.2 * before.error


# What cannot be told.


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: score_bins([[1]], [[1, 2]], [[1]]), "units, bins"),
        (lambda: score_bins([1], [1], [1]), "units, bins"),
        (lambda: score_bins([[1]], [[0.5]], [[2]]), "more than its calls"),
        (lambda: score_bins([[1]], [[1.5]], [[1]]), "more than its calls"),
        (lambda: score_bins([[1]], [[-0.5]], [[1]]), "negative"),
        (lambda: score_bins([[1]], [[np.nan]], [[1]]), "negative"),
        (lambda: reliability(score_bins([[0]], [[0]], [[0]])), "no labelled call"),
        (lambda: recalibrated([0.5], score_bins([[0]], [[0]], [[0]])), "without a labelled call"),
        (lambda: reliability(score_bins([[1]], [[0.5]], [[1]]), alpha=1), "alpha"),
    ],
)
def test_what_is_no_sum_of_calls_is_refused(call, says):
    with pytest.raises(ExperimentError, match=says):
        call()
