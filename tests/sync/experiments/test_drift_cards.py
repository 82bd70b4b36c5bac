"""Drift in a scorecard: alpha is shared by all measures, texts have no order, and what cannot be compared says why."""

from __future__ import annotations

import numpy as np
import pytest

from edgerun_sync.experiments.drift import INDEPENDENT, DesignEffect, kolmogorov_smirnov, psi, psi_of_weights
from edgerun_sync.experiments.drift_cards import drift_cards
from edgerun_sync.experiments.facts import TEXTS, DriftFacts
from edgerun_sync.experiments.histograms import histogram
from edgerun_sync.experiments.scorecard import scorecard
from edgerun_sync.report.text import text_report
from support.scored import facts

STILL = histogram(np.arange(20.0), np.full(20, 50.0))
MOVED = histogram(np.arange(20.0) + 3, np.full(20, 50.0))
NOTHING = histogram([], [])
HOLES = histogram([], [], 100.0)


def test_alpha_is_shared_by_the_measures_that_are_taken():
    texts = DriftFacts("shop", histogram([0, 1], [50, 50]), histogram([1, 2], [50, 50]), TEXTS)
    found = facts(drift=(DriftFacts("a", STILL, MOVED), texts, DriftFacts("b", STILL, NOTHING)))
    numbers, categories, _ = drift_cards(found)
    alpha = found.plan.alpha / 4
    assert numbers.measures[:2] == (psi(STILL, MOVED, alpha=alpha), kolmogorov_smirnov(STILL, MOVED, alpha=alpha))
    assert categories.measures == (psi_of_weights([50, 50, 0], [0, 50, 50], alpha=alpha),)


def test_devices_with_their_own_ways_raise_the_threshold():
    effects = (DesignEffect(20.0, 0.1, 30.0), INDEPENDENT)
    small = histogram(np.arange(20.0), np.full(20, 5.0))
    plain, clustered = (
        drift_cards(facts(drift=(DriftFacts("a", small, small, design_effects=both),)))[0].measures[0].threshold
        for both in ((INDEPENDENT, INDEPENDENT), effects)
    )
    assert clustered > plain


@pytest.mark.parametrize(
    ("reference", "current", "why"),
    [(NOTHING, STILL, "no rows that it could be compared with"), (STILL, NOTHING, "no row of it came")],
)
def test_a_side_without_rows_says_so(reference, current, why):
    card = scorecard(facts(drift=(DriftFacts("new, since the week before", reference, current),)))
    assert why in card.drift[0].why
    assert "new: cannot be told since the week before" in " ".join(text_report(card).split())


def test_a_column_that_is_all_missing_has_a_psi():
    (card,) = drift_cards(facts(drift=(DriftFacts("a", STILL, HOLES),)))
    assert [(one.measure, one.drifted) for one in card.measures] == [("psi", True)]
