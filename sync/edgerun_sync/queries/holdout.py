"""The facts of a holdout, asked of the tables: the units that no experiment enrolled, and all others."""

from __future__ import annotations

from datetime import UTC
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import ibis

from edgerun.enrolment import Holdout, holdout_gate
from edgerun_sync.collector.arrow.known_keys import keys_table
from edgerun_sync.errors import ExperimentError
from edgerun_sync.experiments.declared import CALLS, LABELLED_CALLS, estimated_in, variables_of
from edgerun_sync.experiments.facts import PhaseFacts
from edgerun_sync.experiments.held_out import HELD_OUT, OTHERS, HoldoutFacts
from edgerun_sync.queries.assignments import passing
from edgerun_sync.queries.estimates import moments_of_groups
from edgerun_sync.queries.experiment import below_latencies, estimates_of, phase_latencies
from edgerun_sync.queries.gathering import Source, gather, with_phases
from edgerun_sync.queries.keeping import Keeper
from edgerun_sync.queries.tables import EVENTS, LABELS, ask, between, given

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from edgerun_bundles.experiment.plan import Plan
    from edgerun_sync.queries.engines import Engine

ENROLLED_OR_NOT = ("assigned", "other_slice", "not_enrolled")
"""What the calls of those say who are not held out. Who was forced, or has no key, is in neither group."""

_KEYS = "edgerun keys of a holdout"


class HoldoutVersion(NamedTuple):
    """One version of a bundle that held keys out."""

    name: str
    """As events have it."""

    holdout: Holdout
    """Its holdout."""


def holdout_facts(
    engine: Engine,
    plan: Plan,
    bundle: str,
    versions: Sequence[HoldoutVersion],
    *,
    until: datetime,
    keys: Sequence[str] | None = None,
) -> HoldoutFacts:
    """Return what the tables say of a holdout.

    Args:
        engine: that sums up.
        plan: whose metrics are compared.
        bundle: name of the bundle.
        versions: all that had the holdout, and drew by its key.
        until: what came later is not looked at.
        keys: keys that are known: with them it is audited who was held out.

    Raises:
        QueryError: the engine failed.
        ExperimentError: nothing was recorded.
    """
    plan = plan._replace(unit="split_key")
    keeper, labels = Keeper(engine), between(LABELS, until=until)
    calls = _calls(bundle, versions, between(EVENTS, until=until))
    begins = calls.group_by("version").agg(begin=calls.time.min())
    begun = {row["version"]: row["begin"] for row in ask(engine, begins).to_pylist()}
    if not begun:
        raise ExperimentError(
            f"no call of {bundle} {' or '.join(version.name for version in versions)} passed a random split before "
            f"{until.isoformat()}; look at the bundle's name and versions with: edgerun query"
        )
    ran = sorted((version for version in versions if version.name in begun), key=lambda version: begun[version.name])
    timed = phase_latencies(engine, plan, calls) if len(ran) == 1 else {}
    nothing = calls.filter(ibis.literal(value=False))  # before a holdout begins, nobody is held out
    source = Source(calls, nothing, labels, min(begun.values()))
    gathered = gather(keeper, plan, source, [version.name for version in ran], partial(below_latencies, plan, timed))
    known = None if gathered.known is None else with_phases(gathered.known.filter(~gathered.known.is_before), gathered)
    groups = {"": (CALLS, LABELLED_CALLS), **{name: variables_of(name, one) for name, one in plan.metrics.items()}}
    cells: dict[str, Mapping[tuple[str, str], Any]] = {
        **moments_of_groups(engine, gathered.units, {name: group for name, group in groups.items() if group}),
        **estimates_of(engine, plan, calls, known, gathered, timed),
    }
    audited, misassigned = (None, 0) if keys is None else _audited(engine, ran, gathered.units, keys)
    return HoldoutFacts(
        name=versions[-1].holdout.name,
        bundle=bundle,
        metrics=plan.metrics,
        days=(until - min(begun.values())).total_seconds() / 86_400,
        phases=tuple(_phase(plan, version, begun[version.name], cells) for version in ran),
        in_both=gathered.in_several,
        audited=audited,
        misassigned=misassigned,
    )


def _calls(bundle: str, versions: Sequence[HoldoutVersion], events: Any) -> Any:
    """The calls of both groups, each the "arm" of its call."""
    rows = events.filter(
        (events.bundle == bundle)
        & events.version.isin([version.name for version in versions])
        & (events.kind != "shadow")
        & events.assignment.isin(["holdout", *ENROLLED_OR_NOT])
        & events.unit.notnull()
    )
    return rows.mutate(arm=ibis.ifelse(rows.assignment == "holdout", HELD_OUT, OTHERS))


def _phase(
    plan: Plan, version: HoldoutVersion, begin: datetime, cells: Mapping[str, Mapping[tuple[str, str], Any]]
) -> PhaseFacts:
    def of_groups(name: str) -> dict[str, Any]:
        return {arm: one for (phase, arm), one in cells[name].items() if phase == version.name}

    others, labels, estimated = float(holdout_gate(version.holdout).share), of_groups(""), estimated_in(plan)
    return PhaseFacts(
        name=version.name,
        begin=begin.astimezone(UTC).isoformat(),
        weights={HELD_OUT: 1 - others, OTHERS: others},
        units={arm: found.n for arm, found in labels.items()},
        moments={name: of_groups(name) for name in plan.metrics if name not in estimated},
        labels=labels,
        estimates={name: of_groups(name) for name in estimated},
    )


def _audited(engine: Engine, versions: Sequence[HoldoutVersion], units: Any, keys: Sequence[str]) -> tuple[int, int]:
    """Units whose group was computed again where they were first seen, and those that were in the other one."""
    known, audited, wrong = given(engine, _KEYS, keys_table(keys)), 0, 0
    for version in versions:
        passes = passing(holdout_gate(version.holdout), known).distinct()
        first = units.filter(units.phase == version.name)
        joined = first.join(passes, first.unit == passes.unit)
        is_right = (joined.arm == OTHERS) == joined.passes
        row = ask(engine, joined.agg(n=joined.count(), right=joined.count(where=is_right))).to_pylist()[0]
        audited, wrong = audited + row["n"], wrong + row["n"] - row["right"]
    return audited, wrong
