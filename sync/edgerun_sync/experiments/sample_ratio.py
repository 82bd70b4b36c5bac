"""Whether the arms have the units that the split gives them: the first thing to know of an experiment.

A ramp changes the weights, so each phase is tested against its own. The test holds at every look. Of unequal arms too
few units are as telling as too many: whatever loses units of one arm has most likely chosen which.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from edgerun_sync.errors import ExperimentError
from edgerun_sync.experiments.distributions import chi_square_tail, log_gamma
from edgerun_sync.experiments.findings import Finding

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

P_BROKEN = 0.001
"""p-values below which an experiment's health is broken."""

CONCENTRATIONS = (100.0, 10_000.0)
"""How near to the split the mixtures look: within about 5 % and 0.5 % of an arm's share."""

_EXPECTED_MIN = 5.0
"""Units that chi-square needs to be expected in every arm."""


class PhaseCounts(NamedTuple):
    """Units that came in one phase."""

    name: str
    """The phase: usually the version of the bundle."""

    counts: Mapping[str, int]
    """Units by arm."""

    weights: Mapping[str, float]
    """Weights by arm as the bundle has them; arms of weight 0 are not counted."""


def sample_ratio(phases: Sequence[PhaseCounts]) -> Finding:
    """Return whether units fell on the arms as the split says, over all phases.

    Its numbers: ``sequential_p``, ``chi_square_p`` (None where units are few), ``units``, ``units_of_weight_0``, and
    both p-values for each phase by its name. Broken where one of the two p-values over all phases is below 0.001.

    Source of the sequential test: Lindon and Malek, "Anytime-valid inference for multinomial count data" (NeurIPS
    2022): a mixture of Dirichlet distributions around the split against the split itself. Phases are independent, so
    their likelihood ratios multiply.

    Raises:
        ExperimentError: an arm has no weight, a weight or count is negative, or all weights are 0.
    """
    log_ratio, statistic, degrees, units, not_counted = 0.0, 0.0, 0, 0, 0
    numbers: dict[str, float | None] = {}
    for phase in phases:
        counts, shares, left_out = _counted(phase)
        log_odds, square = log_likelihood_ratio(counts, shares), _chi_square(counts, shares)
        numbers[f"sequential_p in {phase.name}"] = _p(log_odds)
        numbers[f"chi_square_p in {phase.name}"] = square and chi_square_tail(square[0], square[1])
        log_ratio += log_odds
        statistic, degrees = statistic + (square[0] if square else 0), degrees + (square[1] if square else 0)
        units, not_counted = units + sum(counts), not_counted + left_out
    sequential, chi_square = _p(log_ratio), chi_square_tail(statistic, degrees) if degrees else None
    is_ok = sequential >= P_BROKEN and (chi_square is None or chi_square >= P_BROKEN)
    head = {"sequential_p": sequential, "chi_square_p": chi_square, "units": units, "units_of_weight_0": not_counted}
    return Finding("sample ratio", is_ok, head | numbers, _sentence(phases, is_ok, sequential, chi_square))


def log_likelihood_ratio(counts: Sequence[int], shares: Sequence[float]) -> float:
    """Return the logarithm of the mixture's likelihood over that of the split; its inverse is a p-value at every look.

    Args:
        counts: units of each arm.
        shares: the share of each arm, above 0, with the sum 1.
    """
    found = [_dirichlet(counts, shares, concentration) for concentration in CONCENTRATIONS]
    most = max(found)
    return most + math.log(sum(math.exp(one - most) for one in found) / len(found))


def _dirichlet(counts: Sequence[int], shares: Sequence[float], concentration: float) -> float:
    total = log_gamma(concentration) - log_gamma(concentration + sum(counts))
    for count, share in zip(counts, shares, strict=True):
        prior = concentration * share
        total += log_gamma(prior + count) - log_gamma(prior) - count * math.log(share)
    return total


def _chi_square(counts: Sequence[int], shares: Sequence[float]) -> tuple[float, int] | None:
    expected = [sum(counts) * share for share in shares]
    if len(expected) < 2 or min(expected) < _EXPECTED_MIN:
        return None
    return sum((a - b) ** 2 / b for a, b in zip(counts, expected, strict=True)), len(expected) - 1


def _counted(phase: PhaseCounts) -> tuple[list[int], list[float], int]:
    """Counts and shares of the arms that have a weight, and the units of those that have none."""
    unknown = [arm for arm in phase.counts if arm not in phase.weights]
    if unknown:
        raise ExperimentError(
            f"{phase.name}: the arm {unknown[0]!r} has units and no weight; give the weights of the bundle"
        )
    if min([*phase.counts.values(), *phase.weights.values()], default=0) < 0:
        raise ExperimentError(f"{phase.name}: a count or a weight is negative")
    weights = {arm: float(weight) for arm, weight in phase.weights.items() if weight > 0}
    if not weights:
        raise ExperimentError(f"{phase.name}: all weights are 0")
    total = sum(weights.values())
    left_out = sum(count for arm, count in phase.counts.items() if arm not in weights)
    return [phase.counts.get(arm, 0) for arm in weights], [weight / total for weight in weights.values()], left_out


def _p(log_ratio: float) -> float:
    return min(1.0, math.exp(min(0.0, -log_ratio)))


def _sentence(phases: Sequence[PhaseCounts], is_ok: bool, sequential: float, chi_square: float | None) -> str:
    beside = "" if chi_square is None else f", chi-square p = {chi_square:.2g}"
    said = f"sequential p = {sequential:.2g}{beside}"
    if is_ok:
        return f"Units fall on the arms as the split says ({said})."
    worst = max(phases, key=lambda phase: log_likelihood_ratio(*_counted(phase)[:2]))
    counts, shares, _ = _counted(worst)
    arms = [arm for arm in worst.weights if worst.weights[arm] > 0]
    found = ", ".join(
        f"{arm} has {count:,} where {share * sum(counts):,.0f} were due"
        for arm, count, share in zip(arms, counts, shares, strict=True)
    )
    return f"In {worst.name}, {found} ({said}): find out which units are missing before anything else."
