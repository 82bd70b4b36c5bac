"""Accuracy before labels: exact for calibrated scores, wrong by the gap for others, right again once it is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgerun_sync.errors import ExperimentError
from edgerun_sync.experiments.expected_accuracy import (
    expected_accuracy,
    expected_cells,
    expected_measures,
    expected_moments,
)
from support.fleets import CALLS, UNITS, binomial_bounds

BINS = st.lists(st.tuples(st.floats(0, 1), st.integers(0, 1000)), min_size=1, max_size=20)


@given(BINS, st.floats(0, 1))
def test_what_is_expected_is_the_mean_over_all_labels_that_could_come(rows, threshold):
    scores, weights = np.array(rows, float).T
    found = expected_cells(scores, weights, threshold)
    assert found.sum() == pytest.approx(weights.sum())
    assert found[1].sum() == pytest.approx(weights @ scores)
    assert found[:, 1].sum() == pytest.approx(weights[scores >= threshold].sum())
    assert found[1, 1] == pytest.approx((weights * scores)[scores >= threshold].sum())


def test_calibrated_scores_give_the_measures_that_labels_give_in_the_end():
    rng = np.random.default_rng(20291)
    scores = rng.beta(0.8, 1.2, 400_000)
    labels, predicted = rng.random(len(scores)) < scores, scores >= 0.5
    counts, edges = np.histogram(scores, 1000, (0, 1))
    found = expected_measures(expected_cells((edges[1:] + edges[:-1]) / 2, counts, 0.5))
    right = (labels & predicted).sum()
    expected = [
        (labels == predicted).mean(),
        right / predicted.sum(),
        right / labels.sum(),
        2 * right / (predicted.sum() + labels.sum()),
    ]
    assert list(found) == pytest.approx(expected, abs=0.004)


def test_where_nothing_is_predicted_there_is_no_precision():
    found = expected_measures(expected_cells([0.1, 0.2], [5, 5], 0.9))
    assert np.isnan(found.precision)
    assert found.recall == 0
    assert found.accuracy == pytest.approx(0.85)


def fleet(rng, honest=1.0, labelled=0.2):
    """The five sums of devices whose calls hang together; confidence is honest where `honest` is 1."""
    device = rng.normal(0, 0.5, (UNITS, 1))
    confidence = 1 / (1 + np.exp(-(1.2 + device + rng.normal(0, 1, (UNITS, CALLS)))))
    right = rng.random(confidence.shape) < honest * confidence
    has = rng.random(confidence.shape) < labelled
    rows = (np.ones(confidence.shape), confidence, has, has * confidence, has & right)
    return expected_moments(*(row.sum(axis=1) for row in rows))


@pytest.mark.parametrize("honest", [1.0, 0.9])
def test_the_corrected_interval_holds_the_true_accuracy_in_19_of_20_fleets(honest):
    seed, runs = 20293, 800
    rng = np.random.default_rng(seed)
    nodes, weights = np.polynomial.hermite_e.hermegauss(80)
    mean = weights @ (1 / (1 + np.exp(-(1.2 + np.sqrt(1.25) * nodes)))) / weights.sum()
    held = dict.fromkeys(("expected", "realised", "gap", "corrected"), 0)
    narrower = 0
    for _ in range(runs):
        found = expected_accuracy(fleet(rng, honest))
        truths = {"expected": mean, "gap": (honest - 1) * mean}
        for name in held:
            interval = getattr(found, name)
            held[name] += interval.low <= truths.get(name, honest * mean) <= interval.high
        narrower += found.corrected.standard_error < found.realised.standard_error
    print(f"seed {seed}: of {runs}, {held}; corrected is narrower {narrower} times")
    low, high = binomial_bounds(runs, 0.95)
    assert all(low <= count <= high for count in held.values())
    assert narrower > 0.9 * runs


def test_an_overconfident_model_has_a_gap_below_zero():
    found = expected_accuracy(fleet(np.random.default_rng(20294), honest=0.8))
    assert found.gap.high < 0
    assert found.realised.value == pytest.approx(found.expected.value + found.gap.value, abs=0.03)
    assert found.corrected.value == found.expected.value + found.gap.value


def test_without_labels_there_is_what_is_expected_and_nothing_else():
    found = expected_accuracy(fleet(np.random.default_rng(20295), labelled=0.0))
    assert found.expected.low < found.expected.value < found.expected.high
    assert all(np.isnan(each.value) for each in (found.realised, found.gap, found.corrected))


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: expected_cells([0.5], [1, 2], 0.5), "bins"),
        (lambda: expected_cells([1.5], [1], 0.5), "from 0 to 1"),
        (lambda: expected_cells([0.5], [-1], 0.5), "at least 0"),
        (lambda: expected_cells([np.nan], [1], 0.5), "from 0 to 1"),
        (lambda: expected_measures(np.ones((3, 3))), "two classes"),
        (lambda: expected_accuracy(expected_moments([1], [1], [1], [1], [1])), "two units"),
    ],
)
def test_what_is_no_score_is_refused(call, says):
    with pytest.raises(ExperimentError, match=says):
        call()
