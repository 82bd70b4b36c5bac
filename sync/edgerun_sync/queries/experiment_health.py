"""Counts for the health of an experiment: who fell silent, who was in several arms or a wrong one, and clocks."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import ibis

from edgerun_sync.collector.arrow.known_keys import points_table
from edgerun_sync.experiments.facts import DeviceClocks, HealthFacts
from edgerun_sync.queries.assignments import arm_at, audit_requests
from edgerun_sync.queries.tables import FLEET, ask, given, tally

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from edgerun_bundles.experiment.plan import Plan
    from edgerun_sync.queries.engines import Engine
    from edgerun_sync.queries.experiment import Version
    from edgerun_sync.queries.gathering import Gathered

_KEYS = "edgerun known keys"


def keys_of(engine: Engine, plan: Plan, keys: Sequence[str] | None) -> Sequence[str] | None:
    """Return the keys that an experiment could hear of: those that are known, or its devices; None where nobody knows.

    Raises:
        QueryError: the engine failed.
    """
    if plan.unit == "request" or (keys is None and plan.unit != "device"):
        return None
    if keys is not None:
        return keys
    devices: list[str] = ask(engine, FLEET.select("device"))["device"].to_pylist()
    return devices


def points_of(keys: Sequence[str] | None, versions: Sequence[Version]) -> Any:
    """Return the units of keys and their point in the split of each version that enrols them; None for no keys."""
    if keys is None:
        return None
    return points_table(keys, {version.name: (version.split, version.gates) for version in versions})


def health_facts(
    engine: Engine,
    plan: Plan,
    versions: Sequence[Version],
    events: Any,
    devices: Any,
    gathered: Gathered,
    half: datetime,
    points: Any,
) -> HealthFacts:
    """Return the counts.

    Who was not heard of since `half`, the middle of the experiment, counts as silent. Where units are known, all of
    them are asked about; else those that were heard of before.

    Args:
        engine: that counts.
        plan: of the experiment.
        versions: that ran.
        events: the table of events, or some of its rows.
        devices: of the experiment, as gathering.devices_of() asks for them.
        gathered: what is kept of it.
        half: its middle.
        points: of the units that are known, as points_of() returns them.

    Raises:
        QueryError: the engine failed.
    """
    if points is None:
        assigned, reported = _silent(engine, gathered.units, half)
        audited, misassigned = _audit_requests(engine, versions, events) if plan.unit == "request" else (0, 0)
    else:
        known = given(engine, _KEYS, points)
        assigned, reported, audited, misassigned = _audit(engine, versions, gathered.units, known, half)
    counted = {"devices": devices.device.nunique(), "skewed": devices.device.nunique(where=devices.ahead > 0)}
    clocks = ask(engine, devices.group_by("arm").agg(**counted)).to_pylist()
    (in_all,) = ask(engine, devices.agg(**counted)).to_pylist()
    return HealthFacts(
        assigned=_in_order(assigned),
        reported=_in_order(reported),
        in_several=gathered.in_several,
        audited=audited,
        misassigned=misassigned,
        devices=_in_order({row["arm"]: row["devices"] for row in clocks}),
        skewed=_in_order({row["arm"]: row["skewed"] for row in clocks}),
        clocks=DeviceClocks(**in_all),
    )


def _in_order(counts: Mapping[str, int]) -> dict[str, int]:
    """Counts by the names of arms, so that the facts are the same whatever order an engine has rows in."""
    return dict(sorted(counts.items()))


def _silent(engine: Engine, units: Any, half: datetime) -> tuple[dict[str, int], dict[str, int]]:
    """Units that were heard of in the first half, by arm, and those of them that were in the second, too."""
    early = units.filter(units["first"] < ibis.literal(half))
    is_late = early["last"] >= ibis.literal(half)
    rows = ask(engine, early.group_by("arm").agg(assigned=early.count(), reported=early.count(where=is_late)))
    return tuple({row["arm"]: row[what] for row in rows.to_pylist()} for what in ("assigned", "reported"))  # type: ignore[return-value]  # of two


def _audit(
    engine: Engine, versions: Sequence[Version], units: Any, known: Any, half: datetime
) -> tuple[dict[str, int], dict[str, int], int, int]:
    """Of units that are known: how many each arm should have, and was heard of late; how many were audited, and wrong.

    A unit should be in the arm of the last version; it is audited by the version in which it first came.
    """
    seen = units.select(seen="unit", arm="arm", phase="phase", is_late=units["last"] >= ibis.literal(half))
    joined = known.left_join(seen, known.unit == seen.seen)
    phases = [
        (joined.phase == version.name, arm_at(version.split, joined[f"point_{version.name}"])) for version in versions
    ]
    last = versions[-1]
    rows = joined.mutate(
        due=arm_at(last.split, joined[f"point_{last.name}"]),
        expected=ibis.cases(*phases),
        is_seen=joined.seen.notnull(),
    )
    counted = rows.group_by(["due", "arm", "expected", "is_seen"]).agg(n=rows.count(), late=tally(rows.is_late))
    assigned, reported = Counter[str](), Counter[str]()
    audited = wrong = 0
    for row in ask(engine, counted).to_pylist():
        if row["due"] is not None:
            assigned[row["due"]] += row["n"]
            reported[row["due"]] += row["late"]
        if row["is_seen"]:
            audited += row["n"]
            wrong += row["n"] if row["arm"] != row["expected"] else 0
    return dict(assigned), dict(reported), audited, wrong


def _audit_requests(engine: Engine, versions: Sequence[Version], events: Any) -> tuple[int, int]:
    """Calls whose arm was drawn again, and those that were in another."""
    audited = wrong = 0
    for version in versions:
        own = events.filter((events.version == version.name) & events.arm.isin(version.split.arms))
        for row in ask(engine, audit_requests(version.split, own, version.gates)).to_pylist():
            audited += row["calls"]
            wrong += row["calls"] if row["arm"] != row["expected"] else 0
    return audited, wrong
