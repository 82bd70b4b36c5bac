"""Facts of experiments made up from units with a known truth, without a table in sight."""

from __future__ import annotations

import numpy as np

from edgerun_bundles.experiment.plan import parse_plan
from edgerun_sync.experiments.confusion import cell_moments
from edgerun_sync.experiments.decay import decay_moments
from edgerun_sync.experiments.expected_accuracy import expected_moments
from edgerun_sync.experiments.facts import DriftFacts, Facts, HealthFacts, ModelFacts, PhaseFacts, Provenance
from edgerun_sync.experiments.histograms import histogram
from edgerun_sync.experiments.moments import moments_of
from edgerun_sync.experiments.paired import PAIRED_NAMES, paired_moments
from edgerun_sync.experiments.quantiles import quantile_of
from edgerun_sync.experiments.reliability import score_bins

ARMS = ("champion", "challenger")
DOCUMENT = {
    "name": "trial",
    "node": "ab",
    "control": "champion",
    "null": "no more calls are right <b>",
    "alternative": "more calls are right",
    "primary": "accuracy",
    "success": ["kept"],
    "minimum_effect": 0.02,
    "minimum_days": 7,
    "maximum_days": 28,
    "units": {"champion": 2000, "challenger": 2000},
    "metrics": {
        "accuracy": {"kind": "accuracy", "deviation": 0.1},
        "kept": {"kind": "conversion", "direction": "up", "outcome": "renewed", "baseline": 0.2},
        "slow": {"kind": "latency_quantile", "share": 0.9, "baseline": 0.01, "deviation": 0.004},
        "fallbacks": {"kind": "fallback_rate", "deviation": 0.02},
    },
    "guardrails": {"slow": {"relative_margin": 0.2}, "fallbacks": {"margin": 0.01}},
}
PLAN = parse_plan(DOCUMENT, "the plan of these tests")
NOTHING = ModelFacts()


def phase(rng, name, effect, units=2000, weights=(1.0, 1.0), latency=1.0):
    """A phase in which the challenger is right by `effect` more often."""
    moments = {metric: {} for metric in ("accuracy", "kept", "fallbacks")}
    labels, estimates = {}, {"slow": {}}
    counts = {arm: int(units * 2 * weight / sum(weights)) for arm, weight in zip(ARMS, weights, strict=True)}
    for number, (arm, n) in enumerate(counts.items()):
        calls = rng.integers(5, 15, n)
        labelled = rng.binomial(calls, 0.8)
        before = rng.binomial(10, 0.8, n)
        right = rng.binomial(labelled, np.clip(0.5 * before / 10 + 0.4 + effect * number, 0, 1))
        moments["accuracy"][arm] = moments_of(
            {
                "accuracy.above": right,
                "accuracy.below": labelled,
                "before.accuracy.above": before,
                "before.accuracy.below": np.full(n, 10.0),
            }
        )
        moments["kept"][arm] = moments_of({"kept": rng.random(n) < 0.2})
        moments["fallbacks"][arm] = moments_of({"fallbacks.above": rng.binomial(calls, 0.01), "fallbacks.below": calls})
        labels[arm] = moments_of({"calls": calls, "labelled": labelled})
        owners = np.repeat(np.arange(n), 3)
        seconds = 0.01 * (latency if number else 1) * np.exp(0.3 * rng.standard_normal(len(owners)))
        estimates["slow"][arm] = quantile_of(0.9, seconds, owners)
    shares = dict(zip(ARMS, weights, strict=True))
    return PhaseFacts(name, "2026-01-01T00:00:00+00:00", shares, counts, moments, labels, estimates)


def facts(seed=1, effect=0.1, days=14.0, plan=PLAN, phases=None, models=NOTHING, drift=(), **health):
    """Facts of a healthy experiment, but for what is said otherwise."""
    rng = np.random.default_rng(seed)
    found = tuple(phases or [phase(rng, "1.0.0", effect)])
    units = {arm: sum(one.units[arm] for one in found) for arm in ARMS}
    counts = {
        "assigned": units,
        "reported": units,
        "in_several": 0,
        "audited": sum(units.values()),
        "misassigned": 0,
        "devices": units,
        "skewed": dict.fromkeys(units, 0),
    }
    origin = Provenance("0.1.0", {"events": 7}, {"units": "SELECT '<script>'"})
    return Facts(
        plan, "cards", "2026-01-15T00:00:00+00:00", days, found, HealthFacts(**counts | health), models, drift, origin
    )


def models_and_drift(seed=5):
    """What is known of models besides, and of a column that moved."""
    rng = np.random.default_rng(seed)
    cells = {arm: cell_moments(("0", "1"), rng.integers(1, 5, (300, 2, 2))) for arm in ARMS}
    calls = rng.integers(5, 10, 300)
    labelled = rng.binomial(calls, 0.5)
    expected = {
        arm: expected_moments(calls, 0.8 * calls, labelled, 0.8 * labelled, rng.binomial(labelled, 0.8)) for arm in ARMS
    }
    pairs = rng.integers(5, 10, 300)
    only = rng.binomial(pairs, 0.05), rng.binomial(pairs, 0.1)
    shadows = {"watched at aside": paired_moments(*only, pairs)}
    both = {**dict(zip(PAIRED_NAMES, (*only, 2 * pairs), strict=True)), "both": pairs - np.minimum(sum(only), pairs)}
    shadows["next at aside"] = moments_of(both)
    ages = rng.integers(1, 4, (300, 5))
    decay = {arm: decay_moments(np.arange(5.0), ages, rng.binomial(ages, 0.8)) for arm in ARMS}
    counts = rng.integers(0, 4, (300, 3))
    bins = {arm: score_bins(counts, counts * [0.1, 0.5, 0.9], rng.binomial(counts, 0.5)) for arm in ARMS}
    scores = {arm: histogram([0.1, 0.5, 0.9], [10, 20, 30]) for arm in ARMS}
    values = np.arange(20.0)
    still, moved = histogram(values, np.full(20, 500.0)), histogram(values, np.linspace(1, 999, 20))
    drift = (DriftFacts("amount, since training", still, moved), DriftFacts("age, since training", still, still))
    return ModelFacts(("0", "1"), cells, expected, shadows, decay, bins, scores, 4, 2), drift
