"""The metrics of a plan as expressions over the tables: what each counts on a call, and what it is on a unit."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import ibis

from edgerun_bundles.experiment.metrics import LABELLED, OUTCOMES
from edgerun_sync.queries import tables

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from edgerun_bundles.experiment.metrics import DeclaredMetric
    from edgerun_bundles.experiment.plan import Plan

LOSS_FLOOR = 1e-15
"""The least chance that a loss is computed from: a label that a model held for impossible costs 34.5, not infinity."""
ANSWERED_FIRST = "answered_first"
"""The time of a unit's first call that was answered: what came before it came of something else."""


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


def outcomes_in(plan: Plan) -> dict[str, DeclaredMetric]:
    """Return the metrics of a plan that are business outcomes, by name."""
    return {name: metric for name, metric in plan.metrics.items() if metric.kind in OUTCOMES}


def unit_outcomes(plan: Plan, units: Any, calls: Any, labels: Any) -> Any:
    """Ask what came of units that had an answer, from then on; an outcome names a unit, or a call of it.

    The answer has a row for each such unit to which something came: ``unit``, and the variables of outcomes_in().

    Args:
        plan: of the experiment.
        units: each ``unit`` once, with ANSWERED_FIRST.
        calls: of the experiment.
        labels: until the report's time.
    """
    metrics = outcomes_in(plan)
    wanted = {name for metric in metrics.values() for name in (metric.outcome, metric.per) if name is not None}
    given = labels.filter((labels.kind == "outcome") & labels.name.isin(sorted(wanted)))
    columns = {"name": "name", "came": "time", "worth": "value"}
    of_units = given.filter(given.unit.notnull()).select(of_unit="unit", **columns)
    of_calls = given.filter(given.unit.isnull() & given.id.notnull()).select(of_call="id", **columns)
    answered = calls.filter(calls.kind.isin(tables.CALLS)).select(call="id", of_unit="unit")
    resolved = answered.join(of_calls, answered.call == of_calls.of_call).select("of_unit", *columns)
    every = of_units.union(resolved)
    met = units.select("unit", ANSWERED_FIRST)
    rows = met.join(every, met.unit == every.of_unit)
    rows = rows.filter(rows.came >= rows[ANSWERED_FIRST])
    found: dict[str, Any] = {}
    for name, metric in metrics.items():
        if metric.kind == "outcome_ratio":
            found |= _pair(name, _total(rows, metric.outcome, metric), _total(rows, metric.per, metric))
        elif metric.kind == "conversion":
            found[name] = (tables.tally(_counts(rows, metric.outcome, metric)) > 0).cast("int64")
        else:
            found[name] = _total(rows, metric.outcome, metric)
    return rows.group_by("unit").agg(**found)


def counted_names(plan: Plan) -> list[str]:
    """Return the variables that are sums over calls."""
    kinds = {"error_rate", "fallback_rate", *_OF_LABELS}
    return [part for name, metric in plan.metrics.items() if metric.kind in kinds for part in _pair(name, None, None)]


def chance_of(rows: Any, positive: str) -> Any:
    """Return the chance that a call gave to one of two classes, from the confidence of the one that it chose."""
    return ibis.ifelse(rows.label == positive, rows.score, 1 - rows.score)


def _pair(name: str, above: Any, below: Any) -> dict[str, Any]:
    return {f"{name}.above": above, f"{name}.below": below}


def _total(rows: Any, outcome: str | None, metric: DeclaredMetric) -> Any:
    return rows.worth.sum(where=_counts(rows, outcome, metric))


def _counts(rows: Any, outcome: str | None, metric: DeclaredMetric) -> Any:
    is_it = rows.name == outcome
    if metric.window_days is None:
        return is_it
    window = ibis.interval(microseconds=round(timedelta(days=metric.window_days).total_seconds() * 10**6))
    return is_it & (rows.came < rows[ANSWERED_FIRST] + window)


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
