"""What a contrast says of the effect: two intervals, their p-values, and the effect relative to the control.

The sequential interval holds at every look. The fixed one is narrower and is valid once, at the sample that was
planned; it says so wherever it goes. Both are in standard errors of Student's t: a sequential bound of z normal
standard errors becomes the t of equal tail, which matters in the first days only, when the units are few.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from edgerun_sync.errors import ExperimentError
from edgerun_sync.experiments.distributions import normal_cdf, normal_quantile, t_cdf, t_quantile
from edgerun_sync.experiments.metrics import BASE_MIN_ERRORS
from edgerun_sync.experiments.sequential import (
    Z_MAX,
    mixing_at_plan,
    one_sided_multiplier,
    one_sided_p,
    two_sided_multiplier,
    two_sided_p,
)

if TYPE_CHECKING:
    from edgerun_sync.experiments.contrasts import Contrast

AT_EVERY_LOOK = "valid at every look"
AT_THE_END = "valid only at the planned end"

_DEGREES_MAX = 1e6
"""Degrees of freedom from which on Student's t is the normal distribution."""


class Interval(NamedTuple):
    """A range that holds the truth with a confidence, and when that may be said."""

    low: float
    """The lower end; minus infinity where there is none."""

    high: float
    """The upper end; infinity where there is none."""

    confidence: float
    """Such as 0.95."""

    validity: str
    """`AT_EVERY_LOOK` or `AT_THE_END`."""

    def __contains__(self, value: object) -> bool:
        """Say whether a number lies inside."""
        return isinstance(value, int | float) and self.low <= value <= self.high


class Relative(NamedTuple):
    """An effect as a share of the control's value."""

    value: float
    """0.02 is two per cent more than the control."""

    sequential: Interval
    """Valid at every look."""

    fixed: Interval
    """Valid at the planned end."""


class Effect(NamedTuple):
    """What is known of an effect, in the unit of its metric."""

    contrast: Contrast
    """The two arms, and the difference."""

    sequential: Interval
    """Valid at every look."""

    sequential_p: float
    """At most alpha where `sequential` leaves 0 out."""

    fixed: Interval
    """Valid at the planned end."""

    fixed_p: float
    """At most alpha where `fixed` leaves 0 out."""

    relative: Relative | None
    """None where the control's value is not above 0 by 4 of its standard errors."""


class Terms(NamedTuple):
    """On what terms an effect is estimated; part of the plan, so that no look can change them."""

    alpha: float
    """The error that is allowed: of a two-sided interval in all, of a one-sided bound on its side."""

    planned_information: float
    """`information_of` the planned units; the sequential interval is narrowest there."""


def effect(contrast: Contrast, terms: Terms) -> Effect:
    """Return what a contrast says, two-sided.

    Relative intervals are Fieller's: they allow for the error of the control's value and, with it, of each
    candidate's own null. Source: Fieller, "Some problems in interval estimation" (Journal of the Royal Statistical
    Society B 16, 1954).

    Raises:
        ExperimentError: alpha is not between 0 and 1, or the planned information is not above 0.
    """
    error = math.sqrt(contrast.variance)
    mixing = _mixing(contrast, terms, terms.alpha)
    reach = {
        AT_EVERY_LOOK: as_t(two_sided_multiplier(mixing, terms.alpha), contrast.degrees),
        AT_THE_END: _t_upper(terms.alpha / 2, contrast.degrees),
    }
    sequential, fixed = (
        Interval(contrast.centre - t * error, contrast.centre + t * error, 1 - terms.alpha, validity)
        for validity, t in reach.items()
    )
    t = contrast.centre / error
    return Effect(
        contrast=contrast,
        sequential=sequential,
        sequential_p=two_sided_p(as_normal(t, contrast.degrees), mixing),
        fixed=fixed,
        fixed_p=two_sided_fixed_p(contrast),
        relative=_relative(contrast, reach, 1 - terms.alpha),
    )


def _relative(contrast: Contrast, reach: dict[str, float], confidence: float) -> Relative | None:
    if contrast.control <= BASE_MIN_ERRORS * math.sqrt(contrast.base_variance) or contrast.control <= 0:
        return None
    sequential, fixed = (Interval(*_fieller(contrast, t), confidence, validity) for validity, t in reach.items())
    return Relative(contrast.difference / contrast.control, sequential, fixed)


def _fieller(contrast: Contrast, t: float) -> tuple[float, float]:
    """The ratios r at which centre - r * control is within t of its own standard errors of 0."""
    base = contrast.control
    square = base * base - t * t * contrast.base_variance
    if not square > 0:
        return -math.inf, math.inf
    middle = contrast.centre * base - t * t * contrast.base_covariance
    rest = contrast.centre**2 - t * t * contrast.variance
    root = math.sqrt(max(middle * middle - square * rest, 0.0))
    return (middle - root) / square, (middle + root) / square


def two_sided_fixed_p(contrast: Contrast) -> float:
    """Return the p-value of a contrast that is looked at once."""
    return min(1.0, 2 * _t_tail(abs(contrast.centre) / math.sqrt(contrast.variance), contrast.degrees))


class Bound(NamedTuple):
    """A test that a quantity is above 0, with how far above it is at least."""

    low: float
    """The quantity is at least this, with the confidence."""

    p: float
    """At most alpha where `low` is above 0."""

    confidence: float
    """1 - alpha, on this one side."""

    validity: str
    """`AT_EVERY_LOOK` or `AT_THE_END`."""


def sequential_bound(contrast: Contrast, terms: Terms) -> Bound:
    """Return the lower bound of a contrast that holds at every look.

    Raises:
        ExperimentError: alpha is not below one half, or the planned information is not above 0.
    """
    error = math.sqrt(contrast.variance)
    mixing = _mixing(contrast, terms, 2 * terms.alpha)
    t = as_t(one_sided_multiplier(mixing, terms.alpha), contrast.degrees)
    p = one_sided_p(as_normal(contrast.centre / error, contrast.degrees), mixing)
    return Bound(contrast.centre - t * error, p, 1 - terms.alpha, AT_EVERY_LOOK)


def fixed_bound(contrast: Contrast, alpha: float) -> Bound:
    """Return the lower bound of a contrast that holds once, at the planned end.

    Raises:
        ExperimentError: alpha is not below one half.
    """
    if not 0 < alpha < 0.5:
        raise ExperimentError(f"alpha of a one-sided bound must lie between 0 and 0.5, and it is {alpha!r}")
    error = math.sqrt(contrast.variance)
    low = contrast.centre - _t_upper(alpha, contrast.degrees) * error
    return Bound(low, _t_tail(contrast.centre / error, contrast.degrees), 1 - alpha, AT_THE_END)


def as_t(z: float, degrees: float) -> float:
    """Return the t of so many degrees of freedom with the upper tail of z; infinity where that is no double."""
    return z if degrees >= _DEGREES_MAX else _t_upper(normal_cdf(-z), degrees)


def as_normal(t: float, degrees: float) -> float:
    """Return the z with the upper tail of t, at most `Z_MAX` from 0."""
    if degrees >= _DEGREES_MAX:
        return t
    z = -normal_quantile(_t_tail(abs(t), degrees))
    return math.copysign(min(z, Z_MAX), t)


def _mixing(contrast: Contrast, terms: Terms, alpha: float) -> float:
    if not 0 < terms.planned_information < math.inf:
        raise ExperimentError(f"the planned information must be above 0, and it is {terms.planned_information!r}")
    return mixing_at_plan(alpha) * contrast.information / terms.planned_information


def _t_tail(t: float, degrees: float) -> float:
    return normal_cdf(-t) if degrees >= _DEGREES_MAX else t_cdf(-t, degrees)


def _t_upper(tail: float, degrees: float) -> float:
    if degrees >= _DEGREES_MAX:
        return -normal_quantile(tail)
    return -t_quantile(tail, degrees) if tail > 0 else math.inf
