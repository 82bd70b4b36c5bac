"""Whether a feature or a score is distributed as it was: PSI, Kolmogorov-Smirnov, Wasserstein, each beside its noise.

Two samples of one distribution differ too, the more so the fewer rows they have. A threshold here is what the measure
exceeds by chance with the probability alpha at these sample sizes, and never less than a difference that matters.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from edgerun_sync.errors import ExperimentError
from edgerun_sync.experiments.bridges import GammaLaw, bridge_quantile, bridge_tail, weighted_bridge
from edgerun_sync.experiments.interval_estimates import require_alpha

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


class DesignEffect(NamedTuple):
    """By how much distances of samples are greater by chance where rows of a unit are alike; 1 for independent rows."""

    mean: float
    """Variance of the bins' shares beside that of as many independent rows, on the average of all directions."""

    variation: float
    """Of that between the directions: standard deviation over mean."""

    cumulative: float
    """Variance of the distribution function beside that of independent rows, where it is the greatest."""


INDEPENDENT = DesignEffect(1.0, 0.0, 1.0)
"""Rows that do not depend on each other, such as those of a training set."""


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
    design_effects: tuple[DesignEffect, DesignEffect] = (INDEPENDENT, INDEPENDENT),
) -> Drift:
    """Return the population stability index over equal parts of the reference, and a bin for missing values.

    Args:
        reference: what the feature was like.
        current: what it is like.
        bins: at most so many; a value that is more frequent than a bin has one of its own.
        alpha: chance of a false alarm.
        relevant: what the index must exceed its noise by, whatever the sample sizes.
        design_effects: of the reference and of the current sample, by `design_effect`.

    Raises:
        ExperimentError: a sample is empty, or an argument is out of its range.
    """
    if bins < 2:
        raise ExperimentError(f"a PSI needs at least 2 bins, not {bins}")
    borders = psi_borders(reference, bins)
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
    design_effects: tuple[DesignEffect, DesignEffect] = (INDEPENDENT, INDEPENDENT),
) -> Drift:
    """Return the population stability index from rows in each bin or category, [bins], the same ones on both sides.

    Half a row is added to each bin, so it is a little less than by the plain formula where bins hold few rows.

    Source: under no drift the index is (1/n + 1/m) times a chi-square of bins - 1 degrees of freedom: Yurdakul,
    "Statistical properties of population stability index" (Western Michigan University, 2018); of rows of units, by
    the correction of Rao and Scott to the second order (see `design_effect`).

    Raises:
        ExperimentError: the shapes differ, a weight is negative, a sample is empty, or an argument is out of its range.
    """
    before, after = np.asarray(reference, np.float64), np.asarray(current, np.float64)
    if before.ndim != 1 or before.shape != after.shape or not ((before >= 0) & (after >= 0)).all():
        raise ExperimentError(f"weights are at least 0, and of the same bins, not {before.shape} and {after.shape}")
    _require_rows(before, after)
    require_alpha(alpha)
    held = before + after > 0
    degrees = int(held.sum()) - 1
    if degrees == 0:
        return Drift("psi", 0.0, 0.0, relevant, 1.0, False)
    law = _law_of_psi(before.sum(), after.sum(), degrees, design_effects)
    shares = [(side[held] + _SMOOTHING) / (side.sum() + _SMOOTHING * (degrees + 1)) for side in (before, after)]
    statistic = float((shares[1] - shares[0]) @ np.log(shares[1] / shares[0]))
    threshold = max(law.quantile(alpha), law.mean + relevant)
    return Drift("psi", statistic, law.mean, threshold, law.tail(statistic), statistic > threshold)


def kolmogorov_smirnov(
    reference: Histogram,
    current: Histogram,
    *,
    alpha: float = 0.05,
    relevant: float = KS_RELEVANT,
    design_effects: tuple[DesignEffect, DesignEffect] = (INDEPENDENT, INDEPENDENT),
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
    scale = _step(reference.weights.sum(), current.weights.sum(), design_effects)
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
    design_effects: tuple[DesignEffect, DesignEffect] = (INDEPENDENT, INDEPENDENT),
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
    scale = _step(reference.weights.sum(), current.weights.sum(), design_effects)
    law = weighted_bridge(_pooled(reference, current, before, after)[:-1], steps)
    noise = scale * law.mean
    threshold = max(scale * law.quantile(alpha), noise + relevant)
    return Drift("wasserstein", statistic, noise, threshold, law.tail(statistic / scale), statistic > threshold)


def design_effect(weights: ArrayLike) -> DesignEffect:
    """Return how much greater distances are by chance because rows come from units, devices with their own ways.

    Args:
        weights: rows of each unit in each bin, [units, bins]; bins ascend, as those of a PSI do.

    Source: Rao and Scott, "The analysis of categorical data from complex sample surveys" (Journal of the American
    Statistical Association 76, 1981) and "On chi-squared tests for multiway contingency tables with cell proportions
    estimated from survey data" (Annals of Statistics 12, 1984).

    Raises:
        ExperimentError: there are fewer than two units or no rows, or a weight is negative.
    """
    rows = np.asarray(weights, np.float64)
    if rows.ndim != 2 or not (rows >= 0).all() or (rows.sum(axis=1) > 0).sum() < 2:
        raise ExperimentError(f"a design effect needs rows of two units in bins, [units, bins], not {rows.shape}")
    rows = rows[rows.sum(axis=1) > 0][:, rows.sum(axis=0) > 0]
    units, bins = rows.shape
    if bins == 1:
        return INDEPENDENT
    total = rows.sum()
    share = rows.sum(axis=0) / total
    away = rows - rows.sum(axis=1, keepdims=True) * share
    scaled = away / np.sqrt(share * total)
    directions = np.linalg.eigvalsh(units / (units - 1) * scaled.T @ scaled)[1:]  # the least is 0: shares sum to 1
    mean = float(directions.mean())
    reached = np.cumsum(share)[:-1]
    spread = units / (units - 1) * np.square(np.cumsum(away, axis=1)[:, :-1]).sum(axis=0) / total
    cumulative = float((spread / (reached * (1 - reached))).max())
    if mean <= 0:
        return INDEPENDENT
    return DesignEffect(max(mean, 1.0), float(directions.std()) / mean, max(cumulative, 1.0))


def psi_borders(reference: Histogram, bins: int = PSI_BINS) -> NDArray[np.float64]:
    """Return the greatest values of all bins of a PSI but the last, ascending: float64, at most [2 * bins].

    They are where the reference's distribution function passes each equal part. A value that fills a part alone is cut
    off below too, or what comes to lie just below it would not be seen.
    """
    total = float(reference.weights.sum())
    if not total:
        return np.array([])
    reached = np.cumsum(reference.weights) / total
    places = np.searchsorted(reached, np.arange(1, bins) / bins - 1e-12)
    frequent = reference.values[reference.weights >= total / bins]
    return np.unique(np.concatenate([reference.values[places], frequent, np.nextafter(frequent, -np.inf)]))


def _require_rows(before: NDArray[np.float64], after: NDArray[np.float64]) -> None:
    if not before.sum() > 0 or not after.sum() > 0:
        raise ExperimentError("drift needs rows on both sides; the reference or the current sample is empty")


def _law_of_psi(before: float, after: float, degrees: int, effects: tuple[DesignEffect, DesignEffect]) -> GammaLaw:
    """A chi-square times a factor, both by their first two moments."""
    _require_effects(effects)
    parts = [effect.mean / rows for effect, rows in zip(effects, (before, after), strict=True)]
    spreads = [part * effect.variation for part, effect in zip(parts, effects, strict=True)]
    return GammaLaw(sum(parts) * degrees, 2 * degrees * (sum(parts) ** 2 + sum(spreads) ** 2))


def _step(before: float, after: float, effects: tuple[DesignEffect, DesignEffect]) -> float:
    """What the difference of the distribution functions is measured in: it times a Brownian bridge."""
    _require_effects(effects)
    return math.sqrt(effects[0].cumulative / before + effects[1].cumulative / after)


def _require_effects(effects: tuple[DesignEffect, DesignEffect]) -> None:
    for effect in effects:
        if not min(effect.mean, effect.cumulative) >= 1 or not effect.variation >= 0:
            raise ExperimentError(f"a design effect is at least 1, not {effect}; design_effect() gives it")


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
