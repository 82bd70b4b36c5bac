"""What a metric is of the units of one arm: a value, and how the value moves with the means of the unit's variables.

A value that depends on means alone is, for many units, as exact as a mean of one number per unit: the derivatives by
each mean, times the unit's variables. Its variance, and its covariance with any other such value, follow from the
moments alone (the delta method). Conversions, whose small counts need more care, are in
`edgerun_sync.experiments.conversion`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np

from edgerun_sync.errors import ExperimentError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgerun_sync.experiments.moments import Moments

BASE_MIN_ERRORS = 4.0
"""Standard errors that a divisor must be away from 0: nearer, a ratio has no variance that could be told."""


class Mean(NamedTuple):
    """The mean of one number per unit."""

    value: str
    """The variable."""


class Ratio(NamedTuple):
    """The sum of one variable over the sum of another, such as errors over calls: every call counts alike."""

    numerator: str
    """The variable above the line."""

    denominator: str
    """The variable below the line; never negative."""


class Share(Ratio):
    """A ratio of which the part above the line is part of the one below it, such as fallbacks of answered calls.

    So it is known what it could be at most, even where it was never anything but 0.
    """


class Conversion(NamedTuple):
    """The share of units that did something."""

    value: str
    """The variable: 1 for a unit that did, and 0 for one that did not."""


Metric: TypeAlias = Mean | Ratio | Conversion
"""Any of the three."""


class Estimate(NamedTuple):
    """A metric's value in one arm."""

    value: float
    """In the unit of the metric."""

    gradient: NDArray[np.float64]
    """Its derivatives by the means of the moments' variables, float64 [k]."""


def estimate(metric: Metric, moments: Moments) -> Estimate:
    """Return a metric's value in an arm, and its derivatives.

    Source for ratios: Deng, Knoblich and Lu, "Applying the delta method in metric analytics: a practical guide with
    novel ideas" (KDD 2018), section 3.

    Raises:
        ExperimentError: a variable is missing, or the denominator is nearer to 0 than 4 standard errors of it.
    """
    gradient = np.zeros(len(moments.names))
    if not isinstance(metric, Ratio):
        gradient[moments.at(metric.value)] = 1.0
        return Estimate(moments.mean_of(metric.value), gradient)
    above, below = moments.at(metric.numerator), moments.at(metric.denominator)
    base = float(moments.mean[below])
    if moments.n < 2:
        raise ExperimentError(f"a ratio needs two units, and there are {moments.n}; wait for more")
    error = math.sqrt(float(moments.m2[below, below]) / (moments.n - 1) / moments.n)
    if base <= BASE_MIN_ERRORS * error:
        raise ExperimentError(
            f"{metric.denominator!r} is {base:.4g} a unit with a standard error of {error:.4g}, "
            "too near to 0 to divide by; wait for more units"
        )
    value = float(moments.mean[above]) / base
    gradient[above] = 1 / base
    gradient[below] -= value / base
    return Estimate(value, gradient)


def squared_error(gradient: NDArray[np.float64], other: NDArray[np.float64], moments: Moments) -> float:
    """Return the covariance of two estimates from the same units, given their derivatives [k]; of one, its variance.

    Raises:
        ExperimentError: there are fewer than two units.
    """
    return float(gradient @ moments.covariance() @ other) / moments.n


def unit_deviation(metric: Metric, moments: Moments) -> float:
    """Return the standard deviation that a unit contributes to a metric: what a plan needs to know of the past.

    Raises:
        ExperimentError: as `estimate`.
    """
    gradient = estimate(metric, moments).gradient
    return math.sqrt(max(squared_error(gradient, gradient, moments), 0.0) * moments.n)
