"""The health of an experiment from its facts: every check that docs/verdict.md lists, in its order.

A check that cannot be computed is broken: what nobody can tell of an experiment, nobody may trust.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from edgerun_bundles.experiment.metrics import LABELLED
from edgerun_sync.errors import ExperimentError
from edgerun_sync.experiments.comparing import contrast
from edgerun_sync.experiments.declared import CALLS, LABELLED_CALLS, covariate_of
from edgerun_sync.experiments.findings import Finding
from edgerun_sync.experiments.health import (
    assignment_audit,
    clock_skew,
    label_rate,
    minimum_duration,
    pre_period_imbalance,
    reporting_rate,
    several_arms,
)
from edgerun_sync.experiments.moments import merge
from edgerun_sync.experiments.sample_ratio import PhaseCounts, sample_ratio

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from edgerun_sync.experiments.contrasts import Contrast
    from edgerun_sync.experiments.facts import Facts
    from edgerun_sync.experiments.moments import Moments

T = TypeVar("T")


def findings_of(facts: Facts) -> tuple[Finding, ...]:
    """Return what each check says of an experiment."""
    health = facts.health
    units = sum(sum(phase.units.values()) for phase in facts.phases)
    found = [
        _checked("sample ratio", lambda: _sample_ratio(facts)),
    ]
    if facts.plan.unit != "request":  # a request is heard of once, or never
        found.append(
            _checked("reporting rate", lambda: reporting_rate(health.reported, _ordered(facts, health.assigned)))
        )
    if any(metric.kind in LABELLED for metric in facts.plan.metrics.values()):
        found.append(_checked("label rate", lambda: _label_rate(facts)))
    found += [
        _checked("several arms", lambda: several_arms(health.in_several, units)),
        _checked("assignment audit", lambda: assignment_audit(health.misassigned, health.audited)),
    ]
    before = _before(facts)
    if before:
        found.append(_checked("pre-period", lambda: pre_period_imbalance(before)))
    found += [
        _checked("clock skew", lambda: clock_skew(health.skewed, _ordered(facts, health.devices), health.clocks)),
        minimum_duration(facts.days, facts.plan.minimum_days),
    ]
    return tuple(found)


def over_phases(phases: Iterable[Mapping[str, Moments]]) -> dict[str, Moments]:
    """Return the moments of each arm over the units of all phases."""
    by_arm: dict[str, list[Moments]] = {}
    for phase in phases:
        for arm, moments in phase.items():
            by_arm.setdefault(arm, []).append(moments)
    return {arm: merge(parts) for arm, parts in by_arm.items()}


def _checked(name: str, check: Callable[[], Finding]) -> Finding:
    try:
        return check()
    except ExperimentError as error:
        return Finding(name, False, {}, f"The {name} cannot be told: {error}.")


def _sample_ratio(facts: Facts) -> Finding:
    return sample_ratio([PhaseCounts(phase.name, phase.units, phase.weights) for phase in facts.phases])


def _label_rate(facts: Facts) -> Finding:
    arms = _ordered(facts, over_phases(phase.labels for phase in facts.phases))
    return label_rate(arms, facts.plan.control, LABELLED_CALLS, CALLS)


def _ordered(facts: Facts, by_arm: Mapping[str, T]) -> dict[str, T]:
    """By arm, in the order of the plan: that in which an engine gave them is nobody's."""
    planned = [arm for arm in facts.plan.units if arm in by_arm]
    return {arm: by_arm[arm] for arm in (*planned, *sorted(by_arm.keys() - planned))}


def _before(facts: Facts) -> dict[str, Contrast]:
    """Contrasts of the time before the experiment, of every metric that has one there."""
    control, found = facts.plan.control, {}
    for name, metric in facts.plan.metrics.items():
        arms, covariate = over_phases(phase.moments.get(name, {}) for phase in facts.phases), covariate_of(name, metric)
        if covariate is None or control not in arms:
            continue
        for arm, moments in arms.items():
            if arm == control or not all(part in moments.names for part in covariate):
                continue
            try:
                found[f"{name} in {arm}"] = contrast(covariate, moments, arms[control])
            except ExperimentError:  # too few units have a past: then it tells nothing of the arms either
                continue
    return found
