"""The difference of two arms, with its variance: what intervals, tests and margins are made of.

A contrast knows nothing of levels, looks or plans. Contrasts of the phases of a ramp are put together here too:
within a phase the split is constant, so days on which everything was different fall on both arms alike.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from edgerun_sync.errors import ExperimentError

if TYPE_CHECKING:
    from collections.abc import Sequence


class Contrast(NamedTuple):
    """Treatment less control, for one metric."""

    treatment_units: int
    """Units of the treatment."""

    control_units: int
    """Units of the control."""

    treatment: float
    """The metric's value in the treatment, as it was observed."""

    control: float
    """The metric's value in the control, as it was observed."""

    difference: float
    """The estimate of the effect. With covariates it is not just the difference of the two values."""

    centre: float
    """What intervals are symmetric around: the difference, but for conversions, which are drawn a little to 0."""

    variance: float
    """The squared standard error of the centre."""

    degrees: float
    """Degrees of freedom of the variance; infinity where it is not estimated beside the value."""

    base_variance: float
    """The squared standard error of the control's value."""

    base_covariance: float
    """The covariance of the centre with the control's value."""

    information: float
    """Units as a comparison counts them: t * c / (t + c) of t and c units."""


def information_of(treatment_units: float, control_units: float) -> float:
    """Return the units that a comparison of two arms is worth: the clock by which its confidence sequence runs."""
    return treatment_units * control_units / (treatment_units + control_units)


def across_phases(contrasts: Sequence[Contrast]) -> Contrast:
    """Return one contrast of the contrasts of several phases, each over the units that came in it.

    Phases weigh by their information, which a ramp fixes and the metric cannot touch. A sum so weighted grows by
    independent steps, so a confidence sequence may run over it. Values of the arms are weighted alike.

    Source of the weights: Cochran, "Some methods for strengthening the common chi-square tests" (1954).

    Raises:
        ExperimentError: there is no contrast.
    """
    if not contrasts:
        raise ExperimentError("there is no phase in which both arms had units; wait, or look at the weights")
    if len(contrasts) == 1:
        return contrasts[0]
    information = sum(one.information for one in contrasts)
    weights = [one.information / information for one in contrasts]
    weighted = list(zip(weights, contrasts, strict=True))
    variances = [weight**2 * one.variance for weight, one in weighted]
    spread = sum(variance**2 / one.degrees for variance, one in zip(variances, contrasts, strict=True))
    return Contrast(
        treatment_units=sum(one.treatment_units for one in contrasts),
        control_units=sum(one.control_units for one in contrasts),
        treatment=sum(weight * one.treatment for weight, one in weighted),
        control=sum(weight * one.control for weight, one in weighted),
        difference=sum(weight * one.difference for weight, one in weighted),
        centre=sum(weight * one.centre for weight, one in weighted),
        variance=sum(variances),
        degrees=sum(variances) ** 2 / spread if spread else math.inf,
        base_variance=sum(weight**2 * one.base_variance for weight, one in weighted),
        base_covariance=sum(weight**2 * one.base_covariance for weight, one in weighted),
        information=information,
    )
