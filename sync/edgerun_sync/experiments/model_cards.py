"""What a scorecard says of models beyond the plan's metrics: measures by class, expected accuracy, shadows, drift.

None of it enters the verdict: what was not named before it was seen decides nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from edgerun_sync.errors import ExperimentError
from edgerun_sync.experiments.confusion import compare_measures, confusion_matrix, margins_of, measures
from edgerun_sync.experiments.drift import kolmogorov_smirnov, psi, wasserstein
from edgerun_sync.experiments.expected_accuracy import expected_accuracy
from edgerun_sync.experiments.paired import obuchowski, paired_difference

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgerun_sync.experiments.confusion import ConfusionMatrix
    from edgerun_sync.experiments.drift import Drift
    from edgerun_sync.experiments.expected_accuracy import ExpectedAccuracy
    from edgerun_sync.experiments.facts import Facts
    from edgerun_sync.experiments.interval_estimates import Difference, IntervalEstimate
    from edgerun_sync.experiments.paired import PairedTest


class ModelCard(NamedTuple):
    """An arm's model, or one that was watched in the shadow."""

    name: str
    """The arm; of a shadow, the model."""

    is_shadow: bool
    """Whether it answered nothing, and is compared with the champion on the same calls."""

    matrix: ConfusionMatrix | None
    """Labelled calls by true and predicted class."""

    measures: Mapping[str, IntervalEstimate]
    """Accuracy, precision, recall and F1, by their names in `confusion.Measures`."""

    differences: Mapping[str, Difference]
    """The same, less the control's; of a shadow, its accuracy less the champion's."""

    expected: ExpectedAccuracy | None
    """What confidences let one expect, beside what labels show."""

    paired: PairedTest | None
    """Of a shadow: Obuchowski's test."""

    why: str
    """What cannot be told yet; empty where all can."""


class DriftCard(NamedTuple):
    """One column, then and now."""

    name: str
    """Which column, and against what."""

    measures: tuple[Drift, ...]
    """Each with the threshold above which it alarms."""

    why: str
    """Why it cannot be told; empty where it can."""


def model_cards(facts: Facts) -> tuple[ModelCard, ...]:
    """Return a card for each arm of which something is known, and for each shadow."""
    models, control = facts.models, facts.plan.control
    arms = dict.fromkeys([control, *models.cells, *models.expected])
    found = [_arm(facts, arm) for arm in arms if arm in models.cells or arm in models.expected]
    return (*found, *(_shadow(facts, name) for name in models.shadows))


def drift_cards(facts: Facts) -> tuple[DriftCard, ...]:
    """Return a card for each column that is watched; the plan's alpha is divided among all measures of all columns."""
    alpha = facts.plan.alpha / max(3 * len(facts.drift), 1)
    cards = []
    for one in facts.drift:
        try:
            measured = tuple(
                measure(one.reference, one.current, alpha=alpha) for measure in (psi, kolmogorov_smirnov, wasserstein)
            )
            cards.append(DriftCard(one.name, measured, ""))
        except ExperimentError as error:
            cards.append(DriftCard(one.name, (), str(error)))
    return tuple(cards)


def _arm(facts: Facts, arm: str) -> ModelCard:
    card = ModelCard(arm, False, None, {}, {}, None, None, "")
    models, control, alpha = facts.models, facts.plan.control, facts.plan.alpha
    try:
        if arm in models.cells:
            margins = margins_of(models.cells[arm], models.classes)
            found = measures(margins, models.classes)
            card = card._replace(
                matrix=confusion_matrix(models.cells[arm], models.classes, alpha),
                measures={name: found.estimate_of(name, alpha) for name in found.names},
            )
            if arm != control and control in models.cells:
                other = margins_of(models.cells[control], models.classes)
                card = card._replace(differences=compare_measures(other, margins, models.classes, alpha))
        if arm in models.expected:
            card = card._replace(expected=expected_accuracy(models.expected[arm], alpha))
    except ExperimentError as error:
        return card._replace(why=str(error))
    return card


def _shadow(facts: Facts, name: str) -> ModelCard:
    card = ModelCard(name, True, None, {}, {}, None, None, "")
    try:
        moments = facts.models.shadows[name]
        difference = paired_difference(moments, facts.plan.alpha)
        return card._replace(differences={"accuracy": difference}, paired=obuchowski(moments))
    except ExperimentError as error:
        return card._replace(why=str(error))
