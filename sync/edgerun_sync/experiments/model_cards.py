"""What a scorecard says of models beyond the plan's metrics: measures by class, confidences, age, shadows.

None of it enters the verdict: what was not named before it was seen decides nothing.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from edgerun_sync.errors import ExperimentError
from edgerun_sync.experiments.confusion import (
    compare_confusion,
    compare_measures,
    compare_paired_measures,
    confusion_matrix,
    margins_of,
    measures,
    paired_names,
)
from edgerun_sync.experiments.contrasts import information_of
from edgerun_sync.experiments.decay import decay
from edgerun_sync.experiments.effects import Terms, effect
from edgerun_sync.experiments.expected_accuracy import expected_accuracy
from edgerun_sync.experiments.paired import (
    PAIRED_WITH_BOTH,
    mcnemar_mid_p,
    obuchowski,
    paired_contrast,
    paired_difference,
)
from edgerun_sync.experiments.reliability import recalibrated, reliability

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from edgerun_sync.experiments.confusion import ConfusionMatrix
    from edgerun_sync.experiments.decay import Decay
    from edgerun_sync.experiments.effects import Effect
    from edgerun_sync.experiments.expected_accuracy import ExpectedAccuracy
    from edgerun_sync.experiments.facts import Facts
    from edgerun_sync.experiments.interval_estimates import Difference, IntervalEstimate
    from edgerun_sync.experiments.moments import Moments
    from edgerun_sync.experiments.paired import PairedTest
    from edgerun_sync.experiments.reliability import Reliability


class ModelCard(NamedTuple):
    """An arm's model, or one that was watched in the shadow. What cannot be told is None, NaN or empty."""

    name: str
    """The arm; of a shadow, the model and its node."""

    is_shadow: bool
    """Whether it answered nothing, and is compared with the champion on the same calls."""

    matrix: ConfusionMatrix | None = None
    """Labelled calls by true and predicted class."""

    matrix_difference: ConfusionMatrix | None = None
    """Its shares less those of the control."""

    measures: Mapping[str, IntervalEstimate] = {}
    """Accuracy, precision, recall and F1, by their names in `confusion.Measures`."""

    differences: Mapping[str, Difference] = {}
    """The same, less the control's; of a shadow, less the champion's on the same calls."""

    expected: ExpectedAccuracy | None = None
    """What confidences let one expect, beside what labels show."""

    reliability: Reliability | None = None
    """How often calls of each confidence were right."""

    recalibrated: float | None = None
    """The expected accuracy of all calls, had each confidence been what the labels say that it is worth."""

    decay: Decay | None = None
    """How the accuracy changed by the day."""

    paired: PairedTest | None = None
    """Of a shadow: Obuchowski's test, with devices as clusters."""

    mcnemar: PairedTest | None = None
    """Of a shadow: McNemar's exact test with the mid-p value, which takes each call for independent."""

    devices: int = 0
    """Of a shadow: how many had labelled pairs."""

    pairs: int = 0
    """Of a shadow: labelled calls that both models answered."""

    effect: Effect | None = None
    """Of a shadow: its accuracy less the champion's, with an interval that holds at every look, and a fixed one."""

    why: tuple[str, ...] = ()
    """What cannot be told yet, a sentence each; empty where all can."""


def model_cards(facts: Facts) -> tuple[ModelCard, ...]:
    """Return a card for each arm of which something is known, and for each shadow."""
    models, control = facts.models, facts.plan.control
    known = (models.cells, models.expected, models.reliability, models.decay)
    arms = dict.fromkeys([control, *(arm for found in known for arm in found)])
    found = [_arm(facts, arm) for arm in arms if any(arm in one for one in known)]
    return (*found, *(_shadow(facts, name) for name in models.shadows))


def _arm(facts: Facts, arm: str) -> ModelCard:
    models, alpha, why = facts.models, facts.plan.alpha, list[str]()
    card = ModelCard(arm, is_shadow=False)
    if arm in models.cells:
        with _told(why):
            card = _with_measures(card, facts)
    if arm in models.expected:
        with _told(why):
            card = card._replace(expected=expected_accuracy(models.expected[arm], alpha))
    if arm in models.reliability:
        with _told(why):
            card = card._replace(reliability=reliability(models.reliability[arm], alpha))
    if arm in models.reliability and arm in models.scores:
        with _told(why):
            held = models.scores[arm]
            worth = recalibrated(held.values, models.reliability[arm])
            card = card._replace(recalibrated=float(np.average(worth, weights=held.weights)))
    if arm in models.decay:
        with _told(why):
            card = card._replace(decay=decay(models.decay[arm], alpha))
    return card._replace(why=tuple(dict.fromkeys(why)))


def _with_measures(card: ModelCard, facts: Facts) -> ModelCard:
    models, control, alpha = facts.models, facts.plan.control, facts.plan.alpha
    margins = margins_of(models.cells[card.name], models.classes)
    found = measures(margins, models.classes)
    card = card._replace(
        matrix=confusion_matrix(models.cells[card.name], models.classes, alpha),
        measures={name: found.estimate_of(name, alpha) for name in found.names},
    )
    if card.name == control or control not in models.cells:
        return card
    other = margins_of(models.cells[control], models.classes)
    return card._replace(
        matrix_difference=compare_confusion(models.cells[control], models.cells[card.name], models.classes, alpha),
        differences=compare_measures(other, margins, models.classes, alpha),
    )


def _shadow(facts: Facts, name: str) -> ModelCard:
    moments, alpha, why = facts.models.shadows[name], facts.plan.alpha, list[str]()
    control_only, treatment_only = (round(moments.n * moments.mean_of(one)) for one in PAIRED_WITH_BOTH[:2])
    card = ModelCard(
        name,
        is_shadow=True,
        devices=moments.n,
        pairs=round(moments.n * moments.mean_of("pairs")),
        mcnemar=mcnemar_mid_p(control_only, treatment_only),
    )
    with _told(why):
        card = card._replace(
            differences={"accuracy": paired_difference(moments, alpha)},
            paired=obuchowski(moments),
        )
    classes = facts.models.classes
    if classes and {*paired_names(classes)} <= {*moments.names}:
        with _told(why):
            card = card._replace(differences=compare_paired_measures(moments, classes, alpha))
    if PAIRED_WITH_BOTH[-1] in moments.names:
        with _told(why):
            card = card._replace(effect=_paired_effect(facts, moments))
    else:
        why.append("these facts do not say how often both models were right; ask the tables again")
    return card._replace(why=tuple(dict.fromkeys(why)))


def _paired_effect(facts: Facts, moments: Moments) -> Effect:
    """Its sequential interval is narrowest at as many devices as the planned units have."""
    devices = max(sum(facts.plan.units.values()) / facts.plan.traffic.units_per_device, 1.0)
    return effect(paired_contrast(moments), Terms(facts.plan.alpha, information_of(devices, devices)))


@contextmanager
def _told(why: list[str]) -> Iterator[None]:
    """What cannot be told says why, and the rest of a card goes on."""
    try:
        yield
    except ExperimentError as error:
        why.append(str(error))
