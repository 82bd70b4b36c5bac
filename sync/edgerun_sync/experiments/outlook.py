"""What a plan takes: units of each arm, days at the fleet's traffic, and what may be seen with them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from edgerun_sync.errors import ExperimentError
from edgerun_sync.experiments.planning import (
    Levels,
    Sample,
    Traffic,
    days_needed,
    levels,
    power_curve,
    sample,
)
from edgerun_sync.experiments.power import (
    Design,
    Spread,
    design_effect,
    inflation,
    units_for_conversion,
    units_for_margin,
    units_for_mean,
)
from edgerun_sync.limits import LIMITS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgerun_bundles.experiment.metrics import DeclaredMetric
    from edgerun_bundles.experiment.plan import Plan, Tolerance

CURVE_POINTS = 8
"""Of the power curve, from a quarter of the minimum effect to two of it."""


class Outlook(NamedTuple):
    """What a plan takes."""

    sample: Sample
    """Units of each arm."""

    needs: Mapping[str, float]
    """Units of all arms together that each metric needs, before clusters are taken into account."""

    levels: Levels
    """What each test gets of alpha and power."""

    looks: int
    """Looks that a sequential analysis is planned for: one a day, up to the maximum duration."""

    inflation: float
    """How many times the units of a fixed test the analysis may need."""

    design_effect: float
    """How many times as many units are needed because those of a device are alike."""

    days: int | None
    """Until the sample is there; None if it never will be."""

    curve: tuple[tuple[float, float], ...]
    """Effects on the primary metric, and the chance that each is shown with this sample."""


def outlook(plan: Plan, shares: Mapping[str, float], traffic: Traffic) -> Outlook:
    """Return what a plan takes.

    Args:
        plan: with what is known of its metrics: a baseline of conversions and relative margins, else a deviation.
        shares: of the units, that each arm gets; 1 together.
        traffic: of the fleet.

    Raises:
        ExperimentError: the plan does not say what is known of a metric, or numbers make no sense.
    """
    active = {arm: share for arm, share in shares.items() if share > 0}
    if plan.control not in active or len(active) < 2:
        raise ExperimentError(
            f"a plan needs a share for its control {plan.control!r} and for a treatment, not {active}"
        )
    level = levels(
        plan.alpha,
        plan.power,
        successes=1 + len(plan.success),
        guardrails=len(plan.guardrails),
        treatments=len(active) - 1,
    )
    looks = max(1, min(LIMITS.looks_max, math.ceil(plan.maximum_days)))
    smallest = min(share for arm, share in active.items() if arm != plan.control)
    design = Design(level.success, level.power, smallest, active[plan.control], 2, plan.analysis, looks)
    one_sided = design._replace(alpha=level.guardrail, sides=1)
    needs = {plan.primary: _for_primary(plan, design)}
    for name, tolerance in plan.guardrails.items():
        needs[name] = _for_guardrail(name, plan.metrics[name], tolerance, one_sided)
    effect = design_effect(plan.traffic.icc, plan.traffic.units_per_device)
    found = sample(needs, active, effect)
    total = sum(found.units.values())
    return Outlook(
        sample=found,
        needs=needs,
        levels=level,
        looks=looks,
        inflation=inflation(design),
        design_effect=effect,
        days=days_needed(total, traffic, plan.minimum_days),
        curve=tuple(power_curve(design, total / effect, _spread(plan), _effects(plan.minimum_effect))),
    )


def _for_primary(plan: Plan, design: Design) -> float:
    metric = plan.metrics[plan.primary]
    if metric.kind != "conversion":
        return units_for_mean(design, plan.minimum_effect, _spread(plan))
    base = _known(plan.primary, "baseline", metric.baseline)
    return units_for_conversion(design, base, base + _toward(metric, plan.minimum_effect))


def _for_guardrail(name: str, metric: DeclaredMetric, tolerance: Tolerance, design: Design) -> float:
    margin = tolerance.margin
    if tolerance.is_relative:
        margin *= abs(_known(name, "baseline", metric.baseline))
    if metric.kind == "conversion":
        base = _known(name, "baseline", metric.baseline)
        share = base if metric.direction == "up" else 1 - base
        return units_for_margin(design, margin, share, share)
    deviation = _known(name, "deviation", metric.deviation)
    if not margin > 0:
        raise ExperimentError(f"the guardrail {name!r} has a margin of 0, which no sample can show to be kept")
    return units_for_mean(design, margin, Spread(deviation, deviation))


def _spread(plan: Plan) -> Spread:
    """Of the primary metric, in both arms."""
    metric = plan.metrics[plan.primary]
    if metric.kind == "conversion":
        base = _known(plan.primary, "baseline", metric.baseline)
        other = base + _toward(metric, plan.minimum_effect)
        return Spread(math.sqrt(other * (1 - other)), math.sqrt(base * (1 - base)))
    deviation = _known(plan.primary, "deviation", metric.deviation)
    return Spread(deviation, deviation)


def _toward(metric: DeclaredMetric, effect: float) -> float:
    return effect if metric.direction == "up" else -effect


def _effects(minimum: float) -> list[float]:
    step = (2.0 - 0.25) / (CURVE_POINTS - 1)
    return [minimum * (0.25 + step * place) for place in range(CURVE_POINTS)]


def _known(name: str, field: str, value: float | None) -> float:
    if value is None:
        raise ExperimentError(
            f"the sample cannot be computed without the {field} of {name!r}; write it under [experiment.metrics.{name}]"
        )
    return value
