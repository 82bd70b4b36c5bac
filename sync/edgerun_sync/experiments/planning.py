"""The plan of a whole experiment: levels for its tests, units for each arm, days at the fleet's traffic, power."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from edgerun_sync.errors import ExperimentError
from edgerun_sync.experiments.contrasts import information_of
from edgerun_sync.experiments.power import Design, Spread, power_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class Levels(NamedTuple):
    """What each test of an experiment gets of its alpha and power."""

    success: float
    """Two-sided level of a success metric: Holm's first step over all of them and all treatments."""

    guardrail: float
    """One-sided level of a guardrail's margin: the whole alpha, since all of them must hold for a verdict to ship."""

    worse: float
    """One-sided level of each test for harm, so that any false ROLL BACK is less likely than alpha."""

    power: float
    """Power of each test that a verdict to ship needs, so that all of them together have the plan's."""


def levels(alpha: float, power: float, *, successes: int, guardrails: int, treatments: int) -> Levels:
    """Return the level and the power of each test.

    Source: Schultzberg, Ankargren and Frånberg, "Risk-aware product decisions in A/B tests with multiple metrics"
    (2024): guardrails cost no alpha and some power.

    Raises:
        ExperimentError: there is no success metric or treatment, or alpha or power makes no sense.
    """
    if successes < 1 or treatments < 1 or guardrails < 0:
        raise ExperimentError(
            f"an experiment has a primary metric and a treatment, not {successes!r}, {treatments!r} and {guardrails!r}"
        )
    if not 0 < alpha < 0.5 or not alpha < power < 1:
        raise ExperimentError(f"alpha must lie between 0 and 0.5, and power above it and below 1: {alpha!r}, {power!r}")
    return Levels(
        success=alpha / (successes * treatments),
        guardrail=alpha,
        worse=alpha / ((successes + guardrails) * treatments),
        power=1 - (1 - power) / (1 + guardrails),
    )


class Sample(NamedTuple):
    """The planned sample."""

    units: Mapping[str, int]
    """Units of each arm."""

    binding: str
    """The metric that needs the most."""

    def information(self, treatment: str, control: str) -> float:
        """Return what the confidence sequences of a treatment are tuned to.

        Raises:
            ExperimentError: one of the two is no arm of the plan.
        """
        missing = {treatment, control} - self.units.keys()
        if missing:
            raise ExperimentError(f"the plan has no arm {min(missing)!r}, only {', '.join(self.units)}")
        return information_of(self.units[treatment], self.units[control])


def sample(needs: Mapping[str, float], shares: Mapping[str, float], design_effect: float = 1.0) -> Sample:
    """Return the units of each arm, enough for the metric that needs the most.

    Args:
        needs: units of all arms together by metric, as the functions of `edgerun_sync.experiments.power` give them; of
            several treatments, the most that one of them needs.
        shares: the share of all units that each arm gets; their sum is 1 at most.
        design_effect: `power.design_effect` where units are not alone: keys of one device, say.

    Raises:
        ExperimentError: nothing is needed, a share is not above 0, or they are more than the whole.
    """
    if not needs or not all(0 < units < math.inf for units in needs.values()):
        raise ExperimentError(f"a plan needs a number of units above 0 for a metric, not {dict(needs)!r}")
    if not shares or min(shares.values()) <= 0 or sum(shares.values()) > 1 + 1e-9:
        raise ExperimentError(f"shares of arms must be above 0 and at most 1 together, not {dict(shares)!r}")
    if not 1 <= design_effect < math.inf:
        raise ExperimentError(f"a design effect is at least 1, and it is {design_effect!r}")
    binding = max(needs, key=needs.__getitem__)
    total = needs[binding] * design_effect
    return Sample({arm: max(2, math.ceil(total * share - 1e-9)) for arm, share in shares.items()}, binding)


class Traffic(NamedTuple):
    """Units that a fleet brings."""

    at_once: float
    """Units that are there from the first day on: the devices of a fleet."""

    per_day: float
    """Units that were never seen before, each day: sessions, new users."""


def days_needed(units: float, traffic: Traffic, minimum_days: float = 0.0) -> int | None:
    """Return the days until so many units of all arms together have come; None if they never will.

    Raises:
        ExperimentError: a number is negative or not finite.
    """
    if not all(0 <= number < math.inf for number in (units, *traffic, minimum_days)):
        raise ExperimentError(f"units, traffic and days are finite and not negative: {units!r}, {traffic!r}")
    rest = units - traffic.at_once
    if rest > 0 and traffic.per_day == 0:
        return None
    return max(math.ceil(minimum_days), math.ceil(rest / traffic.per_day - 1e-9) if rest > 0 else 1, 1)


def power_curve(design: Design, units: float, spread: Spread, effects: Sequence[float]) -> list[tuple[float, float]]:
    """Return points of the power curve: effects, in the unit of the metric, and the chance that each is shown.

    Raises:
        ExperimentError: as `power.power_of`.
    """
    return [(effect, power_of(design, units, effect, spread)) for effect in effects]
