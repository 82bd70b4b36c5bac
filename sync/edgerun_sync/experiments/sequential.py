"""Intervals and p-values that hold at every look: asymptotic confidence sequences with Gaussian mixture boundaries.

A test that is looked at every day is given many chances to be wrong. These bounds hold for all looks at once, so an
experiment can be stopped as soon as they say something. Asymptotically: where the units are few the normal scale that
these functions speak of must be earned, which `edgerun_sync.experiments.effects` does with Student's t.

Everything is a function of z, the estimate less its null value in standard errors, and of the *mixing*: the information
so far as a multiple of the mixture's own (n times rho squared in the paper). Only the ratio of the present information
to the planned one enters it, so any clock that runs with information will do.

Source: Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas, "Time-uniform central limit theory and asymptotic confidence
sequences" (Annals of Statistics 52, 2024), two-sided; one-sided: the mixture of proposition 6 of Howard,
Ramdas, McAuliffe and Sekhon, "Time-uniform, nonparametric, nonasymptotic confidence sequences" (2021), solved exactly.
"""

from __future__ import annotations

import math

from edgerun_sync.errors import ExperimentError
from edgerun_sync.experiments.distributions import lambert_w_lower, log_normal_cdf

Z_MAX = 37.0
"""Standard errors beyond which a normal tail is no double: farther away says no more."""

_STEPS_MAX = 60


def mixing_at_plan(alpha: float) -> float:
    """Return the mixing at which the two-sided interval at level 1 - alpha is as narrow as it can be.

    One-sided bounds at alpha are tuned with two times alpha, as the paper says.

    Raises:
        ExperimentError: alpha is not between 0 and 1.
    """
    _require_level(alpha)
    return -1.0 - lambert_w_lower(-alpha * alpha / math.e)


def two_sided_multiplier(mixing: float, alpha: float) -> float:
    """Return how many standard errors the interval at level 1 - alpha reaches to each side.

    Raises:
        ExperimentError: alpha is not between 0 and 1, or mixing is not above 0.
    """
    _require_level(alpha)
    _require_mixing(mixing)
    return math.sqrt((1 + 1 / mixing) * (math.log1p(mixing) - 2 * math.log(alpha)))


def two_sided_p(z: float, mixing: float) -> float:
    """Return the p-value that is at most alpha where the interval at level 1 - alpha leaves the null value out.

    Raises:
        ExperimentError: mixing is not above 0.
    """
    _require_mixing(mixing)
    return min(1.0, math.exp(0.5 * math.log1p(mixing) - 0.5 * z * z * mixing / (1 + mixing)))


def one_sided_multiplier(mixing: float, alpha: float) -> float:
    """Return how many standard errors below the estimate the lower bound at level 1 - alpha lies.

    Raises:
        ExperimentError: alpha is not below one half, or mixing is not above 0.
    """
    _require_level(2 * alpha)
    _require_mixing(mixing)
    target = 0.5 * math.log1p(mixing) - math.log(2 * alpha)
    a = math.sqrt(2 * math.log1p(math.sqrt(1 + mixing) / (2 * alpha)))  # the paper's bound, above the root
    for _ in range(_STEPS_MAX):
        log_cdf = log_normal_cdf(a)
        density_ratio = math.exp(-0.5 * a * a - log_cdf) / math.sqrt(2 * math.pi)
        step = (0.5 * a * a + log_cdf - target) / (a + density_ratio)
        a -= step
        if abs(step) < 1e-12:
            break
    return a * math.sqrt((1 + mixing) / mixing)


def one_sided_p(z: float, mixing: float) -> float:
    """Return the p-value that is at most alpha where the lower bound at level 1 - alpha lies above the null value.

    Raises:
        ExperimentError: mixing is not above 0.
    """
    _require_mixing(mixing)
    a = z * math.sqrt(mixing / (1 + mixing))
    if a < -Z_MAX:  # its tail is no double, and the p-value is far above 1
        return 1.0
    return min(1.0, math.exp(0.5 * math.log1p(mixing) - math.log(2) - 0.5 * a * a - log_normal_cdf(a)))


def _require_level(alpha: float) -> None:
    if not 0 < alpha < 1:
        raise ExperimentError(f"alpha must lie between 0 and 1, or one half of a one-sided test; it is {alpha!r}")


def _require_mixing(mixing: float) -> None:
    if not 0 < mixing < math.inf:
        raise ExperimentError(f"information must be above 0 and finite, and it is {mixing!r} times the mixture's")
