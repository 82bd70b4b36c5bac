"""How accurate a model may be expected to be before its labels come, beside what the labels say once they have.

A calibrated confidence is the chance of being right, so its mean is the expected accuracy (confidence-based performance
estimation). It knows nothing of a change in what inputs mean, which only labels show: the gap is that.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from edgerun_sync.errors import ExperimentError
from edgerun_sync.experiments.interval_estimates import IntervalEstimate, ratio, smooth
from edgerun_sync.experiments.moments import moments_of

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from edgerun_sync.experiments.moments import Moments

EXPECTED_NAMES = ("calls", "confidence", "labelled", "labelled_confidence", "right")
"""The variables of a unit: its calls, the sum of their calibrated confidences, how many have a label, the sum of those
calls' confidences, and how many of them were right."""


class ExpectedMeasures(NamedTuple):
    """What a binary model's scores let one expect, without any label; NaN where nothing is predicted or true."""

    accuracy: float
    """Share of calls that are right."""

    precision: float
    """Share of positives among the calls predicted positive."""

    recall: float
    """Share of calls predicted positive among the positives."""

    f1: float
    """Harmonic mean of the two."""


class ExpectedAccuracy(NamedTuple):
    """The expected accuracy beside the realised one. Intervals are of the level 1 - alpha, with units as clusters."""

    expected: IntervalEstimate
    """Mean confidence of all calls."""

    realised: IntervalEstimate
    """Share of right calls among the labelled ones; NaN where none is."""

    gap: IntervalEstimate
    """Realised less expected accuracy of the labelled calls: overconfidence where it is below 0; NaN where none is."""

    corrected: IntervalEstimate
    """Expected accuracy of all calls plus the gap: holds for all calls if those with labels were drawn at random."""


def expected_cells(scores: ArrayLike, weights: ArrayLike, threshold: float) -> NDArray[np.float64]:
    """Return the confusion matrix that calibrated scores let one expect: float64 [truth, predicted], 0 then 1.

    Args:
        scores: chance of a positive in each bin, from 0 to 1, [bins].
        weights: calls in each bin, [bins].
        threshold: score from which on a call is predicted positive.

    Source: Kivimäki, Białek, Nurminen and Kuberski, "Confidence-based estimators for predictive performance in model
    monitoring" (2024), arXiv 2407.08649.

    Raises:
        ExperimentError: the shapes differ, a score is not from 0 to 1, or a weight is negative.
    """
    chance, calls = np.asarray(scores, np.float64), np.asarray(weights, np.float64)
    if chance.ndim != 1 or chance.shape != calls.shape:
        raise ExperimentError(f"scores and weights are [bins], not {chance.shape} and {calls.shape}")
    if not ((chance >= 0) & (chance <= 1) & (calls >= 0) & np.isfinite(calls)).all():
        raise ExperimentError("scores are chances from 0 to 1 and weights at least 0; recalibrate scores that are not")
    predicted = np.stack([chance < threshold, chance >= threshold], axis=1)
    truth = np.stack([1 - chance, chance], axis=1)
    cells: NDArray[np.float64] = (truth * calls[:, None]).T @ predicted
    return cells


def expected_measures(cells: ArrayLike) -> ExpectedMeasures:
    """Return the measures of an expected confusion matrix [truth, predicted] of two classes.

    Raises:
        ExperimentError: the matrix is not [2, 2].
    """
    found = np.asarray(cells, np.float64)
    if found.shape != (2, 2):
        raise ExperimentError(f"a matrix of two classes is [2, 2], not {found.shape}")
    (right_no, wrong_yes), (wrong_no, right_yes) = found.tolist()
    return ExpectedMeasures(
        _share(right_no + right_yes, right_no + right_yes + wrong_no + wrong_yes),
        _share(right_yes, right_yes + wrong_yes),
        _share(right_yes, right_yes + wrong_no),
        _share(2 * right_yes, 2 * right_yes + wrong_yes + wrong_no),
    )


def expected_moments(
    calls: ArrayLike, confidence: ArrayLike, labelled: ArrayLike, labelled_confidence: ArrayLike, right: ArrayLike
) -> Moments:
    """Return the moments that `expected_accuracy` takes, from five sums of each unit [n]: `EXPECTED_NAMES`.

    Raises:
        ExperimentError: the sums differ in length, or are not finite.
    """
    sums = (calls, confidence, labelled, labelled_confidence, right)
    return moments_of(dict(zip(EXPECTED_NAMES, sums, strict=True)))


def expected_accuracy(moments: Moments, alpha: float = 0.05) -> ExpectedAccuracy:
    """Return the accuracy that confidences let one expect, the one that labels show, and the former put right by it.

    Args:
        moments: of `EXPECTED_NAMES`, over units, those without a label too.
        alpha: 1 less the level of the intervals.

    Source: the corrected estimate is prediction-powered inference (Angelopoulos et al., Science 382, 2023), which is
        the difference estimator of survey sampling.

    Raises:
        ExperimentError: a variable is missing, there are fewer than two units, or alpha is not between 0 and 1.
    """
    found = moments.select(EXPECTED_NAMES)
    expected = ratio(found, {"confidence": 1}, "calls", alpha)
    realised = ratio(found, {"right": 1}, "labelled", alpha)
    gap = ratio(found, {"right": 1, "labelled_confidence": -1}, "labelled", alpha)
    return ExpectedAccuracy(expected, realised, gap, _corrected(found, expected, gap, alpha))


def _corrected(moments: Moments, expected: IntervalEstimate, gap: IntervalEstimate, alpha: float) -> IntervalEstimate:
    calls, _, labelled, *_ = moments.mean.tolist()
    if not calls or not labelled:
        return gap
    slope = [-expected.value / calls, 1 / calls, -gap.value / labelled, -1 / labelled, 1 / labelled]
    return smooth(moments, expected.value + gap.value, slope, alpha)


def _share(part: float, total: float) -> float:
    return part / total if total else math.nan
