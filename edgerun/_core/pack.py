"""CRC-32C and the packing of integers, done by the C core; edgerun/log/FORMAT.md says what they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from edgerun._core import check
from edgerun._edgerun import ffi, lib
from edgerun.errors import LogError

if TYPE_CHECKING:
    from numpy.typing import NDArray


def crc32c(data: bytes | bytearray | memoryview, crc: int = 0) -> int:
    """Return the CRC-32C of contiguous bytes, going on from a former result."""
    memory = ffi.from_buffer(data)
    return int(lib.er_crc32c(crc, memory, len(memory)))


def pack_u64(values: NDArray[np.uint64]) -> tuple[bytes, bytes]:
    """Return the lengths and the bits of a contiguous array."""
    n = len(values)
    lengths, bits, used = np.empty(n, np.uint8), np.empty(8 * n, np.uint8), ffi.new("size_t *")
    check(
        lib.er_pack_u64(
            ffi.from_buffer("uint64_t[]", values),
            n,
            ffi.from_buffer("uint8_t[]", lengths, require_writable=True),
            ffi.from_buffer("uint8_t[]", bits, require_writable=True),
            used,
        )
    )
    return lengths.tobytes(), bits[: used[0]].tobytes()


class PackedColumn(NamedTuple):
    """Integers in the shortest of the codes 0 to 4 of a column.

    Attributes:
        code: which.
        base: of the code, as a number of the column's kind.
        step: of code 4.
        cost_bits: about what it takes, once compressed.
        is_repetitive: whether a dictionary might be shorter.
        lengths: of the integers.
        bits: of the integers.
    """

    code: int
    base: int
    step: int
    cost_bits: int
    is_repetitive: bool
    lengths: bytes
    bits: bytes


def pack_column(values: NDArray[np.int64] | NDArray[np.uint64]) -> PackedColumn:
    """Return at least one integer as a column."""
    n, is_signed = len(values), values.dtype.kind == "i"
    room, column = np.empty(17 * n, np.uint8), ffi.new("er_packed_column *")
    memory = ffi.from_buffer("uint8_t[]", room, require_writable=True)
    check(
        lib.er_pack_column(
            ffi.from_buffer("uint64_t[]", np.ascontiguousarray(values)),
            n,
            is_signed,
            ffi.cast("uint64_t *", memory),
            memory + 8 * n,
            memory + 9 * n,
            column,
        )
    )
    base = int(column.base)
    if is_signed and base >= 2**63:
        base -= 2**64
    return PackedColumn(
        column.code,
        base,
        column.step,
        column.cost_bits,
        bool(column.is_repetitive),
        room[8 * n : 9 * n].tobytes(),
        room[9 * n : 9 * n + column.bits_len].tobytes(),
    )


def unpack_u64(lengths: bytes, bits: bytes) -> NDArray[np.uint64]:
    """Return the integers that lengths and bits stand for.

    Raises:
        LogError: a length is above 64, or the bits are not what the lengths need.
    """
    n = len(lengths)
    values = np.empty(n, np.uint64)
    code = lib.er_unpack_u64(
        ffi.from_buffer("uint8_t[]", lengths),
        n,
        ffi.from_buffer("uint8_t[]", bits),
        len(bits),
        ffi.from_buffer("uint64_t[]", values, require_writable=True),
    )
    if code == lib.ER_EINVAL:
        raise LogError(f"{len(bits)} bytes of bits do not belong to these {n} lengths")
    check(code)
    return values
