"""Intervals and curves as drawings: where everything lies in a frame of a given size."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from edgerun_sync.report.model_tables import Curve
    from edgerun_sync.report.view import Line, Mark

WIDTH = 320.0
"""Of a drawing, in pixels."""

CURVE_SIZE = 260.0
"""Of the drawing of a curve, its width and its height."""

_PADDING = 8.0
_ROOM = 100.0
_LEFT, _TOP, _SIDE = 44.0, 10.0, 204.0
_STEPS = (0.0, 0.25, 0.5, 0.75, 1.0)


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

    left: float
    """Where the axis begins."""

    right: float
    """Where it ends."""

    has_zero: bool
    """Whether there is room for the number 0 between those of the ends."""


def drawing_of(line: Line) -> Drawing | None:
    """Return how a metric's intervals are drawn; None where there are none, or they have no ends."""
    if line.sequential is None or line.fixed is None or line.point is None:
        return None
    low, high = line.axis
    if not math.isfinite(high - low):
        return None
    span = high - low or 1.0

    def at(value: float) -> float:
        return round(_PADDING + (WIDTH - 2 * _PADDING) * (value - low) / span, 1)

    def ends_of(mark: Mark) -> tuple[float, float]:
        return at(mark.low), at(mark.high)

    limit = None if line.limit is None else at(line.limit)
    return Drawing(
        zero=at(0.0),
        point=at(line.point),
        sequential=ends_of(line.sequential),
        fixed=ends_of(line.fixed),
        limit=limit,
        left=at(low),
        right=at(high),
        has_zero=_ROOM < at(0.0) < WIDTH - _ROOM,
    )


class Tick(NamedTuple):
    """A number beside an axis, the same for both."""

    x: float
    """Where it is on the lower axis."""

    y: float
    """Where it is on the left axis."""

    said: str
    """The number."""


class CurvePoint(NamedTuple):
    """A point, and the ends of its interval."""

    x: float
    """From the left."""

    y: float
    """From above."""

    low: float
    """The lower end, from above."""

    high: float
    """The upper end, from above."""


class CurveDrawing(NamedTuple):
    """A square in which shares from 0 to 1 lie, in pixels."""

    left: float
    """Where it begins."""

    top: float
    """Likewise."""

    bottom: float
    """Where it ends."""

    side: float
    """Its width and height."""

    ticks: tuple[Tick, ...]
    """Numbers of both axes."""

    points: tuple[CurvePoint, ...]
    """Of the curve."""


def curve_drawing_of(curve: Curve) -> CurveDrawing:
    """Return how a reliability curve is drawn."""

    def x(value: float) -> float:
        return round(_LEFT + _SIDE * min(max(value, 0.0), 1.0), 1)

    def y(value: float) -> float:
        return round(_TOP + _SIDE * (1 - min(max(value, 0.0), 1.0)), 1)

    return CurveDrawing(
        left=_LEFT,
        top=_TOP,
        bottom=_TOP + _SIDE,
        side=_SIDE,
        ticks=tuple(Tick(x(step), y(step), f"{step:g}") for step in _STEPS),
        points=tuple(CurvePoint(x(score), y(rate), y(low), y(high)) for score, rate, low, high in curve.points),
    )
