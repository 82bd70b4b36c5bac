"""Whether a feature or a score is distributed as it was: PSI, Kolmogorov-Smirnov, Wasserstein, each beside its noise.

Two samples of one distribution differ too, the more so the fewer rows they have. A threshold here is what the measure
exceeds by chance with the probability alpha at these sample sizes, and never less than a difference that matters.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from edgerun_sync.errors import ExperimentError
from edgerun_sync.experiments.bridges import bridge_quantile, bridge_tail, weighted_bridge
from edgerun_sync.experiments.distributions import chi_square_quantile, chi_square_tail
from edgerun_sync.experiments.estimates import require_alpha

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from edgerun_sync.experiments.histograms import Histogram

PSI_RELEVANT = 0.1
"""The usual limit of the population stability index: the mean of a normal feature moved by 0.32 standard deviations."""

KS_RELEVANT = 0.125
"""The greatest difference of distribution functions, a share, of the same move."""

WASSERSTEIN_RELEVANT = 0.32
"""The mean distance, in standard deviations of the reference, of the same move."""

PSI_BINS = 10
"""Bins of the population stability index: tenths of the reference."""

_SMOOTHING = 0.5
"""Rows added to each bin of the PSI on both sides, so that an empty bin is not infinitely far."""


class Drift(NamedTuple):
    """How far a sample is from its reference, and whether chance alone goes so far."""

    measure: str
    """``psi``, ``ks`` (a share) or ``wasserstein`` (in standard deviations of the reference)."""

    statistic: float
    """The distance."""

    noise: float
    """The distance to be expected of two samples of one distribution; NaN where it is not known (ks)."""

    threshold: float
    """What the distance must exceed: by chance it does with the probability alpha at most."""

    p_value: float
    """Chance of such a distance or a greater one if nothing drifted."""

    drifted: bool
    """Whether the distance exceeds the threshold."""


def psi(
    reference: Histogram,
    current: Histogram,
    *,
    bins: int = PSI_BINS,
    alpha: float = 0.05,
    relevant: float = PSI_RELEVANT,
    design_effects: tuple[float, float] = (1.0, 1.0),
) -> Drift:
    """Return the population stability index over equal parts of the reference, and a bin for missing values.

    Args:
        reference: what the feature was like.
        current: what it is like.
        bins: at most so many; a value that is more frequent than a bin has one of its own.
        alpha: chance of a false alarm.
        relevant: what the index must exceed its noise by, whatever the sample sizes.
        design_effects: of the reference and of the current sample, by `design_effect`; 1 for independent rows.

    Raises:
        ExperimentError: a sample is empty, or an argument is out of its range.
    """
    if bins < 2:
        raise ExperimentError(f"a PSI needs at least 2 bins, not {bins}")
    _require_rows(reference.weights, current.weights)
    borders = _borders(reference, bins)
    sides = [
        np.append(np.bincount(np.searchsorted(borders, side.values), side.weights, len(borders) + 1), side.missing)
        for side in (reference, current)
    ]
    return psi_of_weights(*sides, alpha=alpha, relevant=relevant, design_effects=design_effects)


def psi_of_weights(
    reference: ArrayLike,
    current: ArrayLike,
    *,
    alpha: float = 0.05,
    relevant: float = PSI_RELEVANT,
    design_effects: tuple[float, float] = (1.0, 1.0),
) -> Drift:
    """Return the population stability index from rows in each bin or category, [bins], the same ones on both sides.

    Half a row is added to each bin, so it is a little less than by the plain formula where bins hold few rows.

    Source: under no drift the index is (1/n + 1/m) times a chi-square of bins - 1 degrees of freedom: Yurdakul,
    "Statistical properties of population stability index" (Western Michigan University, 2018), theorem 3.2.

    Raises:
        ExperimentError: the shapes differ, a weight is negative, a sample is empty, or an argument is out of its range.
    """
    before, after = np.asarray(reference, np.float64), np.asarray(current, np.float64)
    if before.ndim != 1 or before.shape != after.shape or not ((before >= 0) & (after >= 0)).all():
        raise ExperimentError(f"weights are at least 0, and of the same bins, not {before.shape} and {after.shape}")
    _require_rows(before, after)
    require_alpha(alpha)
    held = before + after > 0
    scale = _variance_scale(before.sum(), after.sum(), design_effects)
    degrees = int(held.sum()) - 1
    if degrees == 0:
        return Drift("psi", 0.0, 0.0, relevant, 1.0, False)
    shares = [(side[held] + _SMOOTHING) / (side.sum() + _SMOOTHING * (degrees + 1)) for side in (before, after)]
    statistic = float((shares[1] - shares[0]) @ np.log(shares[1] / shares[0]))
    noise = scale * degrees
    threshold = max(scale * chi_square_quantile(alpha, degrees), noise + relevant)
    p_value = chi_square_tail(statistic / scale, degrees)
    return Drift("psi", statistic, noise, threshold, p_value, statistic > threshold)


def kolmogorov_smirnov(
    reference: Histogram,
    current: Histogram,
    *,
    alpha: float = 0.05,
    relevant: float = KS_RELEVANT,
    design_effects: tuple[float, float] = (1.0, 1.0),
) -> Drift:
    """Return the greatest difference of the two distribution functions. Missing values are left out.

    Where there are at most `bridges.POINTS_MAX` distinct values the law allows for ties, else it is that of continuous
    features, which is on the safe side.

    Source: Smirnov, "On the estimation of the discrepancy between empirical curves of distribution for two independent
    samples" (1939); with ties, Wood and Altavela, "Large-sample results for Kolmogorov-Smirnov statistics for discrete
    distributions" (Biometrika 65, 1978).

    Raises:
        ExperimentError: a sample is empty, or an argument is out of its range.
    """
    require_alpha(alpha)
    _, before, after = _distribution_functions(reference, current)
    scale = math.sqrt(_variance_scale(reference.weights.sum(), current.weights.sum(), design_effects))
    statistic = float(np.abs(before - after).max())
    points = _pooled(reference, current, before, after)[:-1]
    threshold = max(scale * bridge_quantile(points, alpha), relevant)
    return Drift("ks", statistic, math.nan, threshold, bridge_tail(points, statistic / scale), statistic > threshold)


def wasserstein(
    reference: Histogram,
    current: Histogram,
    *,
    alpha: float = 0.05,
    relevant: float = WASSERSTEIN_RELEVANT,
    design_effects: tuple[float, float] = (1.0, 1.0),
) -> Drift:
    """Return how far values moved on the average, in standard deviations of the reference. Missing values are left out.

    Under no drift it is the area below the absolute value of a Brownian bridge, whose law is taken for a gamma law with
    the same mean and variance.

    Source: del Barrio, Giné and Matrán, "Central limit theorems for the Wasserstein distance between the empirical and
        the true distributions" (Annals of Probability 27, 1999).

    Raises:
        ExperimentError: a sample is empty, or an argument is out of its range.
    """
    require_alpha(alpha)
    values, before, after = _distribution_functions(reference, current)
    unit = _spread(reference) or _spread(current)
    if len(values) == 1 or not unit:
        moved = abs(float(values[-1] - values[0]))
        return Drift("wasserstein", math.inf if moved else 0.0, 0.0, relevant, 0.0 if moved else 1.0, moved > 0)
    steps = np.diff(values) / unit
    statistic = float(np.abs(before - after)[:-1] @ steps)
    scale = math.sqrt(_variance_scale(reference.weights.sum(), current.weights.sum(), design_effects))
    law = weighted_bridge(_pooled(reference, current, before, after)[:-1], steps)
    noise = scale * law.mean
    threshold = max(scale * law.quantile(alpha), noise + relevant)
    return Drift("wasserstein", statistic, noise, threshold, law.tail(statistic / scale), statistic > threshold)


def design_effect(weights: ArrayLike) -> float:
    """Return how many rows of these units say as much as one independent row, at least 1.

    Args:
        weights: rows of each unit in each bin, [units, bins]; bins as of a PSI.

    Source: the mean of the generalised design effects of Rao and Scott, "The analysis of categorical data from complex
    sample surveys" (Journal of the American Statistical Association 76, 1981).

    Raises:
        ExperimentError: there are fewer than two units or no rows, or a weight is negative.
    """
    rows = np.asarray(weights, np.float64)
    if rows.ndim != 2 or len(rows) < 2 or not (rows >= 0).all() or not rows.sum() > 0:
        raise ExperimentError(f"a design effect needs rows of two units in bins, [units, bins], not {rows.shape}")
    rows = rows[rows.sum(axis=1) > 0][:, rows.sum(axis=0) > 0]
    units, bins = rows.shape
    if bins == 1 or units == 1:
        return 1.0
    total = rows.sum()
    share = rows.sum(axis=0) / total
    away = rows - rows.sum(axis=1, keepdims=True) * share
    variance = units / (units - 1) * np.square(away).sum(axis=0) / total**2
    return max(float((total * variance / share).sum() / (bins - 1)), 1.0)


def _require_rows(before: NDArray[np.float64], after: NDArray[np.float64]) -> None:
    if not before.sum() > 0 or not after.sum() > 0:
        raise ExperimentError("drift needs rows on both sides; the reference or the current sample is empty")


def _variance_scale(before: float, after: float, design_effects: tuple[float, float]) -> float:
    if not min(design_effects) >= 1:
        raise ExperimentError(f"design effects are at least 1, not {design_effects!r}")
    return float(design_effects[0] / before + design_effects[1] / after)


def _borders(reference: Histogram, bins: int) -> NDArray[np.float64]:
    """Greatest values of all bins but the last: where the reference's distribution function passes each part."""
    total = float(reference.weights.sum())
    reached = np.cumsum(reference.weights) / total
    places = np.searchsorted(reached, np.arange(1, bins) / bins - 1e-12)
    return np.unique(reference.values[places])


def _distribution_functions(
    reference: Histogram, current: Histogram
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """All values of both, ascending, and both distribution functions there."""
    _require_rows(reference.weights, current.weights)
    values = np.union1d(reference.values, current.values)
    functions = []
    for side in (reference, current):
        reached = np.concatenate([[0.0], np.cumsum(side.weights)]) / side.weights.sum()
        functions.append(reached[np.searchsorted(side.values, values, side="right")])
    return values, functions[0], functions[1]


def _pooled(
    reference: Histogram, current: Histogram, before: NDArray[np.float64], after: NDArray[np.float64]
) -> NDArray[np.float64]:
    n, m = float(reference.weights.sum()), float(current.weights.sum())
    pooled: NDArray[np.float64] = (n * before + m * after) / (n + m)
    return pooled


def _spread(side: Histogram) -> float:
    mean = float(side.weights @ side.values / side.weights.sum())
    return math.sqrt(float(side.weights @ np.square(side.values - mean) / side.weights.sum()))
