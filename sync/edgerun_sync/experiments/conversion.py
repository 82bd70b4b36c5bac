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
