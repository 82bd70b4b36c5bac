"""Two arms compared by one metric: from their moments to a contrast, with covariates from before or without."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from edgerun_sync.errors import ExperimentError
from edgerun_sync.experiments.contrasts import Contrast, information_of
from edgerun_sync.experiments.conversion import conversion_contrast, unseen_contrast
from edgerun_sync.experiments.metrics import Conversion, Mean, Metric, Ratio, Share, estimate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from edgerun_sync.experiments.moments import Moments

ROUNDING = 1e-9
"""A standard error that is so small beside the values themselves is what rounding leaves of no spread at all."""


def contrast(metric: Metric, treatment: Moments, control: Moments) -> Contrast:
    """Return the contrast of two arms.

    Means and ratios are Welch's: each arm has its own variance, and degrees of freedom are Satterthwaite's. Source:
    Welch, "The generalization of 'Student's' problem when several different population variances are involved"
    (1947).

    Raises:
        ExperimentError: an arm has fewer than two units, a variable is missing, a denominator is near 0, a conversion
            holds another number than 0 or 1, or no unit differs from another in either arm, but for shares that are 0.
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
    wanted = [metric, *covariates]
    t, c = (_derived(wanted, arm) for arm in (treatment, control))
    weights = _weights([t, c, *(_derived(wanted, arm) for arm in others if arm.n > 1)])
    t_variance, c_variance = (float(weights @ arm.covariance @ weights) / arm.n for arm in (t, c))
    variance = t_variance + c_variance
    if isinstance(metric, Share) and not (t.values[0] or c.values[0]):
        return unseen_contrast(t.n, c.n)
    if variance <= (ROUNDING * float(np.abs([t.values[0], c.values[0]]).max())) ** 2:
        raise ExperimentError(
            f"no unit differs from another in {_named(metric)}, so nothing is known of its spread; wait for more, "
            "or declare a conversion"
        )
    difference = float(weights @ (t.values - c.values))
    return Contrast(
        treatment_units=t.n,
        control_units=c.n,
        treatment=float(t.values[0]),
        control=float(c.values[0]),
        difference=difference,
        centre=difference,
        variance=variance,
        degrees=_satterthwaite(t_variance, t.n, c_variance, c.n, len(covariates)),
        base_variance=float(c.covariance[0, 0]) / c.n,
        base_covariance=-float(weights @ c.covariance[0]) / c.n,
        information=information_of(t.n, c.n),
    )


class _Derived(NamedTuple):
    """A metric and its covariates in one arm: a number of each per unit, as far as means go."""

    values: NDArray[np.float64]
    """Of the metric and the covariates [1 + covariates]."""

    covariance: NDArray[np.float64]
    """Between units [1 + covariates, 1 + covariates]."""

    n: int
    """Units."""


def _derived(wanted: Sequence[Metric], arm: Moments) -> _Derived:
    found = [estimate(metric, arm) for metric in wanted]
    gradients = np.stack([one.gradient for one in found])
    covariance = gradients @ arm.covariance() @ gradients.T
    return _Derived(np.array([one.value for one in found]), covariance, arm.n)


def _weights(arms: Sequence[_Derived]) -> NDArray[np.float64]:
    """1 for the metric, and for each covariate less what a unit of it explains of the metric within arms."""
    within = np.add.reduce([arm.covariance * (arm.n - 1) for arm in arms])
    if len(within) == 1:
        return np.ones(1)
    scale = np.sqrt(within.diagonal().clip(min=0))
    scale[scale == 0] = 1.0  # what does not vary explains nothing: its row and column are 0
    correlation = within / np.outer(scale, scale)
    slopes = np.linalg.lstsq(correlation[1:, 1:], correlation[1:, 0], rcond=1e-10)[0]
    return np.concatenate([[1.0], -slopes * scale[0] / scale[1:]])


def _satterthwaite(t_variance: float, t_units: int, c_variance: float, c_units: int, covariates: int) -> float:
    t_degrees, c_degrees = (max(units - 1 - covariates, 1) for units in (t_units, c_units))
    return (t_variance + c_variance) ** 2 / (t_variance**2 / t_degrees + c_variance**2 / c_degrees)


def _named(metric: Metric) -> str:
    return " / ".join(map(repr, metric))
