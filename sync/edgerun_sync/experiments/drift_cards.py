"""What a scorecard says of the drift of inputs and outputs. It enters no verdict: the world moves for all arms."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from edgerun_sync.errors import ExperimentError
from edgerun_sync.experiments.drift import kolmogorov_smirnov, psi, psi_of_weights, wasserstein
from edgerun_sync.experiments.facts import TEXTS

if TYPE_CHECKING:
    from edgerun_sync.experiments.drift import Drift
    from edgerun_sync.experiments.facts import DriftFacts, Facts
    from edgerun_sync.experiments.histograms import Histogram


class DriftCard(NamedTuple):
    """One column, then and now."""

    name: str
    """Which column, and against what."""

    measures: tuple[Drift, ...]
    """Each with the threshold above which it alarms: of texts, and of a column without values, PSI alone."""

    why: str
    """Why it cannot be told; empty where it can."""


def drift_cards(facts: Facts) -> tuple[DriftCard, ...]:
    """Return a card for each column that is watched; the plan's alpha is divided among all measures of all columns."""
    alpha = facts.plan.alpha / max(sum(map(_tests, facts.drift)), 1)
    return tuple(_card(one, alpha) for one in facts.drift)


def _tests(one: DriftFacts) -> int:
    if not _rows(one.reference) or not _rows(one.current):
        return 0
    return 3 if one.kind != TEXTS and len(one.reference.weights) and len(one.current.weights) else 1


def _card(one: DriftFacts, alpha: float) -> DriftCard:
    if not _rows(one.reference):
        return DriftCard(one.name, (), "there are no rows that it could be compared with")
    if not _rows(one.current):
        return DriftCard(one.name, (), "no row of it came")
    try:
        return DriftCard(one.name, _measures(one, alpha), "")
    except ExperimentError as error:
        return DriftCard(one.name, (), str(error))


def _measures(one: DriftFacts, alpha: float) -> tuple[Drift, ...]:
    effects = one.design_effects
    if one.kind == TEXTS:
        places = np.union1d(one.reference.values, one.current.values)
        sides = [_spread(side, places) for side in (one.reference, one.current)]
        return (psi_of_weights(*sides, alpha=alpha, design_effects=effects),)
    used = (psi, kolmogorov_smirnov, wasserstein) if _tests(one) == 3 else (psi,)
    return tuple(measure(one.reference, one.current, alpha=alpha, design_effects=effects) for measure in used)


def _spread(side: Histogram, places: np.ndarray[tuple[int], np.dtype[np.float64]]) -> list[float]:
    """Weights of categories, 0 of those that did not come."""
    weights = dict(zip(side.values.tolist(), side.weights.tolist(), strict=True))
    return [weights.get(place, 0.0) for place in places.tolist()]


def _rows(side: Histogram) -> float:
    return float(side.weights.sum()) + side.missing
