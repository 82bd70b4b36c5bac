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

    from edgerun.split import Split

_POINT_BITS = 32


@ibis.udf.scalar.builtin(name="xxhash64")  # type: ignore[untyped-decorator]  # Ibis has no types
def _hash(key: str) -> int:  # type: ignore[empty-body]  # the engine has it
    """XXH64 of a text: a unit."""


@ibis.udf.scalar.builtin(name="xxhash64")  # type: ignore[untyped-decorator]  # Ibis has no types
def _salted(salt: str, key: str) -> int:  # type: ignore[empty-body]  # likewise
    """XXH64 of a text, under that of another."""


def expected(split: Split, keys: Any) -> Any:
    """Ask which arms a split gives to keys.

    The answer has a row for each row of `keys`: ``key``; ``unit``, its hash, as events have it; ``point``, of the
    split; ``expected``, the arm.

    Args:
        split: of the arms.
        keys: a table with the column ``key`` of texts, such as given() returns.
    """
    found = keys.filter(keys.key.notnull()).select(key=keys.key, unit=_hash(keys.key), point=_point(split, keys))
    return found.mutate(expected=arm_at(split, found.point))


def pointed(splits: Sequence[Split], keys: Any) -> Any:
    """Ask for the points of keys in several splits.

    The answer has a row for each row of `keys`: ``unit``, and ``point_NUMBER`` of each split, in order from 0.
    """
    points = {f"point_{number}": _point(split, keys) for number, split in enumerate(splits)}
    return keys.filter(keys.key.notnull()).select(unit=_hash(keys.key), **points)


def arm_at(split: Split, point: Any) -> Any:
    """Return the arm of a split that owns a point."""
    ranges = sorted(split.ranges, key=lambda held: held.start)
    return ibis.cases(*((point < held.end, held.arm) for held in ranges))


def audit(split: Split, keys: Any, events: Any = EVENTS) -> Any:
    """Ask whether calls of known keys have the arms that a split gives them.

    The answer has a row for each ``arm`` and ``expected`` arm: ``units`` and ``calls``. Where the two differ, somebody
    was put into another arm than the split says. Calls without arm, and those whose arm was forced, are left out; what
    has no key in the table has no row.

    Args:
        split: of the phase whose events these are.
        keys: as expected() takes them; a key counts once, however often it is there.
        events: the table of events, or some of its rows.
    """
    known = expected(split, keys).distinct()
    calls = _split(events)
    return _counted(calls.join(known, calls.unit == known.unit).select(calls, known.expected))


def audit_requests(split: Split, events: Any = EVENTS) -> Any:
    """Ask the same of a split without split_key, which draws for each request: the id of a call is its key.

    The answer is as that of audit(); no keys are needed.
    """
    calls = _split(events).mutate(key=lambda row: row.id)
    drawn = expected(split, calls).select("key", "expected")
    return _counted(calls.join(drawn, calls.key == drawn.key).select(calls, drawn.expected))


def _point(split: Split, keys: Any) -> Any:
    return (_salted(split.salt, keys.key) >> _POINT_BITS) & (2**_POINT_BITS - 1)


def _split(events: Any) -> Any:
    return events.filter(events.kind.isin(CALLS) & events.arm.notnull() & (events.assignment == "assigned"))


def _counted(rows: Any) -> Any:
    return rows.group_by(["arm", "expected"]).agg(units=rows.unit.nunique(), calls=rows.count())
