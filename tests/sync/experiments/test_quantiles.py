"""Quantiles clustered by unit: against the formula for units of one inference, and against units drawn again."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from edgerun_sync.errors import ExperimentError
from edgerun_sync.experiments.moments import moments_of
from edgerun_sync.experiments.quantiles import BELOW, COUNT, quantile_contrast, quantile_from, quantile_of, ranks_around


def latencies(seed, units=500, rows=20, icc=0.3):
    rng = np.random.default_rng(seed)
    level = rng.normal(0, math.sqrt(icc), units)
    values = np.exp(np.repeat(level, rows) + rng.normal(0, math.sqrt(1 - icc), units * rows))
    return values, np.repeat(np.arange(units), rows)


@pytest.mark.parametrize("share", [0.5, 0.9, 0.99])
def test_of_one_inference_a_unit_the_error_is_the_textbooks(share):
    """sqrt(q (1 - q) / n) / density, of a normal distribution; seed 3, 200,000 inferences."""
    values = np.random.default_rng(3).normal(size=200_000)
    found = quantile_of(share, values, np.arange(200_000))
    at = stats.norm.ppf(share)
    assert found.value == pytest.approx(at, abs=0.03)
    assert math.sqrt(found.variance) == pytest.approx(
        math.sqrt(share * (1 - share) / 200_000) / stats.norm.pdf(at), rel=0.15
    )


@pytest.mark.parametrize("share", [0.5, 0.9])
def test_of_many_alike_inferences_a_unit_the_error_is_that_of_units_drawn_again(share):
    """Seeds 1 to 300: the spread of the quantile over experiments, against the median of what each says of itself."""
    found = [quantile_of(share, *latencies(seed)) for seed in range(1, 301)]
    spread = np.std([one.value for one in found])
    said = np.median([math.sqrt(one.variance) for one in found])
    naive = np.std([one.value for one in found]) / math.sqrt(1 + 19 * 0.3)
    print(f"seeds 1 to 300, q = {share}: spread {spread:.4f}, said {said:.4f}")
    assert said == pytest.approx(spread, rel=0.12)
    assert said > 1.5 * naive


def test_three_questions_to_an_engine_give_what_the_rows_give():
    values, units = latencies(1)
    whole = quantile_of(0.9, values, units)
    below = moments_of({BELOW: np.bincount(units, values <= whole.value), COUNT: np.bincount(units)})
    ranks = ranks_around(0.9, below)
    at_low, at_high = np.quantile(values, [ranks.low, ranks.high], method="inverted_cdf")
    assert quantile_from(whole.value, ranks, at_low, at_high, below.n) == pytest.approx(whole)


def test_a_contrast_of_quantiles_adds_the_errors_of_both():
    treatment, control = (quantile_of(0.9, *latencies(seed)) for seed in (1, 2))
    found = quantile_contrast(treatment, control)
    assert found.difference == treatment.value - control.value
    assert found.variance == treatment.variance + control.variance
    assert 499 < found.degrees <= 998
    assert found.information == 250


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: quantile_of(0.0, *latencies(1)), "between 0 and 1"),
        (lambda: quantile_of(1.0, *latencies(1)), "between 0 and 1"),
        (lambda: quantile_of(0.999, *latencies(1, units=30)), "too few"),
        (lambda: quantile_of(0.5, [1.0, 1.0, 2.0], [0, 1]), "one unit for each value"),
        (lambda: quantile_of(0.5, [], []), "no values"),
        (lambda: quantile_of(0.5, [1.0, math.nan], [0, 1]), "finite"),
        (lambda: quantile_of(0.5, [1.0] * 50, range(50)), "too few|ascend"),
        (lambda: quantile_from(1.0, None, 2.0, 3.0, 9), "ascend"),
        (lambda: quantile_from(1.0, None, 1.0, 1.0, 9), "ascend"),
        (lambda: quantile_from(1.0, None, 0.0, math.inf, 9), "ascend"),
        (lambda: quantile_contrast(*[quantile_of(0.5, *latencies(1))._replace(units=1)] * 2), "two units"),
    ],
)
def test_what_has_no_quantile_is_refused(call, says):
    with pytest.raises(ExperimentError, match=says):
        call()
