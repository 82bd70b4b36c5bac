"""Laws of a Brownian bridge: closed forms, and bridges that were drawn."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from edgerun_sync.experiments.bridges import POINTS_MAX, GammaLaw, bridge_quantile, bridge_tail, weighted_bridge


def drawn(points, runs=200_000, seed=20304):
    """Bridges at points, drawn at random."""
    rng = np.random.default_rng(seed)
    steps = np.diff(np.concatenate([[0.0], points, [1.0]]))
    walk = np.cumsum(rng.normal(0, np.sqrt(steps), (runs, len(steps))), axis=1)
    return walk[:, :-1] - walk[:, -1:] * points


@pytest.mark.parametrize("point", [0.01, 0.2, 0.5, 0.97])
@pytest.mark.parametrize("x", [0.1, 0.5, 1.0, 1.9])
def test_at_one_point_it_is_normal(point, x):
    expected = 2 * stats.norm.sf(x / np.sqrt(point * (1 - point)))
    assert bridge_tail(np.array([point]), x) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("count", [2, 5, 20])
def test_at_several_points_it_is_that_of_bridges_that_were_drawn(count):
    points = np.arange(1, count + 1) / (count + 1)
    greatest = np.abs(drawn(points)).max(axis=1)
    for x in (0.5, 0.8, 1.1, 1.36, 1.8):
        share = (greatest > x).mean()
        assert bridge_tail(points, x) == pytest.approx(share, abs=5 * np.sqrt(share / 200_000) + 1e-5)


@pytest.mark.parametrize("x", [0.6, 0.9, 1.2, 1.6])
def test_more_points_come_near_to_the_law_of_kolmogorov_from_below(x):
    law = stats.kstwobign.sf(x)
    tails = [bridge_tail(np.arange(1, count + 1) / (count + 1), x) for count in (1, 4, 16, POINTS_MAX)]
    assert tails == sorted(tails)
    assert tails[-1] < law
    assert bridge_tail(np.arange(1, POINTS_MAX + 2) / (POINTS_MAX + 2), x) == pytest.approx(law)


@pytest.mark.parametrize("points", [[0.3], [0.2, 0.5, 0.9], [0.5, 0.5001, 0.9999]])
@pytest.mark.parametrize("share", [0.5, 0.05, 0.001])
def test_a_quantile_is_exceeded_as_often_as_it_says(points, share):
    found = bridge_quantile(np.array(points), share)
    assert bridge_tail(np.array(points), found) == pytest.approx(share, rel=0.01)


@pytest.mark.parametrize("points", [[], [0.0001], [0.0, 1.0]])
def test_where_no_point_is_inside_it_is_the_law_of_kolmogorov(points):
    assert bridge_tail(np.array(points), 1.2) == pytest.approx(stats.kstwobign.sf(1.2))
    assert bridge_quantile(np.array(points), 0.05) == pytest.approx(stats.kstwobign.isf(0.05))


@pytest.mark.parametrize("x", [2.4, 2.49, 2.51, 3.5])
def test_far_out_the_chance_stays_below_one_in_a_hundred_thousand_and_falls(x):
    points = np.array([0.1, 0.5, 0.6])
    assert 0 <= bridge_tail(points, x) <= stats.kstwobign.sf(x) * (1 + 1e-9) < 2.1e-5


@pytest.mark.parametrize("count", [1, 3, 40, 1000])
def test_the_weighted_sum_has_the_mean_and_the_variance_of_bridges_that_were_drawn(count):
    points = np.sort(np.random.default_rng(20305).random(count))
    weights = np.random.default_rng(20306).random(count)
    sums = np.abs(drawn(points, runs=5000)) @ weights
    found = weighted_bridge(points, weights)
    assert found.mean == pytest.approx(sums.mean(), rel=0.03)
    assert found.variance == pytest.approx(sums.var(), rel=0.1)


def test_a_gamma_law_is_scipys():
    law, expected = GammaLaw(3.0, 2.0), stats.gamma(4.5, scale=2 / 3)
    assert law.tail(4.0) == pytest.approx(expected.sf(4.0))
    assert law.quantile(0.05) == pytest.approx(expected.isf(0.05))
