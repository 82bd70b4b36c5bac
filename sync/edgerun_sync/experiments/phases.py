"""Two arms compared over the phases of a ramp. What a phase cannot tell yet is left out, counted, and said."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from edgerun_sync.errors import ExperimentError
from edgerun_sync.experiments.comparing import adjusted_contrast, contrast
from edgerun_sync.experiments.contrasts import Contrast, across_phases
from edgerun_sync.experiments.quantiles import quantile_contrast

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edgerun_sync.experiments.metrics import Mean, Metric, Ratio
    from edgerun_sync.experiments.moments import Moments
    from edgerun_sync.experiments.quantiles import Quantile


class LeftOut(NamedTuple):
    """A phase that could not be compared."""

    phase: str
    """Its name."""

    units: int
    """Units of both arms that came in it."""

    why: str
    """What was missing."""


class Phased(NamedTuple):
    """Two arms, over all phases that could be compared."""

    contrast: Contrast
    """Treatment less control."""

    left_out: tuple[LeftOut, ...]
    """The phases that are not in it."""


def compare_phases(
    metric: Metric,
    covariates: Sequence[Mean | Ratio],
    phases: Mapping[str, Mapping[str, Moments]],
    treatment: str,
    control: str,
) -> Phased:
    """Return the contrast of two arms over all phases.

    Args:
        metric: what is compared.
        covariates: what is known of the same units from before; none where there are none.
        phases: for each phase by its name, the moments of the units that came in it, by arm.
        treatment: an arm. Phases without it are not counted as left out.
        control: another arm.

    Raises:
        ExperimentError: no phase can be compared; the message is that of the last one.
    """
    contrasts, left_out = [], []
    for name, arms in phases.items():
        if not (treatment in arms and control in arms and arms[treatment].n):
            continue
        others = [found for arm, found in arms.items() if arm not in {treatment, control}]
        try:
            if covariates:
                found = adjusted_contrast(metric, covariates, arms[treatment], arms[control], others)
            else:
                found = contrast(metric, arms[treatment], arms[control])
        except ExperimentError as error:
            left_out.append(LeftOut(name, arms[treatment].n + arms[control].n, str(error)))
        else:
            contrasts.append(found)
    return _joined(contrasts, left_out)


def compare_estimates(phases: Mapping[str, Mapping[str, Quantile]], treatment: str, control: str) -> Phased:
    """Return the same of a metric that comes as an estimate of each arm: a quantile, or an area under a curve.

    Args:
        phases: for each phase by its name, the estimates by arm, clustered by unit.
        treatment: an arm. Phases without it are not counted as left out.
        control: another arm.

    Raises:
        ExperimentError: as `compare_phases`.
    """
    contrasts, left_out = [], []
    for name, arms in phases.items():
        if not (treatment in arms and control in arms):
            continue
        try:
            contrasts.append(quantile_contrast(arms[treatment], arms[control]))
        except ExperimentError as error:
            left_out.append(LeftOut(name, arms[treatment].units + arms[control].units, str(error)))
    return _joined(contrasts, left_out)


def _joined(contrasts: Sequence[Contrast], left_out: Sequence[LeftOut]) -> Phased:
    if left_out and not contrasts:
        raise ExperimentError(f"no phase can be compared; of {left_out[-1].phase}: {left_out[-1].why}")
    return Phased(across_phases(contrasts), tuple(left_out))
