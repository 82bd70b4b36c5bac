"""The health of an experiment from its facts: every check that docs/verdict.md lists, in its order.

A check that cannot be computed is broken: what nobody can tell of an experiment, nobody may trust.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

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
from edgerun_sync.experiments.moments import Moments, merge
from edgerun_sync.experiments.sample_ratio import PhaseCounts, sample_ratio

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgerun_sync.experiments.contrasts import Contrast
    from edgerun_sync.experiments.facts import Facts


def findings_of(facts: Facts) -> tuple[Finding, ...]:
    """Return what each check says of an experiment."""
    health = facts.health
    units = sum(sum(phase.units.values()) for phase in facts.phases)
    found = [
        _checked("sample ratio", lambda: _sample_ratio(facts)),
        _checked("reporting rate", lambda: reporting_rate(health.reported, health.assigned)),
    ]
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
        _checked("clock skew", lambda: clock_skew(health.skewed, health.devices)),
        minimum_duration(facts.days, facts.plan.minimum_days),
    ]
    return tuple(found)


def over_phases(facts: Facts) -> dict[str, Moments]:
    """Return the moments of each arm over the units of all phases."""
    arms = dict.fromkeys(arm for phase in facts.phases for arm in phase.moments)
    return {arm: merge([phase.moments[arm] for phase in facts.phases if arm in phase.moments]) for arm in arms}


def _checked(name: str, check: Callable[[], Finding]) -> Finding:
    try:
        return check()
    except ExperimentError as error:
        return Finding(name, False, {}, f"The {name} cannot be told: {error}.")


def _sample_ratio(facts: Facts) -> Finding:
    return sample_ratio([PhaseCounts(phase.name, phase.units, phase.weights) for phase in facts.phases])


def _label_rate(facts: Facts) -> Finding:
    return label_rate(over_phases(facts), facts.plan.control, LABELLED_CALLS, CALLS)


def _before(facts: Facts) -> dict[str, Contrast]:
    """Contrasts of the time before the experiment, of every metric that has one there."""
    arms, control = over_phases(facts), facts.plan.control
    found = {}
    for name, metric in facts.plan.metrics.items():
        covariate = covariate_of(name, metric)
        if covariate is None or control not in arms or not all(part in arms[control].names for part in covariate):
            continue
        for arm, moments in arms.items():
            if arm == control:
                continue
            try:
                found[f"{name} in {arm}"] = contrast(covariate, moments, arms[control])
            except ExperimentError:  # too few units have a past: then it tells nothing of the arms either
                continue
    return found
