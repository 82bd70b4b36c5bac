"""Rows of a batch as tables of Arrow, a slice at a time, so that what is in memory does not grow with the batch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa

from edgerun.log.contents import latency_ns
from edgerun.log.rows import FLAG_DISAGREE, FLAG_FAILED, FLAG_NONFINITE, Kind
from edgerun_sync.collector.arrow import notes
from edgerun_sync.collector.arrow.checked_in import check_in_columns
from edgerun_sync.collector.arrow.columns import (
    Slice,
    coded_texts,
    constant,
    ids,
    joined,
    numbers_of,
    of_sources,
    slice_of,
    where,
)
from edgerun_sync.collector.arrow.outputs import is_text, output_columns
from edgerun_sync.collector.arrow.schemas import sliced_schema
from edgerun_sync.collector.expanding import divided
from edgerun_sync.limits import LIMITS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgerun.log.chunks import Chunk
    from edgerun.log.columns import Array
    from edgerun.log.rows import Source
    from edgerun_sync.collector.rows import Rows

SLICE_ROWS = 2**17
"""Rows that become columns of Arrow, and a row group, together."""

KINDS: dict[str, tuple[Kind, ...]] = {
    "events": (Kind.CALL, Kind.SHADOW, Kind.ERROR),
    "labels": (Kind.LABEL, Kind.OUTCOME),
    "profiles": (Kind.PROFILE,),
    "lifecycle": (Kind.LOSS, Kind.LIFECYCLE),
    "captures": (Kind.CAPTURE,),
}
"""What each table holds that has rows of segments."""

_OF_EVENTS = ("bundle", "version", "model", "arm", "assignment", "fallback", "route", "node")


CHECK_INS = "devices"
"""The table that has the check-ins."""


class Sliced(NamedTuple):
    """Rows as a table without its partition, and the day of each, int32 since 1970."""

    table: Any
    day: Array


def count(rows: Rows, table: str) -> int:
    """Return how many rows a table has of these."""
    return len(rows.check_ins) if table == CHECK_INS else rows.count(*KINDS[table])


def lacking(rows: Rows, table: str) -> set[str]:
    """Return columns that no row of a table has here: its files go without them, and readers find nothing there."""
    if table != "events":
        return set()
    found = set() if rows.count(Kind.ERROR) else {"error", "message"}
    chunks = [chunk for kind in (Kind.CALL, Kind.SHADOW) for chunk in rows.chunks.get(kind, ())]
    if all(chunk.columns.get("difference") is None for chunk in chunks):
        found |= {"difference", "disagrees"}
    if not any(is_text(values) for chunk in chunks for values in chunk.outputs.values()):
        found.add("texts")
    sources = [source for source in rows.sources if source is not None]
    return found | {name for name in _OF_EVENTS if all(getattr(source, name) is None for source in sources)}


def slices(rows: Rows, table: str) -> Iterator[Sliced]:
    """Yield the rows of one table."""
    if table == CHECK_INS:
        if rows.check_ins:
            yield Sliced(*check_in_columns(rows.at_us, rows.check_ins))
        return
    missing = lacking(rows, table)
    schema = pa.schema([field for field in sliced_schema(table) if field.name not in missing])
    for kind in KINDS[table]:
        for part in _slices(rows, kind):
            columns, day = where(part)
            columns |= _columns(part, kind)
            arrays = [_fitted(columns.get(field.name), field.type, part.n) for field in schema]
            yield Sliced(pa.table(arrays, schema=schema), day)


def _fitted(column: Any, type_: pa.DataType, n: int) -> Any:
    if column is None:
        return pa.nulls(n, type_)
    return column.dictionary_encode() if column.type != type_ and pa.types.is_dictionary(type_) else column


def _slices(rows: Rows, kind: Kind) -> Iterator[Slice]:
    chunks: list[Chunk] = []
    n = size = 0
    for whole in rows.chunks.get(kind, ()):
        for chunk, more in divided(whole, LIMITS.slice_max_bytes):
            if chunks and (n >= SLICE_ROWS or size + more > LIMITS.slice_max_bytes):
                yield slice_of(rows, chunks)
                chunks, n, size = [], 0, 0
            chunks.append(chunk)
            n, size = n + chunk.n, size + more
    if chunks:
        yield slice_of(rows, chunks)


def _columns(part: Slice, kind: Kind) -> dict[str, Any]:
    match kind:
        case Kind.CALL | Kind.SHADOW:
            return {**_of_a_call(part, kind), **_measured(part), **output_columns(part)}
        case Kind.ERROR:
            values = notes.values_of(part)
            told = {name: notes.texts(values, name) for name in ("error", "message")}
            return {**_of_a_call(part, kind), "unit": _units(part), **told}
        case Kind.LABEL | Kind.OUTCOME:
            return {"kind": constant(part.n, kind.name.lower()), **notes.label_columns(notes.values_of(part))}
        case Kind.PROFILE:
            return notes.profile_columns(part, notes.values_of(part))
        case Kind.LOSS:
            return notes.lifecycle_columns(notes.values_of(part), event="loss")
        case Kind.LIFECYCLE:
            return notes.lifecycle_columns(notes.values_of(part), event=None)
        case Kind.CAPTURE:
            own = {"id": ids(part)[0], **of_sources(part, "bundle", "version", "model", "arm")}
            return {**own, **notes.capture_columns(notes.values_of(part))}


def _of_a_call(part: Slice, kind: Kind) -> dict[str, Any]:
    id_, sequence = ids(part)
    return {"id": id_, "sequence": sequence, "kind": _kinds(part, kind), **of_sources(part, *_OF_EVENTS)}


def _kinds(part: Slice, kind: Kind) -> Any:
    if kind is not Kind.CALL:
        return constant(part.n, "shadow" if kind is Kind.SHADOW else "error")
    numbers, sources = numbers_of(joined(part, "source")[0]), part.rows.sources
    return coded_texts({number: _answered(sources[number]) for number in numbers.used}, numbers)


def _answered(source: Source | None) -> str:
    return "inference" if source is None or source.fallback is None else "fallback"


def _units(part: Slice) -> Any:
    unit, has_none = joined(part, "unit")
    return pa.array(unit.view(np.int64), mask=has_none)


def _measured(part: Slice) -> dict[str, Any]:
    latency, _ = joined(part, "latency")
    flags, _ = joined(part, "flags")
    difference, is_unknown = joined(part, "difference", np.float64)
    is_shadow = part.chunks[0].columns.get("unit") is None and is_unknown is None
    found = {
        "latency_s": pa.array(latency_ns(latency) / 1e9),
        "unit": _units(part),
        "nonfinite": pa.array((flags & np.uint64(FLAG_NONFINITE)) != 0),
        "failed": pa.array((flags & np.uint64(FLAG_FAILED)) != 0),
        "difference": pa.array(difference, mask=is_unknown),
    }
    if is_shadow:
        found["disagrees"] = pa.array((flags & np.uint64(FLAG_DISAGREE)) != 0)
    return found
