"""The traffic that a plan is told of: units that are there at once, and new ones over all days that were looked at."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from edgerun_sync.errors import ExperimentError
from edgerun_sync.queries.traffic import MEASURED_DAYS, traffic
from support.recorded import DAY_US, START_US

END = datetime.fromtimestamp(START_US / 1e6, UTC) + timedelta(days=MEASURED_DAYS - 1)


def test_days_without_a_new_unit_count_too(duck, frames):
    calls = frames["events"][frames["events"].kind.isin(["inference", "fallback"]) & frames["events"].unit.notna()]
    first = calls.groupby("unit").time.min().dt.floor("D")
    span = (calls.time.max().floor("D") - first.min()).days
    assert span >= 1
    found = traffic(duck, calls.bundle.iloc[0], END)
    assert found.at_once == (first == first.min()).sum()
    assert found.per_day == (first > first.min()).sum() / span


def test_one_day_is_no_traffic(duck, frames):
    bundle = frames["events"].bundle.iloc[0]
    midnight = datetime.fromtimestamp((START_US // DAY_US + 1) * DAY_US / 1e6, UTC)
    with pytest.raises(ExperimentError, match="one of the last 28 days had calls"):
        traffic(duck, bundle, midnight)
    with pytest.raises(ExperimentError, match="none of the last 28 days"):
        traffic(duck, "nosuch", END)
