"""Laws of a Brownian bridge at chosen points: what the difference of two empirical distribution functions looks like.

The points are the shares at which distinct values end. A continuous feature has them everywhere, one of few distinct
values has few, and its differences are smaller.
"""

from __future__ import annotations

import math
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from edgerun_sync.experiments.distributions import (
    chi_square_quantile,
    chi_square_tail,
    kolmogorov_quantile,
    kolmogorov_tail,
    normal_quantile,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

POINTS_MAX = 64
"""Points up to which the law of the greatest value is computed for just these points."""

_GROUPS_MAX = 256
_NODES, _NODES_FAR = 64, 128
_STEP_MIN = 1 / 256
"""Shares that lie nearer to each other, or to 0 or 1, are one: between them a bridge moves too little to matter."""
_STEPS_MAX = 30
_NEAR_ENOUGH = 1e-6
_SMALLEST = 1e-300
_NEAR = 1.6
"""Up to it the fewer nodes are near enough to each other for the shortest step."""
_FAR = 2.5
"""Beyond it the law at points and that of the whole bridge are both below 1e-5, and the latter is used."""


class GammaLaw(NamedTuple):
    """A gamma law by its first two moments."""

    mean: float
    """Above 0."""

    variance: float
    """Above 0."""

    def tail(self, x: float) -> float:
        """Return the chance to exceed x, which is at least 0."""
        return chi_square_tail(2 * x * self.mean / self.variance, 2 * self.mean**2 / self.variance)

    def quantile(self, share: float) -> float:
        """Return the number that is exceeded with the chance `share`."""
        return chi_square_quantile(share, 2 * self.mean**2 / self.variance) * self.variance / (2 * self.mean)


def bridge_tail(points: NDArray[np.float64], x: float) -> float:
    """Return the chance that the absolute value of a bridge exceeds x at one of the ascending points, from 0 to 1.

    Source: the bridge is a Markov process; the law is integrated from point to point by Gauss and Legendre's rule.
    """
    if len(points) > POINTS_MAX or x > _FAR:
        return kolmogorov_tail(x)
    kept = _apart(points)
    return min(1 - _within(kept, x), kolmogorov_tail(x)) if len(kept) else kolmogorov_tail(x)


def bridge_quantile(points: NDArray[np.float64], share: float) -> float:
    """Return what the absolute value of a bridge exceeds at one of the points with the chance `share`.

    Source: false position with halved ends (the Illinois algorithm), on the logarithm of the chance.
    """
    high = kolmogorov_quantile(share)
    kept = _apart(points) if len(points) <= POINTS_MAX and high <= _FAR else points[:0]
    if not len(kept):
        return high
    low = math.sqrt(float((kept * (1 - kept)).max())) * normal_quantile(1 - share / 2)  # of the widest point alone
    above, below = _log_excess(points, low, share), _log_excess(points, high, share)
    if above <= 0:  # one point, or one that is all that counts
        return low
    kept_end = 0
    for _ in range(_STEPS_MAX):
        middle = low + (high - low) * above / (above - below)
        found = _log_excess(points, middle, share)
        if abs(found) < _NEAR_ENOUGH or high - low < _NEAR_ENOUGH:
            return middle
        if found > 0:
            low, above, below = middle, found, below / 2 if kept_end == 1 else below
            kept_end = 1
        else:
            high, below, above = middle, found, above / 2 if kept_end == -1 else above
            kept_end = -1
    return high


def _log_excess(points: NDArray[np.float64], x: float, share: float) -> float:
    """Above 0 where x is exceeded more often than with the chance `share`."""
    return math.log(max(bridge_tail(points, x), _SMALLEST) / share)


def weighted_bridge(points: NDArray[np.float64], weights: NDArray[np.float64]) -> GammaLaw:
    """Return about the law of the weighted sum of a bridge's absolute values at ascending points from 0 to 1.

    Source: mean and covariance of the absolute values of two normal variables; Nabeya, "Absolute moments in
        2-dimensional normal distribution" (Annals of the Institute of Statistical Mathematics 3, 1951).
    """
    inside = (points > 0) & (points < 1)
    t = points[inside]
    reach = weights[inside] * np.sqrt(t * (1 - t))
    t, reach = _grouped(t, reach)
    odds = np.sqrt(t / (1 - t))
    correlation = np.divide.outer(odds, odds)
    correlation = np.minimum(correlation, correlation.T)
    folded = np.sqrt(1 - correlation**2) + correlation * np.arcsin(correlation) - 1
    return GammaLaw(math.sqrt(2 / math.pi) * float(reach.sum()), 2 / math.pi * float(reach @ folded @ reach))


def _grouped(
    points: NDArray[np.float64], reach: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """At most so many points, near which the others lie; the tails are cut finer than the middle."""
    if len(points) <= _GROUPS_MAX:
        return points, reach
    place = (np.arcsin(np.sqrt(points)) * (2 / math.pi) * _GROUPS_MAX).astype(np.int64).clip(0, _GROUPS_MAX - 1)
    _, place = np.unique(place, return_inverse=True)
    total = np.bincount(place, reach)
    held = total > 0
    return (np.bincount(place, reach * points)[held] / total[held]).astype(np.float64), total[held].astype(np.float64)


def _apart(points: NDArray[np.float64]) -> NDArray[np.float64]:
    kept: list[float] = []
    for point in points.tolist():
        if _STEP_MIN <= point <= 1 - _STEP_MIN and (not kept or point - kept[-1] >= _STEP_MIN):
            kept.append(point)
    return np.array(kept)


@cache
def _rule(count: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    nodes, weights = np.polynomial.legendre.leggauss(count)
    return nodes, weights


def _within(points: NDArray[np.float64], x: float) -> float:
    """The chance that a bridge stays within x at all points."""
    if x <= 0:
        return 0.0
    nodes, weights = (x * array for array in _rule(_NODES if x < _NEAR else _NODES_FAR))
    at, density = 0.0, np.array([1.0])
    places, masses = np.array([0.0]), np.array([1.0])
    for point in points.tolist():
        left = (1 - point) / (1 - at)
        variance = (point - at) * left
        steps = nodes[:, None] - left * places
        density = np.exp(-(steps**2) / (2 * variance)) @ (masses * density) / math.sqrt(2 * math.pi * variance)
        at, places, masses = point, nodes, weights
    return min(float(masses @ density), 1.0)
