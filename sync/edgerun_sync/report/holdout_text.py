"""What a holdout shows, as text and as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgerun.cli.output import columns, json_value, printable
from edgerun_sync.experiments.held_out import HELD_OUT, OTHERS
from edgerun_sync.experiments.numbers import difference_text, interval_text, p_text, value_text

if TYPE_CHECKING:
    from edgerun_bundles.experiment.metrics import DeclaredMetric
    from edgerun_sync.experiments.held_out import HoldoutCard, HoldoutMetric

ONCE = (
    "Intervals hold together, and once: at the end of the holdout. Whoever reads them earlier and acts on it has "
    "another test."
)


def holdout_text(card: HoldoutCard) -> str:
    """Return what a holdout shows, for people."""
    facts = card.facts
    counts = [(phase.name, phase.units.get(HELD_OUT, 0), phase.units.get(OTHERS, 0)) for phase in facts.phases]
    rows = [("", HELD_OUT, OTHERS), *((f"units, {name}", f"{held:,}", f"{rest:,}") for name, held, rest in counts)]
    about = [("holdout", facts.name), ("bundle", facts.bundle), ("days", f"{facts.days:.3g}")]
    health = [(("ok" if found.is_ok else "BROKEN"), found.name, found.sentence) for found in card.findings]
    parts = [columns([tuple(map(printable, row)) for row in table]) for table in (about, rows, health)]
    if not card.is_healthy:
        return "\n\n".join([*parts, "No effect is shown while a check is broken."])
    lines = [line for metric in card.metrics for line in _lines(card, metric)]
    return "\n\n".join([*parts, "the others less those held out\n" + "\n".join(map(printable, lines)), ONCE])


def _lines(card: HoldoutCard, metric: HoldoutMetric) -> list[str]:
    declared = card.facts.metrics[metric.name]
    if metric.effect is None or metric.adjusted_p is None:
        return [f"{metric.name}: Too little is there to tell: {metric.why}."]
    contrast, fixed = metric.effect.contrast, metric.effect.fixed
    values = f"{value_text(declared, contrast.treatment)} against {value_text(declared, contrast.control)}"
    interval = f"{interval_text(declared, fixed.low, fixed.high)}, {100 * fixed.confidence:.4g} %"
    p = f"{p_text(metric.adjusted_p)} of all metrics together"
    return [
        f"{metric.name}: {values}, {difference_text(declared, contrast.difference)}",
        f"  {interval}; {p}. {said_of(card, metric, declared)}",
    ]


def said_of(card: HoldoutCard, metric: HoldoutMetric, declared: DeclaredMetric) -> str:
    """Return what is shown of a metric, and nothing that is not."""
    if metric.effect is None or metric.adjusted_p is None or metric.adjusted_p > card.alpha:
        return "No effect is shown."
    is_better = (metric.effect.contrast.centre > 0) == (declared.direction == "up")
    return f"All experiments together are shown to have made it {'better' if is_better else 'worse'}."


def holdout_document(card: HoldoutCard) -> dict[str, Any]:
    """Return what a holdout shows, as JSON has it. Numbers that JSON does not have are texts."""
    facts = card.facts
    return {
        "holdout": facts.name,
        "bundle": facts.bundle,
        "days": facts.days,
        "alpha": card.alpha,
        "units": {phase.name: dict(phase.units) for phase in facts.phases},
        "shares": {phase.name: dict(phase.weights) for phase in facts.phases},
        "healthy": card.is_healthy,
        "health": [
            {"check": found.name, "ok": found.is_ok, "sentence": found.sentence}
            | {"numbers": json_value(dict(found.numbers))}
            for found in card.findings
        ],
        "metrics": [_metric(card, metric) for metric in card.metrics],
    }


def _metric(card: HoldoutCard, metric: HoldoutMetric) -> dict[str, Any]:
    said = {"name": metric.name, "said": said_of(card, metric, card.facts.metrics[metric.name])}
    if metric.effect is None:
        return {**said, "why": metric.why}
    contrast, fixed = metric.effect.contrast, metric.effect.fixed
    numbers = {
        "held_out": contrast.control,
        "others": contrast.treatment,
        "difference": contrast.difference,
        "low": fixed.low,
        "high": fixed.high,
        "confidence": fixed.confidence,
        "p": metric.effect.fixed_p,
        "adjusted_p": metric.adjusted_p,
    }
    return {**said, **{name: json_value(value) for name, value in numbers.items()}}
