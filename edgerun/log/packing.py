"""Values to columns, the shortest of FORMAT.md's codes; in few long steps of C and numpy, since calls are being served.

A column is handed on as pieces of msgpack. A piece ends where the statistics of its bytes do, so that whoever
compresses them can end a block there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np

from edgerun._core.pack import PackedColumn, pack_column
from edgerun.log.payload import pack
from edgerun.log.splice import binary_head, list_head

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

Integers: TypeAlias = "NDArray[Any]"
"""int64, or uint64."""
Pieces: TypeAlias = "list[bytes]"

DISTINCT_MAX = 4096
"""Distinct values of a dictionary; more would cost what they save."""
SPAN_PER_VALUE = 16
"""Values that lie closer together than so many times their number are counted, not sorted: several times quicker."""
SHIFT_BITS_MIN = 64
"""Zero bits that a column's values must end with, all together, before it is worth saying so."""


class Texts(NamedTuple):
    """A column of texts: texts[numbers[i]] is row i's."""

    texts: list[str]
    numbers: NDArray[np.int64]


def encode(values: Integers) -> Pieces:
    """Return the column of at least one integer: int64, or uint64 where they are unsigned or the order of floats."""
    return _constant(values) or _shifted(values) or _shortest(values)


def encode_texts(column: Texts) -> Pieces:
    """Return the column of texts."""
    return [list_head(3) + pack(6) + pack(column.texts), *encode(column.numbers)]


def texts_of(values: Sequence[bytes]) -> Texts:
    """Return texts in UTF-8 as a column; what is no UTF-8 is shown with replacement characters."""
    numbers: dict[bytes, int] = {}
    index = np.fromiter((numbers.setdefault(value, len(numbers)) for value in values), np.int64, len(values))
    return Texts([value.decode(errors="replace") for value in numbers], index)


def _constant(values: Integers) -> Pieces | None:
    if len(values) == 1 or (values[0] == values[-1] and bool((values == values[0]).all())):
        return [pack(int(values[0]))]
    return None


def _shifted(values: Integers) -> Pieces | None:
    """Multiples of a power of two: what was rounded, and floats that are sums of few."""
    together = int(np.bitwise_or.reduce(values))
    shift = (together & -together).bit_length() - 1
    if shift * len(values) < SHIFT_BITS_MIN:
        return None
    return [list_head(3) + pack(8) + pack(shift), *_shortest(values >> shift)]


def _shortest(values: Integers) -> Pieces:
    packed = pack_column(values)
    return (_dictionary(values, packed.cost_bits) if packed.is_repetitive else None) or _pieces(packed)


def _pieces(packed: PackedColumn) -> Pieces:
    head = (packed.code, packed.base, packed.step) if packed.code == 4 else (packed.code, packed.base)
    lead = list_head(len(head) + 2) + b"".join(map(pack, head))
    return [lead + binary_head(len(packed.lengths)), packed.lengths, binary_head(len(packed.bits)), packed.bits]


def _distinct(values: Integers) -> tuple[Integers, Integers, Integers, Integers]:
    """As np.unique: distinct values in order, where each is first, which one each row has, and how often each is."""
    least = values.min()
    if int(values.max()) - int(least) >= SPAN_PER_VALUE * len(values):
        distinct, first, index, counts = np.unique(values, return_index=True, return_inverse=True, return_counts=True)
        return distinct, first, index.reshape(-1), counts
    offset = (values - least).astype(np.int64)
    counts = np.bincount(offset)
    found = np.flatnonzero(counts)
    rank = np.empty(len(counts), np.int64)
    rank[found] = np.arange(len(found))
    index, first = rank[offset], np.empty(len(found), np.int64)
    first[index[::-1]] = np.arange(len(values))[::-1]  # the last one that is assigned stays
    return found.astype(values.dtype) + least, first, index, counts[found]


def _dictionary(values: Integers, bits_max: int) -> Pieces | None:
    """Few distinct values: by when they first occur, where they come in runs; else by how often they do."""
    distinct, first, index, counts = _distinct(values)
    if len(distinct) > min(DISTINCT_MAX, len(values) // 2):
        return None
    in_runs = 4 * int(np.count_nonzero(index[1:] != index[:-1])) < len(index)
    order = np.argsort(first) if in_runs else np.argsort(-counts, kind="stable")
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    listed, places = pack_column(distinct[order]), pack_column(rank[index])
    if listed.cost_bits + places.cost_bits + 16 >= bits_max:
        return None
    return [list_head(3) + pack(5), *_pieces(listed), *_pieces(places)]
