"""Rows to blocks: those of one kind and shape together, as columns. See FORMAT.md, frame."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np

from edgerun.errors import LogError
from edgerun.log.packing import Integers, Texts, encode, encode_texts, texts_of
from edgerun.log.payload import pack
from edgerun.log.rows import FLAG_KEYED, Kind, Note
from edgerun.log.splice import list_head, map_head

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray

    from edgerun.log.packing import Pieces
    from edgerun.log.rows import Batch, OutputShape

TIME, SEQUENCE, SOURCE, LATENCY, UNIT, FLAGS, DIFFERENCE, OUTPUTS, VALUES = range(3, 12)
"""Keys of a block."""

FORM_NONE, FORM_NUMBERS, FORM_CLASS, FORM_SUMMARY, FORM_TEXTS, FORM_MAP = range(6)
FLOAT_TYPES = frozenset({1, 10, 11, 16})
"""ONNX's float, float16, double and bfloat16."""

Column: TypeAlias = "Integers | Texts"


class Output(NamedTuple):
    """One output of the rows of a block."""

    form: int
    type: int
    columns: tuple[Column, ...]


class Block(NamedTuple):
    """Rows of one kind and shape.

    Attributes:
        kind: of all rows.
        place: int64 [n], of each row in the frame; ascending.
        columns: key to int64 or uint64 [n], for TIME to DIFFERENCE.
        outputs: of calls and shadows; else None.
        values: of the other kinds, n msgpack values; else None.
    """

    kind: int
    place: NDArray[np.int64]
    columns: dict[int, Integers]
    outputs: tuple[Output, ...] | None
    values: list[bytes] | None

    def likeness(self) -> object:
        """What blocks have in common that can be one."""
        outputs = self.outputs and tuple((form, type_, len(columns)) for form, type_, columns in self.outputs)
        return self.kind, tuple(sorted(self.columns)), outputs


def of_batch(batch: Batch, rows: NDArray[np.int64]) -> list[Block]:
    """Return the blocks of some rows of a batch, which are the first ones of a frame."""
    keyed = batch.flags[rows] & FLAG_KEYED
    shaped = np.isin(batch.kind[rows], (Kind.CALL, Kind.SHADOW))
    likeness = batch.kind[rows].astype(np.int64) << 24 | np.where(shaped, batch.shape[rows].astype(np.int64) << 8 | keyed, 0)
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


def merge(blocks: Iterable[Block]) -> list[Block]:
    """Return blocks that hold the same rows, those of one likeness in one."""
    groups: dict[object, list[Block]] = {}
    for block in blocks:
        groups.setdefault(block.likeness(), []).append(block)
    return [_join(group) for group in groups.values()]


def take(block: Block, first: int, end: int) -> Block:
    """Return the rows of a block whose places are from first up to, not including, end."""
    at, until = np.searchsorted(block.place, (first, end))
    chosen = slice(int(at), int(until))

    def part(column: Column) -> Column:
        return Texts(column.texts, column.index[chosen]) if isinstance(column, Texts) else column[chosen]

    return Block(
        block.kind,
        block.place[chosen],
        {key: column[chosen] for key, column in block.columns.items()},
        block.outputs
        and tuple(Output(form, type_, tuple(map(part, columns))) for form, type_, columns in block.outputs),
        block.values and block.values[chosen],
    )


def encode_block(block: Block, rows: int) -> Pieces:
    """Return a block of a frame of so many rows as msgpack."""
    n = len(block.place)
    parts: dict[int, Pieces] = {0: [pack(block.kind)], 1: [pack(n)]}
    if n != rows:  # else they stand in order, each in its place
        parts[2] = encode(block.place)
    parts |= {key: encode(column) for key, column in block.columns.items()}
    if block.outputs is not None:
        parts[OUTPUTS] = [list_head(len(block.outputs)), *(piece for out in block.outputs for piece in _output(out))]
    if block.values is not None:
        parts[VALUES] = [list_head(2) + pack(7) + list_head(n), b"".join(block.values)]
    pieces = [map_head(len(parts))]
    for key, column in parts.items():
        pieces += [pack(key), *column]
    return pieces


def _output(output: Output) -> Pieces:
    pieces = [list_head(3) + pack(output.form) + pack(output.type) + list_head(len(output.columns))]
    for column in output.columns:
        pieces += encode_texts(column) if isinstance(column, Texts) else encode(column)
    return pieces


def _block(batch: Batch, rows: NDArray[np.int64], place: NDArray[np.int64]) -> Block:
    kind = int(batch.kind[rows[0]])
    columns: dict[int, Integers] = {TIME: batch.time_us[rows]}
    if kind < Kind.PROFILE:
        columns[SEQUENCE] = batch.sequence[rows]
        columns[SOURCE] = batch.source[rows].astype(np.int64)
    if kind not in (Kind.CALL, Kind.SHADOW):
        return Block(kind, place, columns, None, _values(batch, rows, kind))
    columns[LATENCY] = batch.latency[rows].astype(np.int64)
    if kind == Kind.CALL and batch.flags[rows[0]] & FLAG_KEYED:
        columns[UNIT] = batch.unit[rows]
    columns[FLAGS] = (batch.flags[rows] & ~np.uint8(FLAG_KEYED)).astype(np.int64)
    shapes = batch.shapes[int(batch.shape[rows[0]])]
    numbers = _numbers(batch, rows, sum(map(_numbers_of, shapes)) + (kind == Kind.SHADOW))
    if kind == Kind.SHADOW:
        columns[DIFFERENCE] = np.ascontiguousarray(numbers[-1])
    return Block(kind, place, columns, _outputs(batch, rows, shapes, numbers), None)


def _values(batch: Batch, rows: NDArray[np.int64], kind: int) -> list[bytes]:
    raw = batch.data.tobytes()
    spans = zip(batch.data_at[rows].tolist(), batch.data_at[rows + 1].tolist(), strict=True)
    values = [raw[begin:end] for begin, end in spans]
    return [capture_value(value) for value in values] if kind == Kind.CAPTURE else values


def capture_value(raw: bytes) -> bytes:
    """Return the msgpack value of a capture; the recorder hands it over as such."""
    return raw


def _numbers_of(shape: OutputShape) -> int:
    """How many numbers a row keeps of an output."""
    return {FORM_NUMBERS: shape.columns, FORM_CLASS: 2, FORM_SUMMARY: 4, FORM_MAP: 1}.get(shape.form, 0)


def _texts_of(shape: OutputShape) -> int:
    return {FORM_TEXTS: shape.columns, FORM_MAP: 1}.get(shape.form, 0)


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
    if number == 0 and shape.form in (FORM_CLASS, FORM_SUMMARY):
        return values.view(np.int64)
    return values if shape.type in FLOAT_TYPES or shape.form == FORM_SUMMARY else values.view(np.int64)


def _texts(batch: Batch, rows: NDArray[np.int64], count: int) -> Iterable[Texts]:
    """The columns of texts; each text stands after its length in 4 bytes."""
    if not count:
        return iter(())
    raw, columns = batch.data.tobytes(), [[] for _ in range(count)]
    for begin in batch.data_at[rows].tolist():
        at = begin
        for column in columns:
            (size,) = struct.unpack_from("<I", raw, at)
            column.append(raw[at + 4 : at + 4 + size])
            at += 4 + size
    return map(texts_of, columns)


def _join(group: list[Block]) -> Block:
    if len(group) == 1:
        return group[0]
    place = np.concatenate([block.place for block in group])
    order = None if bool((np.diff(place) > 0).all()) else np.argsort(place, kind="stable")

    def joined(columns: Sequence[Column]) -> Column:
        column = _join_texts(columns) if isinstance(columns[0], Texts) else np.concatenate(columns)
        if order is None:
            return column
        return Texts(column.texts, column.index[order]) if isinstance(column, Texts) else column[order]

    outputs = None
    if group[0].outputs is not None:
        outputs = tuple(
            Output(form, type_, tuple(joined([block.outputs[i].columns[k] for block in group]) for k in range(len(columns))))
            for i, (form, type_, columns) in enumerate(group[0].outputs)
        )
    values = None
    if group[0].values is not None:
        values = [value for block in group for value in block.values]
        values = values if order is None else [values[i] for i in order.tolist()]
    columns = {key: joined([block.columns[key] for block in group]) for key in group[0].columns}
    return Block(group[0].kind, place if order is None else place[order], columns, outputs, values)


def _join_texts(columns: Sequence[Texts]) -> Texts:
    numbers: dict[str, int] = {}
    index = []
    for texts, found in columns:
        index.append(np.array([numbers.setdefault(text, len(numbers)) for text in texts], np.int64)[found])
    return Texts([*numbers], np.concatenate(index))
