"""Rows for a log, and what stands in its files: as plain values that can be compared."""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import NamedTuple

import msgpack
import numpy as np

from edgerun.log.clocks import Clocks
from edgerun.log.rows import FLAG_KEYED, Batch, Kind, OutputShape, Source
from edgerun.log.segment import Damage, identify, parse_name, scan

FLOAT, TEXT, INT64, DOUBLE = 1, 8, 7, 11

SHAPES: tuple[tuple[OutputShape, ...], ...] = (
    (),
    (OutputShape(1, INT64, 1), OutputShape(2, FLOAT, 2)),
    (OutputShape(4, TEXT, 2), OutputShape(1, FLOAT, 3)),
    (OutputShape(5, FLOAT, 2), OutputShape(0, FLOAT, 0)),
    (OutputShape(3, DOUBLE, 4),),
)
"""What calls of these tests have as outputs."""

SOURCES = {
    number: Source("cards", "1.0", model, "champion", ("split", model), model, "assigned", None, None)
    for number, model in enumerate(("champion", "challenger", "rescue"), 1)
}


def of_float32(value: float) -> int:
    """The integer that keeps the order of a float32, by the words of FORMAT.md."""
    (bits,) = struct.unpack("<I", struct.pack("<f", value))
    return bits ^ 0xFFFFFFFF if bits >> 31 else bits | 0x80000000


def of_float64(value: float) -> int:
    """The same for a float64."""
    (bits,) = struct.unpack("<Q", struct.pack("<d", value))
    return bits ^ 0xFFFFFFFFFFFFFFFF if bits >> 63 else bits | 1 << 63


class Row(NamedTuple):
    """A row as it was given, and as it is read."""

    kind: int
    time_us: int
    sequence: int | None = None
    source: int | None = None
    latency: int | None = None
    unit: int | None = None
    flags: int | None = None
    difference: float | None = None
    outputs: tuple | None = None
    value: dict | None = None

    def key(self) -> str:
        """The row as one text."""
        return repr((int(self.kind), *self[1:]))


def batch_of(rows: list[Row]) -> Batch:
    """Rows as the recorder hands them over; the outputs of each fit one of SHAPES, in numpy's own floats."""
    numbers, data, numbers_at, data_at, shapes = [], b"", [0], [0], []
    for row in rows:
        shape = 0
        if row.outputs:
            shape = next(i for i, known in enumerate(SHAPES) if _fits(row.outputs, known))
            for (_, type_, columns), known in zip(row.outputs, SHAPES[shape], strict=True):
                for at, value in enumerate(columns):
                    if type(value) is str:
                        data += struct.pack("<I", len(value.encode())) + value.encode()
                    elif type(value) is int:
                        numbers.append(value % 2**64)
                    else:
                        is_double = type_ == DOUBLE or (known.form == 3 and at)
                        numbers.append(of_float64(value) if is_double else of_float32(value))
        if row.kind == Kind.SHADOW:
            numbers.append(of_float64(row.difference))
        if row.value is not None:
            data += msgpack.packb(row.value)
        shapes.append(shape)
        numbers_at.append(len(numbers))
        data_at.append(len(data))
    return Batch(
        kind=np.array([row.kind for row in rows], np.uint8),
        flags=np.array([(row.flags or 0) | (FLAG_KEYED if row.unit is not None else 0) for row in rows], np.uint8),
        source=np.array([row.source or 0 for row in rows], np.uint32),
        sequence=np.array([row.sequence or 0 for row in rows], np.uint64),
        unit=np.array([row.unit or 0 for row in rows], np.uint64),
        time_us=np.array([row.time_us for row in rows], np.int64),
        latency=np.array([row.latency or 0 for row in rows], np.uint32),
        shape=np.array(shapes, np.uint16),
        numbers=np.array(numbers, np.uint64),
        numbers_at=np.array(numbers_at, np.uint32),
        data=np.frombuffer(data, np.uint8),
        data_at=np.array(data_at, np.uint32),
        shapes=SHAPES,
    )


def _fits(outputs: tuple, shapes: tuple[OutputShape, ...]) -> bool:
    return [output[:2] for output in outputs] == [shape[:2] for shape in shapes]


def call(sequence: int, time_us: int | None = None, *, value: float = 0.5, keyed: bool = True) -> Row:
    """A call with a class and its confidence."""
    confidence = float(np.float32(value))
    outputs = ((1, INT64, (sequence % 3,)), (2, FLOAT, (sequence % 2, confidence)))
    unit = 2**63 + sequence % 7 if keyed else None
    when = 1000 * sequence if time_us is None else time_us
    return Row(Kind.CALL, when, sequence, 1 + sequence % 3, 1000 + sequence % 97, unit, 0, None, outputs)


def label(number: int) -> Row:
    """A label, which belongs to the journal."""
    return Row(Kind.LABEL, 7 * number, value={"id": f"event-{number}", "value": number})


class Ticks:
    """Clocks that move by themselves, a little at each look."""

    def __init__(self) -> None:
        self.now_us = 10**9

    def look(self) -> int:
        self.now_us += 1000
        return self.now_us

    def clocks(self) -> Clocks:
        return Clocks(self.look, lambda: self.look() + 10**15, b"a boot of tests.")


class Found(NamedTuple):
    """What stands in the files of a log: rows by stream and number, the class of each stream, and damaged bytes."""

    rows: dict[tuple[int, int], Row]
    classes: dict[int, int]
    damaged: int

    def of_kind(self, *kinds: int) -> list[Row]:
        return [row for _, row in sorted(self.rows.items()) if row.kind in kinds]


def read_files(files: dict[str, bytes]) -> Found:
    """Read all files of a log; a row that stands in two of them must be the same in both, and counts once."""
    rows: dict[tuple[int, int], Row] = {}
    classes: dict[int, int] = {}
    damaged = 0
    for name, data in sorted(files.items()):
        file = _file(name, data)
        damaged += file.damaged
        if file.class_ is not None:
            assert classes.setdefault(file.epoch, file.class_) == file.class_
        for number, row in file.rows:
            known = rows.setdefault((file.epoch, number), row)
            assert known is row or repr(known) == repr(row), (name, number)
    return Found(rows, classes, damaged)


class _File(NamedTuple):
    epoch: int
    class_: int | None
    rows: tuple[tuple[int, Row], ...]
    damaged: int


@lru_cache(maxsize=1024)
def _file(name: str, data: bytes) -> _File:
    """One file; where a folder is read again and again, most of its files are what they were."""
    parsed = parse_name(name)
    assert parsed, name
    if parsed.suffix == "tmp":
        return _File(parsed.epoch, None, (), 0)
    header, damage = identify(data, name)
    damaged, rows = damage.length if damage else 0, list[tuple[int, Row]]()
    if header is None:
        return _File(parsed.epoch, None, (), damaged)
    assert (header.epoch, header.first_row) == (parsed.epoch, parsed.first_row)
    for frame in scan(data, header):
        if isinstance(frame, Damage):
            damaged += frame.length
        else:
            rows += _rows_of(frame)
    return _File(header.epoch, header.class_, tuple(rows), damaged)


def _rows_of(frame) -> list[tuple[int, Row]]:
    found = []
    for block in frame.blocks:
        places = range(block.n) if block.place is None else block.place.tolist()
        found += zip((frame.first_row + place for place in places), _rows(block), strict=True)
    assert sorted(number for number, _ in found) == [*range(frame.first_row, frame.first_row + frame.rows)]
    return found


def _rows(block) -> list[Row]:
    """The rows of a block, in the order of its columns."""

    def plain(column):
        return [None] * block.n if column is None else column.tolist() if hasattr(column, "tolist") else [*column]

    def rows_of(columns):
        return [*zip(*map(plain, columns), strict=True)] if columns else [()] * block.n

    outputs: list = [None] * block.n
    if block.kind in {Kind.CALL, Kind.SHADOW}:
        parts = [[(form, type_, values) for values in rows_of(columns)] for form, type_, columns in block.outputs]
        outputs = rows_of(parts)
    columns = (
        block.time_us,
        block.sequence,
        block.source,
        block.latency,
        block.unit,
        block.flags,
        block.difference,
        outputs,
        block.values,
    )
    return [Row(int(block.kind), *row) for row in rows_of(columns)]
