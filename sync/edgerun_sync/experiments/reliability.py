"""Whether a score of 0.8 is right eight times in ten: reliability curves, calibration error, recalibration.

A calibration error computed from a sample is above 0 even where the model is perfectly calibrated, the more so the
fewer calls a bin has. It is never shown without what that noise alone would give.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from edgerun_sync.errors import ExperimentError
from edgerun_sync.experiments.distributions import normal_quantile
from edgerun_sync.experiments.interval_estimates import require_alpha

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


class ScoreBins(NamedTuple):
    """Labelled calls by score bin, scores ascending; sums that merge by addition. All are float64 [bins]."""

    units: NDArray[np.float64]
    """Units that have a call in the bin."""

    calls: NDArray[np.float64]
    """Labelled calls."""

    score: NDArray[np.float64]
    """Sum of their scores, each the chance of a positive from 0 to 1."""

    positive: NDArray[np.float64]
    """Calls whose label is positive."""

    calls_squared: NDArray[np.float64]
    """Sum over units of the square of a unit's calls in the bin."""

    calls_positive: NDArray[np.float64]
    """Sum over units of a unit's calls times its positive calls in the bin."""

    positive_squared: NDArray[np.float64]
    """Sum over units of the square of a unit's positive calls in the bin."""


class Reliability(NamedTuple):
    """A reliability curve, and the calibration error. The arrays are float64 [bins], NaN where a bin is empty."""

    calls: NDArray[np.float64]
    """Labelled calls in each bin."""

    score: NDArray[np.float64]
    """Mean score in each bin: what the model promises."""

    rate: NDArray[np.float64]
    """Share of positives in each bin: what came true."""

    low: NDArray[np.float64]
    """Lower ends of the intervals of the rates, with units as clusters."""

    high: NDArray[np.float64]
    """Upper ends, likewise."""

    error: float
    """The expected calibration error: the mean distance of rate and score, each call counting alike."""

    noise: float
    """The error to expect of a perfectly calibrated model on these calls; most of a small error is this."""


def score_bins(count: ArrayLike, score: ArrayLike, positive: ArrayLike) -> ScoreBins:
    """Return the sums of units' calls by score bin.

    Args:
        count: labelled calls, [units, bins].
        score: sums of their scores, [units, bins].
        positive: positive calls among them, [units, bins].

    Raises:
        ExperimentError: the shapes differ, or a number is not finite or out of its range.
    """
    counts, scores, positives = (np.asarray(array, np.float64) for array in (count, score, positive))
    if counts.ndim != 2 or not counts.shape == scores.shape == positives.shape:
        raise ExperimentError(f"sums are [units, bins], not {counts.shape}, {scores.shape} and {positives.shape}")
    inside = (positives >= 0) & (positives <= counts) & (scores >= 0) & (scores <= counts * (1 + 1e-9))
    if not (inside & np.isfinite(counts)).all():
        raise ExperimentError(
            "a bin's positives or scores are negative, or more than its calls; scores are from 0 to 1"
        )
    products = (counts * counts, counts * positives, positives * positives)
    return ScoreBins(
        *(array.sum(axis=0, dtype=np.float64) for array in (counts > 0, counts, scores, positives, *products))
    )


def reliability(bins: ScoreBins, alpha: float = 0.05) -> Reliability:
    """Return the reliability curve with intervals at the level 1 - alpha, and the calibration error beside its noise.

    Source: intervals are Wilson's at the effective number of calls (Korn and Graubard, "Confidence intervals for
    proportions with small expected number of positive counts estimated from survey data", Survey Methodology 24, 1998);
    the noise is the mean of a folded normal, after Bröcker and Smith, "Increasing the reliability of reliability
    diagrams" (Weather and Forecasting 22, 2007).

    Raises:
        ExperimentError: there is no labelled call, or alpha is not between 0 and 1.
    """
    require_alpha(alpha)
    total = float(bins.calls.sum())
    if total == 0:
        raise ExperimentError("there is no labelled call in any bin yet; wait for labels")
    with np.errstate(invalid="ignore", divide="ignore"):  # of an empty bin, NaN is the answer
        score, rate = np.minimum(bins.score / bins.calls, 1), bins.positive / bins.calls
        effective = _effective_calls(bins, rate)
        noise = np.sqrt(2 / math.pi * score * (1 - score) / effective)
    low, high = _wilson(rate, effective, normal_quantile(1 - alpha / 2))
    held = bins.calls > 0
    weights = bins.calls[held] / total
    error = float(weights @ np.abs(rate - score)[held])
    return Reliability(bins.calls, score, rate, low, high, error, float(weights @ noise[held]))


def recalibrated(scores: ArrayLike, bins: ScoreBins) -> NDArray[np.float64]:
    """Return what scores are worth by the labels: isotonic regression of the rate on the score, linear between bins.

    Args:
        scores: from 0 to 1, of any shape.
        bins: labelled calls by score.

    Source: Zadrozny and Elkan, "Transforming classifier scores into accurate multiclass probability estimates" (KDD
        2002); the regression is by pooling adjacent violators.

    Raises:
        ExperimentError: there is no labelled call.
    """
    held = bins.calls > 0
    if not held.any():
        raise ExperimentError("scores cannot be recalibrated without a labelled call; wait for labels")
    weights = bins.calls[held]
    fitted = isotonic(bins.positive[held] / weights, weights)
    return np.interp(np.asarray(scores, np.float64), bins.score[held] / weights, fitted)


def isotonic(values: ArrayLike, weights: ArrayLike) -> NDArray[np.float64]:
    """Return the ascending numbers nearest to values [n] in weighted squares, weights [n] being above 0.

    Source: Ayer, Brunk, Ewing, Reid and Silverman, "An empirical distribution function for sampling with incomplete
    information" (Annals of Mathematical Statistics 26, 1955).
    """
    blocks: list[tuple[float, float, int]] = []  # mean, weight, length
    for value, weight in zip(
        np.asarray(values, np.float64).tolist(), np.asarray(weights, np.float64).tolist(), strict=True
    ):
        block = (value, weight, 1)
        while blocks and blocks[-1][0] >= block[0]:
            mean, heavy, length = blocks.pop()
            both = heavy + block[1]
            block = ((mean * heavy + block[0] * block[1]) / both, both, length + block[2])
        blocks.append(block)
    return np.repeat([mean for mean, _, _ in blocks], [length for _, _, length in blocks])


def _effective_calls(bins: ScoreBins, rate: NDArray[np.float64]) -> NDArray[np.float64]:
    """How many independent calls say as much; where all labels of a bin are alike, each unit counts as one."""
    squares = bins.positive_squared - 2 * rate * bins.calls_positive + rate**2 * bins.calls_squared
    variance = bins.units / (bins.units - 1) * squares / bins.calls**2
    effective = np.where(squares > 0, rate * (1 - rate) / variance, bins.units)
    alone = np.where(bins.units > 1, effective, 1)  # of one unit nothing is known about others
    return np.where(bins.calls > 0, np.clip(alone, np.minimum(1, bins.calls), bins.calls), np.nan)


def _wilson(
    rate: NDArray[np.float64], n: NDArray[np.float64], z: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    middle = (rate + z * z / (2 * n)) / (1 + z * z / n)
    reach = z * np.sqrt(rate * (1 - rate) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return np.maximum(middle - reach, 0), np.minimum(middle + reach, 1)
