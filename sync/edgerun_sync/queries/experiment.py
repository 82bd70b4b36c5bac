"""The facts of an experiment, asked of the tables: everything that its scorecard rests on, in one record.

The engine groups events by unit and units by arm; what reaches Python is a row for each phase and arm, and the distinct
latencies. A phase is a version of the bundle: a ramp is a version with other weights.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, NamedTuple

from edgerun_sync.errors import ExperimentError
from edgerun_sync.experiments.declared import BEFORE, CALLS, LABELLED_CALLS, covariate_of, estimated_in, variables_of
from edgerun_sync.experiments.facts import Facts, PhaseFacts, Provenance
from edgerun_sync.experiments.quantiles import BELOW, COUNT
from edgerun_sync.queries.declared import calls_of, past_of
from edgerun_sync.queries.drift import drift_facts
from edgerun_sync.queries.estimates import (
    areas,
    below,
    latencies,
    moments_by_cell,
    moments_of_groups,
    quantiles,
    quantiles_by_unit,
)
from edgerun_sync.queries.experiment_health import health_facts, keys_of, points_of
from edgerun_sync.queries.experiment_models import model_facts
from edgerun_sync.queries.gathering import Source, devices_of, gather, with_phases
from edgerun_sync.queries.keeping import Keeper
from edgerun_sync.queries.tables import EVENTS, LABELS, ask, between, is_one_of
from edgerun_sync.queries.training import UNASKED

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from edgerun.enrolment import Gate
    from edgerun.split import Split
    from edgerun_bundles.experiment.metrics import DeclaredMetric
    from edgerun_bundles.experiment.plan import Plan
    from edgerun_sync.experiments.moments import Moments
    from edgerun_sync.experiments.quantiles import Quantile
    from edgerun_sync.queries.engines import Engine
    from edgerun_sync.queries.estimates import Cell, Latencies
    from edgerun_sync.queries.gathering import Gathered
    from edgerun_sync.queries.training import Training

PAST_DAYS = 28
"""Days before an experiment that its covariates are of."""


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
    training: Training = UNASKED,
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
        training: what the training data of the version that is served now were like.

    Raises:
        QueryError: the engine failed.
        ExperimentError: nothing was recorded, or the plan asks for outcomes of requests.
    """
    arms = [*dict.fromkeys(arm for version in versions for arm in version.split.arms)]
    names = [version.name for version in versions]
    keeper = Keeper(engine)
    events, labels = between(EVENTS, until=until), between(LABELS, until=until)
    calls = calls_of(plan, bundle, names, events)
    with ThreadPoolExecutor(1, "edgerun-points") as beside:  # the first question takes long to be put into words
        hashed = beside.submit(points_of, keys_of(engine, plan, keys), versions)
        devices = keeper.keep("devices", devices_of(calls))
    points = hashed.result()
    begins = ask(engine, devices.group_by(["version", "arm"]).agg(begin=devices.begin.min())).to_pylist()
    if any(row["arm"] not in arms for row in begins):  # of another node; else no call is looked at for its arm
        calls, devices = (rows.filter(is_one_of(rows.arm, arms)) for rows in (calls, devices))
    begun = _earliest(row for row in begins if row["arm"] in arms)
    if not begun:
        raise ExperimentError(
            f"no call of {bundle} {' or '.join(names)} was assigned to {' or '.join(arms)} before {until.isoformat()}; "
            "look at the bundle's name and versions with: edgerun query"
        )
    begin = min(begun.values())
    past = past_of(plan, bundle, between(EVENTS, since=begin - timedelta(days=PAST_DAYS), until=begin))
    source = Source(calls, past, labels, begin)
    ran = [version for version in versions if version.name in begun]
    timed = phase_latencies(engine, plan, source.calls) if len(ran) == 1 else {}
    gathered = gather(keeper, plan, source, [version.name for version in ran], partial(below_latencies, plan, timed))
    models = model_facts(keeper, plan, source, gathered, bundle, names, events)
    cells = _moments(engine, plan, gathered.units)
    known = None if gathered.known is None else with_phases(gathered.known.filter(~gathered.known.is_before), gathered)
    estimated = estimates_of(engine, plan, source.calls, known, gathered, timed)
    return Facts(
        plan=plan,
        bundle=bundle,
        looked_at=_moment(until),
        days=(until - begin).total_seconds() / 86_400,
        phases=tuple(
            _phase(plan, one, begun[one.name], cells, estimated) for one in sorted(ran, key=lambda one: begun[one.name])
        ),
        health=health_facts(engine, plan, ran, events, devices, gathered, begin + (until - begin) / 2, points),
        models=models,
        drift=drift_facts(engine, bundle, names, arms, until, training),
        provenance=Provenance(version("edgerun"), dict(engine.versions), keeper.queries),
        training=training.says,
    )


def _earliest(begins: Iterable[Mapping[str, Any]]) -> dict[str, datetime]:
    """When each version began, of any arm."""
    found: dict[str, datetime] = {}
    for row in begins:
        found[row["version"]] = min(row["begin"], found.get(row["version"], row["begin"]))
    return found


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
    return {name: _without_past(found) for name, found in moments_of_groups(engine, units, groups).items()}


def _without_past(cells: dict[Cell, Moments]) -> dict[Cell, Moments]:
    """Moments without what came before, where nothing did."""
    past = [name for found in cells.values() for name in found.names if name.startswith(BEFORE)]
    if not past or any(found.mean_of(name) for found in cells.values() for name in past):
        return cells
    return {cell: found.select([name for name in found.names if name not in past]) for cell, found in cells.items()}


def _timed_in(plan: Plan) -> dict[str, DeclaredMetric]:
    return {name: metric for name, metric in plan.metrics.items() if metric.kind == "latency_quantile"}


def phase_latencies(engine: Engine, plan: Plan, calls: Any) -> dict[Cell, Latencies]:
    """Latencies where a phase is a version: it is, unless units went on from one to the next."""
    return latencies(engine, calls.mutate(phase=calls.version)) if _timed_in(plan) else {}


def below_latencies(plan: Plan, timed: Mapping[Cell, Latencies], calls: Any) -> dict[str, Any]:
    """What the quantiles count on calls, where a phase is a version."""
    if not timed:
        return {}
    return {
        f"{name}.{part}": what
        for name, metric in _timed_in(plan).items()
        for part, what in below(calls, metric, timed, phase="version").items()
    }


def estimates_of(
    engine: Engine, plan: Plan, calls: Any, known: Any, gathered: Gathered, timed: Mapping[Cell, Latencies]
) -> dict[str, dict[Cell, Quantile]]:
    """The metrics that come as estimates of each arm.

    Where a phase is a version, what quantiles need is with the units already; else the calls are asked twice more.
    """
    found = {name: areas(engine, metric, known) for name, metric in plan.metrics.items() if metric.kind == "auc"}
    metrics = _timed_in(plan)
    if metrics and not gathered.is_plain:
        calls = with_phases(calls, gathered)
        timed = latencies(engine, calls)
    for name, metric in metrics.items():
        if gathered.is_plain and timed:
            units = gathered.units.rename({part: f"{name}.{part}" for part in (BELOW, COUNT)})
            moments = moments_by_cell(engine, units.filter(units[COUNT] > 0), [BELOW, COUNT])
        else:
            moments = quantiles_by_unit(engine, metric, calls, timed) if timed else {}
        found[name] = quantiles(metric, timed, moments)
    return {name: found[name] for name in estimated_in(plan)}


def _phase(
    plan: Plan,
    version: Version,
    begin: datetime,
    cells: Mapping[str, Mapping[Cell, Moments]],
    estimated: Mapping[str, Mapping[Cell, Any]],
) -> PhaseFacts:
    def of_arms(found: Mapping[Cell, Any]) -> dict[str, Any]:
        own = {arm: one for (phase, arm), one in found.items() if phase == version.name}
        return {arm: own[arm] for arm in sorted(own)}  # an engine has rows in any order

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
