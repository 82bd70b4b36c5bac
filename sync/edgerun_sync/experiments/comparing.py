"""Two arms compared by one metric: from their moments to a contrast, with covariates from before or without."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgerun_sync.errors import ExperimentError
from edgerun_sync.experiments.contrasts import Contrast, information_of
from edgerun_sync.experiments.conversion import conversion_contrast
from edgerun_sync.experiments.metrics import Conversion, Mean, Metric, Ratio, estimate, squared_error

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from edgerun_sync.experiments.moments import Moments


def contrast(metric: Metric, treatment: Moments, control: Moments) -> Contrast:
    """Return the contrast of two arms.

    Means and ratios are Welch's: each arm has its own variance, and degrees of freedom are Satterthwaite's. Source:
    Welch, "The generalization of 'Student's' problem when several different population variances are involved"
    (1947).

    Raises:
        ExperimentError: an arm has fewer than two units, a variable is missing, a denominator is near 0, a conversion
            holds another number than 0 or 1, or no unit differs from another in either arm.
    """
    if isinstance(metric, Conversion):
        return conversion_contrast(metric.value, treatment, control)
    return adjusted_contrast(metric, (), treatment, control)


def adjusted_contrast(
    metric: Metric,
    covariates: Sequence[Mean | Ratio],
    treatment: Moments,
    control: Moments,
    others: Sequence[Moments] = (),
) -> Contrast:
    """Return the contrast of two arms, less what covariates from before the experiment explain of it (CUPED).

    A covariate is the mean or the ratio of variables that the experiment cannot have touched. Both metric and
    covariates may be ratios: all are linear in means once they are derived. The coefficients are pooled over all
    arms, so that every treatment is compared with the same adjusted control. Conversions are treated as means here.

    Args:
        metric: what is compared.
        covariates: what is known of the same units from before.
        treatment: moments of the treatment.
        control: moments of the control, over the same variables.
        others: moments of further arms, from which the coefficients are learned too.

    Source: Deng, Xu, Kohavi and Walker, "Improving the sensitivity of online controlled experiments by utilizing
    pre-experiment data" (WSDM 2013).

    Raises:
        ExperimentError: as `contrast`.
    """
    arms = [treatment, control, *(arm.select(control.names) for arm in others if arm.n > 1)]
    wanted = [metric, *covariates]
    slopes = _slopes(wanted, arms)
    parts = [_adjusted(wanted, arm, slopes) for arm in arms[:2]]
    (t_value, t_adjusted, t_variance, _, _), (c_value, c_adjusted, c_variance, base, c_covariance) = parts
    variance = t_variance + c_variance
    if variance <= 0:
        raise ExperimentError(
            f"no unit differs from another in {_named(metric)}, so nothing is known of its spread; wait for more, "
            "or declare a conversion"
        )
    return Contrast(
        treatment_units=treatment.n,
        control_units=control.n,
        treatment=t_value,
        control=c_value,
        difference=t_adjusted - c_adjusted,
        centre=t_adjusted - c_adjusted,
        variance=variance,
        degrees=_satterthwaite(t_variance, treatment.n, c_variance, control.n, len(covariates)),
        base_variance=base,
        base_covariance=-c_covariance,
        information=information_of(treatment.n, control.n),
    )


def _slopes(wanted: Sequence[Metric], arms: Sequence[Moments]) -> NDArray[np.float64]:
    """How much of the first metric each unit of the others explains, within arms, float64 [covariates]."""
    size = len(wanted)
    within = np.zeros((size, size))
    if size == 1:
        return within[0, 1:]
    for arm in arms:
        gradients = np.stack([estimate(metric, arm).gradient for metric in wanted])
        within += gradients @ arm.m2 @ gradients.T
    scale = np.sqrt(within.diagonal().clip(min=0))
    scale[scale == 0] = 1.0  # what does not vary explains nothing: its row and column are 0
    correlation = within / np.outer(scale, scale)
    found = np.linalg.lstsq(correlation[1:, 1:], correlation[1:, 0], rcond=1e-10)[0]
    return np.asarray(found * scale[0] / scale[1:], np.float64)


def _adjusted(
    wanted: Sequence[Metric], arm: Moments, slopes: NDArray[np.float64]
) -> tuple[float, float, float, float, float]:
    """Value, adjusted value, its variance, the variance of the value, and the covariance of both."""
    first, *rest = (estimate(metric, arm) for metric in wanted)
    value, gradient = first.value, first.gradient
    for slope, other in zip(slopes.tolist(), rest, strict=True):
        value, gradient = value - slope * other.value, gradient - slope * other.gradient
    variance = squared_error(gradient, gradient, arm)
    if not rest:
        return first.value, value, variance, variance, variance
    plain = squared_error(first.gradient, first.gradient, arm)
    return first.value, value, variance, plain, squared_error(gradient, first.gradient, arm)


def _satterthwaite(t_variance: float, t_units: int, c_variance: float, c_units: int, covariates: int) -> float:
    t_degrees, c_degrees = (max(units - 1 - covariates, 1) for units in (t_units, c_units))
    return (t_variance + c_variance) ** 2 / (t_variance**2 / t_degrees + c_variance**2 / c_degrees)


def _named(metric: Metric) -> str:
    return " / ".join(map(repr, metric))
