"""The chance that a confidence sequence says something by the planned sample, computed and not simulated.

Between looks the estimate moves as Brownian motion with drift. The density of where it is, given that it has not
crossed yet, is carried from look to look by numerical integration. Source of the method: Armitage, McPherson and
Rowe, "Repeated significance tests on accumulating data" (Journal of the Royal Statistical Society A 132, 1969).
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from edgerun_sync.errors import ExperimentError
from edgerun_sync.experiments.distributions import normal_cdfs, normal_quantile
from edgerun_sync.experiments.sequential import mixing_at_plan, one_sided_multiplier, two_sided_multiplier
from edgerun_sync.limits import LIMITS

if TYPE_CHECKING:
    from numpy.typing import NDArray

_DEPTH = 9.0
"""Standard errors below the drift beyond which nothing comes back."""

_STEPS_MAX = 30


@lru_cache(maxsize=256)
def crossing_chance(drift: float, alpha: float, looks: int, sides: int) -> float:
    """Return the chance that the sequence shows an effect above its null value at one of the looks.

    Args:
        drift: the effect in standard errors of the planned sample, for one-sided bounds its distance from the margin.
        alpha: the level of the interval, or of the bound.
        looks: how often it is looked at, at even steps; the last look is at the planned sample.
        sides: 1 for a lower bound, 2 for an interval; crossing the wrong way ends the experiment and is no success.

    Raises:
        ExperimentError: there are no looks or more than `Limits.looks_max`, sides are not 1 or 2, or alpha is no level.
    """
    if not 1 <= looks <= LIMITS.looks_max:
        raise ExperimentError(f"a plan has 1 to {LIMITS.looks_max} looks, not {looks!r}")
    if sides not in {1, 2}:
        raise ExperimentError(f"a test has 1 side or 2, not {sides!r}")
    step = 1 / looks
    places, weights, crossed = np.zeros(1), np.ones(1), 0.0
    for look in range(1, looks + 1):
        low, high = _edges(drift, alpha, look * step, sides)
        crossed += float(weights @ normal_cdfs((places + drift * step - high) / math.sqrt(step)))
        if look < looks:
            ahead, lengths = _nodes(low, high, looks)
            away = (ahead[:, None] - places - drift * step) / math.sqrt(step)
            weights = lengths * (np.exp(-0.5 * away * away) @ weights) / math.sqrt(2 * math.pi * step)
            places = ahead
    return min(crossed, 1.0)


@lru_cache(maxsize=256)
def drift_for(power: float, alpha: float, looks: int, sides: int) -> float:
    """Return the effect, in standard errors of the planned sample, that the sequence shows with the chance `power`.

    Raises:
        ExperimentError: power is not between alpha and 1, or as `crossing_chance`.
    """
    if not alpha < power < 1:
        raise ExperimentError(f"power must lie between alpha and 1, and it is {power!r}")
    wanted = normal_quantile(power)
    at, slope, before = wanted + two_sided_multiplier(mixing_at_plan(alpha), alpha), 1.0, None
    for _ in range(_STEPS_MAX):  # on the normal scale the chance is almost a straight line
        over = normal_quantile(crossing_chance(at, alpha, looks, sides)) - wanted
        if before is not None and at != before[0]:
            slope = (over - before[1]) / (at - before[0])
        before = at, over
        at -= over / slope
        if abs(at - before[0]) < 1e-8:
            break
    return at


def _edges(drift: float, alpha: float, fraction: float, sides: int) -> tuple[float, float]:
    """Where the path may be at a fraction of the planned sample and have crossed nothing."""
    scale = math.sqrt(fraction)
    if sides == 2:
        high = two_sided_multiplier(mixing_at_plan(alpha) * fraction, alpha) * scale
        return -high, high
    high = one_sided_multiplier(mixing_at_plan(2 * alpha) * fraction, alpha) * scale
    return min(drift * fraction, high) - _DEPTH * scale, high


def _nodes(low: float, high: float, looks: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Places to integrate at, and the lengths that they stand for."""
    places, lengths = _legendre(24 + int(12 * math.sqrt(looks)))
    half = (high - low) / 2
    return low + half * (places + 1), half * lengths


@lru_cache(maxsize=8)
def _legendre(count: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return np.polynomial.legendre.leggauss(count)
