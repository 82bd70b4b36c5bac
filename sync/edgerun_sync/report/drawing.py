"""Intervals as drawings: where their ends lie on a line of a given width, with zero and the margin in sight."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from edgerun_sync.report.view import Line, Mark

WIDTH = 320.0
"""Of a drawing, in pixels."""

_PADDING = 8.0


class Drawing(NamedTuple):
    """Places from the left, in pixels."""

    zero: float
    """No difference."""

    point: float
    """The estimate."""

    sequential: tuple[float, float]
    """The ends of the interval that holds at every look."""

    fixed: tuple[float, float]
    """The ends of the one that holds at the end."""

    limit: float | None
    """The end of a guardrail's margin."""


def drawing_of(line: Line) -> Drawing | None:
    """Return how a metric's intervals are drawn; None where there are none, or they have no ends."""
    if line.sequential is None or line.fixed is None or line.point is None:
        return None
    ends = [*line.sequential, *line.fixed, line.point, 0.0, *([] if line.limit is None else [line.limit])]
    if not all(map(math.isfinite, ends)):
        return None
    low, high = min(ends), max(ends)
    span = high - low or 1.0

    def at(value: float) -> float:
        return round(_PADDING + (WIDTH - 2 * _PADDING) * (value - low) / span, 1)

    def ends_of(mark: Mark) -> tuple[float, float]:
        return at(mark.low), at(mark.high)

    limit = None if line.limit is None else at(line.limit)
    return Drawing(at(0.0), at(line.point), ends_of(line.sequential), ends_of(line.fixed), limit)
