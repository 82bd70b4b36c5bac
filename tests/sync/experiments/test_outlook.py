"""What a plan takes: the sample of the metric that needs the most, in the levels and shares of the experiment."""

from __future__ import annotations

import math

import pytest
from statsmodels.stats.power import NormalIndPower, TTestIndPower

from edgerun_bundles.experiment.plan import parse_plan
from edgerun_sync.errors import ExperimentError
from edgerun_sync.experiments.outlook import outlook
from edgerun_sync.experiments.planning import Traffic
from edgerun_sync.report.plan_text import outlook_document, outlook_text
from support.scored import DOCUMENT

HALVES = {"champion": 0.5, "challenger": 0.5}
TRAFFIC = Traffic(0, 1000)


def planned(**change):
    return parse_plan({**DOCUMENT, "analysis": "fixed", "guardrails": {}, "success": [], **change}, "here")


def alone(name="accuracy", **fields):
    """A plan of one metric."""
    return planned(primary=name, metrics={name: {**DOCUMENT["metrics"][name], **fields}})


def test_a_fixed_plan_of_one_metric_is_the_t_test_of_statsmodels():
    found = outlook(alone(), HALVES, TRAFFIC)
    theirs = TTestIndPower().solve_power(0.02 / 0.1, alpha=0.05, power=0.8)
    assert found.sample.units == {arm: math.ceil(theirs) for arm in HALVES}
    assert found.inflation == found.design_effect == 1


def test_unequal_shares_take_more_units_in_all():
    shares = {"champion": 0.9, "challenger": 0.1}
    found = outlook(alone(), shares, TRAFFIC)
    theirs = NormalIndPower().solve_power(0.2, alpha=0.05, power=0.8, ratio=9)
    assert found.sample.units["challenger"] == pytest.approx(theirs, rel=0.02)
    assert found.sample.units["champion"] == pytest.approx(9 * theirs, rel=0.02)


def test_guardrails_and_further_metrics_take_their_part():
    bare = outlook(alone(), HALVES, TRAFFIC)
    metrics = {name: DOCUMENT["metrics"][name] for name in ("accuracy", "fallbacks")}
    guarded = outlook(planned(metrics=metrics, guardrails={"fallbacks": {"margin": 0.02}}), HALVES, TRAFFIC)
    both = {name: DOCUMENT["metrics"][name] for name in ("accuracy", "kept")}
    further = outlook(planned(metrics=both, success=["kept"]), HALVES, TRAFFIC)
    assert guarded.levels.power == pytest.approx(0.9)
    assert further.levels.success == pytest.approx(0.025)
    assert guarded.needs["accuracy"] > bare.needs["accuracy"] < further.needs["accuracy"]


def test_the_metric_that_needs_the_most_decides():
    metrics = {name: DOCUMENT["metrics"][name] for name in ("accuracy", "fallbacks")}
    found = outlook(planned(metrics=metrics, guardrails={"fallbacks": {"margin": 0.0005}}), HALVES, TRAFFIC)
    assert found.sample.binding == "fallbacks"
    assert sum(found.sample.units.values()) >= found.needs["fallbacks"] > found.needs["accuracy"]


def test_devices_whose_units_are_alike_take_more_of_them():
    bare, clustered = (
        outlook(planned(metrics={"accuracy": DOCUMENT["metrics"]["accuracy"]}, traffic=traffic), HALVES, TRAFFIC)
        for traffic in ({}, {"icc": 0.1, "units_per_device": 11})
    )
    assert clustered.design_effect == pytest.approx(2)
    assert sum(clustered.sample.units.values()) == pytest.approx(2 * sum(bare.sample.units.values()), rel=0.01)
    assert dict(clustered.curve) == pytest.approx(dict(bare.curve), abs=0.01)


def test_the_power_at_the_minimum_effect_is_the_planned_one():
    for analysis in ("fixed", "sequential"):
        plan = alone()._replace(analysis=analysis)
        curve = dict(outlook(plan, HALVES, TRAFFIC).curve)
        power = next(power for effect, power in curve.items() if effect == pytest.approx(0.02))
        assert power == pytest.approx(0.8, abs=0.01)
        assert [*curve.values()] == sorted(curve.values())


def test_a_conversion_is_planned_from_the_share_that_converts():
    found = outlook(alone("kept"), HALVES, TRAFFIC)
    assert found.sample.units["champion"] == 6510  # R 4.3: power.prop.test(p1 = .2, p2 = .22, power = .8), rounded up


def test_days_follow_the_traffic():
    plan = alone()
    total = sum(outlook(plan, HALVES, TRAFFIC).sample.units.values())
    assert outlook(plan, HALVES, Traffic(0, total / 9.5)).days == 10
    assert outlook(plan, HALVES, Traffic(total, 0)).days == plan.minimum_days
    assert outlook(plan, HALVES, Traffic(1, 0)).days is None


@pytest.mark.parametrize(
    ("plan", "shares", "said"),
    [
        (alone(deviation=0.0), HALVES, "deviation"),
        (planned(metrics={"accuracy": {"kind": "accuracy"}}), HALVES, "without the deviation of 'accuracy'"),
        (
            planned(primary="kept", metrics={"kept": {"kind": "conversion", "direction": "up", "outcome": "x"}}),
            HALVES,
            "without the baseline",
        ),
        (alone("kept", baseline=0.99), HALVES, "must lie between 0 and 1"),
        (alone(), {"champion": 1.0, "challenger": 0.0}, "needs a share"),
        (alone(), {"challenger": 0.5, "other": 0.5}, "needs a share"),
    ],
)
def test_what_a_plan_does_not_say_is_asked_for(plan, shares, said):
    with pytest.raises(ExperimentError, match=said):
        outlook(plan, shares, TRAFFIC)


def test_a_margin_of_nothing_cannot_be_planned():
    metrics = {name: DOCUMENT["metrics"][name] for name in ("accuracy", "fallbacks")}
    with pytest.raises(ExperimentError, match="margin of 0"):
        outlook(planned(metrics=metrics, guardrails={"fallbacks": {"margin": 0}}), HALVES, TRAFFIC)


def test_text_and_document_say_the_same():
    plan = alone()
    found = outlook(plan, HALVES, TRAFFIC)
    said, document = outlook_text(plan, found, TRAFFIC), outlook_document(plan, found, TRAFFIC)
    assert f"units = {{ champion = {document['units']['champion']}, challenger" in said
    assert f"{document['days']} days" in said
    assert said.count("#\n") + said.endswith("#") >= 5
    assert "more than the maximum" in outlook_text(plan, outlook(plan, HALVES, Traffic(0, 1)), Traffic(0, 1))
