"""What an experiment's report rests on, gathered in as few passes over the events as can be, and kept in the engine.

There may be a billion events, so each pass has one purpose, reads few columns, and leaves a table of as many rows as
there are units, devices or labelled calls. Whatever is asked afterwards is asked of these tables.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

import ibis

from edgerun_sync.experiments.declared import BEFORE, CALLS, LABELLED_CALLS
from edgerun_sync.queries import tables
from edgerun_sync.queries.declared import (
    ANSWERED_FIRST,
    counted_on_calls,
    counted_on_labels,
    has_labels,
    outcomes_in,
    unit_outcomes,
)
from edgerun_sync.queries.labelled import last_labels, last_of_several, said_again
from edgerun_sync.queries.tables import ask, between, microseconds, tally

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from edgerun_bundles.experiment.plan import Plan
    from edgerun_sync.queries.engines import Engine
    from edgerun_sync.queries.keeping import Keeper

CLOCK_AHEAD_MAX = timedelta(minutes=5)
"""How far after its arrival an event may claim to be."""

_EPOCH_DIGITS = 16
"""Of an id, before the dash and the sequence: sync/PROTOCOL.md."""
_SEQUENCE_MAX = 2**63 - 1

_OF_A_CALL = ("epoch", "sequence", "version", "arm", "unit", "label", "score", "is_before")
_ENTERED = "entered"


class Gathered(NamedTuple):
    """What an engine keeps of an experiment.

    Attributes:
        units: a row for each unit: ``unit``, ``arm``, ``phase`` (the version in which it first met its arm), ``first``
            and ``last`` (of its calls), all variables, and those from before.
        known: a row for each labelled call: ``version``, ``arm``, ``unit``, ``label``, ``score``, ``truth``, and
            ``is_before``, of those before the experiment; None where no metric needs labels. It is kept where a metric
            needs more of them than sums of units.
        calls: how many were answered.
        is_plain: whether every unit is of one arm and version with all its calls, so that nothing needs to look for
            the calls that a unit made where it counts.
        in_several: units that were in several arms of one phase.
    """

    units: Any
    known: Any
    calls: int
    is_plain: bool
    in_several: int


class Source(NamedTuple):
    """What it is gathered from: expressions over the tables.

    Attributes:
        calls: of the experiment.
        past: calls from before.
        labels: until the report's time.
        begin: of the experiment.
    """

    calls: Any
    past: Any
    labels: Any
    begin: datetime


def devices_of(calls: Any) -> Any:
    """Ask for the devices of an experiment: of each ``version``, ``arm`` and ``device``, when it began, and its clock.

    ``ahead`` are the calls that claim to have been later than their arrival.
    """
    ahead_us = microseconds(calls.time) - microseconds(calls.batch_time)
    is_ahead = ahead_us > round(CLOCK_AHEAD_MAX.total_seconds() * 10**6)
    return calls.group_by(["version", "arm", "device"]).agg(begin=calls.time.min(), ahead=tally(is_ahead))


def gather(
    keeper: Keeper, plan: Plan, source: Source, versions: Sequence[str], counted: Callable[[Any], Mapping[str, Any]]
) -> Gathered:
    """Keep an experiment's units and labelled calls in an engine.

    Args:
        keeper: of the engine.
        plan: of the experiment.
        source: what it is gathered from.
        versions: that ran, at least one.
        counted: makes further variables of calls: of each, whether it counts.

    Raises:
        QueryError: the engine failed.
    """
    known = labelled = None
    if has_labels(plan):
        again = keeper.keep("labels said again", said_again(source.labels))
        known = _known(source, again)
        if any(metric.kind == "auc" for metric in plan.metrics.values()):
            known = keeper.keep("labelled calls", known)
    cells = keeper.keep("cells", _cells(plan, source.calls, versions, counted(source.calls)))
    found = ask(keeper.engine, cells.agg(cells=cells.count(), units=cells.unit.nunique(), calls=cells[CALLS].sum()))
    (counts,) = found.to_pylist()
    is_moved = counts["cells"] > counts["units"]
    if known is not None:
        labelled = keeper.keep("labelled units", _labelled_units(plan, known, is_moved))
    units = keeper.keep("units", _units(plan, source, versions, _first_of(cells) if is_moved else cells, labelled))
    in_several = _in_several(keeper.engine, source.calls, cells) if is_moved else 0
    return Gathered(units, known, counts["calls"] or 0, not is_moved and len(versions) == 1, in_several)


def with_phases(rows: Any, gathered: Gathered) -> Any:
    """Ask for calls with the phase of their unit, those only that it made in the arm that it counts in."""
    if gathered.is_plain:
        return rows.mutate(phase=rows.version)
    own = gathered.units.select(of_unit="unit", of_arm="arm", phase="phase")
    return rows.join(own, (rows.unit == own.of_unit) & (rows.arm == own.of_arm)).drop("of_unit", "of_arm")


def _known(source: Source, again: Any) -> Any:
    """Calls with their last labels, those of before the experiment with the last that had come by then."""
    nothing = ibis.null("string")
    now = source.calls.mutate(is_before=ibis.literal(value=False)).select(*_OF_A_CALL)
    then = source.past.mutate(version=nothing, arm=nothing, is_before=ibis.literal(value=True)).select(*_OF_A_CALL)
    calls, last = now.union(then), _by_parts(_last(source, again))
    joined = calls.join(last, [calls.sequence == last.of_sequence, calls.epoch == last.of_epoch])
    is_its = ibis.coalesce(joined.of_before, joined.is_before) == joined.is_before
    had_come = ~joined.is_before | (joined.labelled < ibis.literal(source.begin))
    return joined.filter(is_its & had_come).select("version", "arm", "unit", "label", "score", "truth", "is_before")


def _last(source: Source, again: Any) -> Any:
    """The last labels of calls until now, and until the experiment began where there are several: ``of_before``."""
    until_now = last_labels(source.labels, again)
    is_several = until_now.labels > 1
    until_now = until_now.mutate(of_before=ibis.ifelse(is_several, ibis.literal(value=False), ibis.null("boolean")))
    until_begin = last_of_several(between(again, until=source.begin)).mutate(of_before=ibis.literal(value=True))
    return until_now.union(until_begin)


def _by_parts(last: Any) -> Any:
    """Labels of calls by the parts of an id: whole ids take twice as long to read and compare.

    What no call can have is missing there, and so finds none: a filter would take all texts apart once more.
    """
    rest = last.id.substr(_EPOCH_DIGITS)
    below = rest.try_cast("int64")  # with its dash, a sequence is a number below 0, or written as none is
    is_id = ((rest == below.cast("string")) & below.between(-_SEQUENCE_MAX, -1)) | (rest == "-0")
    sequence = ibis.ifelse(is_id & last.truth.notnull(), -below, ibis.null("int64"))
    return last.select(
        "truth", "labelled", "of_before", of_epoch=last.id.substr(0, _EPOCH_DIGITS), of_sequence=sequence
    )


def _labelled_units(plan: Plan, known: Any, is_moved: bool) -> Any:
    """Of each unit: what needs labels, and what did before; of units that were in several arms, in each, and before."""
    sums = counted_on_labels(plan, known)
    now = {name: _only(what, ~known.is_before) for name, what in sums.items()}
    before = {BEFORE + name: _only(what, known.is_before) for name, what in sums.items()}
    return _sums(known, {LABELLED_CALLS: ~known.is_before, **now, **before}, ["unit", "arm"] if is_moved else ["unit"])


def _only(what: Any, condition: Any) -> Any:
    return what & condition if what.type().is_boolean() else ibis.ifelse(condition, what, 0.0)


def _cells(plan: Plan, calls: Any, versions: Sequence[str], counted: Mapping[str, Any]) -> Any:
    """Of each unit and arm: when it was there, and what needs no label."""
    answered = calls.kind.isin(tables.CALLS)
    found = {"first": calls.time.min(), "last": calls.time.max()}
    if len(versions) > 1:
        found[_ENTERED] = _entered(calls, versions).min()
    if outcomes_in(plan):
        found[ANSWERED_FIRST] = ibis.ifelse(answered, calls.time, ibis.null(calls.time.type())).min()
    sums = {CALLS: answered, **counted_on_calls(plan, calls), **counted}
    return calls.group_by(["unit", "arm"]).agg(**found, **{name: tally(what) for name, what in sums.items()})


def _entered(calls: Any, versions: Sequence[str]) -> Any:
    """The time of a call and its version in one number, the least of which has both of the first."""
    places = ibis.cases(*((calls.version == version, place) for place, version in enumerate(versions)))
    return microseconds(calls.time) * len(versions) + places


def _phase_of(cells: Any, versions: Sequence[str]) -> Any:
    if len(versions) == 1:
        return ibis.literal(versions[0])
    n = len(versions)
    place = (cells[_ENTERED] % n + n) % n  # a remainder has the sign of what was divided
    return ibis.cases(*((place == number, version) for number, version in enumerate(versions)))


def _first_of(cells: Any) -> Any:
    """Of units that were in several arms, the one that they first met; of two at once, the first by its name.

    Whom a ramp moved did not fall silent: ``last`` is of its calls in any arm.
    """
    order = ibis.window(group_by="unit", order_by=[cells["first"], cells.arm])
    heard = cells["last"].max().over(ibis.window(group_by="unit"))
    ranked = cells.mutate(place=ibis.row_number().over(order), last=heard)
    return ranked.filter(ranked.place == 0).drop("place")


def _in_several(engine: Engine, calls: Any, cells: Any) -> int:
    """Units that were in several arms of one version; only those are looked at that were in several at all."""
    arms = cells.group_by("unit").agg(arms=cells.count())
    moved = arms.filter(arms.arms > 1).select(moved="unit")
    rows = calls.join(moved, calls.unit == moved.moved)
    in_phases = rows.group_by(["version", "unit"]).agg(arms=rows.arm.nunique())
    found: int = ask(engine, in_phases.agg(n=in_phases.count(where=in_phases.arms > 1))).to_pylist()[0]["n"]
    return found


def _units(plan: Plan, source: Source, versions: Sequence[str], cells: Any, labelled: Any) -> Any:
    """The units, with the sums of each."""
    units = cells.mutate(phase=_phase_of(cells, versions))
    past = counted_on_calls(plan, source.past)
    if past:
        before = {BEFORE + name: what for name, what in past.items()}
        units = _with(units, _sums(source.past, before, ["unit"]), ["unit"])
    if labelled is not None:
        units = _with_labelled(units, labelled)
    else:
        units = units.mutate(**{LABELLED_CALLS: ibis.literal(0).cast("float64")})
    if outcomes_in(plan):
        units = _with(units, unit_outcomes(plan, cells, source.calls, source.labels), ["unit"])
    names = [name for name in units.columns if name not in {ANSWERED_FIRST, _ENTERED}]
    whole = [CALLS, *past]
    return units.select(*names).mutate(**{name: units[name].cast("float64") for name in whole})


def _with_labelled(units: Any, labelled: Any) -> Any:
    """Units with what _labelled_units() summed up: of one in several arms, what it did in its own, and before."""
    if "arm" not in labelled.columns:
        return _with(units, labelled, ["unit"])
    then = [name for name in labelled.columns if name.startswith(BEFORE)]
    units = _with(units, labelled.filter(labelled.arm.notnull()).drop(*then), ["unit", "arm"])
    return _with(units, labelled.filter(labelled.arm.isnull()).select("unit", *then), ["unit"])


def _sums(rows: Any, variables: Mapping[str, Any], by: Sequence[str]) -> Any:
    return rows.group_by([*by]).agg(**{name: _sum(what) for name, what in variables.items()})


def _sum(what: Any) -> Any:
    return tally(what) if what.type().is_boolean() else what.sum()


def _with(units: Any, sums: Any, keys: Sequence[str]) -> Any:
    """Units with further columns, 0 where there is nothing."""
    names = [name for name in sums.columns if name not in keys]
    further = sums.select(**{f"of {name}": name for name in sums.columns})  # so that no name is of both sides
    joined = units.left_join(further, [units[key] == further[f"of {key}"] for key in keys])
    columns = {name: ibis.coalesce(joined[f"of {name}"].cast("float64"), 0.0) for name in names}
    return joined.select(*units.columns, **columns)
