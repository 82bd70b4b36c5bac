"""Values to columns, the shortest of FORMAT.md's codes; in few long steps of numpy and C, since calls are being served.

A column is handed on as pieces of msgpack. A piece ends where the statistics of its bytes do, so that whoever
compresses them can end a block there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np

from edgerun._core.pack import pack_u64
from edgerun.log.payload import pack
from edgerun.log.splice import binary_head, list_head

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

Integers: TypeAlias = "NDArray[Any]"
"""int64, or uint64."""
Pieces: TypeAlias = "list[bytes]"

DISTINCT_MAX = 4096
"""Distinct values of a dictionary; more would cost what they save."""
SAMPLE = 1024
"""Values on which the ways of a longer column are tried first."""
RUN_BITS = 24
"""What a run of equal bytes costs about, once compressed."""
_LINE_UNIT = 65536
_LINE_SPAN_MAX = 2**46
"""How far a line may rise, so that its products stay within 64 bits."""
_WORD = 2**64


class Texts(NamedTuple):
    """A column of texts: texts[numbers[i]] is row i's."""

    texts: list[str]
    numbers: NDArray[np.int64]


class _Choice(NamedTuple):
    """A way to write a column, and about how many bits it takes."""

    bits: float
    head: tuple[int, ...]
    lengths: bytes
    stream: bytes

    def pieces(self) -> Pieces:
        lead = list_head(len(self.head) + 2) + b"".join(map(pack, self.head))
        return [lead + binary_head(len(self.lengths)), self.lengths, binary_head(len(self.stream)), self.stream]


def encode(values: Integers) -> Pieces:
    """Return the column of at least one integer: int64, or uint64 where they are unsigned or the order of floats."""
    return _constant(values) or _shortest(values)


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


def _shortest(values: Integers) -> Pieces:
    numbers = _by_numbers(values)
    found = np.unique(values[:: max(1, len(values) // 256)])  # a glance, before all of them are sorted
    if len(values) < 8 or 2 * len(found) > min(len(values), 256) + 128:
        return numbers.pieces()
    return _dictionary(values, numbers.bits) or numbers.pieces()


def _by_numbers(values: Integers) -> _Choice:
    """The shortest way without a dictionary."""
    ways: list[Callable[[Integers], _Choice]] = [_steps, _upwards, _downwards, _around]
    if len(values) >= 4 * SAMPLE:  # what is short for some of them in a row is tried on all
        middle = values[len(values) // 2 - SAMPLE // 2 :][:SAMPLE]
        ways = sorted(ways, key=lambda way: way(middle).bits)[:2]
    return min((way(values) for way in ways), key=lambda choice: choice.bits)


def _upwards(values: Integers) -> _Choice:
    least = int(values.min())
    return _packed((0, least), values.view(np.uint64) - _word(least))


def _downwards(values: Integers) -> _Choice:
    most = int(values.max())
    return _packed((1, most), _word(most) - values.view(np.uint64))


def _steps(values: Integers) -> _Choice:
    word = values.view(np.uint64)
    steps = np.empty(len(values), np.int64)
    steps[0] = 0
    np.subtract(word[1:], word[:-1], out=steps[1:].view(np.uint64))
    return _packed((3, int(values[0])), _zigzag(steps))


def _around(values: Integers) -> _Choice:
    """Around a line, by least squares, where values rise steadily: times, sequences; else around the middle one."""
    n, least, most = len(values), int(values.min()), int(values.max())
    if most - least < _LINE_SPAN_MAX:
        rise = (values.view(np.uint64) - _word(least)).view(np.int64)
        place = np.arange(n, dtype=np.int64)
        slope = float((place - (n - 1) / 2) @ (rise - rise[0])) / (n * (n * n - 1) / 12)
        if abs(slope) * n > (most - least) / 4:
            step = round(slope * _LINE_UNIT)
            rest = rise - place * step // _LINE_UNIT
            middle = _middle(rest)
            if -(2**63) <= least + middle < _WORD:
                return _packed((4, least + middle, step), _zigzag(rest - middle))
    middle = _middle(values)
    return _packed((2, middle), _zigzag((values.view(np.uint64) - _word(middle)).view(np.int64)))


def _middle(values: Integers) -> int:
    return int(np.partition(values, len(values) // 2)[len(values) // 2])


def _dictionary(values: Integers, bits_max: float) -> Pieces | None:
    """Few distinct values: by when they first occur, where they come in runs; else by how often they do."""
    distinct, first, index, counts = np.unique(values, return_index=True, return_inverse=True, return_counts=True)
    if len(distinct) > min(DISTINCT_MAX, len(values) // 2):
        return None
    index = index.reshape(-1)
    in_runs = 4 * int(np.count_nonzero(index[1:] != index[:-1])) < len(index)
    order = np.argsort(first) if in_runs else np.argsort(-counts, kind="stable")
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    listed = _steps(distinct[order]) if len(distinct) < 3 else _by_numbers(distinct[order])
    places = _steps(rank[index]) if in_runs else _upwards(rank[index])
    if listed.bits + places.bits + 16 >= bits_max:
        return None
    return [list_head(3) + pack(5), *listed.pieces(), *places.pieces()]


def _packed(head: tuple[int, ...], unsigned: NDArray[np.uint64]) -> _Choice:
    lengths, stream = pack_u64(unsigned)
    seen = np.frombuffer(lengths, np.uint8)
    counts = np.bincount(seen)
    shares = counts[counts > 0] / len(seen)
    entropy = -float(shares @ np.log2(shares)) * len(seen)
    runs = RUN_BITS * (1 + int(np.count_nonzero(seen[1:] != seen[:-1])))
    heads = 8 * sum(1 if -32 <= number < 128 else 9 for number in head)
    return _Choice(min(entropy, runs) + 8 * len(stream) + heads, head, lengths, stream)


def _zigzag(signed: NDArray[np.int64]) -> NDArray[np.uint64]:
    return ((signed << 1) ^ (signed >> 63)).view(np.uint64)


def _word(number: int) -> np.uint64:
    return np.uint64(number % _WORD)
