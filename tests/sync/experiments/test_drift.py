"""Drift: scipy's distances, alarms as rare as promised at any sample size, and the fixed limit that is not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from edgerun_sync.errors import ExperimentError
from edgerun_sync.experiments.drift import (
    INDEPENDENT,
    KS_RELEVANT,
    PSI_RELEVANT,
    WASSERSTEIN_RELEVANT,
    design_effect,
    kolmogorov_smirnov,
    psi,
    psi_of_weights,
    wasserstein,
)
from edgerun_sync.experiments.histograms import histogram
from support.fleets import CALLS, UNITS, binomial_bounds

MEASURES = {"psi": psi, "ks": kolmogorov_smirnov, "wasserstein": wasserstein}
SAMPLES = st.lists(st.integers(-20, 20), min_size=1, max_size=40)

FEATURES = {
    "normal": lambda rng, n: rng.normal(size=n),
    "heavy": lambda rng, n: rng.lognormal(sigma=1.5, size=n),
    "yes or no": lambda rng, n: rng.random(n) < 0.3,
    "counts": lambda rng, n: rng.poisson(2.0, n),
    "half zeros": lambda rng, n: np.where(rng.random(n) < 0.5, 0, rng.exponential(size=n)),
}


def of(values):
    return histogram(np.asarray(values, float), np.ones(len(values)))


# Distances.


@given(SAMPLES, SAMPLES)
def test_the_greatest_difference_is_that_of_scipys_distribution_functions(first, second):
    found = kolmogorov_smirnov(of(first), of(second))
    functions = [stats.ecdf(values).cdf.evaluate(np.arange(-20, 21)) for values in (first, second)]
    assert found.statistic == pytest.approx(np.abs(functions[0] - functions[1]).max())


@pytest.mark.parametrize("shift", [0.05, 0.1, 0.15])
def test_of_a_continuous_feature_the_p_value_is_scipys(shift):
    rng = np.random.default_rng(20303)
    first, second = rng.normal(size=1500), rng.normal(shift, 1, 1200)
    expected = stats.ks_2samp(first, second, method="asymp")
    found = kolmogorov_smirnov(of(first), of(second))
    assert found.statistic == pytest.approx(expected.statistic)
    assert found.p_value == pytest.approx(expected.pvalue, rel=0.1)


@given(SAMPLES, SAMPLES)
def test_the_mean_distance_is_scipys_in_standard_deviations_of_the_reference(first, second):
    unit = np.std(first) or np.std(second)
    if unit:
        expected = stats.wasserstein_distance(first, second) / unit
        assert wasserstein(of(first), of(second)).statistic == pytest.approx(expected, abs=1e-12)


@given(st.lists(st.integers(0, 100), min_size=2, max_size=12), st.integers(0, 2**32 - 1))
def test_the_index_is_the_usual_formula_with_half_a_row_in_each_bin(reference, seed):
    before = np.array(reference) + 1
    after = np.random.default_rng(seed).integers(1, 100, len(before))
    p, q = ((side + 0.5) / (side + 0.5).sum() for side in (before, after))
    assert psi_of_weights(before, after).statistic == pytest.approx(((p - q) * np.log(p / q)).sum())


@given(SAMPLES)
def test_a_sample_has_not_drifted_from_itself(values):
    for measure in MEASURES.values():
        found = measure(of(values), of(values), relevant=0)
        assert found.statistic == pytest.approx(0, abs=1e-12)
        assert found.p_value == pytest.approx(1, abs=1e-6)
        assert not found.drifted


def test_ten_bins_hold_a_tenth_of_the_reference_each():
    found = psi(of(np.arange(1000)), of(np.arange(100)), relevant=0)
    p, q = np.full(10, 100.5) / 1005, np.array([100.5, *[0.5] * 9]) / 105
    assert found.statistic == pytest.approx(((p - q) * np.log(p / q)).sum())


def test_missing_values_have_a_bin_of_their_own():
    whole, holed = (histogram(np.arange(100), np.ones(100), missing) for missing in (0, 30))
    assert psi(whole, holed).drifted
    assert not psi(holed, holed).drifted
    assert kolmogorov_smirnov(whole, holed).statistic == 0


# Alarms.


def test_a_fixed_limit_of_a_tenth_alarms_on_85_percent_of_samples_of_100_that_are_alike():
    seed, runs = 20296, 20_000
    rng = np.random.default_rng(seed)
    counts = rng.multinomial(100, np.full(10, 0.1), (runs, 2))
    with np.errstate(divide="ignore"):
        shares = np.log(counts / 100)
        plain = ((counts[:, 0] - counts[:, 1]) / 100 * (shares[:, 0] - shares[:, 1])).sum(axis=1)
    fixed = (plain > 0.1).mean()
    calibrated = np.mean([psi_of_weights(*pair).drifted for pair in counts[:4000]])
    print(f"seed {seed}: fixed limit {fixed:.3f}, calibrated {calibrated:.4f}")
    assert fixed == pytest.approx(0.85, abs=0.01)
    assert calibrated < 0.05


@pytest.mark.parametrize("feature", FEATURES)
@pytest.mark.parametrize("sizes", [(100, 100), (2000, 300)], ids=str)
def test_samples_that_are_alike_alarm_in_one_of_twenty(feature, sizes):
    seed, runs = 20297, 300
    rng = np.random.default_rng(seed)
    alarms = dict.fromkeys(MEASURES, 0)
    for _ in range(runs):
        pair = [of(FEATURES[feature](rng, size)) for size in sizes]
        for name, measure in MEASURES.items():
            alarms[name] += measure(*pair, relevant=0).p_value < 0.05
    print(f"seed {seed}: {feature}, {sizes}: of {runs}, {alarms}")
    _, high = binomial_bounds(runs, 0.05)
    assert all(count <= high for count in alarms.values())
    assert all(count > 0 for count in alarms.values())


@pytest.mark.parametrize("feature", FEATURES)
def test_the_threshold_is_where_the_p_value_passes_alpha(feature):
    rng = np.random.default_rng(20298)
    first, second = (FEATURES[feature](rng, 500) for _ in range(2))
    second[:60] = second.max()
    pair = (of(first), of(second))
    for measure in MEASURES.values():
        found = measure(*pair, relevant=0)
        assert found.p_value < 0.2
        again = measure(*pair, relevant=0, alpha=found.p_value)
        assert again.threshold == pytest.approx(found.statistic, rel=1e-4)


@pytest.mark.parametrize("name", MEASURES)
def test_more_rows_see_less_drift_and_never_less_than_matters(name):
    rng = np.random.default_rng(20299)
    thresholds = []
    for rows in (100, 1000, 10_000):
        found = MEASURES[name](of(rng.normal(size=rows)), of(rng.normal(size=rows)))
        assert not found.drifted
        thresholds.append(found.threshold)
    assert thresholds[0] > thresholds[-1] >= {"psi": PSI_RELEVANT, "ks": KS_RELEVANT}.get(name, WASSERSTEIN_RELEVANT)


@pytest.mark.parametrize("name", MEASURES)
def test_a_shift_that_does_not_matter_is_significant_and_no_alarm_and_one_that_does_is_an_alarm(name):
    rng = np.random.default_rng(20300)
    reference, small, large = (of(rng.normal(shift, 1, 20_000)) for shift in (0, 0.1, 0.5))
    found = MEASURES[name](reference, small)
    assert found.p_value < 1e-6
    assert not found.drifted
    assert MEASURES[name](reference, large).drifted


def test_the_three_limits_that_matter_are_one_shift_of_a_normal_feature():
    grid = stats.norm.ppf((np.arange(200_000) + 0.5) / 200_000)
    pair = (of(grid), of(grid + 0.32))
    assert psi(*pair).statistic == pytest.approx(PSI_RELEVANT, rel=0.08)
    assert kolmogorov_smirnov(*pair).statistic == pytest.approx(KS_RELEVANT, rel=0.03)
    assert wasserstein(*pair).statistic == pytest.approx(WASSERSTEIN_RELEVANT, rel=0.01)


# Rows of a device hang together.


def fleet(rng):
    """A feature [units, calls] of which half the variance is the device's."""
    return np.sqrt(0.5) * (rng.normal(size=(UNITS, 1)) + rng.normal(size=(UNITS, CALLS)))


def effect_of(values):
    places = np.searchsorted(np.quantile(values, np.arange(1, 10) / 10), values)
    return design_effect(np.eye(10)[places].sum(axis=1))


def test_a_design_effect_is_1_for_independent_rows_and_the_number_of_calls_for_copies():
    rng = np.random.default_rng(20301)
    places = rng.integers(0, 10, (5000, CALLS))
    alone = design_effect(np.eye(10)[places].sum(axis=1))
    assert (alone.mean, alone.cumulative) == pytest.approx((1, 1), abs=0.05)
    assert alone.variation < 0.1
    copies = design_effect(CALLS * np.eye(10)[places[:, 0]])
    assert (copies.mean, copies.cumulative) == pytest.approx((CALLS, CALLS), rel=0.05)


def test_of_devices_that_keep_their_ways_alarms_are_as_rare_only_with_the_design_effect():
    seed, runs = 20302, 300
    rng = np.random.default_rng(seed)
    naive, alarms = dict.fromkeys(MEASURES, 0), dict.fromkeys(MEASURES, 0)
    for _ in range(runs):
        values = [fleet(rng), fleet(rng)]
        effects = (effect_of(values[0]), effect_of(values[1]))
        pair = [of(each.ravel().round(2)) for each in values]
        for name, measure in MEASURES.items():
            naive[name] += measure(*pair, relevant=0).p_value < 0.05
            alarms[name] += measure(*pair, relevant=0, design_effects=effects).p_value < 0.05
    print(f"seed {seed}: of {runs}, {naive} without, {alarms} with")
    assert all(count > 0.25 * runs for count in naive.values())
    _, high = binomial_bounds(runs, 0.05)
    assert all(count <= high for count in alarms.values())


# What cannot be told.


@pytest.mark.parametrize("name", MEASURES)
def test_a_feature_that_was_constant_drifts_when_it_is_no_longer(name):
    same, other = histogram([3.0], [500]), histogram([3.0, 4.0], [250, 250])
    assert not MEASURES[name](same, same).drifted
    assert MEASURES[name](same, other).drifted
    for moved in (2.0, 4.0):
        assert MEASURES[name](same, histogram([moved], [500])).drifted


def test_what_comes_to_lie_just_below_a_frequent_value_is_seen():
    before = histogram([0.0, 1.0, 2.0], [100, 800, 100])
    after = histogram([0.0, 0.9, 1.0, 2.0], [100, 400, 400, 100])
    assert psi(before, after).drifted


@pytest.mark.parametrize("name", MEASURES)
@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"alpha": 0}, "alpha"),
        ({"design_effects": (INDEPENDENT, INDEPENDENT._replace(mean=0.5, cumulative=0.5))}, "at least 1"),
    ],
)
def test_an_argument_out_of_its_range_is_refused(name, arguments, says):
    with pytest.raises(ExperimentError, match=says):
        MEASURES[name](of([1, 2, 3]), of([1, 2, 3]), **arguments)


@pytest.mark.parametrize("name", MEASURES)
def test_an_empty_sample_is_refused(name):
    for pair in ((of([]), of([1, 2])), (of([1, 2]), of([]))):
        with pytest.raises(ExperimentError, match="empty"):
            MEASURES[name](*pair)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: psi(of([1]), of([1]), bins=1), "at least 2 bins"),
        (lambda: psi_of_weights([1, 2], [1, 2, 3]), "same bins"),
        (lambda: psi_of_weights([1, -2], [1, 2]), "at least 0"),
        (lambda: design_effect([[1, 2]]), "two units"),
        (lambda: design_effect([[0, 0], [0, 0]]), "two units"),
        (lambda: design_effect([1, 2]), "two units"),
    ],
)
def test_what_is_no_sample_is_refused(call, says):
    with pytest.raises(ExperimentError, match=says):
        call()
