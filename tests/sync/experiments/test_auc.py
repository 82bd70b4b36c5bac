"""Areas under ROC curves: pROC's published numbers, sklearn, brute force over pairs, and calibration over fleets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from edgerun_sync.errors import ExperimentError
from edgerun_sync.experiments.auc import (
    auc_influence,
    auc_of_bins,
    auc_of_influence,
    auc_of_scores,
    clustered_auc,
    compare_aucs,
    compare_paired_bins,
    compare_paired_scores,
)
from edgerun_sync.experiments.interval_estimates import difference
from edgerun_sync.experiments.moments import moments_of
from support.fleets import CALLS, UNITS, binomial_bounds

POOR, S100B, WFNS, NDKA = np.loadtxt(
    Path(__file__).parents[2] / "vectors" / "experiments" / "asah.tsv", skiprows=1, unpack=True
)
"""See tests/vectors/experiments/README.md."""

SCORES = st.lists(st.integers(0, 6), min_size=2, max_size=25)


def sides(scores):
    return scores[POOR == 1], scores[POOR == 0]


def bins(scores):
    """Counts of the positives and of the negatives by distinct score."""
    places = np.unique(scores, return_inverse=True)[1]
    return tuple(np.bincount(places[poor == POOR], minlength=places.max() + 1) for poor in (1, 0))


def in_full(positive, negative):
    """DeLong's placements by comparing every pair."""
    wins = np.sign(np.subtract.outer(np.asarray(positive, float), np.asarray(negative, float))) / 2 + 0.5
    return wins.mean(), wins.mean(axis=1), wins.mean(axis=0)


# Published.


@pytest.mark.parametrize(
    ("treatment", "control", "statistic", "p_value"),
    [
        (WFNS, S100B, 2.20898359144091, 0.0271757822291882),
        (WFNS, NDKA, 2.79777591868904, 0.00514557970691098),
        (NDKA, S100B, -1.39077002573558, 0.164295175223054),
    ],
)
def test_the_paired_test_is_that_of_proc(treatment, control, statistic, p_value):
    # pROC, tests/testthat/test-roc.test.R, "statistic and p are as expected with defaults".
    found = compare_paired_scores(sides(control), sides(treatment))
    assert found.statistic == pytest.approx(statistic, rel=1e-12)
    assert found.p_value == pytest.approx(p_value, rel=1e-12)


def test_the_interval_of_the_paired_difference_is_that_of_proc():
    # As above: t1$conf.int.
    found = compare_paired_scores(sides(S100B), sides(WFNS))
    assert (found.low, found.high) == pytest.approx((0.0104061769564846, 0.174214419249478), rel=1e-12)


@pytest.mark.parametrize(
    ("treatment", "control", "statistic", "p_value"),
    [
        (WFNS, S100B, 1.43490640926908, 0.152825378808796),
        (WFNS, NDKA, 3.10125096778969, 0.00220950791756457),
        (NDKA, S100B, -1.55995743389685, 0.120192832430845),
    ],
)
def test_the_unpaired_test_is_that_of_proc(treatment, control, statistic, p_value):
    # pROC, tests/testthat/test-roc.test.R, "unpaired roc.test statistic and p are as expected".
    found = compare_aucs(auc_of_scores(*sides(control)), auc_of_scores(*sides(treatment)))
    assert found.statistic == pytest.approx(statistic, rel=1e-12)
    assert found.p_value == pytest.approx(p_value, rel=1e-11)


# From bins.


@pytest.mark.parametrize("scores", [S100B, WFNS, NDKA], ids=["s100b", "wfns", "ndka"])
def test_counts_by_distinct_score_give_what_the_scores_give(scores):
    assert auc_of_bins(*bins(scores)) == pytest.approx(auc_of_scores(*sides(scores)), rel=1e-12)


def test_counts_by_pairs_of_scores_give_the_paired_test():
    table = np.zeros((2, len(np.unique(S100B)), len(np.unique(WFNS))))
    places = [np.unique(scores, return_inverse=True)[1] for scores in (S100B, WFNS)]
    np.add.at(table, (POOR.astype(int), *places), 1)
    found = compare_paired_bins(table[1], table[0])
    assert found == pytest.approx(compare_paired_scores(sides(S100B), sides(WFNS)), rel=1e-11)


def test_a_hundred_bins_lose_next_to_nothing():
    rng = np.random.default_rng(20263)
    above, below = rng.beta(3, 2, 5000), rng.beta(2, 3, 5000)
    edges = np.linspace(0, 1, 101)
    coarse = auc_of_bins(np.histogram(above, edges)[0], np.histogram(below, edges)[0])
    exact = auc_of_scores(above, below)
    assert coarse.value == pytest.approx(exact.value, abs=2e-4)
    assert coarse.variance == pytest.approx(exact.variance, rel=5e-3)


# Oracles.


@given(SCORES, SCORES)
def test_the_area_is_sklearns(positive, negative):
    labels = [1] * len(positive) + [0] * len(negative)
    assert auc_of_scores(positive, negative).value == pytest.approx(roc_auc_score(labels, positive + negative))


@given(SCORES, SCORES)
def test_the_variance_is_that_of_every_pair_compared(positive, negative):
    area, above, below = in_full(positive, negative)
    expected = above.var(ddof=1) / len(above) + below.var(ddof=1) / len(below)
    found = auc_of_scores(positive, negative)
    assert found.value == pytest.approx(area)
    assert found.variance == pytest.approx(expected, abs=1e-15)


@given(SCORES, SCORES)
def test_turning_the_scores_round_turns_the_area_round(positive, negative):
    found = auc_of_scores(positive, negative)
    turned = auc_of_scores([-x for x in positive], [-x for x in negative])
    assert turned.value == pytest.approx(1 - found.value)
    assert turned.variance == pytest.approx(found.variance, abs=1e-15)


@given(SCORES, SCORES)
def test_any_rising_function_of_the_scores_changes_nothing(positive, negative):
    found = auc_of_scores(positive, negative)
    risen = auc_of_scores(np.exp(positive), np.exp(negative))
    assert risen == pytest.approx(found, nan_ok=True)


# Units as clusters.


def test_units_of_one_call_give_delongs_variance_but_for_the_factors_of_small_samples():
    positive, negative = bins(WFNS)
    rows = [np.eye(len(positive))[np.repeat(np.arange(len(positive)), counts)] for counts in (positive, negative)]
    above = np.concatenate([rows[0], np.zeros_like(rows[1])])
    below = np.concatenate([np.zeros_like(rows[0]), rows[1]])
    found, expected = clustered_auc(above, below), auc_of_bins(positive, negative)
    assert found.value == pytest.approx(expected.value)
    assert found.standard_error**2 == pytest.approx(expected.variance, rel=0.03)


def test_influence_summed_by_a_query_gives_the_clustered_area():
    rng = np.random.default_rng(20264)
    above, below = rng.poisson(1.0, (2, 30, 5))
    found = auc_influence(above.sum(axis=0), below.sum(axis=0))
    summed = moments_of({"influence": above @ found.positive + below @ found.negative})
    assert summed.mean[0] == pytest.approx(0, abs=1e-15)
    assert auc_of_influence(found.value, summed) == clustered_auc(above, below)


def test_a_thousand_copies_of_a_call_are_no_evidence():
    rng = np.random.default_rng(20265)
    above, below = rng.multinomial(1, [0.3, 0.4, 0.3], (2, 50))
    once, often = clustered_auc(above, below), clustered_auc(1000 * above, 1000 * below)
    assert often.standard_error == pytest.approx(once.standard_error)
    assert auc_of_bins(*(1000 * x.sum(axis=0) for x in (above, below))).variance < once.standard_error**2 / 500


def scored(rng, fleets, gain=1.0):
    """Counts [fleets, 2, units, bins]: scores of the calls of a device share half of what moves them."""
    labels = rng.random((fleets, UNITS, CALLS)) < 0.4
    device = rng.normal(size=(fleets, UNITS, 1))
    scores = gain * labels + np.sqrt(0.5) * (device + rng.normal(size=labels.shape))
    places = np.clip(((scores + 3) * 3).astype(int), 0, 20)
    counts = np.zeros((fleets, 2, UNITS, 21))
    np.add.at(counts, (np.arange(fleets)[:, None, None], 1 - labels, np.arange(UNITS)[:, None], places), 1)
    return counts


def test_arms_that_are_alike_differ_in_one_of_twenty_fleets():
    seed, runs = 20266, 600
    rng = np.random.default_rng(seed)
    alarms = naive = 0
    for control, treatment in zip(scored(rng, runs), scored(rng, runs), strict=True):
        alarms += difference(clustered_auc(*control), clustered_auc(*treatment), 0.05).p_value < 0.05
        naive += compare_aucs(*(auc_of_bins(*arm.sum(axis=1)) for arm in (control, treatment))).p_value < 0.05
    low, high = binomial_bounds(runs, 0.05)
    print(f"seed {seed}: of {runs}, clustered {alarms}, DeLong {naive}")
    assert low <= alarms <= high


def test_two_models_that_are_alike_on_the_same_calls_differ_in_one_of_twenty_fleets():
    seed, runs = 20317, 600
    rng = np.random.default_rng(seed)
    alarms = 0
    for _ in range(runs):
        labels = rng.random((UNITS, CALLS)) < 0.4
        seen = labels + rng.normal(size=labels.shape)
        models = []
        for _ in range(2):  # each model has its own way with each device
            way = rng.normal(size=(UNITS, 1)) * np.where(labels, 1, -1)
            places = np.clip(((seen + way + 3) * 3).astype(int), 0, 20)
            counts = np.zeros((2, UNITS, 21))
            np.add.at(counts, (1 - labels, np.arange(UNITS)[:, None], places), 1)
            models.append((counts, auc_influence(*counts.sum(axis=1))))
        added = [counts[0] @ found.positive + counts[1] @ found.negative for counts, found in models]
        moments = moments_of({"influence": added[1] - added[0]})
        found = auc_of_influence(models[1][1].value - models[0][1].value, moments)
        alarms += not found.low <= 0 <= found.high
    print(f"seed {seed}: {alarms} of {runs}")
    low, high = binomial_bounds(runs, 0.05)
    assert low <= alarms <= high


def test_the_interval_of_the_clustered_area_holds_the_true_one_in_19_of_20_fleets():
    seed, runs = 20267, 600
    rng = np.random.default_rng(seed)
    truth = auc_of_bins(*scored(rng, 400).sum(axis=(0, 2))).value
    found = [clustered_auc(*counts) for counts in scored(rng, runs)]
    held = sum(each.low <= truth <= each.high for each in found)
    print(f"seed {seed}: {held} of {runs} hold {truth:.4f}")
    low, high = binomial_bounds(runs, 0.95)
    assert low <= held <= high


def independent_calls(rng, shared):
    """Rounded scores [label, model, calls] of two models that are alike, and share a part of what they see."""
    seen, noise = rng.normal(size=(2, 1, 150)), rng.normal(size=(2, 2, 150))
    return (shared * seen + noise + np.array([1.0, 0.0])[:, None, None]).round(1)


def test_delongs_paired_test_of_independent_calls_alarms_in_one_of_twenty():
    seed, runs = 20268, 1000
    rng = np.random.default_rng(seed)
    alarms = 0
    for _ in range(runs):
        above, below = independent_calls(rng, 1.0)
        alarms += compare_paired_scores((above[0], below[0]), (above[1], below[1])).p_value < 0.05
    print(f"seed {seed}: {alarms} of {runs}")
    low, high = binomial_bounds(runs, 0.05)
    assert low <= alarms <= high


def test_delongs_unpaired_test_of_independent_calls_alarms_in_one_of_twenty():
    seed, runs = 20269, 1000
    rng = np.random.default_rng(seed)
    alarms = 0
    for _ in range(runs):
        above, below = independent_calls(rng, 0.0)
        alarms += compare_aucs(auc_of_scores(above[0], below[0]), auc_of_scores(above[1], below[1])).p_value < 0.05
    print(f"seed {seed}: {alarms} of {runs}")
    low, high = binomial_bounds(runs, 0.05)
    assert low <= alarms <= high


# What cannot be told.


def test_scores_that_separate_wholly_have_an_area_and_no_interval():
    found = auc_of_scores([3, 4], [1, 2])
    assert found.value == 1
    assert found.variance == 0
    assert np.isnan(found.low)
    assert np.isnan(compare_aucs(found, found).p_value)


def test_models_that_agree_on_every_call_have_no_p_value():
    assert np.isnan(compare_paired_scores(sides(WFNS), sides(WFNS)).p_value)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: auc_of_scores([1], [1, 2]), "two scores of each label"),
        (lambda: auc_of_scores([[1, 2]], [1, 2]), "two scores of each label"),
        (lambda: auc_of_scores([1, np.nan], [1, 2]), "NaN or infinite"),
        (lambda: auc_of_bins([1, 0], [2, 3]), "two calls of each label"),
        (lambda: auc_of_bins([3, -1], [2, 3]), "at least 0"),
        (lambda: auc_of_bins([3, 1], [2, 3, 4]), "same score bins"),
        (lambda: compare_paired_scores(([1, 2], [1, 2]), ([1, 2], [1, 2, 3])), "the same calls, not 2 and 3"),
        (lambda: compare_paired_bins(np.ones((2, 2)), np.ones((2, 3))), "same pairs of bins"),
        (lambda: clustered_auc(np.ones((2, 2)), np.ones((3, 2))), "same units and bins"),
        (lambda: auc_of_scores([1, 2], [1, 2], alpha=0), "alpha"),
        (lambda: auc_of_scores([1, 2], [1, 2], alpha=1), "alpha"),
    ],
)
def test_what_is_no_scores_is_refused(call, says):
    with pytest.raises(ExperimentError, match=says):
        call()
