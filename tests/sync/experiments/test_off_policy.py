"""Other splits from logged ones: exact shares, on-policy truth, effective calls, and what nobody can know."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgerun_sync.errors import ExperimentError
from edgerun_sync.experiments.interval_estimates import ratio
from edgerun_sync.experiments.moments import moments_of
from edgerun_sync.experiments.off_policy import off_policy, policy_moments, policy_weights, weights_of
from support.fleets import CALLS, UNITS, binomial_bounds, chances

ARMS = ("a", "b", "c")
LOGGED = {"a": 0.7, "b": 0.2, "c": 0.1}
PROPOSED = {"a": 0.2, "b": 0.5, "c": 0.3}
OUTCOMES = {"a": 0.5, "b": 0.6, "c": 0.4}


def fleet(rng):
    """Arms, outcomes and units of all calls; a device keeps its arm, and its calls hang together."""
    arm = np.repeat(rng.choice(3, UNITS, p=list(LOGGED.values())), CALLS)
    device = np.arange(UNITS).repeat(CALLS)
    mean = np.array([OUTCOMES[ARMS[place]] for place in arm[::CALLS]])
    chance = np.array([chances(rng, each, ()) for each in mean]).repeat(CALLS)
    return arm, rng.random(len(arm)) < chance, device


def weigh(arm):
    weights = policy_weights(LOGGED, PROPOSED)
    return np.array([weights[name] for name in ARMS])[arm]


def test_the_weight_of_an_arm_is_how_much_more_often_it_would_be_chosen():
    assert policy_weights(LOGGED, PROPOSED) == pytest.approx({"a": 2 / 7, "b": 2.5, "c": 3})
    assert policy_weights(LOGGED, {"b": 1}) == pytest.approx({"a": 0, "b": 5, "c": 0})


def test_weights_of_calls_are_the_chances_divided():
    assert weights_of([0.5, 0.25], [1.0, 0.0]) == pytest.approx([2.0, 0.0])


def test_the_split_in_force_gives_the_plain_mean_and_as_many_calls_as_there_are():
    arm, outcome, device = fleet(np.random.default_rng(20282))
    found = off_policy(policy_moments(np.ones(len(arm)), outcome, device))
    sums = moments_of({"right": np.bincount(device, outcome), "calls": np.bincount(device)})
    assert found.outcome == pytest.approx(ratio(sums, {"right": 1}, "calls", 0.05))
    assert found.effective_calls == found.calls == UNITS * CALLS
    assert found.mean_weight == 1


def test_a_split_of_one_arm_gives_that_arms_mean():
    arm, outcome, device = fleet(np.random.default_rng(20283))
    weights = policy_weights(LOGGED, {"b": 1})
    found = off_policy(policy_moments(np.array([weights[name] for name in ARMS])[arm], outcome, device))
    assert found.outcome.value == pytest.approx(outcome[arm == 1].mean())
    assert found.effective_calls == pytest.approx((arm == 1).sum())


@given(st.integers(0, 2**32 - 1), st.floats(0.01, 100))
def test_weights_count_only_beside_each_other(seed, factor):
    rng = np.random.default_rng(seed)
    weight, outcome, unit = rng.random(50), rng.random(50), rng.integers(0, 9, 50)
    found, scaled = (off_policy(policy_moments(weight * by, outcome, unit)) for by in (1, factor))
    assert scaled.outcome == pytest.approx(found.outcome, rel=1e-6)
    assert scaled.effective_calls == pytest.approx(found.effective_calls)
    assert found.effective_calls == pytest.approx(weight.sum() ** 2 / (weight**2).sum())
    assert found.effective_calls <= 50 * (1 + 1e-12)


def test_the_interval_holds_the_outcome_of_the_new_split_in_19_of_20_fleets():
    seed, runs = 20284, 1000
    rng = np.random.default_rng(seed)
    truth = sum(PROPOSED[arm] * OUTCOMES[arm] for arm in ARMS)
    held, weights = 0, []
    for _ in range(runs):
        arm, outcome, device = fleet(rng)
        found = off_policy(policy_moments(weigh(arm), outcome, device))
        held += found.outcome.low <= truth <= found.outcome.high
        weights.append(found.mean_weight)
    print(f"seed {seed}: {held} of {runs} hold {truth:.3f}; mean weight {np.mean(weights):.4f}")
    low, high = binomial_bounds(runs, 0.95)
    assert low <= held <= high
    assert np.mean(weights) == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: policy_weights({"a": 1.0}, {"a": 0.5, "d": 0.5}), "'d', which had none"),
        (lambda: policy_weights({"a": 1.0, "b": 0.0}, {"a": 0.5, "b": 0.5}), "'b', which had none"),
        (lambda: policy_weights({"a": 0.9}, {"a": 1.0}), "logged split's shares"),
        (lambda: policy_weights({"a": 1.0}, {"a": 1.5, "b": -0.5}), "proposed split's shares"),
        (lambda: weights_of([0.5], [0.5, 0.5]), "calls"),
        (lambda: weights_of([0.0], [0.5]), "above 0"),
        (lambda: weights_of([0.5], [1.1]), "from 0 to 1"),
        (lambda: policy_moments([1.0], [1.0, 0.0], [1]), "calls"),
        (lambda: off_policy(policy_moments([0.0, 0.0], [1.0, 0.0], [1, 2])), "none of the logged arms"),
        (lambda: off_policy(policy_moments([1.0, 1.0], [1.0, 0.0], [1, 1])), "two units"),
    ],
)
def test_what_nobody_can_know_is_refused(call, says):
    with pytest.raises(ExperimentError, match=says):
        call()
