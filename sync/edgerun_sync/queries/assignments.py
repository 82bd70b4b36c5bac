"""The audit of assignments: whether the arms in the table are those that the split gives, computed again by the engine.

A split is one SQL expression (native/SPLIT.md): ``shiftrightunsigned(xxhash64(salt, key), 32)`` is a key's point, and
the arm is the one whose range holds it. Spark has that hash; DuckDB here is given it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ibis

from edgerun_sync.queries.tables import CALLS, EVENTS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgerun.enrolment import Gate
    from edgerun.split import Split

_POINT_BITS = 32


@ibis.udf.scalar.builtin(name="xxhash64")  # type: ignore[untyped-decorator]  # Ibis has no types
def _hash(key: str) -> int:  # type: ignore[empty-body]  # the engine has it
    """XXH64 of a text: a unit."""


@ibis.udf.scalar.builtin(name="xxhash64")  # type: ignore[untyped-decorator]  # Ibis has no types
def _salted(salt: str, key: str) -> int:  # type: ignore[empty-body]  # likewise
    """XXH64 of a text, under that of another."""


def expected(split: Split, keys: Any, gates: Sequence[Gate] = ()) -> Any:
    """Ask which arms a split gives to keys.

    The answer has a row for each row of `keys`: ``key``; ``unit``, its hash, as events have it; ``point``, of the
    split; ``assignment``, "assigned" or what a gate says that the key does not pass; ``expected``, the arm, none where
    the key is not assigned.

    Args:
        split: of the arms.
        keys: a table with the column ``key`` of texts, such as given() returns.
        gates: what a key must pass to be enrolled, as `edgerun.enrolment.gates_of` has them.
    """
    found = keys.filter(keys.key.notnull())
    found = found.select(
        key=found.key,
        unit=_hash(found.key),
        point=_point(split.salt, found.key),
        **{f"gate_{number}": _point(gate.salt, found.key) for number, gate in enumerate(gates)},
    )
    columns = [(found[f"gate_{number}"], gate) for number, gate in enumerate(gates)]
    stopped = [((point < gate.start) | (point >= gate.end), gate.otherwise) for point, gate in columns]
    said = ibis.cases(*stopped, else_="assigned") if stopped else ibis.literal("assigned")
    found = found.mutate(assignment=said).drop(*(f"gate_{number}" for number in range(len(gates))))
    arm = arm_at(split, found.point)
    return found.mutate(
        expected=ibis.ifelse(found.assignment == "assigned", arm, ibis.null("string")) if gates else arm
    )


def arm_at(split: Split, point: Any) -> Any:
    """Return the arm of a split that owns a point; none where there is no point."""
    ranges = sorted(split.ranges, key=lambda held: held.start)
    return ibis.cases(*((point < held.end, held.arm) for held in ranges))


def passing(gate: Gate, keys: Any) -> Any:
    """Ask whether a gate lets keys through: a row for each, with ``unit``, its hash, and ``passes``."""
    known = keys.filter(keys.key.notnull())
    known = known.select(unit=_hash(known.key), point=_point(gate.salt, known.key))
    return known.select(known.unit, passes=(known.point >= gate.start) & (known.point < gate.end))


def audit(split: Split, keys: Any, events: Any = EVENTS, gates: Sequence[Gate] = ()) -> Any:
    """Ask whether calls of known keys have the arms that a split gives them.

    The answer has a row for each ``arm`` and ``expected`` arm: ``units`` and ``calls``. Where the two differ, somebody
    was put into another arm than the split says, or, where none is expected, enrolled by mistake. Calls without arm,
    and those whose arm was forced, are left out; what has no key in the table has no row.

    Args:
        split: of the phase whose events these are.
        keys: as expected() takes them; a key counts once, however often it is there.
        events: the table of events, or some of its rows.
        gates: as expected() takes them.
    """
    known = expected(split, keys, gates).distinct()
    calls = _split(events)
    return _counted(calls.join(known, calls.unit == known.unit).select(calls, known.expected))


def audit_enrolment(split: Split, keys: Any, events: Any = EVENTS, gates: Sequence[Gate] = ()) -> Any:
    """Ask whether known keys were enrolled that a node's gates let through, and those alone, with the right reason.

    The answer has a row for each ``assignment`` that calls say and the one that is ``expected``: ``units`` and
    ``calls``. Forced calls and those without a key are left out. A call says what the innermost random split on its way
    says: ask of events whose bundle has one random split.

    Args:
        split: of the node.
        keys: as expected() takes them.
        events: the table of events, or some of its rows.
        gates: as expected() takes them.
    """
    known = expected(split, keys, gates).drop("expected").rename(expected="assignment").distinct()
    said = ["assigned", *(gate.otherwise for gate in gates)]
    calls = events.filter(events.kind.isin(CALLS) & events.assignment.isin(said))
    rows = calls.join(known, calls.unit == known.unit).select(calls, known.expected)
    return rows.group_by(["assignment", "expected"]).agg(units=rows.unit.nunique(), calls=rows.count())


def audit_requests(split: Split, events: Any = EVENTS, gates: Sequence[Gate] = ()) -> Any:
    """Ask the same of a split without split_key, which draws for each request: the id of a call is its key.

    The answer is as that of audit(); no keys are needed.
    """
    calls = _split(events).mutate(key=lambda row: row.id)
    drawn = expected(split, calls, gates).select("key", "expected")
    return _counted(calls.join(drawn, calls.key == drawn.key).select(calls, drawn.expected))


def _point(salt: str, key: Any) -> Any:
    return (_salted(salt, key) >> _POINT_BITS) & (2**_POINT_BITS - 1)


def _split(events: Any) -> Any:
    return events.filter(events.kind.isin(CALLS) & events.arm.notnull() & (events.assignment == "assigned"))


def _counted(rows: Any) -> Any:
    return rows.group_by(["arm", "expected"]).agg(units=rows.unit.nunique(), calls=rows.count())
