"""Columns of Arrow out of the arrays of chunks: what all kinds of rows have, and what a source says of them."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa

from edgerun_sync.collector.arrow.ids import id_texts
from edgerun_sync.collector.arrow.schemas import CODED, MOMENT, TIME_MAX_US, TIME_MIN_US
from edgerun_sync.collector.rows import times_us

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from edgerun.log.chunks import Chunk
    from edgerun.log.columns import Array
    from edgerun.log.rows import Source
    from edgerun_sync.collector.rows import Rows, Stream

DAY_US = 86_400_000_000
_EARLY_US, _LATE_US = 400 * DAY_US, DAY_US


class Slice(NamedTuple):
    """Some chunks of one kind, whose rows become one table.

    Attributes:
        rows: what they are of.
        chunks: at least one.
        n: rows of all chunks.
        lengths: rows of each, int64.
    """

    rows: Rows
    chunks: Sequence[Chunk]
    n: int
    lengths: Array


class Numbers(NamedTuple):
    """Of rows: the number of each one's stream or source, and the numbers that occur."""

    of_rows: Array
    used: list[int]


def slice_of(rows: Rows, chunks: Sequence[Chunk]) -> Slice:
    """Return chunks as a slice."""
    lengths = np.array([chunk.n for chunk in chunks], np.int64)
    return Slice(rows, chunks, int(lengths.sum()), lengths)


def joined(part: Slice, name: str, dtype: type = np.uint64) -> tuple[Array, Array | None]:
    """Return a column of all chunks, and where it is missing; None for nowhere."""
    arrays = [chunk.columns.get(name) for chunk in part.chunks]
    if all(array is not None for array in arrays):
        return np.concatenate([array for array in arrays if array is not None]), None
    lacking = np.repeat([array is None for array in arrays], part.lengths)
    filled = [
        np.zeros(chunk.n, dtype) if array is None else array for chunk, array in zip(part.chunks, arrays, strict=True)
    ]
    return np.concatenate(filled), lacking


def where(part: Slice) -> tuple[dict[str, Any], Array]:
    """Return the columns that all tables have, but for the day, and the number of each row's day since 1970, int32."""
    streams = np.array([int(chunk.columns["boot"][0]) for chunk in part.chunks], np.int64)
    of_row = numbers_of(np.repeat(streams, part.lengths))
    time = np.clip(np.concatenate([times_us(part.rows, chunk) for chunk in part.chunks]), TIME_MIN_US, TIME_MAX_US)
    clock = np.concatenate([chunk.columns["monotonic_us"] + chunk.columns["clock_offset_us"] for chunk in part.chunks])
    at = part.rows.at_us
    row, _ = joined(part, "row")
    columns = {
        "device": of_streams(part.rows.streams, of_row, lambda stream: stream.device),
        "time": pa.array(time).view(MOMENT),
        "clock": pa.array(np.clip(clock, TIME_MIN_US, TIME_MAX_US)).view(MOMENT),
        "boot": of_streams(part.rows.streams, of_row, _boot),
        "epoch": of_streams(part.rows.streams, of_row, lambda stream: f"{stream.epoch:016x}"),
        "row": pa.array(row.view(np.int64)),
        "batch_time": pa.repeat(pa.scalar(at, pa.int64()).cast(MOMENT), part.n),
    }
    is_sane = (time >= at - _EARLY_US) & (time <= at + _LATE_US)
    day = (np.where(is_sane, time, at) // DAY_US).astype(np.int32)
    return columns, day


def of_streams(streams: Sequence[Stream], numbers: Numbers, what: Callable[[Stream], str | None]) -> Any:
    """Return a text of each row's stream."""
    return coded_texts({number: what(streams[number]) for number in numbers.used}, numbers)


def of_sources(part: Slice, *names: str) -> dict[str, Any]:
    """Return texts of each row's source, by name; missing where the source says none or was lost."""
    numbers, sources = numbers_of(joined(part, "source")[0]), part.rows.sources
    return {
        name: coded_texts({number: _of_source(sources[number], name) for number in numbers.used}, numbers)
        for name in names
    }


def numbers_of(of_rows: Array) -> Numbers:
    """Return small numbers of rows, and which of them occur."""
    return Numbers(of_rows, np.flatnonzero(np.bincount(of_rows)).tolist())


def coded_texts(texts: Mapping[int, str | None], numbers: Numbers) -> Any:
    """Return the text of each row's number as an array with a dictionary, in which each text is once."""
    n, listed = len(numbers.of_rows), dict[str, int]()
    codes = np.full(max(numbers.used) + 1, -1, np.int32)
    for number, text in texts.items():
        if text is not None:
            codes[number] = listed.setdefault(text, len(listed))
    if not listed:
        return pa.nulls(n, CODED)
    has_missing = any(text is None for text in texts.values())
    if len(listed) == 1 and not has_missing:
        return pa.DictionaryArray.from_arrays(pa.array(np.zeros(n, np.int32)), [*listed])
    found = codes[numbers.of_rows]
    indices = pa.array(found, mask=found < 0) if has_missing else pa.array(found)
    return pa.DictionaryArray.from_arrays(indices, pa.array([*listed], pa.string()))


def constant(n: int, text: str) -> Any:
    """Return one text for all rows, as an array with a dictionary."""
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(n, np.int32)), [text])


def ids(part: Slice) -> tuple[Any, Any]:
    """Return the ids of calls as text, and their sequences."""
    sequence, _ = joined(part, "sequence")
    epochs = [part.rows.streams[int(chunk.columns["boot"][0])].epoch for chunk in part.chunks]
    return id_texts(epochs, part.lengths, sequence), pa.array(sequence.view(np.int64))


def _boot(stream: Stream) -> str | None:
    return str(uuid.UUID(bytes=stream.boot)) if any(stream.boot) else None


def _of_source(source: Source | None, name: str) -> str | None:
    found: str | None = None if source is None else getattr(source, name)
    return found
