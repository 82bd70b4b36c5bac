"""The scorecard: health first, then effects, models and drift, and the verdict with its reason; from facts alone.

It is one pure function. Every look is computed from all that was seen until then, and no look knows of another:
intervals that hold at every look need no memory of the former ones.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

from edgerun_sync.errors import ExperimentError
from edgerun_sync.experiments.checks import findings_of
from edgerun_sync.experiments.decision import (
    Evidence,
    GuardrailEvidence,
    Progress,
    Rules,
    SuccessEvidence,
    Verdict,
    decide,
)
from edgerun_sync.experiments.declared import compared_as, covariate_of
from edgerun_sync.experiments.drift_cards import DriftCard, drift_cards
from edgerun_sync.experiments.effects import Effect, Terms, effect
from edgerun_sync.experiments.guardrails import Guarded, Margin, guard, worsening
from edgerun_sync.experiments.model_cards import ModelCard, model_cards
from edgerun_sync.experiments.phases import LeftOut, Phased, compare_estimates, compare_phases
from edgerun_sync.experiments.planning import Levels, Sample, levels

if TYPE_CHECKING:
    from edgerun_bundles.experiment.metrics import DeclaredMetric
    from edgerun_bundles.experiment.plan import Plan
    from edgerun_sync.experiments.effects import Bound
    from edgerun_sync.experiments.facts import Facts
    from edgerun_sync.experiments.findings import Finding

Role: TypeAlias = Literal["primary", "success", "guardrail"]


class MetricCard(NamedTuple):
    """One metric of one treatment."""

    name: str
    """The metric."""

    role: Role
    """Its part in the verdict."""

    declared: DeclaredMetric
    """As the plan has it."""

    margin: Margin | None
    """Of a guardrail."""

    effect: Effect | None
    """Treatment less control; None where too little is there to tell."""

    worse: Bound | None
    """How much worse than the control it is at least."""

    guarded: Guarded | None
    """Of a guardrail: how far inside its margin it is at least."""

    is_adjusted: bool
    """Whether what units did before the experiment was used."""

    left_out: tuple[LeftOut, ...]
    """Phases that could not be compared."""

    why: str
    """Why it cannot be told; empty where it can."""


class TreatmentCard(NamedTuple):
    """One treatment."""

    arm: str
    """Its name."""

    verdict: Verdict
    """What to do, and why."""

    metrics: tuple[MetricCard, ...]
    """The primary one first; none where there is no verdict."""


class Scorecard(NamedTuple):
    """All that a report shows."""

    facts: Facts
    """From which everything else was computed."""

    levels: Levels
    """What each test got of alpha and power."""

    findings: tuple[Finding, ...]
    """Health."""

    treatments: tuple[TreatmentCard, ...]
    """Every arm but the control."""

    models: tuple[ModelCard, ...]
    """Measures of models; none where there is no verdict."""

    drift: tuple[DriftCard, ...]
    """What moved."""

    @property
    def is_healthy(self) -> bool:
        """Whether anything may be said of effects."""
        return all(found.is_ok or found.stops == "ship" for found in self.findings)


def scorecard(facts: Facts) -> Scorecard:
    """Return the scorecard of an experiment.

    Raises:
        ExperimentError: the plan has no sample, or there is no treatment.
    """
    plan = facts.plan
    treatments = _treatments(facts)
    level = levels(
        plan.alpha,
        plan.power,
        successes=1 + len(plan.success),
        guardrails=len(plan.guardrails),
        treatments=len(treatments),
    )
    findings = findings_of(facts)
    healthy = all(found.is_ok or found.stops == "ship" for found in findings)
    cards = {arm: _cards(facts, level, arm) if healthy else _unseen(plan) for arm in treatments}
    verdicts = decide(
        Rules(plan.alpha, plan.analysis, plan.maximum_days),
        Progress(facts.days, _is_sample_reached(facts)),
        findings,
        {arm: _evidence(found) for arm, found in cards.items()},
    )
    return Scorecard(
        facts=facts,
        levels=level,
        findings=findings,
        treatments=tuple(TreatmentCard(arm, verdicts[arm], found if healthy else ()) for arm, found in cards.items()),
        models=model_cards(facts) if healthy else (),
        drift=drift_cards(facts),
    )


def _treatments(facts: Facts) -> list[str]:
    plan = facts.plan
    if plan.control not in plan.units:
        raise ExperimentError(
            f"the plan of {plan.name!r} has no sample of its control {plan.control!r}; compute one with "
            "'edgerun experiment plan' and write it into the plan"
        )
    seen = dict.fromkeys(arm for phase in facts.phases for arm, weight in phase.weights.items() if weight > 0)
    found = [arm for arm in seen if arm != plan.control]
    unplanned = [arm for arm in found if arm not in plan.units]
    if unplanned:
        raise ExperimentError(f"the plan of {plan.name!r} has no sample of {unplanned[0]!r}, which has a weight")
    if not found:
        raise ExperimentError(f"no arm but the control {plan.control!r} ever had a weight: nothing is to be compared")
    return found


def _is_sample_reached(facts: Facts) -> bool:
    units = {arm: sum(phase.units.get(arm, 0) for phase in facts.phases) for arm in facts.plan.units}
    return all(units[arm] >= planned for arm, planned in facts.plan.units.items())


def _cards(facts: Facts, level: Levels, arm: str) -> tuple[MetricCard, ...]:
    plan = facts.plan
    information = Sample(plan.units, plan.primary).information(arm, plan.control)
    success = [_success(facts, name, level, arm, information) for name in (plan.primary, *plan.success)]
    return (*success, *(_guardrail(facts, name, level, arm, information) for name in plan.guardrails))


def _success(facts: Facts, name: str, level: Levels, arm: str, information: float) -> MetricCard:
    card = _blank(facts.plan, name)
    try:
        found, is_adjusted = _compared(facts, name, arm)
        return card._replace(
            effect=effect(found.contrast, Terms(level.success, information)),
            worse=worsening(found.contrast, card.declared.direction, Terms(level.worse, information)),
            is_adjusted=is_adjusted,
            left_out=found.left_out,
        )
    except ExperimentError as error:
        return card._replace(why=str(error))


def _guardrail(facts: Facts, name: str, level: Levels, arm: str, information: float) -> MetricCard:
    """A guardrail; its two-sided interval is the one whose ends are the one-sided bounds of its margin's level."""
    card = _blank(facts.plan, name)
    assert card.margin is not None
    try:
        found, is_adjusted = _compared(facts, name, arm)
        terms = Terms(level.guardrail, information)
        guarded = guard(found.contrast, card.declared.direction, card.margin, terms, level.worse)
        return card._replace(
            effect=effect(found.contrast, Terms(2 * level.guardrail, information)),
            worse=guarded.worse,
            guarded=guarded,
            is_adjusted=is_adjusted,
            left_out=found.left_out,
        )
    except ExperimentError as error:
        return card._replace(why=str(error))


def _compared(facts: Facts, name: str, arm: str) -> tuple[Phased, bool]:
    """An arm and the control by a metric, and whether covariates were used: where they can be, they are."""
    declared, control = facts.plan.metrics[name], facts.plan.control
    metric = compared_as(name, declared)
    if metric is None:
        phases = {phase.name: phase.estimates.get(name, {}) for phase in facts.phases}
        return compare_estimates(phases, arm, control), False
    by_phase = {phase.name: phase.moments.get(name, {}) for phase in facts.phases}
    covariate = covariate_of(name, declared)
    everywhere = [moments.names for arms in by_phase.values() for moments in arms.values()]
    if covariate is not None and all(part in names for names in everywhere for part in covariate):
        with suppress(ExperimentError):  # too few units have a past; that says nothing of the metric itself
            found = compare_phases(metric, [covariate], by_phase, arm, control)
            return found, bool(found.contrast.treatment or found.contrast.control)  # 0 has nothing to adjust
    return compare_phases(metric, [], by_phase, arm, control), False


def _blank(plan: Plan, name: str) -> MetricCard:
    tolerance = plan.guardrails.get(name)
    role: Role = "primary" if name == plan.primary else "guardrail" if tolerance else "success"
    margin = Margin(tolerance.margin, tolerance.is_relative) if tolerance else None
    return MetricCard(name, role, plan.metrics[name], margin, None, None, None, False, (), "")


def _unseen(plan: Plan) -> tuple[MetricCard, ...]:
    return tuple(_blank(plan, name) for name in (plan.primary, *plan.success, *plan.guardrails))


def _evidence(cards: tuple[MetricCard, ...]) -> Evidence:
    success = [
        SuccessEvidence(card.name, card.declared.direction, card.effect, card.worse, card.declared)
        for card in cards
        if card.role != "guardrail"
    ]
    guardrails = [
        GuardrailEvidence(card.name, card.guarded, card.declared) for card in cards if card.role == "guardrail"
    ]
    return Evidence(success[0], success[1:], guardrails)
