"""What all experiments of a bundle did together: the units that a holdout keeps from them against all others.

There is no verdict: nobody ships a holdout. What each metric says is said once, when the holdout ends; whoever looks
earlier and stops on what is seen has another test.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from edgerun_bundles.experiment.metrics import LABELLED
from edgerun_sync.errors import ExperimentError
from edgerun_sync.experiments.checks import over_phases
from edgerun_sync.experiments.declared import CALLS, LABELLED_CALLS, compared_as
from edgerun_sync.experiments.effects import Effect, Terms, effect
from edgerun_sync.experiments.health import assignment_audit, label_rate, several_arms
from edgerun_sync.experiments.multiplicity import holm
from edgerun_sync.experiments.phases import compare_estimates, compare_phases
from edgerun_sync.experiments.sample_ratio import PhaseCounts, sample_ratio

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edgerun_bundles.experiment.metrics import DeclaredMetric
    from edgerun_sync.experiments.facts import PhaseFacts
    from edgerun_sync.experiments.findings import Finding
    from edgerun_sync.experiments.phases import Phased

HELD_OUT, OTHERS = "held out", "others"
"""The two groups, as arms."""


class HoldoutFacts(NamedTuple):
    """All that is known of a holdout."""

    name: str
    """Of the holdout."""

    bundle: str
    """Name of the bundle whose calls these are."""

    metrics: Mapping[str, DeclaredMetric]
    """What is compared."""

    days: float
    """Since the first unit was seen."""

    phases: tuple[PhaseFacts, ...]
    """A phase is a version of the bundle: the share that is held out may change from one to the next."""

    in_both: int
    """Units that were in both groups within a phase."""

    audited: int | None
    """Units whose group was computed again; None where no keys are known."""

    misassigned: int
    """Those that are not in the group that the holdout says."""


class HoldoutMetric(NamedTuple):
    """One metric."""

    name: str
    """The metric."""

    effect: Effect | None
    """The others less those held out; None where too little is there to tell."""

    adjusted_p: float | None
    """Of the fixed test, by Holm over all metrics."""

    why: str
    """Why it cannot be told; empty where it can."""


class HoldoutCard(NamedTuple):
    """All that a report of a holdout shows."""

    facts: HoldoutFacts
    """From which everything else was computed."""

    alpha: float
    """Of all metrics together."""

    findings: tuple[Finding, ...]
    """Health."""

    metrics: tuple[HoldoutMetric, ...]
    """None where the health is broken."""

    @property
    def is_healthy(self) -> bool:
        """Whether anything may be said of effects."""
        return all(found.is_ok for found in self.findings)


def holdout_card(facts: HoldoutFacts, alpha: float = 0.05) -> HoldoutCard:
    """Return what a holdout shows.

    Intervals are of the level alpha divided by the number of metrics, so that all hold together.

    Args:
        facts: what is known.
        alpha: chance that any of the metrics is said to differ where none does.

    Raises:
        ExperimentError: alpha is not between 0 and 1, or the counts contradict each other.
    """
    if not 0 < alpha < 1:
        raise ExperimentError(f"alpha must lie between 0 and 1, and it is {alpha!r}")
    findings = _findings(facts)
    if not all(found.is_ok for found in findings):
        return HoldoutCard(facts, alpha, findings, ())
    found = [_metric(facts, name, alpha / max(1, len(facts.metrics))) for name in facts.metrics]
    told = [one for one in found if one.effect is not None]
    adjusted = dict(zip([one.name for one in told], holm([_fixed_p(one.effect) for one in told]), strict=True))
    return HoldoutCard(facts, alpha, findings, tuple(one._replace(adjusted_p=adjusted.get(one.name)) for one in found))


def _fixed_p(found: Effect | None) -> float:
    return 1.0 if found is None else found.fixed_p


def _findings(facts: HoldoutFacts) -> tuple[Finding, ...]:
    units = sum(sum(phase.units.values()) for phase in facts.phases)
    found = [
        sample_ratio([PhaseCounts(phase.name, phase.units, phase.weights) for phase in facts.phases]),
        several_arms(facts.in_both, units),
    ]
    if any(metric.kind in LABELLED for metric in facts.metrics.values()):
        found.append(label_rate(over_phases(phase.labels for phase in facts.phases), HELD_OUT, LABELLED_CALLS, CALLS))
    if facts.audited is not None:
        found.append(assignment_audit(facts.misassigned, facts.audited))
    return tuple(found)


def _metric(facts: HoldoutFacts, name: str, alpha: float) -> HoldoutMetric:
    try:
        contrast = _compared(facts.phases, name, facts.metrics[name]).contrast
        # Only the fixed interval is shown, so the information that a sequential one would be tuned to plays no part.
        return HoldoutMetric(name, effect(contrast, Terms(alpha, contrast.information)), None, "")
    except ExperimentError as error:
        return HoldoutMetric(name, None, None, str(error))


def _compared(phases: Sequence[PhaseFacts], name: str, declared: DeclaredMetric) -> Phased:
    metric = compared_as(name, declared)
    if metric is None:
        return compare_estimates({phase.name: phase.estimates.get(name, {}) for phase in phases}, OTHERS, HELD_OUT)
    moments = {phase.name: phase.moments.get(name, {}) for phase in phases}
    return compare_phases(metric, [], moments, OTHERS, HELD_OUT)
