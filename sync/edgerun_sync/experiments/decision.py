"""The verdict: what to do with a treatment, by the rule that docs/verdict.md has, and the reason in one sentence.

The rule is a list, and the first of its lines that applies decides. It says what was shown and what was not: an
interval that holds 0 shows nothing, and that is all that is said of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

from edgerun_sync.errors import ExperimentError
from edgerun_sync.experiments.multiplicity import holm
from edgerun_sync.experiments.numbers import amount_text, interval_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edgerun_bundles.experiment.metrics import DeclaredMetric
    from edgerun_sync.experiments.effects import Bound, Effect, Interval
    from edgerun_sync.experiments.findings import Finding
    from edgerun_sync.experiments.guardrails import Direction, Guarded
    from edgerun_sync.experiments.power import Analysis

Kind: TypeAlias = Literal["SHIP", "ROLL BACK", "KEEP RUNNING", "INCONCLUSIVE", "NO VERDICT"]
"""What to do."""


class SuccessEvidence(NamedTuple):
    """What is known of a metric that should get better."""

    name: str
    """The metric."""

    direction: Direction
    """Where better is."""

    effect: Effect | None
    """Its effect; None where too little is there to tell."""

    worse: Bound | None
    """How much worse it is at least, valid at every look: `guardrails.worsening`."""

    declared: DeclaredMetric | None = None
    """As the plan has it, for the units of the reason; numbers are bare without it."""


class GuardrailEvidence(NamedTuple):
    """What is known of a metric that must not get worse."""

    name: str
    """The metric."""

    guarded: Guarded | None
    """Its bounds; None where too little is there to tell."""

    declared: DeclaredMetric | None = None
    """As above."""


class Evidence(NamedTuple):
    """What is known of one treatment."""

    primary: SuccessEvidence
    """The metric that the experiment is about."""

    further: Sequence[SuccessEvidence]
    """Further success metrics."""

    guardrails: Sequence[GuardrailEvidence]
    """Guardrails."""


class Rules(NamedTuple):
    """What the plan says of the decision."""

    alpha: float
    """The chance of any false claim of success over all metrics and treatments, and of a guardrail let through."""

    analysis: Analysis
    """'sequential' or 'fixed'."""

    maximum_days: float
    """When the experiment ends, whatever it has shown."""


class Progress(NamedTuple):
    """How far the experiment is."""

    days: float
    """Days since it began."""

    is_sample_reached: bool
    """Whether every arm has its planned units."""


class Verdict(NamedTuple):
    """What to do with a treatment."""

    kind: Kind
    """What to do."""

    reason: str
    """Why, in one sentence."""

    adjusted_p: Mapping[str, float]
    """Holm's p-value of each success metric that can be told, over all treatments together."""


def decide(
    rules: Rules, progress: Progress, findings: Sequence[Finding], treatments: Mapping[str, Evidence]
) -> dict[str, Verdict]:
    """Return the verdict for each treatment.

    Raises:
        ExperimentError: there is no treatment, or alpha or the maximum duration makes no sense.
    """
    if not treatments:
        raise ExperimentError("there is no treatment to decide on; give the evidence of each arm but the control")
    if not (0 < rules.alpha < 1 and rules.maximum_days > 0 and progress.days >= 0):
        raise ExperimentError(
            f"alpha is {rules.alpha!r}, and {progress.days!r} of {rules.maximum_days!r} days are over: that cannot be"
        )
    adjusted = _adjusted(rules, treatments)
    return {
        name: Verdict(*_decided(rules, progress, findings, evidence, adjusted[name]), adjusted[name])
        for name, evidence in treatments.items()
    }


def _decided(
    rules: Rules, progress: Progress, findings: Sequence[Finding], evidence: Evidence, adjusted: Mapping[str, float]
) -> tuple[Kind, str]:
    broken = [finding for finding in findings if not finding.is_ok]
    for finding in broken:
        if finding.stops == "verdict":
            return "NO VERDICT", finding.sentence
    harm = _harm(evidence)
    if harm:
        return "ROLL BACK", harm
    is_over = progress.days >= rules.maximum_days
    if rules.analysis == "fixed" and not (progress.is_sample_reached or is_over):
        return "KEEP RUNNING", "The planned sample is not reached, and a fixed analysis is read only there."
    missing = _missing(rules, evidence, adjusted)
    waiting = [finding.sentence for finding in broken if finding.stops == "ship"]
    if evidence.primary.effect and not missing and not waiting:
        return "SHIP", _success(rules, evidence, evidence.primary.effect)
    if missing and (is_over or (rules.analysis == "fixed" and not waiting)):
        return "INCONCLUSIVE", f"The experiment is over, and {_open(rules, evidence, missing)}"
    return "KEEP RUNNING", waiting[0] if waiting else f"So far {_open(rules, evidence, missing)}"


def _adjusted(rules: Rules, treatments: Mapping[str, Evidence]) -> dict[str, dict[str, float]]:
    keys, p_values = [], []
    for treatment, evidence in treatments.items():
        for success in (evidence.primary, *evidence.further):
            keys.append((treatment, success.name))
            p_values.append(_p(rules, success.effect) if success.effect else 1.0)
    found: dict[str, dict[str, float]] = {treatment: {} for treatment in treatments}
    for (treatment, name), p in zip(keys, holm(p_values), strict=True):
        found[treatment][name] = p
    return found


def _harm(evidence: Evidence) -> str:
    """A sentence on the first metric that is shown to be worse; empty if there is none."""
    for guardrail in evidence.guardrails:
        bounds = guardrail.guarded
        if bounds and bounds.worse.low > 0 >= bounds.within.low:
            return _worse_sentence("guardrail", guardrail, bounds.worse, ", and not within its margin")
    for success in (evidence.primary, *evidence.further):
        if success.worse and success.worse.low > 0:
            return _worse_sentence("success metric", success, success.worse, "")
    return ""


def _worse_sentence(what: str, which: SuccessEvidence | GuardrailEvidence, worse: Bound, beside: str) -> str:
    least = amount_text(which.declared, worse.low)
    return f"The {what} {which.name} got worse by at least {least} (p = {worse.p:.2g}, {worse.validity}){beside}."


def _missing(rules: Rules, evidence: Evidence, adjusted: Mapping[str, float]) -> list[str]:
    """What stands between the treatment and shipping, each as the end of a sentence."""
    missing = []
    primary = evidence.primary
    if primary.effect is None:
        missing.append(f"too little is there of {primary.name} to tell")
    elif adjusted[primary.name] > rules.alpha or not _is_better(primary):
        missing.append(f"{primary.name} is not shown to get better")
    outside = [found.name for found in evidence.guardrails if not _is_within(rules, found)]
    if outside:
        are = "is" if len(outside) == 1 else "are"
        missing.append(f"{' and '.join(outside)} {are} not shown to stay within the margin")
    return missing


def _is_better(success: SuccessEvidence) -> bool:
    if success.effect is None:
        return False
    centre = success.effect.contrast.centre
    return centre > 0 if success.direction == "up" else centre < 0


def _is_within(rules: Rules, guardrail: GuardrailEvidence) -> bool:
    if guardrail.guarded is None:
        return False
    bound = guardrail.guarded.within if rules.analysis == "sequential" else guardrail.guarded.within_fixed
    return bound.p <= rules.alpha


def _success(rules: Rules, evidence: Evidence, effect: Effect) -> str:
    guardrails = len(evidence.guardrails)
    beside = "" if not guardrails else f", and {_counted(guardrails, 'guardrail')} within the margin"
    gain = amount_text(evidence.primary.declared, abs(effect.contrast.difference))
    return f"{evidence.primary.name} got better by {gain} ({_said(rules, evidence.primary, effect)}){beside}."


def _open(rules: Rules, evidence: Evidence, missing: Sequence[str]) -> str:
    effect = evidence.primary.effect
    known = "" if effect is None else f" ({evidence.primary.name}: {_said(rules, evidence.primary, effect)})"
    return f"{'; '.join(missing)}{known}."


def _said(rules: Rules, primary: SuccessEvidence, effect: Effect) -> str:
    interval = _interval(rules, effect)
    ends = interval_text(primary.declared, interval.low, interval.high)
    return f"{100 * interval.confidence:g} % interval {ends}, {interval.validity}"


def _counted(number: int, what: str) -> str:
    return f"the {what} is" if number == 1 else f"the {number} {what}s are"


def _p(rules: Rules, effect: Effect) -> float:
    return effect.sequential_p if rules.analysis == "sequential" else effect.fixed_p


def _interval(rules: Rules, effect: Effect) -> Interval:
    return effect.sequential if rules.analysis == "sequential" else effect.fixed
