"""Quantiles of latency and areas under ROC curves of each arm, clustered by unit: three questions each, of any size."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import ibis
import numpy as np

from edgerun_sync.errors import ExperimentError
from edgerun_sync.experiments.auc import auc_influence, auc_of_influence
from edgerun_sync.experiments.moments import Moments, aggregate_names, from_aggregates
from edgerun_sync.experiments.quantiles import BELOW, COUNT, Quantile, quantile_from, ranks_around
from edgerun_sync.queries import tables
from edgerun_sync.queries.declared import chance_of
from edgerun_sync.queries.tables import ask
from edgerun_sync.queries.units import moment_sums

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from edgerun_bundles.experiment.metrics import DeclaredMetric
    from edgerun_sync.queries.engines import Engine

Cell: TypeAlias = tuple[str, str]
"""A phase and an arm."""

SCORE_BINS = 1000
"""Of the chance of the positive class: scores within a thousandth tie."""


def estimates(engine: Engine, metric: DeclaredMetric, rows: Any) -> dict[Cell, Quantile]:
    """Return a metric's estimate in each phase and arm of which enough is there.

    Args:
        engine: that sums up.
        metric: a latency quantile, or an area under a curve.
        rows: calls of an experiment, with ``phase``, ``arm``, ``unit`` and ``truth``.

    Raises:
        QueryError: the engine failed.
    """
    return _quantiles(engine, metric, rows) if metric.kind == "latency_quantile" else _areas(engine, metric, rows)


def moments_by_cell(engine: Engine, units: Any, names: Sequence[str]) -> dict[Cell, Moments]:
    """Return the moments of variables over the units of each phase and arm.

    Raises:
        QueryError: the engine failed, or a variable is no column.
        ExperimentError: a variable holds NaN or infinity.
    """
    wanted = aggregate_names(names)
    found = ask(engine, moment_sums(units, names, by=("phase", "arm"))).to_pylist()
    return {(row["phase"], row["arm"]): from_aggregates(names, {name: row[name] for name in wanted}) for row in found}


def _quantiles(engine: Engine, metric: DeclaredMetric, rows: Any) -> dict[Cell, Quantile]:
    assert metric.share is not None
    calls = rows.filter(rows.kind.isin(tables.CALLS) & rows.latency_s.notnull())
    counted = calls.group_by(["phase", "arm", "latency_s"]).agg(rows=calls.count())
    values: dict[Cell, list[tuple[float, int]]] = {}
    for row in ask(engine, counted.order_by(["phase", "arm", "latency_s"])).to_pylist():
        values.setdefault((row["phase"], row["arm"]), []).append((row["latency_s"], row["rows"]))
    columns = {cell: (np.array([v for v, _ in held]), np.cumsum([n for _, n in held])) for cell, held in values.items()}
    if not columns:
        return {}
    at = {cell: _nearest(*held, metric.share) for cell, held in columns.items()}
    is_below = ibis.cases(
        *(((calls.phase == phase) & (calls.arm == arm), calls.latency_s <= value) for (phase, arm), value in at.items())
    )
    units = calls.group_by(["phase", "arm", "unit"]).agg(**{BELOW: calls.count(where=is_below), COUNT: calls.count()})
    found = {}
    for cell, moments in moments_by_cell(engine, units, [BELOW, COUNT]).items():
        try:
            ranks = ranks_around(metric.share, moments)
            low, high = (_nearest(*columns[cell], rank) for rank in (ranks.low, ranks.high))
            found[cell] = quantile_from(at[cell], ranks, low, high, moments.n)
        except ExperimentError:  # too few units yet: what is not there is said where it is missing
            continue
    return found


def _nearest(values: NDArray[np.float64], upto: NDArray[np.int64], share: float) -> float:
    """The value of rank ceil(share * n)."""
    rank = min(max(int(np.ceil(share * upto[-1])), 1), int(upto[-1]))
    return float(values[np.searchsorted(upto, rank)])


def _areas(engine: Engine, metric: DeclaredMetric, rows: Any) -> dict[Cell, Quantile]:
    known = rows.filter(rows.truth.notnull() & rows.label.notnull() & rows.score.notnull())
    chance = chance_of(known, metric.positive or "")
    known = known.mutate(bin=(chance * SCORE_BINS).floor().cast("int64"), positive=known.truth == metric.positive)
    by_unit = known.group_by(["phase", "arm", "unit", "bin"]).agg(
        above=known.count(where=known.positive), below=known.count(where=~known.positive)
    )
    totals = by_unit.group_by(["phase", "arm", "bin"]).agg(above=by_unit.above.sum(), below=by_unit.below.sum())
    cells: dict[Cell, list[Mapping[str, Any]]] = {}
    for row in ask(engine, totals.order_by(["phase", "arm", "bin"])).to_pylist():
        cells.setdefault((row["phase"], row["arm"]), []).append(row)
    found = {}
    for cell, held in cells.items():
        try:
            influence = auc_influence([row["above"] for row in held], [row["below"] for row in held])
            moments = _influences(engine, by_unit, cell, [row["bin"] for row in held], influence)
            estimate = auc_of_influence(influence.value, moments)
        except ExperimentError:  # as above
            continue
        if estimate.standard_error > 0:
            found[cell] = Quantile(moments.n, estimate.value, estimate.standard_error**2)
    return found


def _influences(engine: Engine, by_unit: Any, cell: Cell, bins: Sequence[int], influence: Any) -> Moments:
    """Moments of what each unit of a cell adds to the error of its area."""
    own = by_unit.filter((by_unit.phase == cell[0]) & (by_unit.arm == cell[1]))
    up, down = (
        ibis.cases(*((own.bin == place, value) for place, value in zip(bins, side.tolist(), strict=True)))
        for side in (influence.positive, influence.negative)
    )
    units = own.group_by(["phase", "arm", "unit"]).agg(influence=(own.above * up + own.below * down).sum())
    return moments_by_cell(engine, units, ["influence"])[cell]
