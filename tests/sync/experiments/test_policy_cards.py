"""Other splits from the facts of an experiment: the estimates are those of the rows, and intervals hold the truth."""

from __future__ import annotations

import numpy as np
import pytest

from edgerun_bundles.experiment.plan import parse_plan
from edgerun_sync.errors import ExperimentError
from edgerun_sync.experiments.moments import moments_of
from edgerun_sync.experiments.off_policy import off_policy, policy_moments
from edgerun_sync.experiments.policy_cards import policy_cards
from edgerun_sync.report.policy_text import policy_document, policy_text
from support.scored import ARMS, DOCUMENT, facts

PLAN = parse_plan(
    {**DOCUMENT, "guardrails": {"slow": {"relative_margin": 0.2}, "paid": {"margin": 1.0}}}
    | {
        "metrics": {
            **{name: DOCUMENT["metrics"][name] for name in ("accuracy", "kept", "slow")},
            "paid": {"kind": "outcome_mean", "direction": "up", "outcome": "paid", "deviation": 1.0},
        }
    },
    "here",
)


class Phase:
    """Units of one phase, drawn by weights: rows, and the facts that the tables would say of them."""

    def __init__(self, rng, name, weights, units):
        shares = np.array(weights) / sum(weights)
        self.arm = rng.choice(2, units, p=shares)
        self.share = shares[self.arm]
        self.calls = rng.integers(1, 20, units)
        self.right = rng.binomial(self.calls, 0.6 + 0.2 * self.arm)
        self.paid = rng.normal(3 + self.arm, 1, units)
        self.kept = rng.random(units) < 0.3
        one = facts(phases=None, plan=PLAN).phases[0]
        columns = {
            "accuracy": {"accuracy.above": self.right, "accuracy.below": self.calls},
            "paid": {"paid": self.paid},
            "kept": {"kept": self.kept},
        }
        moments = {
            metric: {
                arm: moments_of({key: value[self.arm == number] for key, value in held.items()})
                for number, arm in enumerate(ARMS)
                if (self.arm == number).any()
            }
            for metric, held in columns.items()
        }
        units_ = {arm: int((self.arm == number).sum()) for number, arm in enumerate(ARMS)}
        self.facts = one._replace(
            name=name, weights=dict(zip(ARMS, weights, strict=True)), units=units_, moments=moments
        )


def made(seed=3, *weights, units=400):
    rng = np.random.default_rng(seed)
    phases = [Phase(rng, f"1.{number}", one, units) for number, one in enumerate(weights)]
    return phases, facts(plan=PLAN, phases=[phase.facts for phase in phases])


def card(found, name, weights):
    return next(one for one in policy_cards(found, weights) if one.name == name)


PROPOSED = {"champion": 1, "challenger": 3}


def test_the_estimate_of_calls_is_that_of_the_rows():
    phases, found = made(3, (9, 1), (1, 1))
    shares = np.array([0.25, 0.75])
    weights = np.concatenate([np.repeat(shares[phase.arm] / phase.share, phase.calls) for phase in phases])
    counts = [pair for phase in phases for pair in zip(phase.calls, phase.right, strict=True)]
    outcomes = np.concatenate([[1] * right + [0] * (calls - right) for calls, right in counts])
    units = np.repeat(np.arange(800), np.concatenate([phase.calls for phase in phases]))
    rows = off_policy(policy_moments(weights, outcomes, units))
    ours = card(found, "accuracy", PROPOSED)
    assert tuple(ours.proposed.outcome) == pytest.approx(tuple(rows.outcome))
    per_unit = np.concatenate([shares[phase.arm] / phase.share for phase in phases])
    assert ours.proposed.effective_calls == pytest.approx(per_unit.sum() ** 2 / (per_unit**2).sum())
    assert ours.proposed.mean_weight == pytest.approx(per_unit.mean())
    assert ours.proposed.calls == 800


@pytest.mark.parametrize("name", ["paid", "kept"])
def test_the_estimate_of_units_is_that_of_the_rows(name):
    (phase,), found = made(4, (3, 1))
    weights = np.array([0.25, 0.75])[phase.arm] / phase.share
    rows = off_policy(policy_moments(weights, getattr(phase, name), np.arange(400)))
    ours = card(found, name, PROPOSED)
    assert tuple(ours.proposed.outcome) == pytest.approx(tuple(rows.outcome))
    assert ours.proposed.effective_calls == pytest.approx(rows.effective_calls)
    assert ours.logged.outcome.value == pytest.approx(getattr(phase, name).mean())


def test_its_interval_holds_what_the_split_would_have_brought():
    held = 0
    for seed in range(200):
        _, found = made(seed, (9, 1), (2, 1), units=300)
        outcome = card(found, "paid", PROPOSED).proposed.outcome
        held += outcome.low <= 3.75 <= outcome.high
    print(f"seeds 0 to 199: {held} of 200 95 % intervals hold the truth")
    assert 180 <= held <= 199


def test_phases_in_which_an_arm_had_no_share_are_left_out_and_said():
    _, found = made(5, (1, 0), (1, 1))
    ours = card(found, "paid", PROPOSED)
    assert [(one.phase, one.units) for one in ours.left_out] == [("1.0", 400)]
    assert ours.proposed.calls == 400
    said = policy_text(found, PROPOSED, policy_cards(found, PROPOSED))
    assert "1.0 is left out (400 units)" in said
    assert "slow cannot be told: quantiles" in said
    document = policy_document(found, PROPOSED, policy_cards(found, PROPOSED))
    assert document["metrics"][0]["proposed"]["units"] == 400


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"champion": -1, "challenger": 2}, "at least 0"),
        ({"champion": 0}, "not all 0"),
        ({"champion": float("nan")}, "at least 0"),
        ({"ghost": 1}, "no arm 'ghost'"),
        ({"challenger": 1}, "had none; serve it a few first"),
    ],
)
def test_a_split_of_which_nothing_can_be_known_is_refused(weights, message):
    _, found = made(5, (1, 0))
    with pytest.raises(ExperimentError, match=message):
        policy_cards(found, weights)
