"""The traffic of a fleet as plans need it: units that are there at once, and new ones a day."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from edgerun_sync.errors import ExperimentError
from edgerun_sync.experiments.planning import Traffic
from edgerun_sync.queries.tables import CALLS, EVENTS, ask, between

if TYPE_CHECKING:
    from datetime import datetime

    from edgerun_sync.queries.engines import Engine

MEASURED_DAYS = 28
"""Whole days before now that are looked at."""


def traffic(engine: Engine, bundle: str, until: datetime) -> Traffic:
    """Return the units of the first of the last days that had any, and the mean of those new on each day after it.

    Raises:
        QueryError: the engine failed.
        ExperimentError: there were fewer than two days with calls that have a unit.
    """
    rows = between(EVENTS, since=until - timedelta(days=MEASURED_DAYS), until=until)
    rows = rows.filter((rows.bundle == bundle) & rows.kind.isin(CALLS) & rows.unit.notnull())
    units = rows.group_by("unit").agg(day=rows.time.min().date(), last=rows.time.max().date())
    days = ask(engine, units.group_by("day").agg(units=units.count(), last=units["last"].max()).order_by("day"))
    found = days.to_pylist()
    span = (max(day["last"] for day in found) - found[0]["day"]).days if found else 0
    if not span:
        raise ExperimentError(
            f"the traffic of {bundle!r} cannot be measured: {'one' if found else 'none'} of the last {MEASURED_DAYS} "
            "days had calls that have a unit, and it takes two; say it with --at-once and --per-day"
        )
    return Traffic(found[0]["units"], sum(day["units"] for day in found[1:]) / span)
