"""What another split of an experiment's arms would have brought, metric by metric, from the facts of its scorecard.

A unit keeps its arm, and the bundle says exactly how likely that arm was: so the moments of each phase and arm,
weighed, are all that the estimate needs, and no row is looked at again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from edgerun_sync.errors import ExperimentError
from edgerun_sync.experiments.declared import compared_as
from edgerun_sync.experiments.metrics import Ratio
from edgerun_sync.experiments.moments import Moments, merge
from edgerun_sync.experiments.off_policy import POLICY_NAMES, OffPolicy, off_policy, policy_weights
from edgerun_sync.experiments.phases import LeftOut

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgerun_bundles.experiment.metrics import DeclaredMetric
    from edgerun_sync.experiments.facts import Facts, PhaseFacts
    from edgerun_sync.experiments.metrics import Metric


class PolicyCard(NamedTuple):
    """One metric under another split."""

    name: str
    """The metric."""

    declared: DeclaredMetric
    """As the plan has it."""

    proposed: OffPolicy | None
    """What the proposed split would have brought. What it calls calls are units: a unit is a row here."""

    logged: OffPolicy | None
    """The same estimate for the split of the last phase, to be compared with."""

    left_out: tuple[LeftOut, ...]
    """Phases in which an arm of the proposed split had no share."""

    why: str
    """Why it cannot be told; empty where it can."""


def policy_cards(facts: Facts, weights: Mapping[str, float]) -> tuple[PolicyCard, ...]:
    """Return what each metric of the plan would have been.

    Args:
        facts: of the experiment. Whether its health is broken is for the caller to look at first.
        weights: of the proposed split, by arm: any numbers of at least 0, as a bundle has them.

    Raises:
        ExperimentError: a weight is negative, all are 0, an arm has no place in the experiment, or no phase gave a
            share to each arm of the proposed split.
    """
    proposed = _shares(weights)
    arms = {arm for phase in facts.phases for arm in phase.weights}
    unknown = [arm for arm in proposed if arm not in arms]
    if unknown:
        raise ExperimentError(f"there is no arm {unknown[0]!r}, only {', '.join(map(repr, sorted(arms)))}")
    used = [phase for phase in facts.phases if _covers(phase, proposed)]
    if not used:
        policy_weights(_shares(facts.phases[-1].weights), proposed)  # says which arm had no calls
    left_out = tuple(
        LeftOut(phase.name, sum(phase.units.values()), "an arm of the proposed split had no share in it")
        for phase in facts.phases
        if phase not in used
    )
    return tuple(_card(facts, name, used, proposed)._replace(left_out=left_out) for name in facts.plan.metrics)


def _card(facts: Facts, name: str, phases: list[PhaseFacts], proposed: Mapping[str, float]) -> PolicyCard:
    declared = facts.plan.metrics[name]
    card = PolicyCard(name, declared, None, None, (), "")
    metric = compared_as(name, declared)
    if metric is None:
        return card._replace(why="quantiles and areas under a curve are no sums over calls, so they cannot be weighed")
    logged = _shares(facts.phases[-1].weights)
    try:
        return card._replace(
            proposed=_estimated(facts, name, metric, phases, proposed),
            logged=_estimated(facts, name, metric, [one for one in phases if _covers(one, logged)], logged),
        )
    except ExperimentError as error:
        return card._replace(why=str(error))


def _estimated(
    facts: Facts, name: str, metric: Metric, phases: list[PhaseFacts], shares: Mapping[str, float]
) -> OffPolicy | None:
    if not phases:
        return None
    measured, units = [], []
    for phase in phases:
        weights = policy_weights(_shares(phase.weights), _over(shares, phase))
        for arm, moments in phase.moments.get(name, {}).items():
            if arm in weights:
                measured.append(_of_metric(moments.select([*metric]), weights[arm], isinstance(metric, Ratio)))
                units.append(_of_units(moments, weights[arm]))
    if not measured:
        raise ExperimentError("no unit of any arm is known; wait for more")
    outcome = off_policy(merge(measured), facts.plan.alpha).outcome
    return off_policy(merge(units), facts.plan.alpha)._replace(outcome=outcome)


def _of_metric(moments: Moments, weight: float, is_ratio: bool) -> Moments:
    """Moments of `POLICY_NAMES`: units of an arm weigh all alike, so they are linear in what was measured on them."""
    if is_ratio:  # above, below: what is below the line is what there is to be weighed
        turn = np.array([[0, weight], [weight, 0], [0, weight**2], [0, 1]])
        return Moments(POLICY_NAMES, moments.n, turn @ moments.mean, turn @ moments.m2 @ turn.T)
    turn = np.array([[0.0], [weight], [0], [0]])
    shift = np.array([weight, 0, weight**2, 1])
    return Moments(POLICY_NAMES, moments.n, turn @ moments.mean + shift, turn @ moments.m2 @ turn.T)


def _of_units(moments: Moments, weight: float) -> Moments:
    """The same, of units that are counted."""
    return Moments(POLICY_NAMES, moments.n, np.array([weight, weight, weight**2, 1]), np.zeros((4, 4)))


def _shares(weights: Mapping[str, float]) -> dict[str, float]:
    total = sum(weights.values())
    if any(not weight >= 0 for weight in weights.values()) or not 0 < total < float("inf"):
        raise ExperimentError(f"weights are at least 0 and not all 0: {dict(weights)!r:.200}")
    return {arm: weight / total for arm, weight in weights.items()}


def _covers(phase: PhaseFacts, shares: Mapping[str, float]) -> bool:
    return all(phase.weights.get(arm, 0) > 0 for arm, share in shares.items() if share > 0)


def _over(shares: Mapping[str, float], phase: PhaseFacts) -> dict[str, float]:
    """Shares of the arms that a phase has; an arm that it has not has none."""
    return {arm: shares.get(arm, 0.0) for arm in {**phase.weights, **shares}}
