"""The split of the C core, as functions over a handle."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from edgerun import errors
from edgerun._core import CData, check
from edgerun._edgerun import ffi, lib

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

Memory: TypeAlias = "bytes | memoryview | NDArray[Any]"

SPLIT_MAX_RANGES: int = lib.ER_SPLIT_MAX_RANGES

KEY_MAX_BYTES: int = lib.ER_PY_KEY_MAX_BYTES

split_assign_key: Callable[[CData, bytes, int], int] = lib.er_py_split_assign
"""``split_assign_key(split, key: bytes, len(key)) -> arm index``, the bare C function for hot paths.

For a key of more than `KEY_MAX_BYTES` the index is past every arm."""

split_assign: Callable[[CData, bytes, int, CData], int] = lib.er_split_assign
"""``split_assign(split, key: bytes, len(key), hash_out) -> arm index``, which also gives the hash.

It cannot fail for a split of `split_new` and a ``bytes`` key. ``hash_out`` is a `new_hash` of the
calling thread; it gets the key's 64-bit hash."""


def hash_of(data: bytes, seed: int) -> int:
    """Return XXH64 of some bytes under a seed of [0, 2^64)."""
    return int(lib.er_xxh64(data, len(data), seed))


def new_hash() -> CData:
    """Return a ``uint64_t *`` for `split_assign`; ``hash[0]`` reads it. A thread needs its own."""
    return ffi.new("uint64_t *")


def split_new(salt: bytes, starts: NDArray[np.uint32], arms: NDArray[np.int32]) -> CData:
    """Return a C split, freed with its last reference; range i starts at ``starts[i]``, owner ``arms[i]``."""
    out = ffi.new("er_split **")
    check(
        lib.er_split_new(
            salt,
            len(salt),
            ffi.from_buffer("uint32_t[]", starts),
            ffi.from_buffer("int32_t[]", arms),
            len(starts),
            out,
        )
    )
    return ffi.gc(out[0], lib.er_split_free)


def split_seed(split: CData) -> int:
    """Return the seed under which a split hashes its keys."""
    return int(lib.er_split_seed(split))


def split_assign_fixed(split: CData, keys: Memory, width: int, arms: NDArray[np.int32]) -> None:
    """Write the arms of ``len(arms)`` keys of `width` bytes each, one after the other in `keys`."""
    memory = ffi.from_buffer(keys)
    if len(memory) != width * len(arms):
        raise errors.CoreError(f"{len(arms)} keys of {width} bytes do not lie in {len(memory)} bytes")
    check(lib.er_split_assign_fixed(split, memory, width, len(arms), _int32_out(arms)))


def split_assign_offsets(
    split: CData,
    data: Memory,
    offsets: NDArray[np.int32] | NDArray[np.int64],
    arms: NDArray[np.int32],
) -> None:
    """Write the arms of ``len(arms)`` keys; key i is ``data[offsets[i]:offsets[i + 1]]``."""
    if len(offsets) != len(arms) + 1:
        raise errors.CoreError(f"{len(arms)} keys need {len(arms) + 1} offsets, not {len(offsets)}")
    memory = ffi.from_buffer(data)
    if offsets.itemsize == 4:
        c_offsets, assign = ffi.from_buffer("int32_t[]", offsets), lib.er_split_assign_offsets32
    else:
        c_offsets, assign = ffi.from_buffer("int64_t[]", offsets), lib.er_split_assign_offsets64
    check(assign(split, memory, len(memory), c_offsets, len(arms), _int32_out(arms)))


def split_assign_separated(split: CData, data: bytes, arms: NDArray[np.int32]) -> bool:
    """Write the arms of the ``len(arms)`` keys that NUL bytes separate in `data`.

    Returns:
        False, with `arms` unspecified, when there are not that many keys: one of them contains a NUL.
    """
    code = lib.er_split_assign_separated(split, data, len(data), b"\0", len(arms), _int32_out(arms))
    if code == lib.ER_EINVAL:
        return False
    check(code)
    return True


def split_assign_int64(split: CData, keys: NDArray[np.int64], arms: NDArray[np.int32]) -> None:
    """Write the arms of ``len(arms)`` integers, hashed as decimal text. `keys` is contiguous."""
    if len(keys) != len(arms):
        raise errors.CoreError(f"{len(keys)} keys, but room for {len(arms)} arms")
    check(lib.er_split_assign_int64(split, ffi.from_buffer("int64_t[]", keys), len(arms), _int32_out(arms)))


def _int32_out(array: NDArray[np.int32]) -> CData:
    return ffi.from_buffer("int32_t[]", array, require_writable=True)
