"""Estimates from moments of units by the delta method, with intervals by Student's t: what every model metric ends in.

A metric is a smooth function of means over units. Its variance is that of the function's tangent, so all rows of a unit
may depend on each other in any way.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from edgerun_sync.errors import ExperimentError
from edgerun_sync.experiments.contrasts import Contrast, information_of
from edgerun_sync.experiments.distributions import t_cdf, t_quantile

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import ArrayLike

    from edgerun_sync.experiments.moments import Moments


class IntervalEstimate(NamedTuple):
    """A number that was estimated, and the interval that holds the true one at the level 1 - alpha."""

    value: float
    """The estimate; NaN where it is not defined, as a precision is where nothing was predicted."""

    standard_error: float
    """Of the estimate, in its unit."""

    degrees: float
    """Of freedom of Student's t: units less one, or Welch's for a difference; infinite where the normal law is used."""

    low: float
    """Lower end of the interval; NaN where the units do not differ at all, so that nothing can be said of others."""

    high: float
    """Upper end, likewise."""


class Difference(NamedTuple):
    """How much greater a metric is in the treatment than in the control."""

    value: float
    """Treatment less control, absolute, in the metric's unit."""

    standard_error: float
    """Of the difference."""

    degrees: float
    """Of freedom of Student's t; infinite where the normal law is used."""

    low: float
    """Lower end of the interval at the level 1 - alpha; NaN where neither side's units differ at all."""

    high: float
    """Upper end, likewise."""

    statistic: float
    """The difference in standard errors."""

    p_value: float
    """Two-sided, of no difference."""


def require_alpha(alpha: float) -> None:
    """Check a level of error.

    Raises:
        ExperimentError: it is not between 0 and 1.
    """
    if not 0 < alpha < 1:
        raise ExperimentError(f"alpha is the chance of an error, between 0 and 1, not {alpha!r}; 0.05 is usual")


def interval_estimate(value: float, variance: float, degrees: float, alpha: float) -> IntervalEstimate:
    """Return an estimate with its interval.

    Args:
        value: the estimate.
        variance: its own, the square of its standard error.
        degrees: of freedom; infinite for the normal law.
        alpha: 1 less the level of the interval.

    Raises:
        ExperimentError: alpha is not between 0 and 1.
    """
    require_alpha(alpha)
    error = math.nan if math.isnan(variance) else math.sqrt(max(variance, 0.0))
    reach = t_quantile(1 - alpha / 2, degrees) * error if error > 0 and degrees > 0 else math.nan
    return IntervalEstimate(value, error, degrees, value - reach, value + reach)


def smooth(moments: Moments, value: float, gradient: ArrayLike, alpha: float) -> IntervalEstimate:
    """Return the estimate of a smooth function of the means of units.

    Args:
        moments: of k variables over units.
        value: the function at the means.
        gradient: its derivatives there, float64 [k], in the order of the moments' names.
        alpha: 1 less the level of the interval.

    Source: the delta method, van der Vaart, "Asymptotic Statistics" (1998), theorem 3.1.

    Raises:
        ExperimentError: there are fewer than two units, or alpha is not between 0 and 1.
    """
    slope = np.asarray(gradient, np.float64)
    variance = float(slope @ moments.covariance() @ slope) / moments.n
    return interval_estimate(value, variance, moments.n - 1, alpha)


def ratio(moments: Moments, numerator: Mapping[str, float], denominator: str, alpha: float) -> IntervalEstimate:
    """Return the estimate of a sum over a sum: all rows count alike, however many rows a unit has.

    Args:
        moments: over units.
        numerator: variables and the factors with which they are added up.
        denominator: the variable of the sum that divides.
        alpha: 1 less the level of the interval.

    Raises:
        ExperimentError: a variable is missing, there are fewer than two units, or alpha is not between 0 and 1.
    """
    over = moments.mean_of(denominator)
    if over == 0:
        return IntervalEstimate(math.nan, math.nan, moments.n - 1, math.nan, math.nan)
    value = sum(factor * moments.mean_of(name) for name, factor in numerator.items()) / over
    gradient = np.zeros(len(moments.names))
    for name, factor in numerator.items():
        gradient[moments.at(name)] += factor / over
    gradient[moments.at(denominator)] -= value / over
    return smooth(moments, value, gradient, alpha)


def difference(control: IntervalEstimate, treatment: IntervalEstimate, alpha: float) -> Difference:
    """Return the difference of two estimates from arms that share no unit.

    Source: Welch, "The generalization of Student's problem when several different population variances are involved"
    (Biometrika 34, 1947), with Satterthwaite's degrees of freedom.

    Raises:
        ExperimentError: alpha is not between 0 and 1.
    """
    first, second = control.standard_error**2, treatment.standard_error**2
    total = first + second
    shares = ((first, control.degrees), (second, treatment.degrees))
    rest = sum(variance**2 / degrees for variance, degrees in shares if degrees > 0)
    degrees = total**2 / rest if rest > 0 else math.inf
    return as_difference(interval_estimate(treatment.value - control.value, total, degrees, alpha))


def contrast_of(control: IntervalEstimate, treatment: IntervalEstimate) -> Contrast:
    """Return the contrast of two arms that share no unit: by it a model metric has sequential intervals and margins.

    The estimates must be clustered by unit, so that their degrees of freedom are units less one.

    Raises:
        ExperimentError: an estimate is not defined, or no unit differs from another in either arm.
    """
    found = difference(control, treatment, 0.5)
    if not found.standard_error > 0:
        raise ExperimentError(
            "a model metric is not defined in both arms, or no unit differs from another; wait for more"
        )
    units = [round(side.degrees) + 1 for side in (treatment, control)]
    return Contrast(
        treatment_units=units[0],
        control_units=units[1],
        treatment=treatment.value,
        control=control.value,
        difference=found.value,
        centre=found.value,
        variance=found.standard_error**2,
        degrees=found.degrees,
        base_variance=control.standard_error**2,
        base_covariance=-(control.standard_error**2),
        information=information_of(*units),
    )


def as_difference(found: IntervalEstimate) -> Difference:
    """Return the estimate of a difference with its test of no difference."""
    if not found.standard_error > 0:
        return Difference(*found, math.nan, math.nan)
    statistic = found.value / found.standard_error
    return Difference(*found, statistic, 2 * t_cdf(-abs(statistic), found.degrees))
