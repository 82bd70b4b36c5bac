"""Drift of whole profiles: as few false alarms as promised over all columns, and nothing left out in silence."""

from __future__ import annotations

import numpy as np
import pytest

from edgerun_sync.errors import ExperimentError
from edgerun_sync.experiments.profile_drift import profile_drift
from support.fleets import binomial_bounds
from support.profiled import of_numbers, of_texts


def rows(rng, count, shift=0.0):
    values = rng.normal(size=(count, 8)).astype(np.float32)
    values[:, 3] += shift
    return values


def test_only_the_column_that_moved_has_drifted():
    rng = np.random.default_rng(20312)
    found = profile_drift(of_numbers(rows(rng, 2000)), of_numbers(rows(rng, 1000, shift=1.0)))
    assert [(each.name, each.column) for each in found.columns if each.drifted] == [("x", 3)]
    assert len(found.columns) == 8
    assert {measure.measure for measure in found.columns[0].measures} == {"psi", "ks", "wasserstein"}
    assert found.not_compared == ()


def test_any_false_alarm_over_all_columns_is_one_in_twenty_profiles_at_most():
    seed, runs = 20313, 100
    rng = np.random.default_rng(seed)
    alarms = 0
    for _ in range(runs):
        found = profile_drift(of_numbers(rows(rng, 120)), of_numbers(rows(rng, 120)))
        alarms += any(measure.p_value < 0.05 / 24 for each in found.columns for measure in each.measures)
        assert not any(each.drifted for each in found.columns if min(m.p_value for m in each.measures) > 0.05 / 24)
    print(f"seed {seed}: {alarms} of {runs}")
    assert alarms <= binomial_bounds(runs, 0.05)[1]


def test_texts_are_compared_too():
    found = profile_drift(of_texts(["a", "b"] * 200), of_texts(["a", "a", "a", "b"] * 100))
    assert [measure.measure for measure in found.columns[0].measures] == ["psi"]
    assert found.columns[0].drifted


def test_what_only_one_profile_has_or_what_changed_its_kind_or_is_empty_is_named():
    numbers, texts = of_numbers(np.ones((5, 2), np.float32)), of_texts(["a"])
    assert profile_drift(numbers, texts).not_compared == ("x",)
    assert profile_drift(numbers, numbers._replace(ports=())).not_compared == ("x",)
    assert profile_drift(numbers, of_numbers(np.ones((5, 3), np.float32))).not_compared == ("x",)
    assert profile_drift(numbers, of_numbers(np.ones((0, 2), np.float32))).not_compared == ("x",)


def test_a_column_that_is_all_missing_has_drifted():
    before, after = np.ones((2, 500, 2), np.float32)
    after[:, 1] = np.nan
    found = profile_drift(of_numbers(before), of_numbers(after))
    assert [each.drifted for each in found.columns] == [False, True]
    assert len(found.columns[1].measures) == 1
    assert not any(each.drifted for each in profile_drift(of_numbers(after), of_numbers(after)).columns)


@pytest.mark.parametrize("alpha", [0, 1])
def test_an_alpha_that_is_no_chance_is_refused(alpha):
    profile = of_numbers(np.ones((5, 2), np.float32))
    with pytest.raises(ExperimentError, match="alpha"):
        profile_drift(profile, profile, alpha=alpha)
