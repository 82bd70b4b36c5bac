"""Moments: against numpy on the units themselves, merged in any order, and from the aggregates of an engine."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgerun_sync.errors import ExperimentError
from edgerun_sync.experiments.moments import (
    aggregate_names,
    from_aggregates,
    from_covariances,
    merge,
    moments_of,
    nothing,
)

NAMES = ("x", "y")
UNITS = st.lists(st.tuples(st.integers(-1000, 1000), st.integers(-1000, 1000)), max_size=30)


def columns(units, offset=0.0):
    table = np.array(units, np.float64).reshape(-1, 2) + offset
    return {"x": table[:, 0], "y": table[:, 1]}


def exact(units):
    """Means and centred products in rationals."""
    n = len(units)
    mean = [Fraction(sum(column), n) for column in zip(*units, strict=True)]
    return mean, [[sum((u[i] - mean[i]) * (u[j] - mean[j]) for u in units) for j in range(2)] for i in range(2)]


def assert_same(found, expected):
    assert found.names == expected.names
    assert found.n == expected.n
    scale = max(1.0, float(np.abs(expected.m2).max()))
    assert np.allclose(found.mean, expected.mean, rtol=1e-12, atol=1e-9)
    assert np.allclose(found.m2, expected.m2, rtol=1e-10, atol=1e-10 * scale)


@given(UNITS.filter(len))
def test_moments_are_those_of_rational_arithmetic(units):
    found = moments_of(columns(units))
    mean, m2 = exact(units)
    assert found.n == len(units)
    assert found.mean == pytest.approx([float(m) for m in mean], rel=1e-13, abs=1e-13)
    assert found.m2.ravel() == pytest.approx([float(v) for row in m2 for v in row], rel=1e-12, abs=1e-9)


@given(UNITS, st.lists(st.integers(0, 30), max_size=4))
def test_parts_merge_into_the_whole(units, cuts):
    edges = [0, *sorted(min(cut, len(units)) for cut in cuts), len(units)]
    parts = [moments_of(columns(units[a:b])) for a, b in pairwise(edges)]
    assert_same(merge(parts), moments_of(columns(units)))
    assert_same(merge(reversed(parts)), moments_of(columns(units)))
    assert_same(merge([parts[0], merge([*parts[1:], nothing(NAMES)])]), moments_of(columns(units)))


@given(UNITS.filter(len))
def test_the_aggregates_of_an_engine_are_moments(units):
    found = columns(units)
    covariance = np.cov([found["x"], found["y"]], ddof=0)
    row = {"n": len(units), "mean_x": found["x"].mean(), "mean_y": found["y"].mean()}
    row |= {"cov_x_x": covariance[0, 0], "cov_x_y": covariance[0, 1], "cov_y_y": covariance[1, 1]}
    assert list(row) == aggregate_names(NAMES)
    assert_same(from_aggregates(NAMES, row), moments_of(found))


def test_a_large_mean_costs_no_digits():
    units = [(1, 2), (2, 5), (4, 3), (7, 1)]
    near, far = moments_of(columns(units)), moments_of(columns(units, offset=2.0**40))
    assert np.array_equal(near.m2, far.m2)
    halves = merge(moments_of(columns(part, offset=2.0**40)) for part in (units[:2], units[2:]))
    assert halves.m2 == pytest.approx(near.m2, rel=1e-12)


def test_of_no_units_the_aggregates_may_be_null():
    row = dict.fromkeys(aggregate_names(NAMES)) | {"n": 0}
    assert_same(from_aggregates(NAMES, row), nothing(NAMES))


def test_what_rounding_leaves_below_a_variance_of_0_is_0():
    assert from_covariances(["x"], 9, [100.0], [[-1e-9]]).m2.tolist() == [[0.0]]


def test_variables_are_found_by_name_in_any_order():
    found = moments_of(columns([(1, 5), (3, 9)]))
    swapped = found.select(["y", "x"])
    assert swapped.mean_of("x") == found.mean_of("x") == 2
    assert swapped.covariance().tolist() == [[8, 4], [4, 2]]
    assert_same(merge([found, swapped]).select(NAMES), merge([found, found]))


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: moments_of({"x": [1, 2], "y": [1]}), "one number per unit"),
        (lambda: moments_of({"x": [[1, 2]]}), "one number per unit"),
        (lambda: moments_of({}), "one number per unit"),
        (lambda: moments_of({"x": [1, np.nan]}), "'x' holds NaN"),
        (lambda: moments_of({"x": [1.0, np.inf]}), "'x' holds NaN or infinity"),
        (lambda: merge([]), "no moments"),
        (lambda: merge([nothing(["x"]), nothing(["y"])]), "no moments of 'x'"),
        (lambda: moments_of({"x": [1]}).covariance(), "two units"),
        (lambda: nothing(["x"]).mean_of("z"), "'z'"),
        (lambda: from_aggregates(["x"], {"n": 1, "mean_x": 1.0}), "'cov_x_x' is missing"),
        (lambda: from_aggregates(["x"], {"n": 2, "mean_x": None, "cov_x_x": 1.0}), "NaN"),
        (lambda: from_aggregates(["x"], {"n": 2, "mean_x": "a", "cov_x_x": 1.0}), "no number"),
        (lambda: from_covariances(["x"], 2, [1], [[-1]]), "negative"),
        (lambda: from_covariances(["x"], -1, [1], [[1]]), "negative"),
        (lambda: from_covariances(["x"], 2, [1, 2], [[1]]), "1 variables"),
    ],
)
def test_what_are_no_moments_is_refused(call, says):
    with pytest.raises(ExperimentError, match=says):
        call()
