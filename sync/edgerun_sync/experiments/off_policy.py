"""What another split would have brought, estimated from calls that were routed by the one in force.

Each call is weighed by how much more often the new split would have chosen its arm. The propensities are those of the
bundle's own split, known exactly, so nothing is modelled; but what the split in force never chose, nobody can know.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from edgerun_sync.errors import ExperimentError
from edgerun_sync.experiments.interval_estimates import IntervalEstimate, ratio
from edgerun_sync.experiments.moments import moments_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import ArrayLike, NDArray

    from edgerun_sync.experiments.moments import Moments

POLICY_NAMES = ("weight", "weighted", "weight_squared", "calls")
"""The variables of a unit, sums over its calls: the weights, the weights times the outcome, their squares, and 1."""


class OffPolicy(NamedTuple):
    """The outcome that another split would have had."""

    outcome: IntervalEstimate
    """Mean outcome a call under the new split, with units as clusters."""

    calls: float
    """Calls that were logged."""

    effective_calls: float
    """How many calls under the new split itself would say as much, were all calls independent: Kish's."""

    mean_weight: float
    """Near 1 where the logged propensities are right."""


def policy_weights(logged: Mapping[str, float], proposed: Mapping[str, float]) -> dict[str, float]:
    """Return by how much a call of each arm counts, from the shares of the split in force and of the proposed one.

    Args:
        logged: share of the calls that each arm had, by name; they sum to 1.
        proposed: likewise, of the split whose outcome is asked for.

    Raises:
        ExperimentError: the shares of a split are negative or do not sum to 1, or the proposed split gives calls to an
            arm that had none: its outcome cannot be known.
    """
    for which, shares in (("logged", logged), ("proposed", proposed)):
        if not all(0 <= share <= 1 for share in shares.values()) or abs(sum(shares.values()) - 1) > 1e-9:
            raise ExperimentError(f"the {which} split's shares are from 0 to 1 and sum to 1, not {dict(shares)!r}")
    unknown = [arm for arm, share in proposed.items() if share > 0 and logged.get(arm, 0) == 0]
    if unknown:
        raise ExperimentError(
            f"the proposed split gives calls to {', '.join(map(repr, unknown))}, which had none; serve it a few first"
        )
    return {arm: proposed.get(arm, 0) / share for arm, share in logged.items() if share > 0}


def weights_of(logged: ArrayLike, proposed: ArrayLike) -> NDArray[np.float64]:
    """Return the weight of each call, float64 [calls].

    Args:
        logged: chance with which the split in force chose the arm of each call, above 0, [calls].
        proposed: chance with which the proposed split would have chosen it, [calls].

    Raises:
        ExperimentError: the shapes differ, or a chance is out of its range: a logged one of 0 was no choice of the
            split.
    """
    chance, other = np.asarray(logged, np.float64), np.asarray(proposed, np.float64)
    if chance.ndim != 1 or chance.shape != other.shape:
        raise ExperimentError(f"propensities are [calls], not {chance.shape} and {other.shape}")
    if not ((chance > 0) & (chance <= 1) & (other >= 0) & (other <= 1)).all():
        raise ExperimentError(
            "a logged propensity is above 0 and at most 1, a proposed one from 0 to 1; leave others out"
        )
    return other / chance


def policy_moments(weights: ArrayLike, outcomes: ArrayLike, units: ArrayLike) -> Moments:
    """Return the moments that `off_policy` takes, from each call's weight, outcome and unit, [calls].

    Raises:
        ExperimentError: the shapes differ, or a number is not finite.
    """
    weight, outcome, unit = np.asarray(weights, np.float64), np.asarray(outcomes, np.float64), np.asarray(units)
    if weight.ndim != 1 or not weight.shape == outcome.shape == unit.shape:
        raise ExperimentError(
            f"weights, outcomes and units are [calls], not {weight.shape}, {outcome.shape}, {unit.shape}"
        )
    _, place = np.unique(unit, return_inverse=True)
    each = (weight, weight * outcome, weight**2, np.ones(len(weight)))
    return moments_of({name: np.bincount(place, values) for name, values in zip(POLICY_NAMES, each, strict=True)})


def off_policy(moments: Moments, alpha: float = 0.05) -> OffPolicy:
    """Return the outcome of the proposed split: the mean of the logged ones, weighted and normalised by the weights.

    Args:
        moments: of `POLICY_NAMES`, over units.
        alpha: 1 less the level of the interval.

    Source: Swaminathan and Joachims, "The self-normalized estimator for counterfactual learning" (NeurIPS 2015); the
        number of effective calls is Kish, "Survey sampling" (1965).

    Raises:
        ExperimentError: no call has a weight, a variable is missing, there are fewer than two units, or alpha is not
            between 0 and 1.
    """
    found = moments.select(POLICY_NAMES)
    weight, _, weight_squared, calls = found.mean.tolist()
    if not weight > 0:
        raise ExperimentError("the proposed split would have chosen none of the logged arms; nothing is known of it")
    outcome = ratio(found, {"weighted": 1}, "weight", alpha)
    effective = found.n * weight**2 / weight_squared
    return OffPolicy(outcome, found.n * calls, effective, weight / calls if calls else math.nan)
