"""How many units an experiment needs, and what it can see with those it gets. Computed before anything is measured.

A sequential experiment needs more units at most, and on average fewer: it is planned so that its confidence sequence
shows the effect with the wanted chance at one of the looks up to the planned sample. The *inflation* is what that
costs at most.
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple, TypeAlias

from edgerun_sync.errors import ExperimentError
from edgerun_sync.experiments.crossing import crossing_chance, drift_for
from edgerun_sync.experiments.distributions import noncentral_t_cdf, normal_cdf, normal_quantile, t_quantile

Analysis: TypeAlias = Literal["sequential", "fixed"]
"""Whether the experiment may be stopped at every look, or is read once."""

_DEGREES_MAX = 20_000.0
"""Degrees of freedom above which Student's t changes the power by less than 0.0002."""


class Design(NamedTuple):
    """One test of a plan: one metric, one treatment, the control."""

    alpha: float
    """The level of this test: of two-sided ones in all."""

    power: float
    """The chance that the test shows an effect of the planned size."""

    treatment_share: float
    """Share of all units that the treatment gets."""

    control_share: float
    """Share of all units that the control gets."""

    sides: int = 2
    """2 where an effect either way is of interest, 1 for a guardrail."""

    analysis: Analysis = "sequential"
    """How it is read."""

    looks: int = 28
    """How often a sequential test is looked at up to the planned sample: daily, over four weeks."""


class Spread(NamedTuple):
    """Standard deviations of a metric between units, in the metric's unit; for ratios, `metrics.unit_deviation`."""

    treatment: float
    """In the treatment; usually taken to be that of the control."""

    control: float
    """In the control."""


def units_for_mean(design: Design, effect: float, spread: Spread) -> float:
    """Return the units of all arms together that a mean or ratio needs; not rounded.

    The sample of the fixed test is exact for equal spreads (non-central t, as R's power.t.test without `strict`), and
    for others Welch's degrees of freedom are used. For a guardrail, `effect` is the margin, less how much worse the
    treatment is expected to be.

    Raises:
        ExperimentError: a share, level, power, effect or deviation makes no sense.
    """
    _require(design)
    if not (abs(effect) > 0 and math.isfinite(effect)):
        raise ExperimentError(f"the effect to be seen must not be 0, and it is {effect!r}; say what would matter")
    if min(spread) < 0 or not 0 < max(spread) < math.inf:
        raise ExperimentError(f"the standard deviation between units must be above 0, and it is {max(spread)!r}")
    variance = spread.treatment**2 / design.treatment_share + spread.control**2 / design.control_share
    units = (_fixed_drift(design) / effect) ** 2 * variance
    return _with_estimated_variance(design, effect, spread, units) * inflation(design)


def units_for_conversion(design: Design, control: float, treatment: float) -> float:
    """Return the units of all arms together that a conversion needs, from the shares that convert; not rounded.

    Source: the normal approximation with a common share under the null, as in R's power.prop.test; for one-sided
    designs see `units_for_margin`.

    Raises:
        ExperimentError: a share, level or power makes no sense, or both arms convert alike.
    """
    _require(design)
    _require_share("converts", control)
    _require_share("converts", treatment)
    if control == treatment:
        raise ExperimentError(f"both arms convert at {control!r}, so there is nothing to see; say what would matter")
    t, c = design.treatment_share, design.control_share
    pooled = (t * treatment + c * control) / (t + c)
    null = math.sqrt(pooled * (1 - pooled) * (1 / t + 1 / c))
    other = math.sqrt(treatment * (1 - treatment) / t + control * (1 - control) / c)
    wanted = _critical(design) * null + normal_quantile(design.power) * other
    return (wanted / (treatment - control)) ** 2 * inflation(design)


def units_for_margin(design: Design, margin: float, control: float, treatment: float) -> float:
    """Return the units of all arms together that show a conversion to be within its margin; not rounded.

    Args:
        design: one-sided.
        margin: how much worse is tolerated, as a difference of shares; above 0.
        control: the share that converts in the control.
        treatment: the share that is expected to convert in the treatment, usually the same. Better is up: of a share
            that should fall, give both as what is left to 1.

    Raises:
        ExperimentError: a share, level or power makes no sense, or the treatment is expected outside the margin.
    """
    _require(design)
    _require_share("converts", control)
    _require_share("converts", treatment)
    inside = treatment - control + margin
    if not inside > 0:
        raise ExperimentError(f"the treatment is expected {-inside:.4g} outside its margin, where no sample will do")
    t, c = design.treatment_share, design.control_share
    variance = treatment * (1 - treatment) / t + control * (1 - control) / c
    return (_fixed_drift(design) / inside) ** 2 * variance * inflation(design)


def inflation(design: Design) -> float:
    """Return how many times the units of a fixed test the design may need; 1 for a fixed one.

    Raises:
        ExperimentError: a share, level or power makes no sense.
    """
    _require(design)
    if design.analysis == "fixed":
        return 1.0
    return (drift_for(design.power, design.alpha, design.looks, design.sides) / _fixed_drift(design)) ** 2


def power_of(design: Design, units: float, effect: float, spread: Spread) -> float:
    """Return the chance that so many units of all arms together show an effect; `design.power` is not used.

    Raises:
        ExperimentError: a share, level or deviation makes no sense, or there are no units.
    """
    _require(design)
    t, c = units * design.treatment_share, units * design.control_share
    if not (t > 1 and c > 1 and math.isfinite(units)):
        raise ExperimentError(f"a comparison needs more than one unit an arm, and {units!r} in all leave {min(t, c)!r}")
    variance = spread.treatment**2 / t + spread.control**2 / c
    if not variance > 0:
        raise ExperimentError("the standard deviation between units must be above 0")
    drift = abs(effect) / math.sqrt(variance)
    if design.analysis == "sequential":
        return crossing_chance(round(drift, 6), design.alpha, design.looks, design.sides)
    return _fixed_power(design, drift, _degrees(spread, t, c))


def detectable(design: Design, units: float, spread: Spread) -> float:
    """Return the smallest effect that so many units of all arms together show with the design's power.

    Raises:
        ExperimentError: as `units_for_mean`, or there are no units.
    """
    if not 0 < units < math.inf:
        raise ExperimentError(f"a comparison needs units, not {units!r}")
    low, high = 0.0, max(spread) * math.sqrt(1 / (units * min(design.treatment_share, design.control_share))) * 100
    for _ in range(60):
        middle = (low + high) / 2
        if units_for_mean(design, middle, spread) > units:
            low = middle
        else:
            high = middle
    return high


def design_effect(icc: float, rows: float, variation: float = 0.0) -> float:
    """Return how many times as many rows are needed because they come in clusters.

    Args:
        icc: the correlation of two rows of one cluster.
        rows: rows of a cluster, on average: inferences of a device, or units of a device.
        variation: standard deviation of the rows of a cluster, over their mean.

    Source: Eldridge, Ashby and Kerry, "Sample size for cluster randomized trials: effect of coefficient of variation of
    cluster size and analysis method" (International Journal of Epidemiology 35, 2006).

    Raises:
        ExperimentError: the correlation is not from 0 to 1, there is less than one row, or the variation is negative.
    """
    if not (0 <= icc <= 1 and 1 <= rows < math.inf and 0 <= variation < math.inf):
        raise ExperimentError(
            f"a correlation lies between 0 and 1 (not {icc!r}), a cluster has at least one row (not {rows!r}) "
            f"and a variation of 0 or more (not {variation!r})"
        )
    return 1 + ((1 + variation**2) * rows - 1) * icc


def clustered_deviation(deviation: float, icc: float, rows: float, variation: float = 0.0) -> float:
    """Return the standard deviation between units of a mean of their rows, from the deviation between rows.

    Raises:
        ExperimentError: as `design_effect`.
    """
    return deviation * math.sqrt(design_effect(icc, rows, variation) / rows)


def _fixed_drift(design: Design) -> float:
    return _critical(design) + normal_quantile(design.power)


def _critical(design: Design) -> float:
    return -normal_quantile(design.alpha / design.sides)


def _with_estimated_variance(design: Design, effect: float, spread: Spread, units: float) -> float:
    """Units enough for Student's t, from those enough for the normal distribution."""
    t, c = design.treatment_share, design.control_share
    if _degrees(spread, units * t, units * c) > _DEGREES_MAX:
        return units
    low, high = max(units, (1 + 1e-9) / min(t, c)), 4 * units + 20 / min(t, c)
    for _ in range(60):
        middle = (low + high) / 2
        variance = spread.treatment**2 / (middle * t) + spread.control**2 / (middle * c)
        found = _fixed_power(design, abs(effect) / math.sqrt(variance), _degrees(spread, middle * t, middle * c))
        low, high = (middle, high) if found < design.power else (low, middle)
    return high


def _degrees(spread: Spread, treatment: float, control: float) -> float:
    t, c = spread.treatment**2 / treatment, spread.control**2 / control
    if min(treatment, control) <= 1:
        return 1e-3
    return (t + c) ** 2 / (t * t / (treatment - 1) + c * c / (control - 1))


def _fixed_power(design: Design, drift: float, degrees: float) -> float:
    if degrees > _DEGREES_MAX:
        return normal_cdf(drift - _critical(design))
    return 1 - noncentral_t_cdf(-t_quantile(design.alpha / design.sides, degrees), degrees, drift)


def _require(design: Design) -> None:
    if not 0 < design.alpha < 1 or (design.sides == 1 and design.alpha >= 0.5):
        raise ExperimentError(f"alpha must lie between 0 and 1, of a one-sided test below 0.5; it is {design.alpha!r}")
    if not design.alpha < design.power < 1:
        raise ExperimentError(f"power must lie between alpha and 1, and it is {design.power!r}")
    t, c = design.treatment_share, design.control_share
    if not (t > 0 and c > 0 and t + c <= 1 + 1e-9):
        raise ExperimentError(
            f"shares of treatment and control must be above 0 and at most 1 together, not {t!r} and {c!r}"
        )
    if design.sides not in {1, 2} or design.analysis not in {"sequential", "fixed"}:
        raise ExperimentError(
            f"a test has 1 or 2 sides and is sequential or fixed, not {design.sides!r}, {design.analysis!r}"
        )


def _require_share(what: str, share: float) -> None:
    if not 0 < share < 1:
        raise ExperimentError(f"the share that {what} must lie between 0 and 1, and it is {share!r}")
