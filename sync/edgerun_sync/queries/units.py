"""What was measured on each unit of an experiment, summed up by the engine, and its moments by arm.

The row of every statistic is the unit. An engine groups events by arm and unit, then units by arm; what reaches Python
is a row for each arm, however many events there are.
"""

from __future__ import annotations

from itertools import combinations_with_replacement
from typing import TYPE_CHECKING, Any

import ibis

from edgerun_sync.errors import QueryError
from edgerun_sync.experiments.moments import Moments, aggregate_names, from_aggregates
from edgerun_sync.queries.tables import CALLS, EVENTS, LABELS, ask, tally

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import timedelta

    from edgerun_sync.queries.engines import Engine

ARM_AND_UNIT = ("arm", "unit")


def unit_sums(variables: Mapping[str, Any], events: Any = EVENTS, *, by: Sequence[str] = ARM_AND_UNIT) -> Any:
    """Ask for sums over the events of each unit.

    The answer has a row for each group that has an event: the columns of `by`, and each variable. Events that have none
    of one of the columns of `by` are left out.

    Args:
        variables: of each name, an expression over a row, such as ``_.latency_s`` or ``_.kind == "error"`` with Ibis's
            ``_``: a number, or a bool, whose true ones are counted. What is missing counts as 0.
        events: the table of events, or some of its rows.
        by: columns that tell units, and arms, apart.
    """
    rows = events
    for name in by:
        rows = rows.filter(rows[name].notnull())
    named = rows.mutate(**{f"of_{name}": variable for name, variable in variables.items()})
    return named.group_by([*by]).agg(**{name: _total(named[f"of_{name}"]) for name in variables})


def exposures(events: Any = EVENTS) -> Any:
    """Ask when each unit first met its arm.

    The answer has a row for each ``arm`` and ``unit``: ``first`` and ``last``, the times of its calls, and ``calls``.
    """
    rows = events.filter(events.kind.isin(CALLS) & events.arm.notnull() & events.unit.notnull())
    return rows.group_by(["arm", "unit"]).agg(first=rows.time.min(), last=rows.time.max(), calls=rows.count())


def several_arms(events: Any = EVENTS) -> Any:
    """Ask how many units were in several arms; of one phase, since a ramp moves some of them, and rightly.

    The answer has one row: ``units``, and ``in_several``.
    """
    rows = exposures(events)
    units = rows.group_by("unit").agg(arms=rows.count())
    return units.agg(units=units.count(), in_several=tally(units.arms > 1))


def unit_outcomes(name: str, events: Any = EVENTS, labels: Any = LABELS, *, window: timedelta | None = None) -> Any:
    """Ask for the business outcomes of each unit.

    The answer has a row for each ``arm`` and ``unit`` that had a call: ``first``, when it first had; ``outcomes``, how
    many there were from then on; ``total``, the sum of their values; ``converted``, 1 where there was one, else 0. An
    outcome belongs to the unit that it names, or to that of the call that it names.

    Args:
        name: of the outcome.
        events: the table of events, or some of its rows.
        labels: the table of labels, or some of its rows.
        window: how long after the first call outcomes count; for ever by default.

    Raises:
        QueryError: the window is not positive.
    """
    if window is not None and window.total_seconds() <= 0:
        raise QueryError(f"a window is longer than nothing, not {window}")
    units = exposures(events)
    given = labels.filter((labels.kind == "outcome") & (labels.name == name))
    named = events.filter(events.kind.isin(CALLS)).select(call="id", of_call="unit")
    resolved = given.left_join(named, given.id == named.call)
    of_unit = ibis.coalesce(given.unit, named.of_call)
    resolved = resolved.select(of_unit=of_unit, at=given.time, worth=given.value)
    joined = units.left_join(resolved, units.unit == resolved.of_unit).select(units, resolved.at, resolved.worth)
    counts = joined["at"] >= joined.first
    if window is not None:
        counts &= joined["at"] < joined.first + ibis.interval(microseconds=round(window.total_seconds() * 10**6))
    found = joined.group_by(["arm", "unit", "first"]).agg(
        outcomes=tally(counts), total=ibis.coalesce(joined.worth.sum(where=counts), 0.0)
    )
    return found.mutate(converted=(found.outcomes > 0).cast("int64"))


def with_before(units: Any, before: Any, names: Sequence[str]) -> Any:
    """Ask for units with what was measured on them before the experiment: covariates, 0 where there was nothing.

    Args:
        units: an answer's question with a row for each arm and unit.
        before: of the time before, with the column ``unit``, each once, and those of `names`: what unit_sums() asks
            with ``by=["unit"]``.
        names: columns of `before`; they come as ``before_NAME``.
    """
    columns = {f"before_{name}": ibis.coalesce(before[name].cast("float64"), 0.0) for name in names}
    return units.left_join(before, units.unit == before.unit).select(units, **columns)


def moment_sums(units: Any, *groups: Sequence[str], by: Sequence[str] = ("arm",)) -> Any:
    """Ask for the aggregates of which moments are made: the columns of `by`, and aggregate_names().

    Args:
        units: a question whose answer has a row for each unit.
        groups: of variables; each gets moments of its own.
        by: columns to group by.

    Raises:
        QueryError: a variable is no column.
    """
    names = [*dict.fromkeys(name for group in groups for name in group)]
    missing = [name for name in (*names, *by) if name not in units.columns]
    if missing:
        raise QueryError(f"there is no variable {missing[0]!r}, only {', '.join(units.columns)}")
    floats = units.mutate(**{name: units[name].cast("float64") for name in names})
    means = {f"mean_{name}": floats[name].mean() for name in names}
    covariances = {
        f"cov_{one}_{other}": floats[one].cov(floats[other], how="pop")
        for group in groups
        for one, other in combinations_with_replacement(group, 2)
    }
    return floats.group_by([*by]).agg(n=floats.count(), **means, **covariances)


def moments(engine: Engine, units: Any, names: Sequence[str]) -> dict[str, Moments]:
    """Return the moments of variables over the units of each arm.

    Args:
        engine: that sums up.
        units: a question whose answer has a row for each unit, the column ``arm``, and the variables.
        names: the variables.

    Raises:
        QueryError: the engine failed, or a variable is no column.
        ExperimentError: a variable holds NaN or infinity.
    """
    found = ask(engine, moment_sums(units, names)).to_pylist()
    return {row["arm"]: from_aggregates(names, {name: row[name] for name in aggregate_names(names)}) for row in found}


def _total(column: Any) -> Any:
    if column.type().is_boolean():
        return ibis.coalesce(column.cast("int64").sum(), 0)
    return ibis.coalesce(column.sum(), 0)
