"""Quantiles of inferences, such as the 99th percentile of latency, with errors clustered by unit.

The inferences of a device are alike, so their number says little of how exact a quantile is. Three questions to the
engine are enough, whatever the number of events: the quantile; for every unit, how many inferences there were and how
many at or below it (their moments are `BELOW` and `COUNT`); and the quantiles at the two ranks of `ranks_around`.

Source: Deng, Knoblich and Lu, "Applying the delta method in metric analytics: a practical guide with novel ideas" (KDD
2018), section 4: the share of inferences below the quantile is a ratio metric, and a step to each side on the scale of
ranks gives the spread on the scale of values without a density.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from edgerun_sync.errors import ExperimentError
from edgerun_sync.experiments.contrasts import Contrast, information_of
from edgerun_sync.experiments.metrics import Ratio, estimate, squared_error
from edgerun_sync.experiments.moments import Moments, moments_of

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

BELOW, COUNT = "below", "count"
"""The variables of a unit: its inferences at or below the quantile, and all of them."""

_STEP_ERRORS = 1.96
"""Standard errors of a step on the scale of ranks: the paper's, at which intervals usually end."""

_SHARE = Ratio(BELOW, COUNT)


class Ranks(NamedTuple):
    """Shares of inferences that lie one step below and above a quantile."""

    low: float
    """At least 0."""

    high: float
    """At most 1."""

    step_errors: float
    """Standard errors from one to the other."""


class Quantile(NamedTuple):
    """A quantile of one arm."""

    units: int
    """Units that had an inference."""

    value: float
    """In the unit of what was measured."""

    variance: float
    """Its squared standard error."""


def ranks_around(share: float, below: Moments) -> Ranks:
    """Return the ranks whose quantiles tell how exact the quantile is.

    Args:
        share: which quantile: 0.99 for the 99th percentile.
        below: moments of `BELOW` and `COUNT` over the units of one arm.

    Raises:
        ExperimentError: share is not between 0 and 1, a variable is missing, or there are too few units for the
        quantile.
    """
    if not 0 < share < 1:
        raise ExperimentError(f"a quantile is of a share between 0 and 1, and it is {share!r}")
    gradient = estimate(_SHARE, below).gradient
    error = math.sqrt(max(squared_error(gradient, gradient, below), 0.0))
    low, high = share - _STEP_ERRORS * error, share + _STEP_ERRORS * error
    if error == 0 or low <= 0 or high >= 1:
        raise ExperimentError(
            f"{below.n} units are too few for the quantile of {share:g}: its rank has a standard error of {error:.2g}; "
            "wait for more"
        )
    return Ranks(low, high, 2 * _STEP_ERRORS)


def quantile_from(value: float, ranks: Ranks, at_low: float, at_high: float, units: int) -> Quantile:
    """Return a quantile and its variance, from the values at the two ranks.

    Raises:
        ExperimentError: the values do not ascend, or are all the same.
    """
    if not (at_low <= value <= at_high and at_low < at_high and math.isfinite(at_high - at_low)):
        raise ExperimentError(
            f"the values {at_low!r}, {value!r}, {at_high!r} at three ascending ranks do not ascend; "
            "they must come from the same inferences, and not all be the same"
        )
    return Quantile(units, value, ((at_high - at_low) / ranks.step_errors) ** 2)


def quantile_contrast(treatment: Quantile, control: Quantile) -> Contrast:
    """Return the contrast of a quantile of two arms.

    Raises:
        ExperimentError: an arm has fewer than two units.
    """
    if min(treatment.units, control.units) < 2:
        raise ExperimentError("a comparison of quantiles needs two units in each arm; wait for more")
    difference = treatment.value - control.value
    variance = treatment.variance + control.variance
    spread = treatment.variance**2 / (treatment.units - 1) + control.variance**2 / (control.units - 1)
    return Contrast(
        treatment_units=treatment.units,
        control_units=control.units,
        treatment=treatment.value,
        control=control.value,
        difference=difference,
        centre=difference,
        variance=variance,
        degrees=variance**2 / spread,
        base_variance=control.variance,
        base_covariance=-control.variance,
        information=information_of(treatment.units, control.units),
    )


def quantile_of(share: float, values: ArrayLike, units: ArrayLike) -> Quantile:
    """Return a quantile of inferences that are at hand, one row each.

    Args:
        share: which quantile.
        values: what was measured, float [rows].
        units: the unit of each row, int [rows].

    Raises:
        ExperimentError: the shapes differ, a value is not finite, or there are too few units.
    """
    numbers, owners = np.asarray(values, np.float64), np.asarray(units)
    if numbers.ndim != 1 or numbers.shape != owners.shape:
        raise ExperimentError(
            f"there must be one unit for each value, not the shapes {numbers.shape} and {owners.shape}"
        )
    if not len(numbers) or not np.isfinite(numbers).all():
        raise ExperimentError(
            "there are no values, or some are not finite; leave those out of the query, and count them"
        )
    ordered = np.sort(numbers)
    value = _nearest(ordered, share)
    _, place = np.unique(owners, return_inverse=True)
    below = moments_of({BELOW: np.bincount(place, numbers <= value), COUNT: np.bincount(place)})
    ranks = ranks_around(share, below)
    return quantile_from(value, ranks, _nearest(ordered, ranks.low), _nearest(ordered, ranks.high), below.n)


def _nearest(ordered: np.ndarray[tuple[int], np.dtype[np.float64]], share: float) -> float:
    """The value of rank ceil(share * n), as `edgerun.log` defines a quantile."""
    return float(ordered[min(max(math.ceil(share * len(ordered)), 1), len(ordered)) - 1])
