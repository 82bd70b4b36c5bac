"""A writer of logs that follows edgerun/log/FORMAT.md in plain Python, and shares no code with edgerun.

It is slow, packs every column the way that it is told, and checks nothing: tests also use it to write what no writer
should.
"""

from __future__ import annotations

import struct
from itertools import pairwise
from typing import Any

import google_crc32c
import msgpack
import zstandard

MAGIC = b"\x89ERLOG\r\n"
CALL, SHADOW, ERROR, CAPTURE, PROFILE, LABEL, OUTCOME, LOSS, LIFECYCLE = 1, 2, 3, 4, 5, 16, 17, 18, 19
ONNX = {"float": 1, "uint8": 2, "int64": 7, "string": 8, "bool": 9, "float16": 10, "double": 11}
BOOT = bytes(range(16))


def crc32c(data: bytes) -> int:
    return int(google_crc32c.value(data))


# Columns.


def packed(us: list[int]) -> list[bytes]:
    """``lengths, bits`` of unsigned integers."""
    stream, at = 0, 0
    for u in us:
        width = max(u.bit_length() - 1, 0)
        stream |= (u - (1 << width) if u else 0) << at
        at += width
    return [bytes(u.bit_length() for u in us), stream.to_bytes((at + 7) // 8, "little")]


def zigzag(signed: int) -> int:
    return 2 * signed if signed >= 0 else -2 * signed - 1


def up(values: list[int]) -> list[Any]:
    base = min(values, default=0)
    return [0, base, *packed([value - base for value in values])]


def down(values: list[int]) -> list[Any]:
    base = max(values, default=0)
    return [1, base, *packed([base - value for value in values])]


def around(values: list[int]) -> list[Any]:
    base = sorted(values)[len(values) // 2] if values else 0
    return [2, base, *packed([zigzag(value - base) for value in values])]


def steps(values: list[int]) -> list[Any]:
    base = values[0] if values else 0
    return [3, base, *packed([zigzag(after - before) for before, after in pairwise([base, *values])])]


def line(values: list[int], step: int) -> list[Any]:
    base = values[0] if values else 0
    return [4, base, step, *packed([zigzag(value - base - i * step // 65536) for i, value in enumerate(values)])]


def choice(values: list[int]) -> list[Any]:
    distinct = list(dict.fromkeys(values))
    return [5, steps(distinct), up([distinct.index(value) for value in values])]


def multiples(values: list[int], shift: int) -> list[Any]:
    return [8, shift, steps([value >> shift for value in values])]


def texts(values: list[str]) -> list[Any]:
    distinct = list(dict.fromkeys(values))
    index = [distinct.index(value) for value in values]
    return [6, distinct, index[0] if len(distinct) == 1 else up(index)]


def listed(values: list[Any]) -> list[Any]:
    return [7, values]


def order(value: float, form: str = "d") -> int:
    """The integer that stands for a float: ``form`` is d for float64, f for float32, e for float16."""
    size = struct.calcsize(form)
    bits = int.from_bytes(struct.pack("<" + form, value), "little")
    sign = 1 << (8 * size - 1)
    return bits ^ (2 * sign - 1) if bits & sign else bits | sign


def latency_code(ns: int) -> int:
    """A latency with 11 significant bits, rounded to nearest."""
    exponent = max(ns.bit_length() - 11, 0)
    mantissa = (ns + (1 << exponent >> 1)) >> exponent
    if mantissa == 2048:
        mantissa, exponent = 1024, exponent + 1
    return (exponent << 10) + mantissa if exponent else mantissa


# Segments.


def header(
    epoch: int,
    first_row: int,
    class_: int = 0,
    boot: bytes = BOOT,
    ids: int | None = None,
    begun_us: int = 0,
    version: int = 1,
) -> bytes:
    before = MAGIC + struct.pack("<BBH", version, class_, 0)
    after = struct.pack("<QQ16sQQ", epoch, first_row, boot, epoch if ids is None else ids, begun_us)
    return before + struct.pack("<I", crc32c(before + after)) + after


def frame(epoch: int, segment_row: int, offset: int, payload: bytes, stored: int = 0) -> bytes:
    kept = zstandard.ZstdCompressor().compress(payload) if stored else payload
    return sealed(epoch, segment_row, offset, kept, stored)


def sealed(epoch: int, segment_row: int, offset: int, kept: bytes, stored: int) -> bytes:
    """A frame around a payload as it is stored, whatever that is."""
    middle = struct.pack("<BBI", stored, 0, len(kept))
    crc = crc32c(struct.pack("<QQQ", epoch, segment_row, offset) + middle + kept)
    return b"\xe5\x46" + middle + struct.pack("<I", crc) + kept


class Segment:
    """The bytes of a segment as they grow, and the number of its next row."""

    def __init__(self, epoch: int = 7, first_row: int = 0, class_: int = 0, **fields: Any) -> None:
        self.epoch, self.first_row, self.row = epoch, first_row, first_row
        self.data = header(epoch, first_row, class_, **fields)

    def frame(
        self,
        blocks: list[dict[int, Any]],
        *,
        clocks: tuple[int, int] = (0, 0),
        sources: dict[int, Any] | None = None,
        stored: int = 1,
        rows: int | None = None,
    ) -> Segment:
        """Append a frame of these blocks."""
        rows = sum(block[1] for block in blocks) if rows is None else rows
        document = {0: self.row, 1: rows, 2: [*clocks], 3: sources or {}, 4: blocks}
        self.row += rows
        return self.payload(msgpack.packb(document), stored)

    def payload(self, payload: bytes, stored: int = 1) -> Segment:
        """Append a frame with any payload."""
        self.data += frame(self.epoch, self.first_row, len(self.data), payload, stored)
        return self

    def stored(self, kept: bytes, stored: int = 1) -> Segment:
        """Append a frame around any stored payload."""
        self.data += sealed(self.epoch, self.first_row, len(self.data), kept, stored)
        return self

    def raw(self, data: bytes) -> Segment:
        """Append bytes that are no frame."""
        self.data += data
        return self

    @property
    def name(self) -> str:
        """The name of its file, without a suffix."""
        return f"{self.epoch:016x}-{self.first_row:016x}"


def source(model: str | None = "champion", arm: str | None = "control", **fields: Any) -> dict[str, Any]:
    plain = {
        "bundle": "digits",
        "version": "1.0.0",
        "model": model,
        "route": "champion",
        "path": ["split", "champion"],
        "arm": arm,
        "assignment": "assigned",
        "fallback": None,
    }
    return plain | fields


def notes(kind: int, times: list[int], values: list[Any], place: Any = None) -> dict[int, Any]:
    """A block of rows that are msgpack values."""
    block = {0: kind, 1: len(values), 3: steps(times), 11: listed(values)}
    return block if place is None else block | {2: place}


def calls(times: list[int], sequences: list[int], latencies_ns: list[int], **fields: Any) -> dict[int, Any]:
    """A block of calls; ``source``, ``unit``, ``flags``, ``outputs`` and ``place`` are columns."""
    block = {
        0: fields.get("kind", CALL),
        1: len(times),
        3: steps(times),
        4: steps(sequences),
        5: fields.get("source", 0),
        6: up([latency_code(ns) for ns in latencies_ns]),
        8: fields.get("flags", 0),
        10: fields.get("outputs", []),
    }
    keys = {"place": 2, "unit": 7, "difference": 9}
    return block | {key: fields[name] for name, key in keys.items() if name in fields}
