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
    first = rows.group_by("unit").agg(day=rows.time.min().date())
    days = ask(engine, first.group_by("day").agg(units=first.count()).order_by("day")).to_pylist()
    if len(days) < 2:
        raise ExperimentError(
            f"the traffic of {bundle!r} cannot be measured: {len(days)} of the last {MEASURED_DAYS} days had new "
            "units; say it with --at-once and --per-day"
        )
    span = (days[-1]["day"] - days[0]["day"]).days
    return Traffic(days[0]["units"], sum(day["units"] for day in days[1:]) / span)
