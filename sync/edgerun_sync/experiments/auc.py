"""The area under the ROC curve: the chance that a positive scores higher than a negative, ties counting half.

DeLong's variance, from scores or from counts in bins: a bin is a tie, so counts in bins give exactly what the
binned scores give. It takes each call for independent of the others; `clustered_auc` and the functions on influence do
not.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from edgerun_sync.errors import ExperimentError
from edgerun_sync.experiments.interval_estimates import (
    Difference,
    IntervalEstimate,
    as_difference,
    interval_estimate,
    smooth,
)
from edgerun_sync.experiments.moments import moments_of

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from edgerun_sync.experiments.moments import Moments


class Auc(NamedTuple):
    """An area under a ROC curve, from independent calls."""

    value: float
    """From 0 to 1; 0.5 is chance."""

    variance: float
    """DeLong's, of the value."""

    positives: float
    """Calls whose label is positive."""

    negatives: float
    """Calls whose label is negative."""

    low: float
    """Lower end of the interval at the level 1 - alpha; NaN where the scores separate the labels wholly."""

    high: float
    """Upper end, likewise."""


class Placements(NamedTuple):
    """Of each positive the share of negatives below it, of each negative the share of positives above it; ties half."""

    positive: NDArray[np.float64]
    """float64, in the order of the positives, or of the bins."""

    negative: NDArray[np.float64]
    """float64, in the order of the negatives, or of the bins."""


class Influence(NamedTuple):
    """What a call adds to an area's error: summed over a unit's calls, it is what the unit adds."""

    value: float
    """The area under the ROC curve."""

    positive: NDArray[np.float64]
    """Of a positive call in each score bin, float64 [bins]."""

    negative: NDArray[np.float64]
    """Of a negative call in each score bin, float64 [bins]."""


def auc_of_scores(positive: ArrayLike, negative: ArrayLike, alpha: float = 0.05) -> Auc:
    """Return the area and its variance from scores, float [m] of the positive calls and [n] of the negative ones.

    Source: DeLong, DeLong and Clarke-Pearson, "Comparing the areas under two or more correlated receiver operating
    characteristic curves" (Biometrics 44, 1988), by the algorithm of Sun and Xu, "Fast implementation of DeLong's
    algorithm" (IEEE Signal Processing Letters 21, 2014): O(n log n).

    Raises:
        ExperimentError: there are fewer than two calls of a label, a score is not finite, or alpha is not between 0 and
            1.
    """
    above, below = _scores(positive), _scores(negative)
    return _auc(_placements_of_scores(above, below), np.ones(len(above)), np.ones(len(below)), alpha)


def auc_of_bins(positive: ArrayLike, negative: ArrayLike, alpha: float = 0.05) -> Auc:
    """Return the area and its variance from counts [bins] of the positive and the negative calls, scores ascending.

    Raises:
        ExperimentError: the counts differ in length, are negative or hold fewer than two calls of a label, or alpha is
            not between 0 and 1.
    """
    above, below = _counts(positive, 1), _counts(negative, 1)
    return _auc(_placements_of_bins(above, below), above, below, alpha)


def compare_aucs(control: Auc, treatment: Auc, alpha: float = 0.05) -> Difference:
    """Return the difference of the areas of two arms, whose calls are independent.

    Source: DeLong's variances with Satterthwaite's degrees of freedom, as in pROC (Robin et al., "pROC: an open-source
    package for R and S+ to analyze and compare ROC curves", BMC Bioinformatics 12, 2011).

    Raises:
        ExperimentError: alpha is not between 0 and 1.
    """
    total = control.variance + treatment.variance
    rest = sum(found.variance**2 / (found.positives + found.negatives - 1) for found in (control, treatment))
    degrees = total**2 / rest if rest > 0 else math.inf
    return as_difference(interval_estimate(treatment.value - control.value, total, degrees, alpha))


def compare_paired_scores(
    control: tuple[ArrayLike, ArrayLike], treatment: tuple[ArrayLike, ArrayLike], alpha: float = 0.05
) -> Difference:
    """Return the difference of the areas of two models on the same independent calls: DeLong's paired test.

    Args:
        control: scores of the positive calls [m] and of the negative calls [n].
        treatment: likewise, of the same calls in the same order.
        alpha: 1 less the level of the interval.

    Raises:
        ExperimentError: the models have not scored the same number of calls, there are fewer than two of a label, a
            score is not finite, or alpha is not between 0 and 1.
    """
    pairs = [(_scores(one), _scores(other)) for one, other in zip(control, treatment, strict=True)]
    for one, other in pairs:
        if len(one) != len(other):
            raise ExperimentError(f"paired models score the same calls, not {len(one)} and {len(other)}")
    (control_above, treatment_above), (control_below, treatment_below) = pairs
    first = _placements_of_scores(control_above, control_below)
    second = _placements_of_scores(treatment_above, treatment_below)
    m, n = len(control_above), len(control_below)
    each = [(second.positive - first.positive, np.ones(m)), (second.negative - first.negative, np.ones(n))]
    value = float(each[0][0].mean())
    variance = sum(_variance_of_mean(steps, weights) for steps, weights in each)
    return as_difference(interval_estimate(value, variance, math.inf, alpha))


def compare_paired_bins(positive: ArrayLike, negative: ArrayLike, alpha: float = 0.05) -> Difference:
    """Return the difference of the areas of two models on the same independent calls, from counts in pairs of bins.

    Args:
        positive: positive calls by the control's bin and the treatment's bin, [a, b], scores ascending in both.
        negative: likewise, of the negative calls.
        alpha: 1 less the level of the interval.

    Raises:
        ExperimentError: the counts differ in shape, are negative or hold fewer than two calls of a label, or alpha is
            not between 0 and 1.
    """
    above, below = _counts(positive, 2), _counts(negative, 2)
    if above.shape != below.shape:
        raise ExperimentError(f"both labels have the same pairs of bins, not {above.shape} and {below.shape}")
    first = _placements_of_bins(above.sum(axis=1), below.sum(axis=1))
    second = _placements_of_bins(above.sum(axis=0), below.sum(axis=0))
    each = [
        ((second.positive - first.positive[:, None]).ravel(), above.ravel()),
        ((second.negative - first.negative[:, None]).ravel(), below.ravel()),
    ]
    value = float(np.average(each[0][0], weights=each[0][1]))
    variance = sum(_variance_of_mean(steps, weights) for steps, weights in each)
    return as_difference(interval_estimate(value, variance, math.inf, alpha))


def auc_influence(positive: ArrayLike, negative: ArrayLike) -> Influence:
    """Return what a call of each bin adds to the area's error, from all calls' counts [bins], scores ascending.

    A query joins it with the calls, sums it by unit and gives the moments of the sums, which `auc_of_influence` takes.

    Raises:
        ExperimentError: the counts differ in length, are negative or hold fewer than two calls of a label.
    """
    above, below = _counts(positive, 1), _counts(negative, 1)
    placed = _placements_of_bins(above, below)
    value = float(above @ placed.positive / above.sum())
    return Influence(value, (placed.positive - value) / above.sum(), (placed.negative - value) / below.sum())


def auc_of_influence(value: float, moments: Moments, alpha: float = 0.05) -> IntervalEstimate:
    """Return the area with units as clusters, from the moments of the sums of influence by unit.

    Args:
        value: the area, from `auc_influence`; for two models on the same calls, the difference of their areas.
        moments: of ``influence``, over units: for two models, the difference of their influences.
        alpha: 1 less the level of the interval.

    Source: the sums are the clusters' terms of Obuchowski, "Nonparametric analysis of clustered ROC curve data"
    (Biometrics 53, 1997).

    Raises:
        ExperimentError: there are fewer than two units, or alpha is not between 0 and 1.
    """
    found = moments.select(["influence"])
    return smooth(found, value, [found.n], alpha)


def clustered_auc(positive: ArrayLike, negative: ArrayLike, alpha: float = 0.05) -> IntervalEstimate:
    """Return the area with units as clusters, from counts [units, bins] of the positive and the negative calls.

    Raises:
        ExperimentError: the counts differ in shape, are negative or hold fewer than two calls of a label or fewer than
            two units, or alpha is not between 0 and 1.
    """
    above, below = _counts(positive, 2), _counts(negative, 2)
    if above.shape != below.shape:
        raise ExperimentError(f"both labels have the same units and bins, not {above.shape} and {below.shape}")
    found = auc_influence(above.sum(axis=0), below.sum(axis=0))
    moments = moments_of({"influence": above @ found.positive + below @ found.negative})
    return auc_of_influence(found.value, moments, alpha)


def _scores(scores: ArrayLike) -> NDArray[np.float64]:
    found = np.asarray(scores, np.float64)
    if found.ndim != 1 or len(found) < 2:
        raise ExperimentError(f"an area needs two scores of each label, not an array of shape {found.shape}")
    if not np.isfinite(found).all():
        raise ExperimentError("a score is NaN or infinite; leave such calls out of the query, and count them")
    return found


def _counts(counts: ArrayLike, rank: int) -> NDArray[np.float64]:
    found = np.asarray(counts, np.float64)
    if found.ndim != rank or not (found >= 0).all() or not np.isfinite(found).all():
        raise ExperimentError(f"counts of calls are at least 0, in {rank} dimensions, not of shape {found.shape}")
    if found.sum() < 2:
        raise ExperimentError("an area needs two calls of each label; wait for more labels")
    return found


def _midranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ranks from 1; those of equal values are their mean."""
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(count)
    midrank: NDArray[np.float64] = (last - (count - 1) / 2)[place]
    return midrank


def _placements_of_scores(positive: NDArray[np.float64], negative: NDArray[np.float64]) -> Placements:
    m, n = len(positive), len(negative)
    together = _midranks(np.concatenate([positive, negative]))
    return Placements((together[:m] - _midranks(positive)) / n, 1 - (together[m:] - _midranks(negative)) / m)


def _placements_of_bins(positive: NDArray[np.float64], negative: NDArray[np.float64]) -> Placements:
    if len(positive) != len(negative):
        raise ExperimentError(f"both labels have the same score bins, not {len(positive)} and {len(negative)}")
    below = np.cumsum(negative) - negative / 2
    above = positive.sum() - np.cumsum(positive) + positive / 2
    return Placements(below / negative.sum(), above / positive.sum())


def _variance_of_mean(values: NDArray[np.float64], weights: NDArray[np.float64]) -> float:
    total = float(weights.sum())
    away = values - weights @ values / total
    return float(weights @ away**2) / (total - 1) / total


def _auc(placed: Placements, above: NDArray[np.float64], below: NDArray[np.float64], alpha: float) -> Auc:
    m, n = float(above.sum()), float(below.sum())
    value = float(above @ placed.positive) / m
    variance = _variance_of_mean(placed.positive, above) + _variance_of_mean(placed.negative, below)
    found = interval_estimate(value, variance, math.inf, alpha)
    return Auc(value, variance, m, n, max(found.low, 0.0), min(found.high, 1.0))
