"""Losses of predicted probabilities, a number for each labelled call: log-loss and Brier score.

Summed by unit they are the numerator of a ratio of which the calls are the denominator: `interval_estimates.ratio`
gives an arm's loss with its interval, `interval_estimates.difference` that of two arms.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgerun_sync.errors import ExperimentError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

PROBABILITY_MIN = 1e-15
"""What a probability counts as at least in a log-loss, so that one sure and wrong call is not infinitely bad."""

_SUM_TOLERANCE = 1e-3
"""How far the probabilities of a call may be from 1 together: what the log takes for a distribution, FORMAT.md."""


def log_losses(probabilities: ArrayLike, labels: ArrayLike) -> NDArray[np.float64]:
    """Return minus the natural logarithm of the probability that each call gave its true class, float64 [calls].

    Args:
        probabilities: [calls, classes], each row a distribution.
        labels: number of the true class, int [calls].

    Raises:
        ExperimentError: the shapes do not fit, a row is no distribution, or a label is no class.
    """
    rows, classes = _distributions(probabilities, labels)
    given = rows[np.arange(len(rows)), classes] / rows.sum(axis=1)
    losses: NDArray[np.float64] = -np.log(np.maximum(given, PROBABILITY_MIN))
    return losses


def brier_scores(probabilities: ArrayLike, labels: ArrayLike) -> NDArray[np.float64]:
    """Return the squared distance of each call's distribution to its label's, summed over classes, float64 [calls].

    It is from 0 to 2. Of two classes, half of it is the square of the error of one probability.

    Args:
        probabilities: [calls, classes], each row a distribution.
        labels: number of the true class, int [calls].

    Source: Brier, "Verification of forecasts expressed in terms of probability" (Monthly Weather Review 78, 1950).

    Raises:
        ExperimentError: the shapes do not fit, a row is no distribution, or a label is no class.
    """
    rows, classes = _distributions(probabilities, labels)
    truth = np.eye(rows.shape[1])[classes]
    distance: NDArray[np.float64] = np.square(rows - truth).sum(axis=1)
    return distance


def _distributions(probabilities: ArrayLike, labels: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    rows, classes = np.asarray(probabilities, np.float64), np.asarray(labels)
    if rows.ndim != 2 or classes.shape != rows.shape[:1] or not np.issubdtype(classes.dtype, np.integer):
        raise ExperimentError(
            f"probabilities are [calls, classes] and labels integers [calls], not {rows.shape} and {classes.shape}"
        )
    if not ((rows >= 0) & (rows <= 1)).all() or (np.abs(rows.sum(axis=1) - 1) > _SUM_TOLERANCE).any():
        raise ExperimentError(
            "a call's probabilities are not from 0 to 1 with a sum of 1; the scores are no probabilities"
        )
    if classes.size and not 0 <= classes.min() <= classes.max() < rows.shape[1]:
        raise ExperimentError(f"a label is none of the {rows.shape[1]} classes")
    return rows, classes.astype(np.int64)
