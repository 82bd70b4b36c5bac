"""Rows as the recorder hands them over to blocks of one kind and shape; FORMAT.md, frame."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import numpy as np

from edgerun.errors import LogError
from edgerun.log.blocks import (
    DIFFERENCE,
    FLAGS,
    LATENCY,
    SEQUENCE,
    SOURCE,
    TIME,
    UNIT,
    Block,
    Output,
)
from edgerun.log.packing import Integers, Texts, texts_of
from edgerun.log.payload import pack, unpack
from edgerun.log.rows import FLAG_KEYED, OF_A_UNIT, Kind

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from edgerun.log.rows import Batch, OutputShape

NUMBERS, CLASS, SUMMARY, TEXTS, MAP = range(1, 6)
"""Forms of an output that keep something."""
FLOAT_TYPES = frozenset({1, 10, 11, 16})
"""ONNX's float, float16, double and bfloat16."""


def of_batch(batch: Batch, rows: NDArray[np.int64]) -> list[Block]:
    """Return the blocks of some rows of a batch, which are the first ones of a frame."""
    keyed = batch.flags[rows] & FLAG_KEYED
    kind = batch.kind[rows].astype(np.int64)
    shaped = (kind == Kind.CALL) | (kind == Kind.SHADOW)
    owned = (kind == Kind.CALL) | (kind == Kind.ERROR)
    likeness = kind << 24 | np.where(shaped, batch.shape[rows].astype(np.int64) << 8, 0) | np.where(owned, keyed, 0)
    blocks = []
    for alike in np.unique(likeness):
        place = np.flatnonzero(likeness == alike)
        blocks.append(_block(batch, rows[place], place))
    return blocks


def of_notes(notes: Sequence[tuple[int, int, bytes]], place: int) -> list[Block]:
    """Return the blocks of notes, as (kind, time, msgpack), the first of which has a place in the frame."""
    blocks = []
    for kind in sorted({note[0] for note in notes}):
        found = [(place + i, time, value) for i, (of, time, value) in enumerate(notes) if of == kind]
        times = np.array([time for _, time, _ in found], np.int64)
        places = np.array([i for i, _, _ in found], np.int64)
        blocks.append(Block(kind, places, {TIME: times}, None, [value for _, _, value in found]))
    return blocks


def _block(batch: Batch, rows: NDArray[np.int64], place: NDArray[np.int64]) -> Block:
    kind = int(batch.kind[rows[0]])
    columns: dict[int, Integers] = {TIME: batch.time_us[rows]}
    if kind < Kind.PROFILE:
        columns[SEQUENCE] = batch.sequence[rows]
        columns[SOURCE] = batch.source[rows].astype(np.int64)
    if kind in (Kind.CALL, Kind.SHADOW):
        columns[LATENCY] = batch.latency[rows].astype(np.int64)
    if kind in OF_A_UNIT and batch.flags[rows[0]] & FLAG_KEYED:
        columns[UNIT] = batch.unit[rows]
    if kind not in (Kind.CALL, Kind.SHADOW):
        return Block(kind, place, columns, None, _values(batch, rows))
    columns[FLAGS] = (batch.flags[rows] & ~np.uint8(FLAG_KEYED)).astype(np.int64)
    shapes = batch.shapes[int(batch.shape[rows[0]])]
    numbers = _numbers(batch, rows, sum(map(_numbers_of, shapes)) + (kind == Kind.SHADOW))
    if kind == Kind.SHADOW:
        columns[DIFFERENCE] = np.ascontiguousarray(numbers[-1])
    return Block(kind, place, columns, _outputs(batch, rows, shapes, numbers), None)


def _values(batch: Batch, rows: NDArray[np.int64]) -> list[bytes]:
    raw = batch.data.tobytes()
    spans = zip(batch.data_at[rows].tolist(), batch.data_at[rows + 1].tolist(), strict=True)
    return [readable(raw[begin:end]) for begin, end in spans]


def readable(value: bytes) -> bytes:
    """Return the msgpack of a value if a reader takes it; else one that holds its bytes: no value may spoil a frame."""
    try:
        if type(unpack(value)) is dict:
            return value
    except LogError:
        pass
    return pack({"unreadable": value})


def _numbers_of(shape: OutputShape) -> int:
    """How many numbers a row keeps of an output."""
    return {NUMBERS: shape.columns, CLASS: 2, SUMMARY: 4, MAP: 1}.get(shape.form, 0)


def _texts_of(shape: OutputShape) -> int:
    return {TEXTS: shape.columns, MAP: 1}.get(shape.form, 0)


def _numbers(batch: Batch, rows: NDArray[np.int64], width: int) -> NDArray[np.uint64]:
    """The numbers of rows, [width, n]."""
    begin = batch.numbers_at[rows].astype(np.int64)
    if not bool((batch.numbers_at[rows + 1] - begin == width).all()):
        raise LogError(f"rows of a shape with {width} numbers have others: the recorder and its shapes disagree")
    if int(begin[-1]) - int(begin[0]) == width * (len(rows) - 1):  # they lie one after the other
        found = batch.numbers[int(begin[0]) : int(begin[0]) + width * len(rows)].reshape(len(rows), width)
    else:
        found = batch.numbers[begin[:, None] + np.arange(width)]
    return np.ascontiguousarray(found.T)


def _outputs(
    batch: Batch, rows: NDArray[np.int64], shapes: tuple[OutputShape, ...], numbers: NDArray[np.uint64]
) -> tuple[Output, ...]:
    texts, at, found = _texts(batch, rows, sum(map(_texts_of, shapes))), 0, []
    for shape in shapes:
        count = _numbers_of(shape)
        columns = [_column(shape, i, numbers[at + i]) for i in range(count)]
        at += count
        found.append(Output(shape.form, shape.type, (*(next(texts) for _ in range(_texts_of(shape))), *columns)))
    return tuple(found)


def _column(shape: OutputShape, number: int, values: NDArray[np.uint64]) -> Integers:
    """A column of numbers: floats are ordered as unsigned integers, and so are no others."""
    if number == 0 and shape.form in (CLASS, SUMMARY):
        return values.view(np.int64)
    return values if shape.type in FLOAT_TYPES or shape.form == SUMMARY else values.view(np.int64)


def _texts(batch: Batch, rows: NDArray[np.int64], count: int) -> Iterator[Texts]:
    """The columns of texts; each text stands after its length in 4 bytes."""
    if not count:
        return iter(())
    raw = batch.data.tobytes()
    columns: list[list[bytes]] = [[] for _ in range(count)]
    for begin in batch.data_at[rows].tolist():
        at = begin
        for column in columns:
            (size,) = struct.unpack_from("<I", raw, at)
            column.append(raw[at + 4 : at + 4 + size])
            at += 4 + size
    return map(texts_of, columns)
