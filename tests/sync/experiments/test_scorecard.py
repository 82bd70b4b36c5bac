"""The scorecard is one pure function of facts: health before effects, ramps, verdicts, and what cannot be told."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgerun_bundles.experiment.plan import parse_plan
from edgerun_sync.errors import ExperimentError
from edgerun_sync.experiments.facts_json import facts_document, parse_facts
from edgerun_sync.experiments.moments import moments_of
from edgerun_sync.experiments.scorecard import scorecard
from support.scored import DOCUMENT, facts, models_and_drift, phase


def only(card):
    (found,) = card.treatments
    return found


def metric(card, name):
    (found,) = [metric for metric in only(card).metrics if metric.name == name]
    return found


def test_an_effect_within_all_margins_ships():
    card = scorecard(facts())
    assert only(card).verdict.kind == "SHIP", only(card).verdict.reason
    assert [(found.name, found.role) for found in only(card).metrics] == [
        ("accuracy", "primary"),
        ("kept", "success"),
        ("slow", "guardrail"),
        ("fallbacks", "guardrail"),
    ]


def test_the_past_of_units_sharpens_what_is_known_of_them():
    bare = facts()
    (one,) = bare.phases
    without = {arm: found.select(found.names[:2]) for arm, found in one.moments["accuracy"].items()}
    bare = bare._replace(phases=(one._replace(moments={**one.moments, "accuracy": without}),))
    sharp, blunt = metric(scorecard(facts()), "accuracy"), metric(scorecard(bare), "accuracy")
    assert (sharp.is_adjusted, blunt.is_adjusted) == (True, False)
    assert sharp.effect.contrast.variance < blunt.effect.contrast.variance
    assert "pre-period" in {found.name for found in scorecard(facts()).findings}
    assert "pre-period" not in {found.name for found in scorecard(bare).findings}


@pytest.mark.parametrize(
    "fault",
    [
        {"reported": {"champion": 2000, "challenger": 1800}},
        {"misassigned": 50},
        {"audited": 0},
        {"in_several": 100},
        {"skewed": {"champion": 0, "challenger": 300}},
        {"assigned": {"champion": 10, "challenger": 10}, "reported": {"champion": 20, "challenger": 10}},
    ],
)
def test_while_health_is_broken_nothing_is_said_of_effects(fault):
    models, drift = models_and_drift()
    card = scorecard(facts(models=models, drift=drift, **fault))
    assert only(card).verdict.kind == "NO VERDICT"
    assert only(card).metrics == card.models == ()
    assert not card.is_healthy
    assert len(card.drift) == 2


def test_units_of_an_arm_without_a_weight_are_a_broken_check_and_no_crash():
    found = facts()
    (one,) = found.phases
    card = scorecard(found._replace(phases=(one._replace(units={**one.units, "ghost": 3}),)))
    assert only(card).verdict.kind == "NO VERDICT"
    assert "ghost" in only(card).verdict.reason


def test_before_its_minimum_duration_nothing_ships_but_effects_are_shown():
    card = scorecard(facts(days=3.0))
    assert only(card).verdict.kind == "KEEP RUNNING"
    assert metric(card, "accuracy").effect is not None


def test_harm_rolls_back_and_a_slow_challenger_too():
    assert only(scorecard(facts(effect=-0.1))).verdict.kind == "ROLL BACK"
    slow = facts(phases=[phase(np.random.default_rng(2), "1.0.0", 0.1, latency=1.6)])
    assert only(scorecard(slow)).verdict.kind == "ROLL BACK"
    assert "slow" in only(scorecard(slow)).verdict.reason


def test_a_ramp_is_compared_phase_by_phase():
    rng = np.random.default_rng(3)
    ramp = [phase(rng, "1.0.0", 0.1, 1000, (9.0, 1.0)), phase(rng, "1.1.0", 0.1, 1000)]
    card = scorecard(facts(phases=ramp))
    assert card.is_healthy
    found = metric(card, "accuracy").effect.contrast
    assert found.treatment_units == sum(one.units["challenger"] for one in ramp)
    assert 0.1 in metric(card, "accuracy").effect.sequential
    assert metric(card, "slow").effect is not None


def test_a_metric_of_which_too_little_is_there_says_so_and_ships_nothing():
    found = facts()
    (one,) = found.phases
    card = scorecard(found._replace(phases=(one._replace(estimates={}),)))
    assert metric(card, "slow").effect is None
    assert metric(card, "slow").why
    assert only(card).verdict.kind == "KEEP RUNNING"


def test_guardrails_of_what_never_happened_are_within_their_margin_and_do_not_keep_from_shipping():
    found = facts()
    (one,) = found.phases
    never = {
        arm: moments_of({"fallbacks.above": np.zeros(n), "fallbacks.below": np.full(n, 9.0)})
        for arm, n in one.units.items()
    }
    card = scorecard(found._replace(phases=(one._replace(moments={**one.moments, "fallbacks": never}),)))
    assert metric(card, "fallbacks").guarded.within.low > 0
    assert only(card).verdict.kind == "SHIP", only(card).verdict.reason


def test_what_health_says_of_arms_is_in_the_order_of_the_plan_however_an_engine_gave_them():
    found = facts()
    (one,) = found.phases

    def turned(by_arm):
        return dict(reversed(by_arm.items()))

    health = {name: turned(of) if isinstance(of, dict) else of for name, of in found.health._asdict().items()}
    other = found._replace(health=type(found.health)(**health), phases=(one._replace(labels=turned(one.labels)),))
    assert scorecard(other).findings == scorecard(found).findings


def test_models_and_drift_are_shown_and_decide_nothing():
    models, drift = models_and_drift()
    bare, full = scorecard(facts()), scorecard(facts(models=models, drift=drift))
    assert [(card.name, card.is_shadow) for card in full.models] == [
        ("champion", False),
        ("challenger", False),
        ("watched at aside", True),
        ("next at aside", True),
    ]
    control, treatment, shadow, other = full.models
    assert control.differences == {}
    assert {"accuracy", "recall_1"} <= treatment.differences.keys() <= treatment.measures.keys()
    assert shadow.paired.p_value < 0.05
    assert (shadow.effect, other.effect is not None) == (None, True)
    assert [any(one.drifted for one in card.measures) for card in full.drift] == [True, False]
    assert full.treatments == bare.treatments or only(full).verdict == only(bare).verdict


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"units": {}}, "has no sample of its control"),
        ({"units": {"champion": 100}}, "no sample of 'challenger'"),
    ],
)
def test_a_plan_without_its_sample_is_no_experiment(change, said):
    with pytest.raises(ExperimentError, match=said):
        scorecard(facts(plan=parse_plan({**DOCUMENT, **change}, "here")))


def test_without_a_treatment_there_is_nothing_to_compare():
    found = facts()
    (one,) = found.phases
    with pytest.raises(ExperimentError, match="nothing is to be compared"):
        scorecard(found._replace(phases=(one._replace(weights={"champion": 1.0, "challenger": 0.0}),)))


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32), st.floats(-0.3, 0.3), st.floats(0, 60))
def test_facts_that_were_kept_give_the_same_scorecard(seed, effect, days):
    models, drift = models_and_drift(seed)
    found = facts(seed, effect, days, models=models, drift=drift)
    again = parse_facts(json.loads(json.dumps(facts_document(found))), "here")
    assert facts_document(again) == facts_document(found)
    assert [one.verdict for one in scorecard(again).treatments] == [one.verdict for one in scorecard(found).treatments]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (["format"], 2),
        (["days"], "many"),
        (["phases", 0, "units", "champion"], -1),
        (["phases", 0, "units", "champion"], 1.5),
        (["phases", 0, "labels", "champion", "m2"], [[1.0]]),
        (["phases", 0, "labels", "champion", "mean"], [float("inf"), 0.0]),
        (["phases", 0, "labels", "champion", "m2", 0, 0], -1.0),
        (["plan", "alpha"], 2),
        (["health"], {}),
        (["drift"], 7),
    ],
)
def test_facts_that_cannot_be_are_refused(path, value):
    document = json.loads(json.dumps(facts_document(facts())))
    table = document
    for name in path[:-1]:
        table = table[name]
    table[path[-1]] = value
    with pytest.raises(ExperimentError, match=r"^kept\.json: "):
        parse_facts(document, "kept.json")


@pytest.mark.parametrize("document", [None, [], "x", {}])
def test_what_is_no_record_of_facts_is_refused(document):
    with pytest.raises(ExperimentError, match="facts of format"):
        parse_facts(document, "kept.json")
