"""Rows as a reader gathers them: a block's columns with what it leaves unsaid, cut down to what was asked for.

A chunk's arrays are those of its frame, not copies; what all of its rows share takes no memory a row.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from edgerun.log.columns import shared
from edgerun.log.contents import DISTRIBUTION, MAP, SUMMARY, TEXTS, Output

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from edgerun.log.columns import Array
    from edgerun.log.contents import Block
    from edgerun.log.rows import Source
    from edgerun.log.segment import Frame

UNKNOWN_SOURCE = 0
"""The code of a source whose name was lost."""


class Chunk(NamedTuple):
    """Rows of one kind, shape and file: arrays of [n] by column, and the outputs' columns by name."""

    n: int
    columns: dict[str, Array]
    outputs: dict[str, Array]


class Origin(NamedTuple):
    """Where the rows of a file come from.

    Attributes:
        epoch: of the stream.
        boot: number that the reader gives the boot of the stream.
        codes: the number in the file of each source, to the reader's own number of it.
    """

    epoch: int
    boot: int
    codes: dict[int, int]


class Sources:
    """All sources of a log, each once; a code is its place."""

    def __init__(self) -> None:
        self.listed: list[Source | None] = [None]
        self._codes: dict[Source, int] = {}

    def code(self, source: Source) -> int:
        """Return a source's code."""
        found = self._codes.setdefault(source, len(self.listed))
        if found == len(self.listed):
            self.listed.append(source)
        return found


def chunks_of(
    block: Block, frame: Frame, first_row: int, end_row: int, origin: Origin, sources: Sources
) -> Iterator[Chunk]:
    """Yield the rows of a block from one row up to, not including, another.

    There is more than one chunk where models share the block whose outputs have other names.
    """
    place = np.arange(block.n) if block.place is None else block.place
    row = np.uint64(frame.first_row) + place.astype(np.uint64)
    columns = {
        "row": row,
        "epoch": shared(np.array([origin.epoch], np.uint64), block.n),
        "boot": shared(np.array([origin.boot], np.int32), block.n),
        "monotonic_us": block.time_us,
        "clock_offset_us": shared(np.array([frame.wall_us - frame.monotonic_us], np.int64), block.n),
    }
    given = {
        "sequence": block.sequence,
        "latency": block.latency,
        "unit": block.unit,
        "flags": block.flags,
        "difference": block.difference,
        "values": block.values,
    }
    columns |= {name: column for name, column in given.items() if column is not None}
    if first_row > frame.first_row or end_row < frame.first_row + frame.rows:
        keep: Array | None = (row >= np.uint64(first_row)) & (row < np.uint64(end_row))
    else:
        keep = None
    if block.source is None:
        yield from _kept(Chunk(block.n, columns, {}), keep)
        return
    columns["source"] = _codes(block.source, origin.codes)
    for names, of_names in _names_of_outputs(columns["source"], block, sources):
        outputs = {
            column: values
            for name, output in zip(names, block.outputs, strict=True)
            for column, values in _columns_of(name, output)
        }
        chosen = keep if of_names is None else of_names if keep is None else keep & of_names
        yield from _kept(Chunk(block.n, columns, outputs), chosen)


def selected(chunk: Chunk, keep: Array) -> Chunk:
    """Return the rows of a chunk that a bool array [n] keeps."""
    if bool(keep.all()):
        return chunk
    columns = {name: column[keep] for name, column in chunk.columns.items()}
    return Chunk(int(keep.sum()), columns, {name: column[keep] for name, column in chunk.outputs.items()})


def _kept(chunk: Chunk, keep: Array | None) -> Iterator[Chunk]:
    kept = chunk if keep is None else selected(chunk, keep)
    if kept.n:
        yield kept


def _codes(numbers: Array, codes: Mapping[int, int]) -> Array:
    """The reader's codes of a file's numbers of sources."""
    if numbers.strides == (0,) or len(numbers) == 1:
        return shared(np.array([codes.get(int(numbers[0]), UNKNOWN_SOURCE)], np.int32), len(numbers))
    distinct, index = np.unique(numbers, return_inverse=True)
    own = np.array([codes.get(number, UNKNOWN_SOURCE) for number in distinct.tolist()], np.int32)
    return own[index.reshape(-1)]


def _names_of_outputs(source: Array, block: Block, sources: Sources) -> Iterator[tuple[tuple[str, ...], Array | None]]:
    """The names of a block's outputs, and the rows that have these; None for all."""
    distinct = [int(source[0])] if source.strides == (0,) or len(source) == 1 else np.unique(source).tolist()
    by_names: dict[tuple[str, ...], list[int]] = {}
    for code in distinct:
        found = sources.listed[code]
        names = found.outputs if found else ()
        if len(names) != len(block.outputs) or len({*names}) != len(names):
            names = tuple(f"output_{i}" for i in range(len(block.outputs)))
        by_names.setdefault(names, []).append(code)
    for names, codes in by_names.items():
        yield names, None if len(by_names) == 1 else np.isin(source, codes)


def _columns_of(name: str, output: Output) -> Iterator[tuple[str, Array]]:
    columns = output.columns
    if output.form in {DISTRIBUTION, MAP}:
        parts: tuple[str, ...] = ("class", "confidence")
    elif output.form == SUMMARY:
        parts = ("argmax", "min", "max", "mean")
    else:
        part = "text" if output.form == TEXTS else "value"
        parts = (part,) if len(columns) == 1 else tuple(f"{part}_{i}" for i in range(len(columns)))
    yield from zip((f"{name}.{part}" for part in parts), columns, strict=False)
