"""Guardrails: metrics that need not get better, and must not get worse by more than a margin.

That nothing was seen is no proof that nothing is there. So a guardrail has to show that it is within its margin (the
non-inferiority test); until then it is open. Whether it got worse at all is another test, at a level of its own.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

from edgerun_sync.errors import ExperimentError
from edgerun_sync.experiments.effects import Bound, Terms, fixed_bound, sequential_bound

if TYPE_CHECKING:
    from edgerun_sync.experiments.contrasts import Contrast

Direction: TypeAlias = Literal["up", "down"]
"""Where better is: up for accuracy, down for latency."""


class Margin(NamedTuple):
    """How much worse a guardrail may get."""

    size: float
    """At least 0: in the unit of the metric, or as a share of the control's value."""

    is_relative: bool
    """Whether it is a share."""


class Guarded(NamedTuple):
    """What is known of a guardrail, in the unit of its metric."""

    within: Bound
    """How far inside its margin the metric is at least; above 0, it is shown to be inside. Valid at every look."""

    within_fixed: Bound
    """The same, valid at the planned end."""

    worse: Bound
    """How much worse than the control the metric is at least; above 0, it is shown to be worse. Valid at every look."""


def guard(contrast: Contrast, direction: Direction, margin: Margin, terms: Terms, worse_alpha: float) -> Guarded:
    """Return what a contrast says of a guardrail.

    Args:
        contrast: treatment less control.
        direction: where better is.
        margin: how much worse is tolerated.
        terms: the level of the non-inferiority test, on its one side, and the planned information.
        worse_alpha: the level of the test that it got worse.

    Source: Schultzberg, Ankargren and Frånberg, "Risk-aware product decisions in A/B tests with multiple metrics"
    (2024); a relative margin is tested without dividing, as a linear combination of the two arms.

    Raises:
        ExperimentError: the direction is unknown, the margin negative, or a level not below one half.
    """
    if not 0 <= margin.size < math.inf:
        raise ExperimentError(f"a margin is a number from 0 on, and it is {margin.size!r}")
    better = toward(contrast, direction)
    inside = _moved(better, margin)
    return Guarded(
        within=sequential_bound(inside, terms),
        within_fixed=fixed_bound(inside, terms.alpha),
        worse=worsening(contrast, direction, terms._replace(alpha=worse_alpha)),
    )


def worsening(contrast: Contrast, direction: Direction, terms: Terms) -> Bound:
    """Return how much worse a metric got at least, valid at every look; of success metrics too.

    Raises:
        ExperimentError: the direction is unknown, or the level not below one half.
    """
    return sequential_bound(_negated(toward(contrast, direction)), terms)


def toward(contrast: Contrast, direction: Direction) -> Contrast:
    """Return a contrast of which more is better.

    Raises:
        ExperimentError: the direction is neither up nor down.
    """
    if direction not in {"up", "down"}:
        raise ExperimentError(f"better is 'up' or 'down', not {direction!r}")
    return contrast if direction == "up" else _negated(contrast)


def _negated(contrast: Contrast) -> Contrast:
    return contrast._replace(
        difference=-contrast.difference, centre=-contrast.centre, base_covariance=-contrast.base_covariance
    )


def _moved(better: Contrast, margin: Margin) -> Contrast:
    """The contrast of how far inside the margin the treatment is."""
    if not margin.is_relative:
        return better._replace(difference=better.difference + margin.size, centre=better.centre + margin.size)
    share = margin.size
    allowed = share * abs(better.control)
    sign = math.copysign(1.0, better.control)
    return better._replace(
        difference=better.difference + allowed,
        centre=better.centre + allowed,
        variance=better.variance + 2 * sign * share * better.base_covariance + share**2 * better.base_variance,
    )
