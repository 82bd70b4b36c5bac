"""Spark's xxhash64 over columns of text, for engines that have no such function; texts of one length at once.

The algorithm is XXH64 as native/SPLIT.md cites it; sums and products of uint64 wrap around, as it wants them to.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from edgerun_sync.errors import QueryError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Words: TypeAlias = NDArray[np.uint64]

_SEED = 42
_P1, _P2, _P3, _P4, _P5 = (
    np.uint64(prime)
    for prime in (
        0x9E3779B185EBCA87,
        0xC2B2AE3D27D4EB4F,
        0x165667B19E3779F9,
        0x85EBCA77C2B2AE63,
        0x27D4EB2F165667C5,
    )
)
_STRIPE_BYTES = 32


def spark_hashes(*columns: Any) -> pa.Array:
    """Return the hashes of rows of texts, int64: what Spark's ``xxhash64(…)`` gives. No text is missing.

    Raises:
        QueryError: a column is none of texts, of which Spark hashes other bytes.
    """
    for column in columns:
        if not pa.types.is_string(column.type):
            raise QueryError(f"xxhash64 is of texts here, and this is {column.type}: write CAST(… AS VARCHAR)")
    found: Words = np.full(len(columns[0]), _SEED, np.uint64)
    for column in columns:
        found = _hashes(column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column, found)
    return pa.array(found.view(np.int64))


def hashes_of(texts: pa.Array, salt: str | None = None) -> NDArray[np.int64]:
    """Return what Spark's ``xxhash64(text)`` gives of each text, or ``xxhash64(salt, text)``. No text is missing."""
    seed = np.full(1, _SEED, np.uint64)
    if salt is not None:
        seed = _hashes(pa.array([salt]), seed)
    return _hashes(texts, np.broadcast_to(seed, len(texts))).view(np.int64)


def _hashes(texts: pa.Array, seeds: Words) -> Words:
    """The hash of each text under its own seed."""
    lengths = pc.binary_length(texts).to_numpy(zero_copy_only=False)
    _, offsets, data = texts.buffers()
    starts = np.frombuffer(offsets, np.int32, len(texts), texts.offset * 4).astype(np.int64)
    memory = np.frombuffer(data, np.uint8) if data is not None else np.empty(0, np.uint8)
    found = np.empty(len(texts), np.uint64)
    for length in np.flatnonzero(np.bincount(lengths)).tolist():
        own = np.flatnonzero(lengths == length)
        found[own] = _of_a_length(memory[starts[own][:, None] + np.arange(length)], seeds[own])
    return found


def _of_a_length(rows: NDArray[np.uint8], seeds: Words) -> Words:
    """The hashes of bytes [rows, length]."""
    length = rows.shape[1]
    done = length - length % _STRIPE_BYTES
    found = _striped(rows[:, :done], seeds) if done else seeds + _P5
    found = found + np.uint64(length)
    for at in range(done, length - 7, 8):
        found = _turned(found ^ _round(np.uint64(0), _word(rows, at, "<u8")), 27) * _P1 + _P4
    done = length - length % 8
    if length - done >= 4:
        found = _turned(found ^ (_word(rows, done, "<u4") * _P1), 23) * _P2 + _P3
        done += 4
    for at in range(done, length):
        found = _turned(found ^ (rows[:, at].astype(np.uint64) * _P5), 11) * _P1
    found = (found ^ (found >> np.uint64(33))) * _P2
    found = (found ^ (found >> np.uint64(29))) * _P3
    return found ^ (found >> np.uint64(32))


def _striped(rows: NDArray[np.uint8], seeds: Words) -> Words:
    lanes = [seeds + _P1 + _P2, seeds + _P2, seeds, seeds - _P1]
    for at in range(0, rows.shape[1], _STRIPE_BYTES):
        lanes = [_round(lane, _word(rows, at + 8 * number, "<u8")) for number, lane in enumerate(lanes)]
    turns = zip(lanes, (1, 7, 12, 18), strict=True)
    found: Words = np.sum([_turned(lane, bits) for lane, bits in turns], axis=0, dtype=np.uint64)
    for lane in lanes:
        found = (found ^ _round(np.uint64(0), lane)) * _P1 + _P4
    return found


def _round(lane: Any, word: Words) -> Words:
    return _turned(lane + word * _P2, 31) * _P1


def _turned(words: Words, bits: int) -> Words:
    return (words << np.uint64(bits)) | (words >> np.uint64(64 - bits))


def _word(rows: NDArray[np.uint8], at: int, type_: str) -> Words:
    size = np.dtype(type_).itemsize
    return np.ascontiguousarray(rows[:, at : at + size]).view(type_)[:, 0].astype(np.uint64)
