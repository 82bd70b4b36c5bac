"""Whole experiments from the plan to the verdict, simulated: a primary metric, a guardrail, health, and daily looks."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from edgerun_sync.experiments.decision import (
    Evidence,
    GuardrailEvidence,
    Progress,
    Rules,
    SuccessEvidence,
    Verdict,
    decide,
)
from edgerun_sync.experiments.effects import Terms, effect
from edgerun_sync.experiments.guardrails import Margin, guard, worsening
from edgerun_sync.experiments.health import assignment_audit, label_rate, minimum_duration, reporting_rate
from edgerun_sync.experiments.moments import moments_of
from edgerun_sync.experiments.planning import Sample, levels, sample
from edgerun_sync.experiments.power import Design, Spread, units_for_mean
from edgerun_sync.experiments.sample_ratio import PhaseCounts, sample_ratio
from support.calibrated import days
from support.simulated import DEVIATION, METHODS, Columns, pairs

if TYPE_CHECKING:
    import numpy as np

    from edgerun_sync.experiments.findings import Finding

RULES = Rules(0.05, "sequential", 28)
LEVELS = levels(0.05, 0.8, successes=1, guardrails=1, treatments=1)
MARGIN = Margin(0.03, False)
"""Of the share of errors, 0.2."""

ERRORS_DEVIATION = 0.154
"""Of a device's share of errors."""


def planned(drawn: float) -> Sample:
    """The sample for an effect on the primary metric, and for the guardrail's margin."""
    success = Design(LEVELS.success, LEVELS.power, 0.5, 0.5)
    guardrail = Design(LEVELS.guardrail, LEVELS.power, 0.5, 0.5, sides=1)
    needs = {
        "number": units_for_mean(success, drawn, Spread(DEVIATION, DEVIATION)),
        "errors": units_for_mean(guardrail, MARGIN.size, Spread(ERRORS_DEVIATION, ERRORS_DEVIATION)),
    }
    return sample(needs, {"control": 0.5, "a": 0.5})


def verdict(treatment: Columns, control: Columns, plan: Sample, day: int, findings: list[Finding]) -> Verdict:
    """The verdict of one day."""
    information = plan.information("a", "control")
    terms, level = Terms(LEVELS.success, information), LEVELS
    primary = METHODS["mean"].compare(treatment, control)
    errors = METHODS["ratio of errors"].compare(treatment, control)
    guarded = guard(errors, "down", MARGIN, Terms(level.guardrail, information), level.worse)
    worse = worsening(primary, "up", Terms(level.worse, information))
    success = SuccessEvidence("number", "up", effect(primary, terms), worse)
    evidence = {"a": Evidence(success, [], [GuardrailEvidence("errors", guarded)])}
    return decide(RULES, Progress(day, is_sample_reached=False), findings, evidence)["a"]


def healthy(treatment: Columns, control: Columns, day: int) -> list[Finding]:
    """What the checks say of a day of a healthy experiment."""
    arms = {"control": len(control["number"]), "a": len(treatment["number"])}
    return [sample_ratio([PhaseCounts("1", arms, {"control": 1, "a": 1})]), minimum_duration(day, 7)]


def final_verdicts(seed: int, experiments: int, drawn: float, plan: Sample) -> Counter[str]:
    """How experiments of 28 daily looks end; each stops on the day of its first SHIP or ROLL BACK."""
    ends: Counter[str] = Counter()
    for treatment, control in pairs(seed, experiments, drawn, plan.units["a"]):
        for day, (some, others) in enumerate(days(treatment, control), 1):
            found = verdict(some, others, plan, day, healthy(some, others, day))
            if found.kind in {"SHIP", "ROLL BACK"}:
                break
        ends[found.kind] += 1
    return ends


def with_fault(fault: str, treatment: Columns, control: Columns, rng: np.random.Generator) -> list[Finding]:
    """What the checks say at the end of an experiment with a fault."""
    units = {"control": len(control["number"]), "a": len(treatment["number"])}
    reported, wrong = dict(units), 0
    labels = {name: rng.binomial(arm["calls"], 0.3) for name, arm in (("control", control), ("a", treatment))}
    if fault == "crash":  # devices with many errors crash, and are heard of no more
        reported["a"] -= int((rng.random(units["a"]) < 0.5 * (treatment["errors"] > 5)).sum())
    elif fault == "lost telemetry":
        reported["a"] -= int(rng.binomial(units["a"], 0.15))
    elif fault == "wrong split":
        wrong = max(1, int(rng.binomial(sum(units.values()), 0.02)))
    elif fault == "labels of some answers only":
        labels["a"] = rng.binomial(labels["a"], 0.75)
    arms = {
        name: moments_of({"labels": labels[name], "calls": arm["calls"]})
        for name, arm in (("control", control), ("a", treatment))
    }
    return [
        sample_ratio([PhaseCounts("1", reported, {"control": 1, "a": 1})]),
        reporting_rate(reported, units),
        label_rate(arms, "control", "labels", "calls"),
        assignment_audit(wrong, sum(units.values())),
    ]
