"""CRC-32C and the packing of integers, done by the C core; edgerun/log/FORMAT.md says what they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

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
