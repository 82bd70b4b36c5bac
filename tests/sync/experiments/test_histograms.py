"""Histograms: from values, from edges, and from what the C core's profiles hold."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgerun_sync.errors import ExperimentError
from edgerun_sync.experiments.drift import kolmogorov_smirnov, psi, psi_of_weights, wasserstein
from edgerun_sync.experiments.histograms import (
    OTHER_TEXTS,
    histogram,
    histogram_of_edges,
    histogram_of_port,
    text_weights,
)
from support.profiled import of_numbers, of_texts

ROWS = st.lists(st.tuples(st.integers(-5, 5), st.integers(0, 9)), max_size=30)


@given(ROWS)
def test_equal_values_are_put_together_and_nothing_is_lost(rows):
    values, weights = np.array(rows, float).reshape(-1, 2).T
    found = histogram(values, weights)
    assert (np.diff(found.values) > 0).all()
    assert (found.weights > 0).all()
    assert found.weights.sum() == weights.sum()
    assert found.weights @ found.values == pytest.approx(weights @ values)


def test_the_middle_stands_for_a_bin():
    found = histogram_of_edges([0, 1, 3], [5, 2], missing=4)
    assert found.values.tolist() == [0.5, 2.0]
    assert found.weights.tolist() == [5, 2]
    assert found.missing == 4


def test_a_profiles_numbers_are_all_there_to_within_a_cell():
    values = np.array([[-3.0], [0.0], [0.0], [1e-3], [7.5], [7.5], [np.nan], [np.inf]], np.float32)
    found = histogram_of_port(of_numbers(values).ports[0])
    assert found.values == pytest.approx([-3.0, 0.0, 1e-3, 7.5], rel=1 / 128)
    assert found.weights.tolist() == [1, 2, 1, 2]
    assert found.missing == 2


def test_numbers_without_room_in_the_sketch_lie_at_the_mean():
    values = 2.0 ** np.arange(-60, 61)[:, None]
    port = of_numbers(values, pages_max=2).ports[0]
    assert port.what.unsketched[0] > 0
    found = histogram_of_port(port)
    assert found.weights.sum() == len(values)
    assert float(port.what.mean[0]) in found.values


def test_drift_of_two_profiles_is_nearly_that_of_their_numbers():
    rng = np.random.default_rng(20307)
    samples = [rng.normal(5, 2, (3000, 2)), rng.normal(6, 2, (2000, 2))]
    profiles = [of_numbers(sample).ports[0] for sample in samples]
    for column in (0, 1):
        sketched = [histogram_of_port(port, column) for port in profiles]
        exact = [histogram(sample[:, column], np.ones(len(sample))) for sample in samples]
        for measure, near in ((psi, 0.05), (kolmogorov_smirnov, 0.03), (wasserstein, 0.03)):
            found, expected = measure(*sketched), measure(*exact)
            assert found.statistic == pytest.approx(expected.statistic, rel=near)
            assert found.drifted == expected.drifted


def test_texts_are_compared_by_how_often_each_came():
    first = of_texts([*["gold"] * 50, *["black"] * 30, *["", "plain"] * 10]).ports[0]
    second = of_texts([*["gold"] * 20, *["black"] * 60, *["platinum"] * 20]).ports[0]
    names, before, after = text_weights(first, second)
    assert names == ("", "black", "gold", "plain", "platinum", OTHER_TEXTS)
    assert before.tolist() == [10, 30, 50, 10, 0, 0]
    assert after.tolist() == [0, 60, 20, 0, 20, 0]
    assert psi_of_weights(before, after).drifted


def test_texts_that_have_given_way_to_one_other_text_have_drifted():
    first, second = (of_texts([name] * 100).ports[0] for name in ("a", "b"))
    assert psi_of_weights(*text_weights(first, second)[1:]).drifted


def test_thousands_of_different_texts_among_which_one_grew_have_drifted_and_others_have_not():
    rng = np.random.default_rng(20311)
    ports = [
        of_texts([*[f"text-{number}" for number in rng.integers(0, 10**9, 3000)], *["grown"] * grown]).ports[0]
        for grown in (0, 0, 3000)
    ]
    assert not psi_of_weights(*text_weights(ports[0], ports[1])[1:]).drifted
    assert psi_of_weights(*text_weights(ports[0], ports[2])[1:]).drifted


def test_texts_that_are_all_different_are_all_others():
    port = of_texts([f"text-{number}" for number in range(1000)]).ports[0]
    names, before, _ = text_weights(port, port)
    assert before.sum() == 1000
    assert before[names.index(OTHER_TEXTS)] > 900


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: histogram([1, 2], [1]), "values and weights"),
        (lambda: histogram([np.nan], [1]), "finite"),
        (lambda: histogram([1], [-1]), "at least 0"),
        (lambda: histogram([1], [np.inf]), "at least 0"),
        (lambda: histogram([1], [1], missing=-1), "at least 0"),
        (lambda: histogram_of_edges([0, 1, 1], [1, 2]), "ascend"),
        (lambda: histogram_of_edges([0, 1, 2], [1]), "values and weights"),
        (lambda: histogram_of_port(of_texts(["a"]).ports[0]), "holds texts"),
        (lambda: histogram_of_port(of_numbers(np.ones((2, 1))).ports[0], 1), "1 columns"),
        (lambda: histogram_of_port(of_numbers(np.ones((2, 1))).ports[0], -1), "1 columns"),
        (lambda: text_weights(of_texts(["a"]).ports[0], of_numbers(np.ones((2, 1))).ports[0]), "holds numbers"),
        (lambda: text_weights(of_texts(["a"]).ports[0], of_texts(["a"]).ports[0], 1), "1 columns"),
    ],
)
def test_what_is_no_histogram_is_refused(call, says):
    with pytest.raises(ExperimentError, match=says):
        call()
