"""Log-loss and Brier score: sklearn's values, and an arm's loss with its interval from sums by unit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import brier_score_loss, log_loss

from edgerun_sync.errors import ExperimentError
from edgerun_sync.experiments.interval_estimates import difference, ratio
from edgerun_sync.experiments.losses import PROBABILITY_MIN, brier_scores, log_losses
from edgerun_sync.experiments.moments import moments_of
from support.fleets import CALLS, UNITS, binomial_bounds, chances


@given(st.integers(0, 2**32 - 1), st.integers(2, 6))
def test_the_losses_are_sklearns(seed, classes):
    rng = np.random.default_rng(seed)
    rows, labels = rng.dirichlet(np.ones(classes), 30), rng.integers(0, classes, 30)
    every = list(range(classes))
    assert log_losses(rows, labels).mean() == pytest.approx(log_loss(labels, rows, labels=every))
    expected = brier_score_loss(labels, rows, labels=every, scale_by_half=False)
    assert brier_scores(rows, labels).mean() == pytest.approx(expected)


def test_a_sure_and_wrong_call_is_as_bad_as_the_least_probability_allows():
    assert log_losses([[1.0, 0.0]], [1]) == pytest.approx([-np.log(PROBABILITY_MIN)])
    assert brier_scores([[1.0, 0.0]], [1]) == pytest.approx([2.0])


def test_losses_of_arms_that_are_alike_differ_in_one_of_twenty_fleets():
    seed, runs = 20277, 800
    rng = np.random.default_rng(seed)
    alarms = held = 0
    for _ in range(runs):
        arms = []
        for _ in range(2):
            chance = chances(rng, 0.7, (UNITS, 1)).repeat(CALLS, axis=1)
            rows = np.stack([np.full(chance.size, 0.3), np.full(chance.size, 0.7)], axis=1)
            losses = brier_scores(rows, (rng.random(chance.shape) < chance).ravel().astype(int))
            sums = moments_of({"loss": losses.reshape(UNITS, CALLS).sum(axis=1), "calls": np.full(UNITS, CALLS)})
            arms.append(ratio(sums, {"loss": 1}, "calls", 0.05))
        alarms += difference(*arms, 0.05).p_value < 0.05
        held += arms[0].low <= 2 * 0.7 * 0.3 <= arms[0].high
    print(f"seed {seed}: of {runs}, {alarms} differ, {held} intervals hold")
    low, high = binomial_bounds(runs, 0.05)
    assert low <= alarms <= high
    low, high = binomial_bounds(runs, 0.95)
    assert low <= held <= high


@pytest.mark.parametrize("loss", [log_losses, brier_scores])
@pytest.mark.parametrize(
    ("probabilities", "labels", "says"),
    [
        ([0.5, 0.5], [1], "calls, classes"),
        ([[0.5, 0.5]], [1, 0], "calls, classes"),
        ([[0.5, 0.5]], [1.0], "integers"),
        ([[0.5, 0.6]], [1], "sum of 1"),
        ([[1.5, -0.5]], [1], "sum of 1"),
        ([[0.5, np.nan]], [1], "sum of 1"),
        ([[0.5, 0.5]], [2], "none of the 2 classes"),
        ([[0.5, 0.5]], [-1], "none of the 2 classes"),
    ],
)
def test_what_is_no_distribution_or_label_is_refused(loss, probabilities, labels, says):
    with pytest.raises(ExperimentError, match=says):
        loss(probabilities, labels)
