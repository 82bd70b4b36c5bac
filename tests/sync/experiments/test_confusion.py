"""Confusion matrices and their measures: sklearn's values, jackknifed variances, and calibration over fleets."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from sklearn.metrics import accuracy_score, precision_recall_fscore_support
from sklearn.metrics import confusion_matrix as peer_matrix

from edgerun_sync.errors import ExperimentError
from edgerun_sync.experiments.confusion import (
    cell_moments,
    cell_names,
    compare_confusion,
    compare_measures,
    compare_paired_measures,
    confusion_matrix,
    margin_names,
    margins_of,
    measures,
    paired_names,
)
from edgerun_sync.experiments.moments import merge, moments_of
from support.fleets import CALLS, UNITS, binomial_bounds, chances

CLASSES = ("cat", "dog", "fox")
CELLS = arrays.arrays(np.int64, st.tuples(st.integers(2, 6), st.just(3), st.just(3)), elements=st.integers(0, 4))


def as_calls(cells):
    """True and predicted classes of every call."""
    truth, predicted = np.indices(cells.shape[1:])
    times = cells.sum(axis=0).ravel()
    return np.repeat(truth.ravel(), times), np.repeat(predicted.ravel(), times)


def of(cells):
    return measures(margins_of(cell_moments(CLASSES, cells), CLASSES), CLASSES)


# Values.


@given(CELLS.filter(lambda cells: cells.sum() > 0))
def test_the_measures_are_sklearns(cells):
    truth, predicted = as_calls(cells)
    found = of(cells)
    each = precision_recall_fscore_support(truth, predicted, labels=[0, 1, 2], zero_division=np.nan)
    expected = [accuracy_score(truth, predicted)]
    with np.errstate(invalid="ignore"):
        expected += [np.mean(rows[~np.isnan(rows)]) for rows in each[:3]]
    expected += [value for rows in each[:3] for value in rows]
    assert found.value == pytest.approx(expected, nan_ok=True)


@given(CELLS.filter(lambda cells: cells.sum() > 0))
def test_the_matrix_is_sklearns(cells):
    found = confusion_matrix(cell_moments(CLASSES, cells), CLASSES)
    assert found.calls == pytest.approx(peer_matrix(*as_calls(cells), labels=[0, 1, 2]))
    assert found.share.sum() == pytest.approx(1)
    assert found.classes == CLASSES


@given(CELLS.filter(lambda cells: cells.sum() > 0))
def test_margins_summed_by_a_query_are_those_of_the_cells(cells):
    columns = [np.einsum("uii->ui", cells), cells.sum(axis=2), cells.sum(axis=1)]
    summed = moments_of(dict(zip(margin_names(CLASSES), np.concatenate(columns, axis=1).T, strict=True)))
    found = margins_of(cell_moments(CLASSES, cells), CLASSES)
    assert found.names == summed.names
    assert found.mean == pytest.approx(summed.mean)
    assert found.m2 == pytest.approx(summed.m2, abs=1e-9)


def test_a_class_that_is_never_predicted_has_a_recall_and_no_precision():
    found = of(np.array([[[5, 0, 0], [2, 0, 0], [0, 0, 0]], [[3, 0, 0], [1, 0, 0], [0, 0, 0]]]))
    assert found.estimate_of("recall_dog").value == 0
    assert np.isnan(found.estimate_of("precision_dog").value)
    assert np.isnan(found.estimate_of("precision_dog").low)
    assert found.estimate_of("macro_precision").value == pytest.approx(8 / 11)
    assert found.estimate_of("macro_recall").value == pytest.approx(1 / 2)


def test_an_arm_without_a_label_has_no_measure():
    found = of(np.zeros((3, 3, 3)))
    assert np.isnan(found.value).all()
    assert np.isnan(found.covariance).all()
    margins = margins_of(cell_moments(CLASSES, np.zeros((3, 3, 3))), CLASSES)
    assert all(np.isnan(each.p_value) for each in compare_measures(margins, margins, CLASSES).values())


# Variances.


def test_the_variances_are_near_those_of_leaving_out_a_unit_at_a_time():
    rng = np.random.default_rng(20270)
    cells = rng.poisson([[8, 1, 1], [2, 6, 1], [1, 1, 5]], (150, 3, 3))
    found = of(cells)
    left_out = np.stack([of(np.delete(cells, unit, axis=0)).value for unit in range(len(cells))])
    away = left_out - left_out.mean(axis=0)
    jackknife = (len(cells) - 1) / len(cells) * away.T @ away
    assert found.covariance == pytest.approx(jackknife, rel=0.05, abs=2e-6)


def test_a_hundred_copies_of_every_call_are_no_evidence():
    cells = np.random.default_rng(20271).poisson(2.0, (40, 3, 3))
    assert of(100 * cells).covariance == pytest.approx(of(cells).covariance)


def test_days_put_together_give_the_same_measures():
    cells = np.random.default_rng(20272).poisson(2.0, (40, 3, 3))
    merged = merge([cell_moments(CLASSES, cells[:13]), cell_moments(CLASSES, cells[13:])])
    found = measures(margins_of(merged, CLASSES), CLASSES)
    assert found.value == pytest.approx(of(cells).value)
    assert found.covariance == pytest.approx(of(cells).covariance)


# Differences.


def test_macro_averages_are_compared_over_the_classes_of_both_arms():
    here = np.array([[[5, 1, 0], [1, 3, 0], [0, 0, 4]], [[4, 1, 0], [2, 3, 0], [0, 0, 2]]])
    there = here.copy()
    there[:, 2] = there[:, :, 2] = 0
    margins = [margins_of(cell_moments(CLASSES, cells), CLASSES) for cells in (here, there)]
    found = compare_measures(*margins, CLASSES)
    assert found["macro_f1"].value == pytest.approx(0)
    assert np.isnan(found["f1_fox"].value)
    assert found["accuracy"].value < 0


def test_the_difference_of_matrices_is_that_of_the_shares():
    rng = np.random.default_rng(20273)
    first, second = (cell_moments(CLASSES, rng.poisson(rate, (60, 3, 3))) for rate in (2.0, 3.0))
    found = compare_confusion(first, second, CLASSES)
    expected = confusion_matrix(second, CLASSES).share - confusion_matrix(first, CLASSES).share
    assert found.share == pytest.approx(expected)
    assert found.share.sum() == pytest.approx(0)
    assert (found.low < found.share).all()
    assert (found.share < found.high).all()


def test_two_models_on_the_same_calls_are_compared_far_more_sharply():
    rng = np.random.default_rng(20274)
    truth = rng.integers(0, 3, (UNITS, CALLS))
    first = np.where(rng.random(truth.shape) < 0.7, truth, rng.integers(0, 3, truth.shape))
    second = np.where(rng.random(truth.shape) < 0.9, first, truth)
    sides = [margin_columns(truth, predicted) for predicted in (first, second)]
    paired = moments_of(dict(zip(paired_names(CLASSES), np.concatenate(sides, axis=1).T, strict=True)))
    apart = [moments_of(dict(zip(margin_names(CLASSES), side.T, strict=True))) for side in sides]
    together, unpaired = compare_paired_measures(paired, CLASSES), compare_measures(*apart, CLASSES)
    for name, found in together.items():
        assert found.value == pytest.approx(unpaired[name].value)
        assert found.standard_error < unpaired[name].standard_error
    assert together["accuracy"].p_value < 0.001


def margin_columns(truth, predicted):
    one = np.eye(3)
    right = one[truth] * (truth == predicted)[..., None]
    return np.concatenate([x.sum(axis=1) for x in (right, one[truth], one[predicted])], axis=1)


def fleet(rng, arms):
    """Cells [arms, units, 3, 3] of models that are right with a chance of the device's own."""
    truth = rng.choice(3, (arms, UNITS, CALLS), p=[0.5, 0.3, 0.2])
    right = rng.random(truth.shape) < chances(rng, 0.8, (arms, UNITS, 1))
    predicted = np.where(right, truth, (truth + rng.integers(1, 3, truth.shape)) % 3)
    cells = np.zeros((arms, UNITS, 3, 3))
    np.add.at(cells, (np.arange(arms)[:, None, None], np.arange(UNITS)[:, None], truth, predicted), 1)
    return cells


def test_every_measure_of_arms_that_are_alike_differs_in_one_of_twenty_fleets():
    seed, runs = 20275, 800
    rng = np.random.default_rng(seed)
    alarms = dict.fromkeys(of(fleet(rng, 1)[0]).names, 0)
    for control, treatment in zip(fleet(rng, runs), fleet(rng, runs), strict=True):
        arms = [margins_of(cell_moments(CLASSES, cells), CLASSES) for cells in (control, treatment)]
        for name, found in compare_measures(*arms, CLASSES).items():
            alarms[name] += found.p_value < 0.05
    print(f"seed {seed}: of {runs}, {alarms}")
    low, high = binomial_bounds(runs, 0.05)
    assert all(low <= count <= high for count in alarms.values())


def test_every_cell_of_arms_that_are_alike_differs_in_one_of_twenty_fleets():
    seed, runs = 20315, 400
    rng = np.random.default_rng(seed)
    alarms = np.zeros((3, 3))
    for control, treatment in zip(fleet(rng, runs), fleet(rng, runs), strict=True):
        found = compare_confusion(*(cell_moments(CLASSES, cells) for cells in (control, treatment)), CLASSES)
        alarms += (found.low > 0) | (found.high < 0)
    print(f"seed {seed}: of {runs}, {alarms.astype(int).tolist()}")
    low, high = binomial_bounds(runs, 0.05)
    assert ((low <= alarms) & (alarms <= high)).all()


def test_every_measure_of_two_models_that_are_alike_on_the_same_calls_differs_in_one_of_twenty_fleets():
    seed, runs = 20316, 400
    rng = np.random.default_rng(seed)
    alarms = np.zeros(len(of(fleet(rng, 1)[0]).names))
    for _ in range(runs):
        truth = rng.choice(3, (UNITS, CALLS), p=[0.5, 0.3, 0.2])
        easy = chances(rng, 0.8, (UNITS, 1))
        sides = []
        for _ in range(2):
            right = rng.random(truth.shape) < easy * (0.5 + 0.5 * chances(rng, 0.8, (UNITS, 1)))
            sides.append(margin_columns(truth, np.where(right, truth, (truth + rng.integers(1, 3, truth.shape)) % 3)))
        paired = moments_of(dict(zip(paired_names(CLASSES), np.concatenate(sides, axis=1).T, strict=True)))
        alarms += [each.p_value < 0.05 for each in compare_paired_measures(paired, CLASSES).values()]
    print(f"seed {seed}: of {runs}, {alarms.astype(int).tolist()}")
    low, high = binomial_bounds(runs, 0.05)
    assert ((low <= alarms) & (alarms <= high)).all()


def test_every_interval_holds_the_true_measure_in_19_of_20_fleets():
    seed, runs = 20276, 800
    rng = np.random.default_rng(seed)
    expected = 0.8 * np.diag([0.5, 0.3, 0.2]) + 0.1 * np.array([0.5, 0.3, 0.2])[:, None] * (1 - np.eye(3))
    truth = of(np.stack([expected, expected])).value
    held = np.zeros(len(truth))
    for cells in fleet(rng, runs):
        found = of(cells)
        intervals = [found.estimate_of(name) for name in found.names]
        held += [each.low <= value <= each.high for each, value in zip(intervals, truth, strict=True)]
    print(f"seed {seed}: of {runs}, {dict(zip(found.names, held.tolist(), strict=True))}")
    low, high = binomial_bounds(runs, 0.95)
    assert ((low <= held) & (held <= high)).all()


# What cannot be told.


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: cell_moments(CLASSES, np.ones((4, 2, 2))), "matrices"),
        (lambda: cell_moments(("a", "a"), np.ones((4, 2, 2))), "a name each"),
        (lambda: cell_moments(("a", "b"), -np.ones((4, 2, 2))), "at least 0"),
        (lambda: of(np.ones((4, 3, 3))).estimate_of("f2"), "no measure 'f2'"),
        (lambda: of(np.ones((1, 3, 3))), "two units"),
        (lambda: confusion_matrix(cell_moments(CLASSES, np.zeros((4, 3, 3))), CLASSES), "no labelled call"),
        (lambda: margins_of(cell_moments(("a", "b"), np.ones((4, 2, 2))), CLASSES), "cell_0_2"),
    ],
)
def test_what_is_no_matrix_is_refused(call, says):
    with pytest.raises(ExperimentError, match=says):
        call()


def test_the_names_of_variables_are_the_numbers_of_the_classes():
    assert cell_names(("a", "b")) == ("cell_0_0", "cell_0_1", "cell_1_0", "cell_1_1")
    assert margin_names(("a",)) == ("right_0", "truth_0", "predicted_0")


def test_names_of_classes_may_hold_anything():
    cells = np.random.default_rng(20310).poisson(2.0, (9, 3, 3))
    odd = ("a", "a_a", "")
    found = measures(margins_of(cell_moments(odd, cells), odd), odd)
    assert found.value == pytest.approx(of(cells).value)
    assert found.names[-2:] == ("f1_a_a", "f1_")
