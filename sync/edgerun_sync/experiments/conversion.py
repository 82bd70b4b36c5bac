"""Conversions: the difference of two shares of units, by the interval of Agresti and Caffo.

The plain interval is too short where few units converted, and of no length where none did. Adding one unit that did and
one that did not to each arm mends both, keeps the interval within what a test by inversion says, and is one formula.

Source: Agresti and Caffo, "Simple and effective confidence intervals for proportions and differences of proportions
result from adding two successes and two failures" (The American Statistician 54, 2000).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from edgerun_sync.errors import ExperimentError
from edgerun_sync.experiments.contrasts import Contrast, information_of

if TYPE_CHECKING:
    from edgerun_sync.experiments.moments import Moments

_UNSEEN_UNITS = 2
_ROUNDING = 1e-6
"""How far the variance of zeros and ones may be from p (1 - p), relatively, after an engine summed it up."""


def conversion_contrast(name: str, treatment: Moments, control: Moments) -> Contrast:
    """Return the contrast of two shares; its centre is drawn to 0 by the four added units, its difference is not.

    Raises:
        ExperimentError: an arm has no units, or the variable holds another number than 0 or 1.
    """
    t_share, c_share = (share_of(name, arm) for arm in (treatment, control))
    t_drawn, c_drawn = ((share * arm.n + 1) / (arm.n + 2) for share, arm in ((t_share, treatment), (c_share, control)))
    t_variance, c_variance = (
        drawn * (1 - drawn) / (arm.n + 2) for drawn, arm in ((t_drawn, treatment), (c_drawn, control))
    )
    return Contrast(
        treatment_units=treatment.n,
        control_units=control.n,
        treatment=t_share,
        control=c_share,
        difference=t_share - c_share,
        centre=t_drawn - c_drawn,
        variance=t_variance + c_variance,
        degrees=math.inf,
        base_variance=c_variance,
        base_covariance=-c_variance,
        information=information_of(treatment.n, control.n),
    )


def unseen_contrast(treatment_units: int, control_units: int) -> Contrast:
    """Return the contrast of two shares of calls that are 0 in every unit, such as fallbacks where nothing ever failed.

    Nothing is known of their spread, but it can be no greater than that of a share of units: the calls of one would
    then have one fate. Both arms count as though two units of the smaller one had it. So a share is said to be below a
    bound only where n times the bound is above 3.2, and chance gives 0 in n units in less than 0.05 of cases.
    """
    units = min(treatment_units, control_units)
    share = min(_UNSEEN_UNITS / units, 0.5)
    variance = share * (1 - share) / units
    return Contrast(
        treatment_units=treatment_units,
        control_units=control_units,
        treatment=0.0,
        control=0.0,
        difference=0.0,
        centre=0.0,
        variance=2 * variance,
        degrees=math.inf,
        base_variance=variance,
        base_covariance=-variance,
        information=information_of(treatment_units, control_units),
    )


def share_of(name: str, arm: Moments) -> float:
    """Return the share of an arm's units whose variable is 1.

    Raises:
        ExperimentError: there are no units, or the variable holds another number than 0 or 1.
    """
    if arm.n == 0:
        raise ExperimentError(f"an arm has no units with {name!r} yet; wait for some")
    place = arm.at(name)
    share, spread = float(arm.mean[place]), float(arm.m2[place, place]) / arm.n
    if not (-_ROUNDING <= share <= 1 + _ROUNDING and abs(spread - share * (1 - share)) <= _ROUNDING):
        raise ExperimentError(
            f"{name!r} has the mean {share:.4g} and the variance {spread:.4g}, so it is not 0 or 1 a unit; "
            "declare a mean instead of a conversion"
        )
    return min(max(share, 0.0), 1.0)
