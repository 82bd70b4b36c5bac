"""The statistics of a scorecard against statsmodels, and the calibration: ``pytest benchmarks/bench_experiments.py``.

The peer computes the same Welch intervals, and nothing else, from rows of units that it has in memory.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from side_by_side import side_by_side
from statsmodels.stats.weightstats import CompareMeans, DescrStatsW

from edgerun_sync.experiments.comparing import adjusted_contrast
from edgerun_sync.experiments.contrasts import across_phases, information_of
from edgerun_sync.experiments.decision import Evidence, GuardrailEvidence, Progress, Rules, SuccessEvidence, decide
from edgerun_sync.experiments.effects import Terms, effect
from edgerun_sync.experiments.guardrails import Margin, guard, worsening
from edgerun_sync.experiments.health import reporting_rate
from edgerun_sync.experiments.metrics import Ratio
from edgerun_sync.experiments.moments import Moments, moments_of
from edgerun_sync.experiments.power import Design, Spread, units_for_conversion, units_for_mean
from edgerun_sync.experiments.sample_ratio import PhaseCounts, sample_ratio
from support import calibrated
from support.simulated import DEVIATION, METHODS, QUANTILES

METRICS, ARMS, PHASES, UNITS = 20, ("control", "a", "b"), 3, 20_000
TERMS = Terms(0.05 / 20, information_of(UNITS, UNITS))


def phase_moments(rng: np.random.Generator) -> dict[str, Moments]:
    """Moments of one phase by arm: each metric with a denominator, and both from before."""
    found = {}
    for arm in ARMS:
        level = rng.normal(10, 1, UNITS // PHASES)
        columns = {}
        for metric in range(METRICS):
            for name in ("now", "count", "before", "count_before"):
                columns[f"{name}_{metric}"] = level + rng.normal(0, 1, len(level))
        found[arm] = moments_of(columns)
    return found


def scorecard(phases: list[dict[str, Moments]]) -> Any:
    """Health, 20 metrics (ratios with a covariate each), two treatments, three phases, and the verdicts."""
    counts = dict.fromkeys(ARMS, UNITS // PHASES)
    findings = [
        sample_ratio([PhaseCounts(str(number), counts, dict.fromkeys(ARMS, 1)) for number in range(PHASES)]),
        reporting_rate(counts, counts),
    ]
    treatments = {}
    for arm in ARMS[1:]:
        successes, guardrails = [], []
        for metric in range(METRICS):
            names = [f"{name}_{metric}" for name in ("now", "count", "before", "count_before")]
            contrasts = []
            for phase in phases:
                arms = {name: found.select(names) for name, found in phase.items()}
                others = [found for name, found in arms.items() if name not in {arm, "control"}]
                now, before = Ratio(names[0], names[1]), Ratio(names[2], names[3])
                contrasts.append(adjusted_contrast(now, [before], arms[arm], arms["control"], others))
            contrast = across_phases(contrasts)
            if metric < METRICS // 2:
                worse = worsening(contrast, "up", TERMS)
                successes.append(SuccessEvidence(names[0], "up", effect(contrast, TERMS), worse))
            else:
                effect(contrast, TERMS)
                guardrails.append(GuardrailEvidence(names[0], guard(contrast, "up", Margin(0.02, True), TERMS, 0.01)))
        treatments[arm] = Evidence(successes[0], successes[1:], guardrails)
    return decide(Rules(0.05, "sequential", 28), Progress(14, False), findings, treatments)


def test_a_scorecard_of_20_metrics_3_arms_and_3_phases() -> None:
    rng = np.random.default_rng(1)
    phases = [phase_moments(rng) for _ in range(PHASES)]
    rows = {arm: rng.normal(10, 1, (UNITS, METRICS)) for arm in ARMS}

    def peer() -> None:
        control = DescrStatsW(rows["control"])
        for arm in ARMS[1:]:
            compare = CompareMeans(DescrStatsW(rows[arm]), control)
            compare.tconfint_diff(usevar="unequal")
            compare.ttest_ind(usevar="unequal")

    side_by_side("a scorecard against Welch's intervals alone, from rows", lambda: scorecard(phases), peer)


def said(title: str, rate: object) -> None:
    """Print one line of the calibration."""
    print(f"{title}: {rate}")


@pytest.mark.parametrize("method", METHODS)
def test_calibration_of_intervals(method: str) -> None:
    rates = calibrated.missed(method, 111, 10_000, 0.0)
    said(f"seed 111, 10,000 experiments: {method}: fixed interval missed (absolute, relative)", rates)
    if method != "mean over a ramp":  # whose first phase has no units at the first looks
        wrong = calibrated.ever_wrong(method, 113, 1000)
        said(f"seed 113, 1,000 experiments: {method}: wrong at one of 28 looks (sequential, fixed)", wrong)


@pytest.mark.parametrize("quantile", QUANTILES)
def test_calibration_of_quantiles(quantile: str) -> None:
    said(f"seed 112, 3,000 experiments: {quantile}: missed", calibrated.missed_quantile(quantile, 112, 3000, 0.1))
    wrong = calibrated.ever_wrong_quantile(115, 1000, QUANTILES[quantile])
    said(f"seed 115, 1,000 experiments: {quantile}: wrong at one of 7 looks", wrong)


def test_calibration_of_power() -> None:
    alike = Spread(DEVIATION, DEVIATION)
    for analysis, shown, experiments in (
        ("fixed", calibrated.shown, 3000),
        ("sequential", calibrated.shown_in_time, 1000),
    ):
        design = Design(0.05, 0.8, 0.5, 0.5, analysis=analysis)
        for method, units in (
            ("mean", units_for_mean(design, 0.1, alike)),
            ("conversion", units_for_conversion(design, 0.1, 0.13)),
        ):
            rate = shown(method, 119, experiments, 0.1, round(units / 2))
            said(f"seed 119, {experiments} experiments: {analysis}, {method}, {units:.0f} units, power 0.8", rate)
