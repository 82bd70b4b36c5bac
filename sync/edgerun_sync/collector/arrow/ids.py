"""The ids of calls as texts, ``{epoch:016x}-{sequence}``: of sequences with as many digits, four digits at a time."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgerun.log.columns import Array

_HEAD_BYTES = 17
"""Of an id: the epoch's hexadecimal digits and a dash."""
_DIGITS = 4
_RADIX = np.uint64(10**_DIGITS)
_FOUR: Array = (
    (np.arange(10**_DIGITS)[:, None] // 10 ** np.arange(_DIGITS)[::-1] % 10 + ord("0"))
    .astype(np.uint8)
    .view(np.uint32)[:, 0]
)
"""By a number below 10,000, its digits as they are in memory."""
_POWERS = np.array([10**digits for digits in range(1, 20)], np.uint64)
_RUNS_MAX = 64
"""Runs of sequences with as many digits, above which each text is made by itself."""


def id_texts(epochs: Sequence[int], lengths: Array, sequence: Array) -> Any:
    """Return the ids of calls as an array of texts.

    Args:
        epochs: of the parts that the calls are of.
        lengths: calls of each part, int64.
        sequence: uint64 [n], of all calls; one at least.
    """
    texts = np.array([f"{epoch:016x}-".encode() for epoch in epochs], f"S{_HEAD_BYTES}")
    heads = texts[:1] if len({*epochs}) == 1 else np.repeat(texts, lengths)
    bounds = _bounds(sequence)
    if len(bounds) == 2:
        return _of_as_many_digits(heads, sequence)
    if len(bounds) > _RUNS_MAX:
        known = pa.scalar(texts[0].decode()) if len(heads) == 1 else pa.array(heads.astype(f"U{_HEAD_BYTES}"))
        return pc.binary_join_element_wise(known, pa.array(sequence).cast(pa.string()), "")
    return pa.concat_arrays(
        [
            _of_as_many_digits(heads if len(heads) == 1 else heads[first:end], sequence[first:end])
            for first, end in pairwise(bounds)
        ]
    )


def _bounds(sequence: Array) -> list[int]:
    """Where runs of as many digits begin, and the end."""
    n = len(sequence)
    if _digits(sequence.min()) == _digits(sequence.max()):
        return [0, n]
    digits = np.searchsorted(_POWERS, sequence, "right")
    return [0, *(np.flatnonzero(np.diff(digits)) + 1).tolist(), n]


def _digits(number: np.uint64) -> int:
    return len(str(int(number)))


def _of_as_many_digits(heads: Array, sequence: Array) -> Any:
    digits, n = _digits(sequence[0]), len(sequence)
    places, width = range(-(-digits // _DIGITS)), _HEAD_BYTES + digits
    names = [*map(str, places), "head"]
    formats = [*(np.dtype(np.uint32) for _ in places), heads.dtype]
    offsets = [*(width - _DIGITS * (place + 1) for place in places), 0]
    rows = np.empty(n, np.dtype({"names": names, "formats": formats, "offsets": offsets, "itemsize": width}))
    for place in places:
        upper = sequence // _RADIX
        rows[str(place)] = _FOUR[(sequence - upper * _RADIX).view(np.int64)]
        sequence = upper
    rows["head"] = heads  # where the last four digits are fewer, over the zeros before them
    ends = np.arange(n + 1, dtype=np.int32) * np.int32(width)
    return pa.Array.from_buffers(pa.string(), n, [None, pa.py_buffer(ends), pa.py_buffer(rows)])
