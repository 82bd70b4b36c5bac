"""Which rows of a stream were seen: a set of integers that mostly follow each other."""

from __future__ import annotations

from bisect import bisect_left, bisect_right


class Spans:
    """Integers as spans ``[first, end)``, apart from each other and in order."""

    def __init__(self) -> None:
        self._firsts: list[int] = []
        self._ends: list[int] = []

    def add(self, first: int, end: int) -> list[tuple[int, int]]:
        """Add a span, and return the parts of it that are new."""
        if first >= end:
            return []
        missing = self.missing(first, end)
        low, high = bisect_left(self._ends, first), bisect_right(self._firsts, end)
        if low < high:  # it touches these, and makes one of them
            first, end = min(first, self._firsts[low]), max(end, self._ends[high - 1])
        self._firsts[low:high], self._ends[low:high] = [first], [end]
        return missing

    def missing(self, first: int, end: int) -> list[tuple[int, int]]:
        """Return the parts of a span that are not here."""
        found = []
        for place in range(bisect_right(self._ends, first), len(self._firsts)):
            if self._firsts[place] >= end:
                break
            if first < self._firsts[place]:
                found.append((first, self._firsts[place]))
            first = self._ends[place]
        return [*found, (first, end)] if first < end else found

    def end(self) -> int:
        """Return the first integer behind all spans; 0 where there are none."""
        return self._ends[-1] if self._ends else 0
