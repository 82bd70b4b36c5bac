"""Simulated experiments with a known effect: devices whose inferences are alike, drawn from a printed seed.

A device has 10 to 30 inferences, 20 on average, and the correlation of two of them (ICC) is 0.1: of a number, of errors
(beta-binomial), and of latencies, which are log-normal. The period before the experiment had other inferences of the
same devices.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from edgerun_sync.experiments.comparing import adjusted_contrast, contrast
from edgerun_sync.experiments.contrasts import Contrast, across_phases
from edgerun_sync.experiments.metrics import Conversion, Mean, Metric, Ratio
from edgerun_sync.experiments.moments import moments_of
from edgerun_sync.experiments.quantiles import quantile_contrast, quantile_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

DEVICES = 200
"""Devices of an arm."""

CALLS = 20
"""Inferences of a device, on average."""

ICC = 0.1
BASE = 5.0
"""Mean of the number that is measured."""

DEVIATION = math.sqrt(ICC + (1 - ICC) * 0.0506)
"""Of a device's mean: 0.0506 is the mean of 1 / n for the numbers of inferences drawn here."""

CONVERTED = 0.1
"""Share of the control's devices that convert."""

Columns = dict[str, "NDArray[Any]"]


class Method(NamedTuple):
    """A way from the columns of two arms to a contrast."""

    compare: Callable[[Columns, Columns], Contrast]
    true_of: Callable[[float], float]
    """The true difference, given the effect that was drawn."""
    base: float = BASE
    """The true value in the control."""


def draw(rng: np.random.Generator, experiments: int, devices: int, effect: float = 0.0) -> Columns:
    """Units of one arm of many experiments: each column is [experiments, devices]."""
    shape = (experiments, devices)
    level = rng.standard_normal(shape)
    columns: Columns = {name: 10 + rng.binomial(20, 0.5, shape) for name in ("calls", "calls_before")}
    for name, calls, shift in (("number", "calls", effect), ("before", "calls_before", 0.0)):
        noise = rng.standard_normal(shape) * np.sqrt((1 - ICC) / columns[calls])
        columns[name] = BASE + shift + math.sqrt(ICC) * level + noise
        columns[f"{name}_sum"] = columns[name] * columns[calls]
    odds = 1 / ICC - 1
    columns["errors"] = rng.binomial(columns["calls"], rng.beta(0.2 * odds, 0.8 * odds, shape))
    columns["converted"] = rng.random(shape) < CONVERTED + 0.3 * effect
    return columns


def pairs(
    seed: int, experiments: int, effect: float = 0.0, devices: int = DEVICES
) -> Iterator[tuple[Columns, Columns]]:
    """Treatment and control of each experiment: columns [devices]."""
    rng = np.random.default_rng(seed)
    for start in range(0, experiments, 100):
        arms = [draw(rng, 100, devices, shift) for shift in (effect, 0.0)]
        for one in range(min(100, experiments - start)):
            treatment, control = ({name: column[one] for name, column in arm.items()} for arm in arms)
            yield treatment, control


def compared(metric: Metric, *covariates: Mean | Ratio) -> Callable[[Columns, Columns], Contrast]:
    """A contrast by one metric."""
    names = [name for one in (metric, *covariates) for name in one]

    def compare(treatment: Columns, control: Columns) -> Contrast:
        arms = [moments_of({name: arm[name] for name in names}) for arm in (treatment, control)]
        return adjusted_contrast(metric, covariates, *arms) if covariates else contrast(metric, *arms)

    return compare


def ramped(treatment: Columns, control: Columns) -> Contrast:
    """A tenth of the treatment came in a first phase, with half of the control, when all numbers were higher."""
    first, second = [], []
    for arm, share in ((treatment, 0.1), (control, 0.5)):
        cut = round(len(arm["number"]) * share)
        first.append(moments_of({"x": arm["number"][:cut] + 3}))
        second.append(moments_of({"x": arm["number"][cut:]}))
    return across_phases([contrast(Mean("x"), *first), contrast(Mean("x"), *second)])


METHODS = {
    "mean": Method(compared(Mean("number")), lambda effect: effect),
    "ratio": Method(compared(Ratio("number_sum", "calls")), lambda effect: effect),
    "ratio of errors": Method(compared(Ratio("errors", "calls")), lambda _: 0.0, 0.2),
    "mean, covariate": Method(compared(Mean("number"), Mean("before")), lambda effect: effect),
    "ratio, ratio before": Method(
        compared(Ratio("number_sum", "calls"), Ratio("before_sum", "calls_before")), lambda effect: effect
    ),
    "conversion": Method(compared(Conversion("converted")), lambda effect: 0.3 * effect, CONVERTED),
    "mean over a ramp": Method(ramped, lambda effect: effect, math.nan),
}
"""Every way to a contrast of units."""

QUANTILES = {"median": 0.5, "90th percentile": 0.9}


def latencies(rng: np.random.Generator, experiments: int, devices: int) -> NDArray[np.float64]:
    """Latencies [experiments, devices, CALLS]."""
    level = rng.standard_normal((experiments, devices, 1)) * math.sqrt(ICC)
    return np.exp(0.5 * (level + rng.standard_normal((experiments, devices, CALLS)) * math.sqrt(1 - ICC)))


def quantile_pairs(seed: int, experiments: int, share: float, shift: float = 0.0) -> Iterator[Contrast]:
    """Contrasts of a quantile of latency, whose truth is the shift."""
    rng = np.random.default_rng(seed)
    owners = np.repeat(np.arange(DEVICES), CALLS)
    for _ in range(experiments):
        arms = latencies(rng, 2, DEVICES).reshape(2, -1)
        yield quantile_contrast(quantile_of(share, arms[0] + shift, owners), quantile_of(share, arms[1], owners))
