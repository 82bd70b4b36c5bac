"""The facts of an experiment, asked of the tables: everything that its scorecard rests on, in one record.

The engine groups events by unit and units by arm; what reaches Python is a row for each phase and arm, and the distinct
latencies. A phase is a version of the bundle: a ramp is a version with other weights.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, NamedTuple

from edgerun_sync.errors import ExperimentError
from edgerun_sync.experiments.declared import BEFORE, CALLS, LABELLED_CALLS, covariate_of, estimated_in, variables_of
from edgerun_sync.experiments.facts import Facts, PhaseFacts, Provenance
from edgerun_sync.queries.declared import calls_of, units_of, with_variables
from edgerun_sync.queries.drift import drift_facts
from edgerun_sync.queries.estimates import Cell, estimates, moments_by_cell
from edgerun_sync.queries.experiment_health import health_facts
from edgerun_sync.queries.experiment_models import Asked, model_facts
from edgerun_sync.queries.tables import EVENTS, LABELS, ask, between, given, statement

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edgerun.enrolment import Gate
    from edgerun.split import Split
    from edgerun_bundles.experiment.plan import Plan
    from edgerun_sync.experiments.moments import Moments
    from edgerun_sync.queries.engines import Engine

PAST_DAYS = 28
"""Days before an experiment that its covariates are of."""


_UNITS = "edgerun units"


class Version(NamedTuple):
    """One version of a bundle that the experiment ran in: a phase."""

    name: str
    """As events have it."""

    split: Split
    """Of the plan's node in that version."""

    gates: tuple[Gate, ...] = ()
    """What a key had to pass to be enrolled there: the holdout, the slice of a layer, the traffic."""


def experiment_facts(
    engine: Engine,
    plan: Plan,
    bundle: str,
    versions: Sequence[Version],
    *,
    until: datetime,
    keys: Sequence[str] | None = None,
) -> Facts:
    """Return the facts of an experiment.

    Args:
        engine: that sums up.
        plan: of the experiment.
        bundle: name of the bundle.
        versions: all in which the experiment ran.
        until: what came later is not looked at.
        keys: keys that are known whether or not they were heard of, such as a list of all customers: with them,
            assignments are audited. Of experiments by device or request, none are needed.

    Raises:
        QueryError: the engine failed.
        ExperimentError: nothing was recorded, or the plan asks for outcomes of requests.
    """
    arms = [*dict.fromkeys(arm for version in versions for arm in version.split.arms)]
    names = [version.name for version in versions]
    events, labels = between(EVENTS, until=until), between(LABELS, until=until)
    calls = calls_of(plan, bundle, names, arms, events)
    rows = with_variables(plan, calls, labels)
    begun = {row["version"]: row["begin"] for row in ask(engine, _begins(calls)).to_pylist()}
    if not begun:
        raise ExperimentError(
            f"no call of {bundle} {' or '.join(names)} was assigned to {' or '.join(arms)} before {until.isoformat()}; "
            "look at the bundle's name and versions with: edgerun query"
        )
    begin = min(begun.values())
    past = between(EVENTS, since=begin - timedelta(days=PAST_DAYS), until=begin)
    past = past.filter((past.bundle == bundle) & (past.kind != "shadow") & past.unit.notnull())
    if plan.unit == "request":
        past = past.mutate(unit=past.id)
    question = units_of(plan, rows, labels, with_variables(plan, past, between(LABELS, until=begin)))
    units = given(engine, _UNITS, ask(engine, question))  # a row a unit, asked once: all that follows is sums over it
    ran = [version for version in versions if version.name in begun]
    cells = _moments(engine, plan, units)
    estimated = {name: estimates(engine, plan.metrics[name], _with_phases(rows, units)) for name in estimated_in(plan)}
    return Facts(
        plan=plan,
        bundle=bundle,
        looked_at=_moment(until),
        days=(until - begin).total_seconds() / 86_400,
        phases=tuple(
            _phase(plan, one, begun[one.name], cells, estimated) for one in sorted(ran, key=lambda one: begun[one.name])
        ),
        health=health_facts(engine, plan, ran, events, calls, units, begin + (until - begin) / 2, keys),
        models=model_facts(engine, Asked(plan, bundle, names, begin, events, labels), calls, units),
        drift=drift_facts(engine, bundle, names, arms, until),
        provenance=Provenance(
            version("edgerun"), dict(engine.versions), {"units": statement(question, engine.dialect)}
        ),
    )


def _begins(rows: Any) -> Any:
    return rows.group_by("version").agg(begin=rows.time.min())


def _groups(plan: Plan) -> dict[str, tuple[str, ...]]:
    """The variables of each metric, with those from before where it has them."""
    groups: dict[str, tuple[str, ...]] = {}
    for name, metric in plan.metrics.items():
        own = variables_of(name, metric)
        covariate = covariate_of(name, metric)
        counts_calls = covariate is not None and len(own) == 2 and metric.outcome is None
        groups[name] = (*own, *(covariate or ())) if counts_calls else own
    return {name: group for name, group in groups.items() if group}


def _moments(engine: Engine, plan: Plan, units: Any) -> dict[str, dict[Cell, Moments]]:
    """The moments of each metric, and of labels under the name ""."""
    groups = {"": (CALLS, LABELLED_CALLS), **_groups(plan)}
    return {name: _without_past(moments_by_cell(engine, units, group)) for name, group in groups.items()}


def _without_past(cells: dict[Cell, Moments]) -> dict[Cell, Moments]:
    """Moments without what came before, where nothing did."""
    past = [name for found in cells.values() for name in found.names if name.startswith(BEFORE)]
    if not past or any(found.mean_of(name) for found in cells.values() for name in past):
        return cells
    return {cell: found.select([name for name in found.names if name not in past]) for cell, found in cells.items()}


def _with_phases(rows: Any, units: Any) -> Any:
    """Calls with the phase of their unit, those only that it made in the arm that it counts in."""
    own = units.select(of_unit="unit", of_arm="arm", phase="phase")
    return rows.join(own, (rows.unit == own.of_unit) & (rows.arm == own.of_arm)).drop("of_unit", "of_arm")


def _phase(
    plan: Plan,
    version: Version,
    begin: datetime,
    cells: Mapping[str, Mapping[Cell, Moments]],
    estimated: Mapping[str, Mapping[Cell, Any]],
) -> PhaseFacts:
    def of_arms(found: Mapping[Cell, Any]) -> dict[str, Any]:
        return {arm: one for (phase, arm), one in found.items() if phase == version.name}

    labels = of_arms(cells[""])
    return PhaseFacts(
        name=version.name,
        begin=_moment(begin),
        weights=dict(version.split.shares),
        units={arm: found.n for arm, found in labels.items()},
        moments={name: of_arms(cells[name]) for name in plan.metrics if name in cells},
        labels=labels,
        estimates={name: of_arms(found) for name, found in estimated.items()},
    )


def _moment(time: datetime) -> str:
    return time.astimezone(UTC).isoformat()
