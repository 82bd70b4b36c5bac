"""Counts for the health of an experiment: who fell silent, who was in several arms or a wrong one, and clocks."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import ibis

from edgerun_sync.collector.arrow.known_keys import keys_table
from edgerun_sync.experiments.facts import HealthFacts
from edgerun_sync.queries.assignments import audit_requests, expected
from edgerun_sync.queries.tables import FLEET, ask, given

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from edgerun_bundles.experiment.plan import Plan
    from edgerun_sync.queries.engines import Engine
    from edgerun_sync.queries.experiment import Version

CLOCK_AHEAD_MAX = timedelta(minutes=5)
"""How far after its arrival an event may claim to be."""

_KEYS = "edgerun known keys"


def health_facts(
    engine: Engine,
    plan: Plan,
    versions: Sequence[Version],
    events: Any,
    rows: Any,
    units: Any,
    half: datetime,
    keys: Sequence[str] | None,
) -> HealthFacts:
    """Return the counts.

    Who was not heard of since `half`, the middle of the experiment, counts as silent. Where keys are known, all of them
    are asked about; else those units that were heard of before.

    Raises:
        QueryError: the engine failed.
    """
    known = _known(engine, plan, keys)
    if known is None:
        early = units.filter(units["first"] < ibis.literal(half))
        is_late = early["last"] >= ibis.literal(half)
        counted = early.group_by("arm").agg(assigned=early.count(), reported=early.count(where=is_late))
    else:
        of_split = expected(versions[-1].split, known, versions[-1].gates).distinct()
        of_split = of_split.filter(of_split.expected.notnull())
        late = units.filter(units["last"] >= ibis.literal(half)).select(heard="unit")
        joined = of_split.left_join(late, of_split.unit == late.heard)
        counted = joined.group_by(arm=joined.expected).agg(assigned=joined.count(), reported=joined.heard.count())
    silent = ask(engine, counted).to_pylist()
    audited, misassigned = _audit(engine, plan, versions, events, units, known)
    in_phases = rows.group_by(["version", "unit"]).agg(arms=rows.arm.nunique())
    several = ask(engine, in_phases.agg(n=in_phases.count(where=in_phases.arms > 1))).to_pylist()[0]["n"]
    is_ahead = rows.time > rows.batch_time + ibis.interval(seconds=int(CLOCK_AHEAD_MAX.total_seconds()))
    clocks = ask(
        engine,
        rows.group_by("arm").agg(devices=rows.device.nunique(), skewed=rows.device.nunique(where=is_ahead)),
    ).to_pylist()
    return HealthFacts(
        assigned={row["arm"]: row["assigned"] for row in silent},
        reported={row["arm"]: row["reported"] for row in silent},
        in_several=several,
        audited=audited,
        misassigned=misassigned,
        devices={row["arm"]: row["devices"] for row in clocks},
        skewed={row["arm"]: row["skewed"] for row in clocks},
    )


def _known(engine: Engine, plan: Plan, keys: Sequence[str] | None) -> Any:
    """The keys that are known, as a table; None where none are."""
    if plan.unit == "request":
        return None
    if keys is not None:
        return given(engine, _KEYS, keys_table(keys))
    return FLEET.select(key="device") if plan.unit == "device" else None


def _audit(
    engine: Engine, plan: Plan, versions: Sequence[Version], events: Any, units: Any, known: Any
) -> tuple[int, int]:
    """Units (of a split that draws requests, calls) whose arm was computed again, and those that were in another."""
    audited = wrong = 0
    for version in versions:
        if plan.unit == "request":
            own = events.filter((events.version == version.name) & events.arm.isin(version.split.arms))
            question = audit_requests(version.split, own, version.gates).mutate(n=lambda row: row.calls)
        elif known is not None:
            of_split = expected(version.split, known, version.gates).distinct()
            first = units.filter(units.phase == version.name)
            joined = first.join(of_split, first.unit == of_split.unit)
            question = joined.group_by(["arm", "expected"]).agg(n=joined.count())
        else:
            continue
        for row in ask(engine, question).to_pylist():
            audited += row["n"]
            wrong += row["n"] if row["arm"] != row["expected"] else 0
    return audited, wrong
