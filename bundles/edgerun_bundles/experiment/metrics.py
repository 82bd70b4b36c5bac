"""Metrics as a plan declares them: once, by what they measure, so that no query can be chosen afterwards."""

from __future__ import annotations

import math
from typing import Any, Literal, NamedTuple, TypeAlias

from edgerun_bundles.experiment.fields import Fields

Direction: TypeAlias = Literal["up", "down"]
Kind: TypeAlias = Literal[
    "latency_quantile",
    "error_rate",
    "fallback_rate",
    "accuracy",
    "precision",
    "recall",
    "f1",
    "log_loss",
    "brier",
    "auc",
    "outcome_mean",
    "outcome_ratio",
    "conversion",
]

DIRECTIONS: dict[Kind, Direction | None] = {
    "latency_quantile": "down",
    "error_rate": "down",
    "fallback_rate": "down",
    "accuracy": "up",
    "precision": "up",
    "recall": "up",
    "f1": "up",
    "log_loss": "down",
    "brier": "down",
    "auc": "up",
    "outcome_mean": None,
    "outcome_ratio": None,
    "conversion": None,
}
"""Every kind, and where better is; of outcomes only the plan knows."""

LABELLED: frozenset[Kind] = frozenset({"accuracy", "precision", "recall", "f1", "log_loss", "brier", "auc"})
"""Kinds that need labels."""

OF_A_CLASS: frozenset[Kind] = frozenset({"precision", "recall", "f1", "log_loss", "brier", "auc"})
"""Kinds that speak of one class of the label, the positive one."""

OUTCOMES: frozenset[Kind] = frozenset({"outcome_mean", "outcome_ratio", "conversion"})
"""Kinds of what came of a unit, whatever model answered it."""

WINDOW_MAX_DAYS = 400.0


class DeclaredMetric(NamedTuple):
    """One metric."""

    kind: Kind
    """What is measured."""

    direction: Direction
    """Where better is."""

    share: float | None = None
    """Of a quantile: 0.95 for the 95th percentile."""

    positive: str | None = None
    """The class that counts as positive, as text."""

    outcome: str | None = None
    """Name of the outcome; of a ratio, the one above the line."""

    per: str | None = None
    """Name of the outcome below the line of a ratio."""

    window_days: float | None = None
    """Days after a unit's first exposure in which an outcome counts; None for all that is there."""

    baseline: float | None = None
    """Its value in the control, as far as is known before: needed to plan a conversion or a relative margin."""

    deviation: float | None = None
    """Its standard deviation between units, likewise: needed to plan all others."""


def parse_metric(value: Any, where: str) -> DeclaredMetric:
    """Read one metric of a plan.

    Raises:
        BundleError: a field is missing, unknown or wrong; `where` names the metric.
    """
    fields = Fields(value, where)
    kind: Any = fields.one_of("kind", [*DIRECTIONS])
    direction: Any = fields.one_of("direction", ["up", "down"], DIRECTIONS[kind])
    found = DeclaredMetric(
        kind=kind,
        direction=direction,
        share=fields.number("share", 0, 1) if kind == "latency_quantile" else None,
        positive=fields.text("positive") if kind in OF_A_CLASS else None,
        outcome=fields.text("outcome") if kind in OUTCOMES else None,
        per=fields.text("per") if kind == "outcome_ratio" else None,
        window_days=fields.optional_number("window_days", 0, WINDOW_MAX_DAYS) if kind in OUTCOMES else None,
        baseline=fields.optional_number("baseline", -math.inf, math.inf),
        deviation=fields.optional_number("deviation", 0, math.inf),
    )
    fields.end()
    if kind == "conversion" and found.baseline is not None and not 0 < found.baseline < 1:
        fields.refuse("baseline", "the share of units that convert, between 0 and 1", found.baseline)
    return found


def metric_document(metric: DeclaredMetric) -> dict[str, Any]:
    """Return a metric as JSON has it, without what it does not say."""
    return {name: value for name, value in metric._asdict().items() if value is not None}
