"""How each arm serves: counts, rates and latencies, of calls and of shadows, over all time or divided.

Quantiles are those of the nearest rank, a latency that was measured: the least that so great a share of calls does not
exceed. Latencies are stored with eleven significant bits, so there are few different ones: the engine counts each, and
everything else is computed from the counts, in integers, the same on every engine and in any order of rows.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

import ibis

from edgerun_sync.errors import QueryError
from edgerun_sync.queries.tables import BY, EVENTS, divided, tally

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgerun_sync.queries.tables import Every

QUANTILES = (0.5, 0.9, 0.99)
SHADOWED_BY = ("bundle", "version", "node", "model")
_NANOSECONDS = 10**9
_DENOMINATOR_MAX = 10**6


def serving(
    events: Any = EVENTS,
    *,
    by: Sequence[str] = BY,
    every: Every | None = None,
    quantiles: Sequence[float] = QUANTILES,
) -> Any:
    """Ask how calls were served.

    The answer has a row for each group: the columns of `by`; ``begin``, where time is divided; ``calls`` that were
    answered; ``fallbacks``, those that another than the chosen model answered; ``errors``, calls without an answer;
    ``nonfinite``, answers with a NaN or infinity; ``fallback_rate`` and ``nonfinite_rate`` of the answered calls, and
    ``error_rate`` of all; ``latency_mean_s`` and for each quantile ``latency_p50_s`` and so on, in seconds.

    Args:
        events: the table of events, or some of its rows.
        by: columns to group by.
        every: how time is divided.
        quantiles: shares between 0 and 1, of at most six decimals.

    Raises:
        QueryError: a column, length or share is none.
    """
    rows, keys = divided(events.filter(events.kind != "shadow"), by, every)
    is_error = rows.kind == "error"
    counted = rows.group_by([*keys, "latency_s"]).agg(
        rows=rows.count(),
        fallbacks=tally(rows.kind == "fallback"),
        errors=tally(is_error),
        nonfinite=tally(rows.nonfinite),
    )
    found = _summed(counted, keys, ["fallbacks", "errors", "nonfinite"], quantiles)
    calls = found.rows - found.errors
    return found.select(
        *keys,
        calls=calls,
        fallbacks=found.fallbacks,
        errors=found.errors,
        nonfinite=found.nonfinite,
        fallback_rate=_share(found.fallbacks, calls),
        error_rate=_share(found.errors, found.rows),
        nonfinite_rate=_share(found.nonfinite, calls),
        **_latencies(found, quantiles),
    )


def shadows(
    events: Any = EVENTS,
    *,
    by: Sequence[str] = SHADOWED_BY,
    every: Every | None = None,
    quantiles: Sequence[float] = QUANTILES,
) -> Any:
    """Ask how models did in the shadow.

    The answer has a row for each group: the columns of `by`; ``begin``, where time is divided; ``watched``, the calls;
    ``failed``, those in which the model failed; ``disagreed``, those in which it said another thing than the one that
    answered; ``disagreement_rate`` of those that did not fail; and latencies as serving() has them.

    Raises:
        QueryError: as serving().
    """
    rows, keys = divided(events.filter(events.kind == "shadow"), by, every)
    counted = rows.group_by([*keys, "latency_s"]).agg(
        rows=rows.count(), failed=tally(rows.failed), disagreed=tally(rows.disagrees)
    )
    found = _summed(counted, keys, ["failed", "disagreed"], quantiles)
    return found.select(
        *keys,
        watched=found.rows,
        failed=found.failed,
        disagreed=found.disagreed,
        disagreement_rate=_share(found.disagreed, found.rows - found.failed),
        **_latencies(found, quantiles),
    )


def quantile_name(share: float) -> str:
    """Return the column of a quantile: ``latency_p50_s`` of 0.5, ``latency_p99_9_s`` of 0.999."""
    percent = float(Fraction(str(share)) * 100)
    return f"latency_p{percent:g}_s".replace(".", "_")


def _summed(counted: Any, keys: Sequence[str], sums: Sequence[str], quantiles: Sequence[float]) -> Any:
    """Counts of each latency as counts of all, the sum of latencies, and their quantiles."""
    measured = ibis.ifelse(counted.latency_s.isnull(), 0, counted.rows)
    same = ibis.window(group_by=keys)
    upto = ibis.window(group_by=keys, order_by=["latency_s"], preceding=None, following=0)
    ranked = counted.mutate(measured=measured)
    ranked = ranked.mutate(upto=ranked.measured.sum().over(upto), all=ranked.measured.sum().over(same))
    nanoseconds = (ranked.latency_s * _NANOSECONDS).round().cast("int64")
    found = ranked.group_by(keys).agg(
        rows=ranked.rows.sum(),
        measured=ranked.measured.sum(),
        latency_ns=(nanoseconds * ranked.measured).sum(),
        **{name: ranked[name].sum() for name in sums},
        **{quantile_name(share): _quantile(ranked, share) for share in quantiles},
    )
    return found.mutate(latency_mean_s=_share(found.latency_ns, found.measured) / _NANOSECONDS)


def _quantile(ranked: Any, share: float) -> Any:
    exact = Fraction(str(share))
    if not 0 < exact < 1 or exact.denominator > _DENOMINATOR_MAX:
        raise QueryError(f"a quantile is of a share between 0 and 1 with at most six decimals, not {share!r}")
    reaches = ranked.upto * exact.denominator >= ranked.all * exact.numerator
    return ranked.latency_s.min(where=reaches & (ranked.measured > 0))


def _latencies(found: Any, quantiles: Sequence[float]) -> dict[str, Any]:
    names = ("latency_mean_s", *map(quantile_name, quantiles))
    return {name: found[name] for name in names}


def _share(part: Any, whole: Any) -> Any:
    """One integer by another, missing where that is 0."""
    return part.cast("float64") / whole.nullif(0).cast("float64")
