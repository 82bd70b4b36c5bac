"""The trend of accuracy by age: statsmodels' clustered regression, and calibration over fleets."""

from __future__ import annotations

import numpy as np
import pytest
import statsmodels.api as sm

from edgerun_sync.errors import ExperimentError
from edgerun_sync.experiments.decay import decay, decay_moments
from edgerun_sync.experiments.moments import merge
from support.fleets import UNITS, binomial_bounds, chances

DAYS = np.arange(10.0)


def fleet(rng, slope=0.0):
    """Calls and right calls [units, days] of devices whose chances differ, and fall with the age."""
    calls = rng.poisson(2.0, (UNITS, len(DAYS)))
    chance = np.clip(chances(rng, 0.75, (UNITS, 1)) + slope * DAYS, 0, 1)
    return calls, rng.binomial(calls, chance)


def test_the_trend_and_its_error_are_those_of_statsmodels():
    calls, right = fleet(np.random.default_rng(20278), -0.01)
    unit, day = np.indices(calls.shape)
    rows = [(np.repeat(x.ravel(), calls.ravel())) for x in (unit, day)]
    hits = np.concatenate([np.repeat([1, 0], [r, n - r]) for n, r in zip(calls.ravel(), right.ravel(), strict=True)])
    fit = sm.OLS(hits, sm.add_constant(rows[1].astype(float))).fit(
        cov_type="cluster", cov_kwds={"groups": rows[0], "use_correction": False}
    )
    units = len(np.unique(rows[0]))
    found = decay(decay_moments(DAYS, calls, right))
    assert (found.at_start.value, found.per_day.value) == pytest.approx(fit.params)
    errors = np.array([found.at_start.standard_error, found.per_day.standard_error])
    assert errors == pytest.approx(fit.bse * np.sqrt(units / (units - 1)))
    assert found.mean_age_days == pytest.approx(rows[1].mean())


def test_weeks_put_together_give_the_same_trend():
    calls, right = fleet(np.random.default_rng(20279))
    merged = merge([decay_moments(DAYS, calls[part], right[part]) for part in (slice(0, 50), slice(50, None))])
    assert decay(merged).per_day == pytest.approx(decay(decay_moments(DAYS, calls, right)).per_day)


def test_a_later_origin_of_the_age_moves_only_the_start():
    calls, right = fleet(np.random.default_rng(20280), -0.01)
    early, late = (decay(decay_moments(DAYS + shift, calls, right)) for shift in (0, 300))
    assert late.per_day == pytest.approx(early.per_day, rel=1e-6)
    assert late.at_start.value == pytest.approx(early.at_start.value - 300 * early.per_day.value)


@pytest.mark.parametrize("slope", [0.0, -0.01])
def test_the_interval_holds_the_true_trend_in_19_of_20_fleets(slope):
    seed, runs = 20281, 800
    rng = np.random.default_rng(seed)
    chance = np.random.default_rng(1)
    # Of chances that are cut at 0 the trend is not quite the slope, so it is measured once on very many devices.
    spread = chances(chance, 0.75, (200_000, 1))
    truth = np.polyfit(DAYS, np.clip(spread + slope * DAYS, 0, 1).mean(axis=0), 1)[0]
    held = 0
    for _ in range(runs):
        found = decay(decay_moments(DAYS, *fleet(rng, slope))).per_day
        held += found.low <= truth <= found.high
    print(f"seed {seed}: {held} of {runs} hold {truth:.5f} a day")
    low, high = binomial_bounds(runs, 0.95)
    assert low <= held <= high


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: decay(decay_moments([3.0], np.ones((5, 1)), np.ones((5, 1)))), "two ages"),
        (lambda: decay(decay_moments(DAYS, np.zeros((5, 10)), np.zeros((5, 10)))), "two ages"),
        (lambda: decay_moments(DAYS, np.ones((5, 9)), np.ones((5, 9))), "counts"),
        (lambda: decay(decay_moments(DAYS, np.ones((1, 10)), np.ones((1, 10)))), "two units"),
    ],
)
def test_a_trend_of_one_day_is_refused(call, says):
    with pytest.raises(ExperimentError, match=says):
        call()
