"""Quantiles of latency and areas under ROC curves of each arm, clustered by unit: few questions each, of any size."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

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


class Latencies(NamedTuple):
    """The latencies of a phase and arm.

    Attributes:
        values: the different ones, ascending.
        upto: calls that took as long or less, of each.
    """

    values: NDArray[np.float64]
    upto: NDArray[np.int64]

    def at(self, share: float) -> float:
        """Return the value of rank ceil(share * n)."""
        rank = min(max(int(np.ceil(share * self.upto[-1])), 1), int(self.upto[-1]))
        return float(self.values[np.searchsorted(self.upto, rank)])


def latencies(engine: Engine, rows: Any) -> dict[Cell, Latencies]:
    """Return the latencies of answered calls in each phase and arm.

    Args:
        engine: that counts.
        rows: calls of an experiment, with ``phase`` and ``arm``.

    Raises:
        QueryError: the engine failed.
    """
    calls = _timed(rows)
    counted = calls.group_by(["phase", "arm", "latency_s"]).agg(rows=calls.count())
    found = ask(engine, counted.order_by(["phase", "arm", "latency_s"]))
    counts = Counter(zip(found["phase"].to_pylist(), found["arm"].to_pylist(), strict=True))
    values, rows = found["latency_s"].to_numpy(), found["rows"].to_numpy()
    held: dict[Cell, Latencies] = {}
    begin = 0
    for cell, count in counts.items():  # in the order of the rows
        own = slice(begin, begin + count)
        held[cell], begin = Latencies(values[own], np.cumsum(rows[own])), begin + count
    return held


def below(rows: Any, metric: DeclaredMetric, counted: Mapping[Cell, Latencies], phase: str = "phase") -> dict[str, Any]:
    """Return what tells how exact a quantile is: of each call, whether it is at or below it, and whether it counts.

    Args:
        rows: calls of an experiment, with ``phase`` and ``arm``.
        metric: a latency quantile.
        counted: latencies of those calls, of at least one phase and arm.
        phase: the column that has it.
    """
    assert metric.share is not None
    is_below = ibis.cases(
        *(
            ((rows[phase] == name) & (rows.arm == arm), rows.latency_s <= held.at(metric.share))
            for (name, arm), held in counted.items()
        )
    )
    is_timed = rows.kind.isin(tables.CALLS) & rows.latency_s.notnull()
    return {BELOW: is_timed & is_below, COUNT: is_timed}


def quantiles_by_unit(engine: Engine, metric: DeclaredMetric, rows: Any, counted: Mapping[Cell, Latencies]) -> Any:
    """Return the moments of BELOW and COUNT in each phase and arm, from calls.

    Args:
        engine: that sums up.
        metric: a latency quantile.
        rows: as below() takes them, with ``unit`` besides.
        counted: likewise.

    Raises:
        QueryError: the engine failed.
    """
    calls = _timed(rows)
    sums = {name: tables.tally(what) for name, what in below(calls, metric, counted).items()}
    units = calls.group_by(["phase", "arm", "unit"]).agg(**sums)
    return moments_by_cell(engine, units, [BELOW, COUNT])


def quantiles(
    metric: DeclaredMetric, counted: Mapping[Cell, Latencies], moments: Mapping[Cell, Moments]
) -> dict[Cell, Quantile]:
    """Return a quantile in each phase and arm of which enough is there.

    Args:
        metric: a latency quantile.
        counted: latencies.
        moments: of BELOW and COUNT, over units.
    """
    assert metric.share is not None
    found = {}
    for cell, held in moments.items():
        if cell not in counted:
            continue
        try:
            ranks = ranks_around(metric.share, held)
            low, high = (counted[cell].at(rank) for rank in (ranks.low, ranks.high))
            found[cell] = quantile_from(counted[cell].at(metric.share), ranks, low, high, held.n)
        except ExperimentError:  # too few units yet: what is not there is said where it is missing
            continue
    return found


def areas(engine: Engine, metric: DeclaredMetric, rows: Any) -> dict[Cell, Quantile]:
    """Return an area under the curve in each phase and arm of which enough is there.

    Args:
        engine: that sums up.
        metric: an area under a curve.
        rows: labelled calls, with ``phase``, ``arm``, ``unit``, ``truth``, ``label`` and ``score``.

    Raises:
        QueryError: the engine failed.
    """
    known = rows.filter(rows.label.notnull() & rows.score.notnull())
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


def moments_by_cell(engine: Engine, units: Any, names: Sequence[str]) -> dict[Cell, Moments]:
    """Return the moments of variables over the units of each phase and arm.

    Raises:
        QueryError: the engine failed, or a variable is no column.
        ExperimentError: a variable holds NaN or infinity.
    """
    return moments_of_groups(engine, units, {"": names})[""]


def moments_of_groups(
    engine: Engine, units: Any, groups: Mapping[str, Sequence[str]]
) -> dict[str, dict[Cell, Moments]]:
    """Return the moments of several groups of variables, each apart, in one question.

    Raises:
        QueryError: the engine failed, or a variable is no column.
        ExperimentError: a variable holds NaN or infinity.
    """
    found = ask(engine, moment_sums(units, *groups.values(), by=("phase", "arm"))).to_pylist()
    return {
        group: {
            (row["phase"], row["arm"]): from_aggregates(names, {name: row[name] for name in aggregate_names(names)})
            for row in found
        }
        for group, names in groups.items()
    }


def _timed(rows: Any) -> Any:
    return rows.filter(tables.is_one_of(rows.kind, tables.CALLS) & rows.latency_s.notnull())


def _influences(engine: Engine, by_unit: Any, cell: Cell, bins: Sequence[int], influence: Any) -> Moments:
    """Moments of what each unit of a cell adds to the error of its area."""
    own = by_unit.filter((by_unit.phase == cell[0]) & (by_unit.arm == cell[1]))
    up, down = (
        ibis.cases(*((own.bin == place, value) for place, value in zip(bins, side.tolist(), strict=True)))
        for side in (influence.positive, influence.negative)
    )
    above, below_it = own.above.cast("float64"), own.below.cast("float64")  # Spark takes `up` for a decimal number
    units = own.group_by(["phase", "arm", "unit"]).agg(influence=(above * up + below_it * down).sum())
    return moments_by_cell(engine, units, ["influence"])[cell]
