"""What the metrics of a plan are to the statistics: which variables of a unit they need, and how they are compared.

A unit's variables are named after the metric, so that two metrics never share one by chance. All model metrics that are
shares of calls (accuracy, precision, recall, F1) and all mean losses are one sum over another.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgerun_sync.experiments.metrics import Conversion, Mean, Metric, Ratio, Share

if TYPE_CHECKING:
    from edgerun_bundles.experiment.metrics import DeclaredMetric
    from edgerun_bundles.experiment.plan import Plan

CALLS, LABELLED_CALLS = "calls", "labelled"
"""Variables of a unit that tell how much of it is labelled: its calls, and those of them with a label."""

BEFORE = "before."
"""How the names of variables from before the experiment begin: those of CUPED."""

_AS_ESTIMATES = frozenset({"latency_quantile", "auc"})
_AS_MEANS = frozenset({"outcome_mean"})
_AS_SHARES = frozenset({"error_rate", "fallback_rate"})
"""What is 0 for long where all is well."""


def compared_as(name: str, metric: DeclaredMetric) -> Metric | None:
    """Return what a metric is in the moments; None for quantiles and areas, which come as estimates of each arm."""
    if metric.kind in _AS_ESTIMATES:
        return None
    if metric.kind in _AS_MEANS:
        return Mean(name)
    if metric.kind == "conversion":
        return Conversion(name)
    ratio = Share if metric.kind in _AS_SHARES else Ratio
    return ratio(f"{name}.above", f"{name}.below")


def covariate_of(name: str, metric: DeclaredMetric) -> Mean | Ratio | None:
    """Return the same metric from before the experiment; None where it has none: conversions are compared as shares."""
    found = compared_as(name, metric)
    if found is None or isinstance(found, Conversion):
        return None
    return Mean(BEFORE + found.value) if isinstance(found, Mean) else Ratio(*(BEFORE + part for part in found))


def variables_of(name: str, metric: DeclaredMetric) -> tuple[str, ...]:
    """Return the variables of a unit that a metric needs, without those of its covariate, which may be missing."""
    found = compared_as(name, metric)
    return () if found is None else (*found,)


def estimated_in(plan: Plan) -> tuple[str, ...]:
    """Return the metrics of a plan that come as estimates of each arm."""
    return tuple(name for name, metric in plan.metrics.items() if metric.kind in _AS_ESTIMATES)
