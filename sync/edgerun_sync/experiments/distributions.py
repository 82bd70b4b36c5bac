"""Distributions and special functions: the one module of this package that imports scipy.

Everything takes and returns floats. ``scipy.special`` alone is used: ``scipy.stats`` takes ten times as long to import.
"""

from __future__ import annotations

import math

from scipy import special


def normal_cdf(z: float) -> float:
    """Return the chance that a standard normal variable is at most z."""
    return float(special.ndtr(z))


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


def log_gamma(x: float) -> float:
    """Return the logarithm of the gamma function of a positive number."""
    return math.lgamma(x)


def lambert_w_lower(x: float) -> float:
    """Return the lower branch W_-1 of Lambert's function, for x from -1/e up to 0."""
    return float(special.lambertw(x, -1).real)
