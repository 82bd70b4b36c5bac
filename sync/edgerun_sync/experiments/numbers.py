"""Numbers of metrics as people read them: latencies in milliseconds, shares in per cent, differences in points."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgerun_bundles.experiment.metrics import DeclaredMetric

_SHARES = frozenset({"error_rate", "fallback_rate", "accuracy", "precision", "recall", "f1", "conversion"})


def value_text(metric: DeclaredMetric, value: float) -> str:
    """Return a value of a metric, with its unit."""
    number, unit = _scaled(metric, value)
    return f"{_digits(number)}{' %' if unit == 'points' else unit and f' {unit}'}"


def difference_text(metric: DeclaredMetric, value: float) -> str:
    """Return a difference of two values, with its sign and its unit; of shares in percentage points."""
    number, unit = _scaled(metric, value)
    return _with_unit(_signed(number), unit)


def in_points(number: str) -> str:
    """Return a number of percentage points, as it is printed, with its unit."""
    return f"{number} {'point' if number.lstrip('+-') == '1' else 'points'}"


def amount_text(metric: DeclaredMetric | None, value: float) -> str:
    """Return how large a difference is, with its unit; a bare number where the metric is not known."""
    number, unit = _scaled(metric, value)
    return _with_unit(_digits(number), unit)


def interval_text(metric: DeclaredMetric | None, low: float, high: float) -> str:
    """Return an interval of a difference."""
    unit = _scaled(metric, 0.0)[1]
    ends = " to ".join(_signed(_scaled(metric, end)[0]) for end in (low, high))
    return f"{ends}{unit and f' {unit}'}"


def p_text(p: float) -> str:
    """Return a p-value; what is smaller than anybody needs is said to be so."""
    return "p < 0.0001" if p < 1e-4 else f"p = {p:.2g}"


def _scaled(metric: DeclaredMetric | None, value: float) -> tuple[float, str]:
    if metric is None:
        return value, ""
    if metric.kind == "latency_quantile":
        return value * 1e3, "ms"
    return (value * 100, "points") if metric.kind in _SHARES else (value, "")


def _with_unit(number: str, unit: str) -> str:
    return in_points(number) if unit == "points" else f"{number}{unit and f' {unit}'}"


def _signed(number: float) -> str:
    return f"{'+' if number > 0 else ''}{_digits(number)}"


def _digits(number: float) -> str:
    return f"{number:.4g}" if math.isfinite(number) else "unbounded"
