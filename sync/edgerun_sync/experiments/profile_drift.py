"""Drift of all that a model sees and says: one profile of the log against another, column by column.

The chance of any false alarm at all is alpha at most, however many columns there are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from edgerun.log.profiles import Texts
from edgerun_sync.experiments.drift import INDEPENDENT, kolmogorov_smirnov, psi, psi_of_weights, wasserstein
from edgerun_sync.experiments.histograms import histogram_of_port, text_weights
from edgerun_sync.experiments.interval_estimates import require_alpha

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgerun.log.profiles import PortProfile, Profile
    from edgerun_sync.experiments.drift import DesignEffect, Drift


class ColumnDrift(NamedTuple):
    """How one column of an input or output drifted."""

    name: str
    """Of the input or output."""

    is_output: bool
    """Which of the two."""

    column: int
    """From 0."""

    measures: tuple[Drift, ...]
    """PSI, and of numbers Kolmogorov-Smirnov and Wasserstein too; of a column that is all missing, PSI alone."""

    drifted: bool
    """Whether any of the measures exceeds its threshold."""


class ProfileDrift(NamedTuple):
    """How the inputs and outputs of a model drifted."""

    columns: tuple[ColumnDrift, ...]
    """Those that both profiles have values of, of the same kind."""

    not_compared: tuple[str, ...]
    """Inputs and outputs that only one profile has, or that have another kind or width in the other, or no rows."""


def profile_drift(
    reference: Profile,
    current: Profile,
    *,
    alpha: float = 0.05,
    design_effects: tuple[DesignEffect, DesignEffect] = (INDEPENDENT, INDEPENDENT),
) -> ProfileDrift:
    """Return how a profile differs from its reference, such as the one of the training set, or of last week.

    Args:
        reference: what the model's inputs and outputs were like.
        current: what they are like.
        alpha: chance of a false alarm in any measure of any column; each has an equal part of it (Bonferroni).
        design_effects: of the reference and of the current profile; a fleet's profiles are of devices with their own
            ways.

    Raises:
        ExperimentError: alpha is not between 0 and 1, or a design effect is less than 1.
    """
    require_alpha(alpha)
    ports = {(port.is_output, port.name): port for port in reference.ports}
    others = {(port.is_output, port.name): port for port in current.ports}
    alike = [key for key in ports if key in others and _comparable(ports[key], others[key])]
    left_out = [name for _, name in sorted((ports.keys() | others.keys()) - {*alike})]
    tests = sum(_tests(ports[key]) for key in alike)
    columns: list[ColumnDrift] = []
    for key in alike:
        found = [*_columns(ports[key], others[key], alpha / tests, design_effects)]
        columns += found
        left_out += [key[1]] if len(found) < ports[key].columns else []
    return ProfileDrift(tuple(columns), tuple(left_out))


def _comparable(first: PortProfile, second: PortProfile) -> bool:
    return isinstance(first.what, Texts) == isinstance(second.what, Texts) and first.columns == second.columns


def _tests(port: PortProfile) -> int:
    return port.columns * (1 if isinstance(port.what, Texts) else 3)


def _columns(
    reference: PortProfile, current: PortProfile, alpha: float, effects: tuple[DesignEffect, DesignEffect]
) -> Iterator[ColumnDrift]:
    for column in range(reference.columns):
        if isinstance(reference.what, Texts):
            measures = _text_measures(reference, current, column, alpha, effects)
        else:
            measures = _number_measures(reference, current, column, alpha, effects)
        if measures:
            drifted = any(measure.drifted for measure in measures)
            yield ColumnDrift(reference.name, reference.is_output, column, measures, drifted)


def _text_measures(
    reference: PortProfile, current: PortProfile, column: int, alpha: float, effects: tuple[DesignEffect, DesignEffect]
) -> tuple[Drift, ...]:
    _, before, after = text_weights(reference, current, column)
    if not before.sum() or not after.sum():
        return ()
    return (psi_of_weights(before, after, alpha=alpha, design_effects=effects),)


def _number_measures(
    reference: PortProfile, current: PortProfile, column: int, alpha: float, effects: tuple[DesignEffect, DesignEffect]
) -> tuple[Drift, ...]:
    before, after = (histogram_of_port(port, column) for port in (reference, current))
    if not all(side.weights.sum() + side.missing for side in (before, after)):
        return ()
    has_values = before.weights.size and after.weights.size
    measures = (psi, kolmogorov_smirnov, wasserstein) if has_values else (psi,)
    return tuple(measure(before, after, alpha=alpha, design_effects=effects) for measure in measures)
