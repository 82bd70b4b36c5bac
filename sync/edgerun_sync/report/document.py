"""A report as JSON: what was found, and the facts from which anybody computes it again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edgerun.cli.output import json_value
from edgerun_sync.experiments.facts_json import facts_document

if TYPE_CHECKING:
    from edgerun_sync.experiments.scorecard import MetricCard, Scorecard

FORMAT = 1


def report_document(card: Scorecard) -> dict[str, Any]:
    """Return a scorecard as JSON has it.

    ``facts`` is all that it was computed from: ``edgerun experiment report --facts`` gives the same report of it.
    Numbers that JSON does not have are texts: "NaN", "Infinity", "-Infinity".
    """
    return {
        "format": FORMAT,
        "experiment": card.facts.plan.name,
        "verdicts": {
            found.arm: {"verdict": found.verdict.kind, "reason": found.verdict.reason} for found in card.treatments
        },
        "health": [
            {"check": found.name, "ok": found.is_ok, "stops": found.stops, "sentence": found.sentence}
            | {"numbers": json_value(dict(found.numbers))}
            for found in card.findings
        ],
        "levels": card.levels._asdict(),
        "metrics": {found.arm: [_metric(metric) for metric in found.metrics] for found in card.treatments},
        "models": [as_plain(found) for found in card.models],
        "drift": [as_plain(found) for found in card.drift],
        "facts": facts_document(card.facts),
    }


def _metric(metric: MetricCard) -> dict[str, Any]:
    return {name: as_plain(value) for name, value in metric._asdict().items()}


def as_plain(value: Any) -> Any:
    """A record as JSON has it: named tuples are objects, arrays lists."""
    if hasattr(value, "_asdict"):
        return {name: as_plain(item) for name, item in value._asdict().items()}
    if isinstance(value, dict):
        return {name: as_plain(item) for name, item in value.items()}
    if isinstance(value, tuple | list):
        return [as_plain(item) for item in value]
    return json_value(value.item() if isinstance(value, np.generic) else value)
