"""The metrics of a plan as expressions over the tables: what each counts on a call, and what it is on a unit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ibis

from edgerun_bundles.experiment.metrics import LABELLED
from edgerun_sync.queries import tables

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from edgerun_bundles.experiment.metrics import DeclaredMetric
    from edgerun_bundles.experiment.plan import Plan

LOSS_FLOOR = 1e-15
"""The least chance that a loss is computed from: a label that a model held for impossible costs 34.5, not infinity."""


def calls_of(plan: Plan, bundle: str, versions: Sequence[str], events: Any) -> Any:
    """Ask for the calls of an experiment, errors among them: those to which a split assigned an arm.

    Where the bundle has more splits than that of the experiment, calls of their arms are among them.
    """
    rows = events.filter(
        (events.bundle == bundle)
        & events.version.isin(versions)
        & (events.kind != "shadow")
        & (events.assignment == "assigned")
    )
    if plan.unit == "request":
        return rows.mutate(unit=rows.id)
    return rows.filter(rows.unit.notnull())


def past_of(plan: Plan, bundle: str, events: Any) -> Any:
    """Ask for the calls of a bundle before an experiment, errors among them, whatever version and arm they are of."""
    rows = events.filter((events.bundle == bundle) & (events.kind != "shadow") & events.unit.notnull())
    return rows.mutate(unit=rows.id) if plan.unit == "request" else rows


def has_labels(plan: Plan) -> bool:
    """Return whether a metric of a plan needs labels."""
    return any(metric.kind in LABELLED for metric in plan.metrics.values())


def counted_on_calls(plan: Plan, rows: Any) -> dict[str, Any]:
    """Return the variables of the metrics that need no label: of each call, whether it counts.

    A metric has two variables, named as `experiments.declared` names them.
    """
    answered = rows.kind.isin(tables.CALLS)
    found: dict[str, Any] = {}
    for name, metric in plan.metrics.items():
        if metric.kind == "error_rate":
            found |= _pair(name, rows.kind == "error", rows.kind.notnull())
        elif metric.kind == "fallback_rate":
            found |= _pair(name, rows.kind == "fallback", answered)
    return found


def counted_on_labels(plan: Plan, rows: Any) -> dict[str, Any]:
    """Return the variables of the metrics that need labels: of each labelled call, what it adds.

    Args:
        plan: of the experiment.
        rows: labelled calls, with ``label``, ``score`` and ``truth``.
    """
    found: dict[str, Any] = {}
    for name, metric in plan.metrics.items():
        if metric.kind in _OF_LABELS:
            found |= _pair(name, *_OF_LABELS[metric.kind](rows, metric))
    return found


def counted_names(plan: Plan) -> list[str]:
    """Return the variables that are sums over calls."""
    kinds = {"error_rate", "fallback_rate", *_OF_LABELS}
    return [part for name, metric in plan.metrics.items() if metric.kind in kinds for part in _pair(name, None, None)]


def chance_of(rows: Any, positive: str) -> Any:
    """Return the chance that a call gave to one of two classes, from the confidence of the one that it chose."""
    return ibis.ifelse(rows.label == positive, rows.score, 1 - rows.score)


def _pair(name: str, above: Any, below: Any) -> dict[str, Any]:
    return {f"{name}.above": above, f"{name}.below": below}


def _is_right(rows: Any, _: DeclaredMetric) -> tuple[Any, Any]:
    return rows.truth == rows.label, rows.label.notnull()


def _of_a_class(rows: Any, metric: DeclaredMetric) -> tuple[Any, Any]:
    """Whether a call is of the positive class, and whether the model said so; of none without a label of its own."""
    has_label = rows.label.notnull()
    return has_label & (rows.truth == metric.positive), has_label & (rows.label == metric.positive)


def _precision(rows: Any, metric: DeclaredMetric) -> tuple[Any, Any]:
    is_true, is_said = _of_a_class(rows, metric)
    return is_true & is_said, is_said


def _recall(rows: Any, metric: DeclaredMetric) -> tuple[Any, Any]:
    is_true, is_said = _of_a_class(rows, metric)
    return is_true & is_said, is_true


def _f1(rows: Any, metric: DeclaredMetric) -> tuple[Any, Any]:
    is_true, is_said = _of_a_class(rows, metric)
    return 2 * (is_true & is_said).cast("float64"), is_true.cast("float64") + is_said.cast("float64")


def _log_loss(rows: Any, metric: DeclaredMetric) -> tuple[Any, Any]:
    is_true, has_chance, chance = _of_a_chance(rows, metric)
    return ibis.ifelse(has_chance, -ibis.ifelse(is_true, chance, 1 - chance).ln(), 0.0), has_chance


def _brier(rows: Any, metric: DeclaredMetric) -> tuple[Any, Any]:
    is_true, has_chance, chance = _of_a_chance(rows, metric)
    return ibis.ifelse(has_chance, (chance - is_true.cast("float64")) ** 2, 0.0), has_chance


def _of_a_chance(rows: Any, metric: DeclaredMetric) -> tuple[Any, Any, Any]:
    chance = chance_of(rows, metric.positive or "").clip(LOSS_FLOOR, 1 - LOSS_FLOOR)
    return rows.truth == metric.positive, rows.label.notnull() & rows.score.notnull(), chance


_OF_LABELS: Mapping[str, Callable[[Any, DeclaredMetric], tuple[Any, Any]]] = {
    "accuracy": _is_right,
    "precision": _precision,
    "recall": _recall,
    "f1": _f1,
    "log_loss": _log_loss,
    "brier": _brier,
}
