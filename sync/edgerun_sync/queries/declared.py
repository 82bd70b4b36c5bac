"""The metrics of a plan as expressions over the tables: what each counts on a call, and what it is on a unit."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import ibis

from edgerun_bundles.experiment.metrics import LABELLED, OUTCOMES
from edgerun_sync.experiments.declared import BEFORE, CALLS, LABELLED_CALLS
from edgerun_sync.queries import tables
from edgerun_sync.queries.labelled import last_labels
from edgerun_sync.queries.units import unit_outcomes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edgerun_bundles.experiment.metrics import DeclaredMetric
    from edgerun_bundles.experiment.plan import Plan

LOSS_FLOOR = 1e-15
"""The least chance that a loss is computed from: a label that a model held for impossible costs 34.5, not infinity."""


def calls_of(plan: Plan, bundle: str, versions: Sequence[str], arms: Sequence[str], events: Any) -> Any:
    """Ask for the calls of an experiment, errors among them: those to which the split assigned one of its arms."""
    rows = events.filter(
        (events.bundle == bundle)
        & events.version.isin(versions)
        & (events.kind != "shadow")
        & (events.assignment == "assigned")
        & events.arm.isin(arms)
    )
    if plan.unit == "request":
        return rows.mutate(unit=rows.id)
    return rows.filter(rows.unit.notnull())


def with_variables(plan: Plan, rows: Any, labels: Any) -> Any:
    """Ask for calls with their labels and the variables of a plan's metrics.

    The variables of a metric that counts calls are two columns, named as `experiments.declared` names them.
    """
    if any(metric.kind in LABELLED for metric in plan.metrics.values()):
        found = last_labels(labels).select(call="id", truth="truth")
        rows = rows.left_join(found, rows.id == found.call).drop("call")
    else:
        rows = rows.mutate(truth=ibis.null("string"))
    columns = {CALLS: rows.kind.isin(tables.CALLS), LABELLED_CALLS: rows.truth.notnull()}
    for name, metric in plan.metrics.items():
        pair = _counted(rows, metric)
        if pair is not None:
            columns |= {f"{name}.above": pair[0], f"{name}.below": pair[1]}
    return rows.mutate(**{name: ibis.coalesce(column.cast("float64"), 0.0) for name, column in columns.items()})


def counted_names(plan: Plan) -> list[str]:
    """Return the variables that are sums over calls."""
    pairs = [
        [f"{name}.above", f"{name}.below"]
        for name, metric in plan.metrics.items()
        if _counted(None, metric) is not None
    ]
    return [CALLS, LABELLED_CALLS, *(part for pair in pairs for part in pair)]


def units_of(plan: Plan, rows: Any, labels: Any, before: Any) -> Any:
    """Ask for the units of an experiment: when, where and in which phase each was first exposed, and its variables.

    A unit that a ramp moved counts where it was first, with its calls there. The answer has a row for each unit:
    ``unit``, ``arm``, ``phase`` (the version in which it first met its arm), ``first`` (of its calls) and ``last`` (of
    those in any arm: whom a ramp moved did not fall silent), all variables, and those from `before`.
    """
    names = counted_names(plan)
    cells = rows.group_by(["unit", "arm"]).agg(
        first=rows.time.min(),
        last=rows.time.max(),
        phase=rows.version.argmin(rows.time),
        **{name: rows[name].sum() for name in names},
    )
    order = ibis.window(group_by="unit", order_by=[cells["first"], cells.arm])
    heard = cells["last"].max().over(ibis.window(group_by="unit"))
    ranked = cells.mutate(place=ibis.row_number().over(order), last=heard)
    units = ranked.filter(ranked.place == 0).drop("place")
    for name, metric in plan.metrics.items():
        if metric.kind in OUTCOMES:
            units = _with_outcome(units, name, metric, rows, labels)
    past = [name for name in names if name not in {CALLS, LABELLED_CALLS}]
    sums = before.group_by("unit").agg(**{BEFORE + name: before[name].sum() for name in past})
    joined = units.left_join(sums.rename(unit_before="unit"), units.unit == sums.unit).drop("unit_before")
    return joined.mutate(**{BEFORE + name: ibis.coalesce(joined[BEFORE + name], 0.0) for name in past})


def chance_of(rows: Any, positive: str) -> Any:
    """Return the chance that a call gave to one of two classes, from the confidence of the one that it chose."""
    return ibis.ifelse(rows.label == positive, rows.score, 1 - rows.score)


def _counted(rows: Any, metric: DeclaredMetric) -> tuple[Any, Any] | None:
    """What a call adds above and below the line; None of metrics that are no sum over calls."""
    if metric.kind in OUTCOMES or metric.kind in {"latency_quantile", "auc"}:
        return None
    if rows is None:
        return (None, None)
    answered, has_label = rows.kind.isin(tables.CALLS), rows.truth.notnull() & rows.label.notnull()
    is_true, is_said = has_label & (rows.truth == metric.positive), has_label & (rows.label == metric.positive)
    both = is_true & is_said
    chance = chance_of(rows, metric.positive or "").clip(LOSS_FLOOR, 1 - LOSS_FLOOR)
    has_chance = has_label & rows.score.notnull()
    found: Mapping[str, Any] = {
        "error_rate": lambda: (rows.kind == "error", ibis.literal(1)),
        "fallback_rate": lambda: (rows.kind == "fallback", answered),
        "accuracy": lambda: (has_label & (rows.truth == rows.label), has_label),
        "precision": lambda: (both, is_said),
        "recall": lambda: (both, is_true),
        "f1": lambda: (2 * both.cast("float64"), is_true.cast("float64") + is_said.cast("float64")),
        "log_loss": lambda: (_if(has_chance, -ibis.ifelse(is_true, chance, 1 - chance).ln()), has_chance),
        "brier": lambda: (_if(has_chance, (chance - is_true.cast("float64")) ** 2), has_chance),
    }
    above, below = found[metric.kind]()
    return above, below


def _if(condition: Any, value: Any) -> Any:
    return ibis.ifelse(condition, value, 0.0)


def _with_outcome(units: Any, name: str, metric: DeclaredMetric, rows: Any, labels: Any) -> Any:
    window = None if metric.window_days is None else timedelta(days=metric.window_days)
    if metric.kind == "outcome_ratio":
        wanted = {f"{name}.above": (metric.outcome, "total"), f"{name}.below": (metric.per, "total")}
    else:
        wanted = {name: (metric.outcome, "converted" if metric.kind == "conversion" else "total")}
    for column, (outcome, what) in wanted.items():
        found = unit_outcomes(outcome or "", rows, labels, window=window).select(
            of_unit="unit", of_arm="arm", **{column: what}
        )
        joined = units.left_join(found, (units.unit == found.of_unit) & (units.arm == found.of_arm))
        units = joined.drop("of_unit", "of_arm")
        units = units.mutate(**{column: ibis.coalesce(units[column].cast("float64"), 0.0)})
    return units
