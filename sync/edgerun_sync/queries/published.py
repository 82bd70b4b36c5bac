"""The facts of an experiment whose versions a repository lists: each published version with its plan is a phase."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgerun.enrolment import gates_of
from edgerun.graph import RandomSplit
from edgerun_bundles.experiment.plan import check_plan
from edgerun_bundles.experiment.versions import graph_of, plan_of
from edgerun_sync.queries.experiment import Version, experiment_facts
from edgerun_sync.queries.training import UNASKED

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from edgerun_bundles.experiment.published import Published
    from edgerun_sync.experiments.facts import Facts
    from edgerun_sync.queries.engines import Engine
    from edgerun_sync.queries.training import Training


def published_facts(
    engine: Engine,
    phases: Sequence[Published],
    *,
    until: datetime,
    keys: Sequence[str] | None = None,
    training: Training = UNASKED,
) -> Facts:
    """Return the facts of an experiment.

    Args:
        engine: that sums up.
        phases: its versions, in the order in which they were published; the last has the plan that counts.
        until: what came later is not looked at.
        keys: keys that are known; see `experiment_facts`.
        training: the training data of the last version.

    Raises:
        QueryError: the engine failed.
        ExperimentError: nothing was recorded, or the plan asks for outcomes of requests.
        BundleError: the plan is wrong, or does not fit a version.
        GraphError: a graph is wrong.
    """
    plan, versions = plan_of(phases[-1].document), []
    for phase in phases:
        graph = graph_of(phase.document)
        check_plan(plan, graph, phase.name)
        node = graph.nodes[plan.node]
        assert isinstance(node, RandomSplit)  # check_plan() has seen to it
        versions.append(Version(phase.listed.version, node.split, gates_of(node, graph.holdout)))
    name = phases[-1].listed.name
    return experiment_facts(engine, plan, name, versions, until=until, keys=keys, training=training)
