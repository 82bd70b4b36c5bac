"""Blocks: rows of one kind and shape as columns, put together, cut, and written. See FORMAT.md, frame."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np

from edgerun.log.packing import Integers, Texts, encode, encode_texts
from edgerun.log.payload import pack
from edgerun.log.rows import Kind
from edgerun.log.splice import list_head, map_head

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from edgerun.log import contents
    from edgerun.log.columns import Array
    from edgerun.log.packing import Pieces

TIME, SEQUENCE, SOURCE, LATENCY, UNIT, FLAGS, DIFFERENCE, OUTPUTS, VALUES = range(3, 12)
"""Keys of a block."""

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
        outputs = [(form, type_, len(columns)) for form, type_, columns in self.outputs or ()]
        return self.kind, tuple(sorted(self.columns)), tuple(outputs)


def merge(blocks: Iterable[Block]) -> list[Block]:
    """Return blocks that hold the same rows, those of one likeness in one."""
    groups: dict[object, list[Block]] = {}
    for block in blocks:
        groups.setdefault(block.likeness(), []).append(block)
    return [_join(group) for group in groups.values()]


def take(block: Block, first: int, end: int) -> Block:
    """Return the rows of a block whose places are from first up to, not including, end."""
    at, until = np.searchsorted(block.place, (first, end))
    return _rearranged(block, slice(int(at), int(until)))


def of_contents(block: contents.Block) -> Block:
    """Return a block that was read, its columns as integers again."""
    read = {
        TIME: block.time_us,
        SEQUENCE: block.sequence,
        SOURCE: block.source,
        LATENCY: block.latency,
        UNIT: block.unit,
        FLAGS: block.flags,
        DIFFERENCE: block.difference,
    }
    outputs = None
    if block.kind in (Kind.CALL, Kind.SHADOW):
        outputs = tuple(Output(form, type_, tuple(map(_as_column, columns))) for form, type_, columns in block.outputs)
    found = Block(
        block.kind,
        np.arange(block.n) if block.place is None else block.place,
        {key: _as_integers(column) for key, column in read.items() if column is not None},
        outputs,
        None if block.values is None else [pack(value) for value in block.values],
    )
    return found if _is_ascending(found.place) else _rearranged(found, np.argsort(found.place))


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


def _join(group: list[Block]) -> Block:
    if len(group) == 1:
        return group[0]
    outputs, values = group[0].outputs, group[0].values
    if outputs is not None:
        outputs = tuple(
            Output(
                form,
                type_,
                tuple(
                    _join_columns([one.outputs[i].columns[k] for one in group if one.outputs])
                    for k in range(len(columns))
                ),
            )
            for i, (form, type_, columns) in enumerate(outputs)
        )
    if values is not None:
        values = [value for one in group for value in one.values or ()]
    columns = {key: np.concatenate([one.columns[key] for one in group]) for key in group[0].columns}
    found = Block(group[0].kind, np.concatenate([one.place for one in group]), columns, outputs, values)
    return found if _is_ascending(found.place) else _rearranged(found, np.argsort(found.place))


def _join_columns(columns: Sequence[Column]) -> Column:
    if isinstance(columns[0], Texts):
        return _join_texts([column for column in columns if isinstance(column, Texts)])
    return np.concatenate([column for column in columns if not isinstance(column, Texts)])


def _join_texts(columns: Sequence[Texts]) -> Texts:
    numbers: dict[str, int] = {}
    index = []
    for texts, found in columns:
        index.append(np.array([numbers.setdefault(text, len(numbers)) for text in texts], np.int64)[found])
    return Texts([*numbers], np.concatenate(index))


def _rearranged(block: Block, order: NDArray[np.int64] | slice) -> Block:
    """Some rows of a block, or all in another order."""

    def chosen(column: Column) -> Column:
        return Texts(column.texts, column.numbers[order]) if isinstance(column, Texts) else column[order]

    outputs, values = block.outputs, block.values
    if outputs is not None:
        outputs = tuple(Output(form, type_, tuple(map(chosen, columns))) for form, type_, columns in outputs)
    if values is not None:
        values = values[order] if isinstance(order, slice) else [values[i] for i in order.tolist()]
    columns = {key: column[order] for key, column in block.columns.items()}
    return Block(block.kind, block.place[order], columns, outputs, values)


def _is_ascending(place: NDArray[np.int64]) -> bool:
    return bool((np.diff(place) > 0).all())


def _as_column(values: Array) -> Column:
    if values.dtype == object:
        numbers: dict[str, int] = {}
        index = np.fromiter((numbers.setdefault(text, len(numbers)) for text in values), np.int64, len(values))
        return Texts([*numbers], index)
    return _as_integers(values)


def _as_integers(values: Array) -> Integers:
    """Integers as they are, floats as the integers that keep their order."""
    if values.dtype.kind == "f":
        whole = np.dtype(f"u{values.dtype.itemsize}")
        bits, sign = np.ascontiguousarray(values).view(whole), whole.type(1 << (8 * values.dtype.itemsize - 1))
        return np.where(bits & sign, ~bits, bits | sign).astype(np.uint64)
    return values.astype(np.uint64 if values.dtype == np.uint64 else np.int64)
