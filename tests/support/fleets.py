"""Fleets of units whose calls depend on each other, for the calibration of statistics: made up, with the seed given."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scipy import stats

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

UNITS = 200
"""Devices in an arm."""

CALLS = 20
"""Calls of a device."""

ICC = 0.1
"""Correlation of two calls of one device."""


def chances(rng: np.random.Generator, mean: float, shape: tuple[int, ...]) -> NDArray[Any]:
    """Chances of a beta law, whose Bernoulli draws have the correlation `ICC` within one chance."""
    total = (1 - ICC) / ICC
    return rng.beta(mean * total, (1 - mean) * total, shape)


def binomial_bounds(trials: int, share: float) -> tuple[int, int]:
    """Counts between which a binomial count lies but once in ten thousand times on each side."""
    law = stats.binom(trials, share)
    return int(law.ppf(1e-4)), int(law.isf(1e-4))
