"""Distributions and special functions: the one module of this package that imports scipy.

Nearly everything takes and returns floats. ``scipy.special`` alone is used: ``scipy.stats`` takes ten times as long
to import.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from scipy import special

if TYPE_CHECKING:
    from numpy.typing import NDArray


def normal_cdf(z: float) -> float:
    """Return the chance that a standard normal variable is at most z."""
    return float(special.ndtr(z))


def normal_cdfs(z: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return `normal_cdf` of each of many, float64 of the same shape."""
    found: NDArray[np.float64] = special.ndtr(z)
    return found


def normal_quantile(share: float) -> float:
    """Return the number that a standard normal variable is below with the chance `share`."""
    return float(special.ndtri(share))


def log_normal_cdf(z: float) -> float:
    """Return the logarithm of `normal_cdf`, exact far out in the tail."""
    return float(special.log_ndtr(z))


def t_cdf(t: float, degrees: float) -> float:
    """Return the chance that Student's t of so many degrees of freedom is at most t."""
    return float(special.stdtr(degrees, t))


def t_quantile(share: float, degrees: float) -> float:
    """Return the number that Student's t of so many degrees of freedom is below with the chance `share`."""
    return float(special.stdtrit(degrees, share))


def noncentral_t_cdf(t: float, degrees: float, shift: float) -> float:
    """Return the chance that the non-central t with the non-centrality `shift` is at most t."""
    return float(special.nctdtr(degrees, shift, t))


def chi_square_tail(statistic: float, degrees: float) -> float:
    """Return the chance that chi-square of so many degrees of freedom exceeds the statistic."""
    return float(special.chdtrc(degrees, statistic))


def kolmogorov_tail(statistic: float) -> float:
    """Return the chance that the greatest absolute value of a Brownian bridge exceeds the statistic."""
    return float(special.kolmogorov(statistic))


def kolmogorov_quantile(share: float) -> float:
    """Return the number that the greatest absolute value of a Brownian bridge exceeds with the chance `share`."""
    return float(special.kolmogi(share))


def chi_square_quantile(share: float, degrees: float) -> float:
    """Return the number that chi-square of so many degrees of freedom exceeds with the chance `share`."""
    return float(special.chdtri(degrees, share))


def binomial_cdf(successes: int, trials: int, share: float) -> float:
    """Return the chance of at most so many successes."""
    return float(special.bdtr(successes, trials, share))


def hypergeometric_tails(found: int, drawn: int, marked: int, total: int) -> tuple[float, float]:
    """Return the chances of at most and of at least so many marked ones among those drawn.

    Args:
        found: marked ones among those drawn.
        drawn: how many are drawn.
        marked: how many of all are marked.
        total: all.
    """
    low, high = max(0, drawn + marked - total), min(drawn, marked)
    k = np.arange(low, high + 1, dtype=np.float64)
    ways = special.gammaln(k + 1) + special.gammaln(drawn - k + 1)
    ways += special.gammaln(marked - k + 1) + special.gammaln(total - drawn - marked + k + 1)
    chances = np.exp(ways.min() - ways)
    chances /= chances.sum()
    return float(chances[: found - low + 1].sum()), float(chances[found - low :].sum())


def log_gamma(x: float) -> float:
    """Return the logarithm of the gamma function of a positive number."""
    return math.lgamma(x)


def lambert_w_lower(x: float) -> float:
    """Return the lower branch W_-1 of Lambert's function, for x from -1/e up to 0."""
    return float(special.lambertw(x, -1).real)
