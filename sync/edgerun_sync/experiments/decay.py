"""Whether a model loses accuracy as it grows older: the trend of its accuracy by age, with units as clusters.

A line is fitted to all labelled calls by least squares. It describes; it says nothing of why, and a line may hide that
the accuracy fell at once on one day.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from edgerun_sync.errors import ExperimentError
from edgerun_sync.experiments.interval_estimates import Difference, IntervalEstimate, as_difference, smooth
from edgerun_sync.experiments.moments import moments_of

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from edgerun_sync.experiments.moments import Moments

DECAY_NAMES = ("calls", "age", "age_squared", "right", "age_right")
"""The variables of a unit, sums over its labelled calls: 1, the model's age in days, its square, 1 where the call was
right, and the age where it was right."""


class Decay(NamedTuple):
    """The trend of accuracy by the age of a model. Intervals are of the level 1 - alpha, with units as clusters."""

    per_day: Difference
    """Change of the accuracy a day, with its test of no change."""

    at_start: IntervalEstimate
    """Accuracy that the line gives for age 0."""

    mean_age_days: float
    """Of the labelled calls."""


def decay_moments(age_days: ArrayLike, calls: ArrayLike, right: ArrayLike) -> Moments:
    """Return the moments that `decay` takes, from counts by unit and by age of the model.

    Args:
        age_days: of the model, float [ages].
        calls: labelled calls, [units, ages].
        right: those that were right, [units, ages].

    Raises:
        ExperimentError: the shapes do not fit, or a number is not finite.
    """
    age, counts, rights = (np.asarray(array, np.float64) for array in (age_days, calls, right))
    if age.ndim != 1 or counts.ndim != 2 or counts.shape != rights.shape or counts.shape[1:] != age.shape:
        raise ExperimentError(f"ages are [ages], counts [units, ages], not {age.shape}, {counts.shape}, {rights.shape}")
    sums = (counts.sum(axis=1), counts @ age, counts @ age**2, rights.sum(axis=1), rights @ age)
    return moments_of(dict(zip(DECAY_NAMES, sums, strict=True)))


def decay(moments: Moments, alpha: float = 0.05) -> Decay:
    """Return the trend of the accuracy by the model's age.

    Args:
        moments: of `DECAY_NAMES`, over units.
        alpha: 1 less the level of the intervals.

    Source: least squares with the variance of Liang and Zeger, "Longitudinal data analysis using generalized linear
        models" (Biometrika 73, 1986), times units over units less one.

    Raises:
        ExperimentError: a variable is missing, all calls are of one age, there are fewer than two units, or alpha is
            not between 0 and 1.
    """
    found = moments.select(DECAY_NAMES)
    calls, age, age_squared, right, age_right = found.mean.tolist()
    determinant = calls * age_squared - age * age
    if not calls or determinant <= 1e-12 * calls * age_squared:
        raise ExperimentError("a trend needs labelled calls of at least two ages of the model; wait for more days")
    bread = np.array([[age_squared, -age], [-age, calls]]) / determinant
    start, slope = (bread @ [right, age_right]).tolist()
    scores = np.array([[-start, -slope, 0, 1, 0], [0, -start, -slope, 0, 1]])  # of a unit, from its sums
    gradients = bread @ scores
    at_start = smooth(found, start, gradients[0], alpha)
    per_day = as_difference(smooth(found, slope, gradients[1], alpha))
    return Decay(per_day, at_start, age / calls if calls else math.nan)
