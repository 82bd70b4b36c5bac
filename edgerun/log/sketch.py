"""What a profile says: quantiles, distinct texts, frequent texts. Pure functions over arrays."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from edgerun.errors import LogError
from edgerun.log.profiles import Numbers, PortProfile, Texts

if TYPE_CHECKING:
    from numpy.typing import NDArray

RELATIVE_ERROR = 1 / 129
"""How far a quantile may be from a number that was counted: half of a cell, whose borders are at most 65 / 64 apart."""

_HASH_BITS = 54
"""Bits of a text's hash below those that choose its register."""


class Frequent(NamedTuple):
    """A text, and the least and the greatest number of times that it came."""

    text: str
    least: int
    most: int


def cell_values(cells: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the values that stand for cells, float64: 2ab / (a + b) of their borders a and b."""
    place = np.where(cells < 0, -1 - cells, cells)
    low, high = ((place + step).astype(np.uint32) << np.uint32(17) for step in (0, 1))
    a, b = low.view(np.float32).astype(np.float64), high.view(np.float32).astype(np.float64)
    b = np.where(np.isfinite(b), b, 2.0**128)
    return np.where(cells < 0, -1.0, 1.0) * (a * (2 * b / (a + b)))


def cell_quantile(cells: NDArray[np.int64], weights: NDArray[np.uint64], q: float) -> float:
    """Return the q-quantile (nearest rank) of what lies in ascending cells; NaN where nothing does."""
    return _ranked(cells, weights, 0, q)


def quantile(port: PortProfile, column: int, q: float) -> float:
    """Return the q-quantile of a column's finite numbers: the one of rank ceil(q * count), at least 1.

    It is within 0.78 % of that number, and exact at q = 0 and 1. A number of less than 2^-126 counts as 0. Numbers that
    found no room in the sketch (`unsketched`) have no rank, but at the ends. NaN where there are no numbers.

    Raises:
        LogError: the port holds texts, or q is not from 0 to 1.
    """
    numbers = _numbers(port)
    if not 0 <= q <= 1:
        raise LogError(f"a quantile is of a share from 0 to 1, not {q!r}")
    if numbers.finite[column] == 0:
        return math.nan
    least, most = float(numbers.min[column]), float(numbers.max[column])
    if q in {0, 1}:
        return least if q == 0 else most
    cells, weights = cells_of(numbers, column)
    rest = int(numbers.finite[column]) - int(numbers.unsketched[column]) - int(weights.sum())
    found = _ranked(cells, weights, max(rest, 0), q)
    return found if math.isnan(found) else min(max(found, least), most)


def cells_of(numbers: Numbers, column: int) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
    """Return the cells of one column, ascending, and how many numbers lie in each."""
    ends = np.cumsum(numbers.cells, dtype=np.int64)
    part = slice(int(ends[column] - np.int64(numbers.cells[column])), int(ends[column]))
    return numbers.cell[part], numbers.weight[part]


def distinct(port: PortProfile, column: int) -> float:
    """Return about how many distinct texts a column had; the standard error is 3.3 %.

    Source: Ertl, "New cardinality estimation algorithms for HyperLogLog sketches" (2017), algorithm 6.

    Raises:
        LogError: the port holds numbers.
    """
    registers = _texts(port).registers[column]
    m = len(registers)
    held = np.bincount(registers, minlength=_HASH_BITS + 2).tolist()
    z = m * _tau(1 - held[_HASH_BITS + 1] / m)
    for rank in range(_HASH_BITS, 0, -1):
        z = 0.5 * (z + held[rank])
    z += m * _sigma(held[0] / m)
    return m * m / (2 * math.log(2) * z)


def frequent(port: PortProfile, column: int) -> list[Frequent]:
    """Return the frequent texts of a column, the most frequent first; none other came more often than `error` times.

    Raises:
        LogError: the port holds numbers.
    """
    texts = _texts(port)
    error = int(texts.error[column])
    found = [Frequent(text, weight, weight + error) for text, weight in texts.frequent[column].items()]
    return sorted(found, key=lambda item: (-item.least, item.text))


def _numbers(port: PortProfile) -> Numbers:
    if not isinstance(port.what, Numbers):
        raise LogError(f"{port.name} holds texts, not numbers")
    return port.what


def _texts(port: PortProfile) -> Texts:
    if not isinstance(port.what, Texts):
        raise LogError(f"{port.name} holds numbers, not texts")
    return port.what


def _ranked(cells: NDArray[np.int64], weights: NDArray[np.uint64], zeros: int, q: float) -> float:
    """The value of a rank among negative numbers, zeros and positive numbers."""
    total = int(weights.sum()) + zeros
    if total == 0:
        return math.nan
    rank = min(max(math.ceil(q * total), 1), total)
    below = int(np.searchsorted(cells, 0))
    negative = int(weights[:below].sum())
    if negative < rank <= negative + zeros:
        return 0.0
    if rank > negative:
        rank -= zeros
    at = int(np.searchsorted(np.cumsum(weights), np.uint64(rank)))
    return float(cell_values(cells[at : at + 1])[0])


def _sigma(x: float) -> float:
    if x == 1:
        return math.inf
    y, z, before = 1.0, x, -1.0
    while z != before:
        x, before = x * x, z
        z += x * y
        y *= 2
    return z


def _tau(x: float) -> float:
    if x in {0, 1}:
        return 0.0
    y, z, before = 1.0, 1 - x, -1.0
    while z != before:
        x, before = math.sqrt(x), z
        y *= 0.5
        z -= (1 - x) ** 2 * y
    return z / 3
