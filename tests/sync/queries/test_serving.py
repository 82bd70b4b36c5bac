"""How arms serve: both engines and numpy agree to the last bit."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from fractions import Fraction

import numpy as np
import pytest

from edgerun_sync.errors import QueryError
from edgerun_sync.queries.serving import quantile_name, serving, shadows
from edgerun_sync.queries.tables import BY, EVENTS, between
from support.recorded import START_US

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:PySpark does not yet fully support pandas:FutureWarning"),
]
START = datetime.fromtimestamp(START_US / 1e6, UTC)
SHARES = (0.001, 0.07, 0.5, 0.9, 0.99, 0.999999)


def rank(values, share):
    """The least value that at least so great a share of all does not exceed."""
    ordered = sorted(values)
    return ordered[math.ceil(Fraction(str(share)) * len(ordered)) - 1] if ordered else math.nan


def truth_of(rows):
    calls = rows[rows.kind.isin(["inference", "fallback"])]
    found = {
        "calls": len(calls),
        "fallbacks": int((rows.kind == "fallback").sum()),
        "errors": int((rows.kind == "error").sum()),
        "nonfinite": int((calls.nonfinite == True).sum()),  # noqa: E712 - it may be missing
    }
    nanoseconds = np.rint(calls.latency_s * 1e9).astype(np.int64)
    found["fallback_rate"] = found["fallbacks"] / len(calls) if len(calls) else math.nan
    found["error_rate"] = found["errors"] / len(rows)
    found["nonfinite_rate"] = found["nonfinite"] / len(calls) if len(calls) else math.nan
    found["latency_mean_s"] = int(nanoseconds.sum()) / len(calls) / 1e9 if len(calls) else math.nan
    return found | {quantile_name(share): rank(calls.latency_s, share) for share in SHARES}


@pytest.mark.parametrize("by", [("arm",), BY, ("device", "kind")])
def test_counts_rates_and_quantiles_are_those_of_numpy(engines, frames, by):
    found = engines.ask(serving(by=by, quantiles=SHARES), *by)
    rows = frames["events"][frames["events"].kind != "shadow"]
    groups = [*rows.groupby([*by], dropna=False)]
    assert len(found) == len(groups) > 2
    for (key, members), (_, row) in zip(groups, found.iterrows(), strict=True):
        assert tuple(row[[*by]]) == tuple(key)
        assert {name: value for name, value in row.items() if name not in by} == pytest.approx(
            truth_of(members), rel=0, abs=0, nan_ok=True
        )


@pytest.mark.parametrize(("every", "frequency"), [("minute", "min"), ("hour", "h"), ("day", "D"), ("week", "W-SUN")])
def test_time_is_divided_where_calendars_divide_it(engines, frames, every, frequency):
    found = engines.ask(serving(by=["arm"], every=every), "arm", "begin")
    rows = frames["events"][frames["events"].kind.isin(["inference", "fallback"])]
    begin = rows.time.dt.tz_localize(None).dt.to_period(frequency).dt.start_time.dt.tz_localize("UTC")
    truth = rows.groupby(["arm", begin]).size()
    calls = found[found.calls > 0]
    assert [*zip(calls.arm, calls.begin, calls.calls, strict=True)] == [(arm, at, n) for (arm, at), n in truth.items()]


def test_events_of_some_time_are_those_from_the_first_moment_up_to_the_last(engines, frames):
    since, until = START + timedelta(hours=5), START + timedelta(days=2)
    found = engines.ask(serving(between(EVENTS, since, until), by=["arm"]), "arm")
    rows = frames["events"]
    kept = rows[(rows.time >= since) & (rows.time < until) & rows.kind.isin(["inference", "fallback"])]
    assert found.calls.tolist() == kept.groupby("arm").size().tolist()


def test_shadows_are_counted_apart(engines, frames):
    found = engines.ask(shadows(), "model")
    rows = frames["events"][frames["events"].kind == "shadow"]
    (row,) = found.to_dict("records")
    assert (row["watched"], row["failed"], row["disagreed"]) == (
        len(rows),
        int(rows.failed.sum()),
        int(rows.disagrees.sum()),
    )
    assert row["disagreement_rate"] == row["disagreed"] / (row["watched"] - row["failed"])
    assert row["latency_p99_s"] == rank(rows.latency_s, 0.99)
    assert row["node"] == "watch"


@pytest.mark.parametrize(
    ("share", "column"), [(0.5, "latency_p50_s"), (0.999, "latency_p99_9_s"), (0.07, "latency_p7_s")]
)
def test_a_quantile_has_a_column_of_its_own(share, column):
    assert quantile_name(share) == column


@pytest.mark.parametrize(
    "wrong",
    [{"quantiles": [0]}, {"quantiles": [1]}, {"quantiles": [0.12345678]}, {"by": ["colour"]}, {"every": "fortnight"}],
)
def test_what_cannot_be_asked_is_said(wrong):
    with pytest.raises(QueryError):
        serving(**wrong)


def test_a_time_without_a_zone_is_refused():
    with pytest.raises(QueryError, match="zone"):
        between(EVENTS, datetime(2026, 1, 1))
