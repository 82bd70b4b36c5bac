"""What a step of an experiment makes of a bundle's description: another split, another control, another number. Pure.

Nothing but the node of the plan, the version and ``experiment`` changes, so that models and examples stay the blobs
that they are. The split is reweighted from the one before: as few keys move as can.
"""

from __future__ import annotations

import copy
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from edgerun.artifact import check_version
from edgerun.errors import BundleError
from edgerun.graph import RandomSplit, node_to_dict, parse_graph
from edgerun_bundles.comparing import keys_moved, least_moved
from edgerun_bundles.experiment.plan import check_plan, parse_plan, require_sample

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from fractions import Fraction

    from edgerun.graph import Graph
    from edgerun_bundles.experiment.plan import Plan

CONTROL_SUFFIX = "-control"
"""What the version ends with that has the control alone: the way back that is prepared."""


class Change(NamedTuple):
    """A description that follows another one."""

    document: Mapping[str, Any]
    """The new ``bundle.json``."""

    node: str
    """The random split that changes."""

    before: RandomSplit
    """As it was."""

    after: RandomSplit
    """As it is."""

    @property
    def moved(self) -> Fraction:
        """The share of keys that are served by another arm than before, exactly."""
        return keys_moved(self.before, self.after)

    @property
    def least(self) -> Fraction:
        """The share of keys that have to be."""
        return least_moved(self.before, self.after)


def plan_of(document: Mapping[str, Any]) -> Plan:
    """Return the plan of a description, checked against its graph.

    Raises:
        BundleError: there is none, it is wrong, or it lacks the sample of an arm that has a weight.
        GraphError: the graph is wrong.
    """
    where = _where(document)
    if not document.get("experiment"):
        raise BundleError(f"{where} has no [experiment]; write one with: edgerun experiment new")
    plan, graph = parse_plan(document["experiment"], where), graph_of(document)
    check_plan(plan, graph, where)
    require_sample(plan, _split(graph, plan).split.shares, where)
    return plan


def node_of(document: Mapping[str, Any], plan: Plan) -> RandomSplit:
    """Return the random split of a plan.

    Raises:
        GraphError: the graph is wrong.
    """
    return _split(graph_of(document), plan)


def reweighted(
    document: Mapping[str, Any], version: str, weights: Mapping[str, Fraction] | None, traffic: float | None
) -> Change:
    """Return a description with other weights or another share of keys that take part; it keeps its plan.

    Args:
        document: the former ``bundle.json``.
        version: of the new one.
        weights: of every arm; None keeps them.
        traffic: the share of keys that take part, 0 to 1; None keeps it.

    Raises:
        BundleError: an arm is unknown, left out or not of the plan, or nobody would be compared with the control.
        GraphError: the graph is wrong.
        SplitError: the weights cannot be had.
    """
    plan = plan_of(document)
    before = node_of(document, plan)
    split = before.split if weights is None else before.split.reweight(_ordered(document, plan, before, weights))
    after = before._replace(split=split, traffic=before.traffic if traffic is None else traffic)
    change = _changed(document, version, plan.node, before, after)
    require_sample(plan, split.shares, _where(change.document))
    shares = split.shares
    if not shares[plan.control] or sum(share > 0 for share in shares.values()) < 2 or not after.traffic:
        raise BundleError(
            f"{_where(document)}: an experiment needs keys at the control {plan.control!r} and at another arm; to end "
            "it, use: edgerun experiment stop, or promote"
        )
    return change


def control_only(document: Mapping[str, Any], version: str) -> Change:
    """Return a description with all keys at the control, and without the plan.

    Raises:
        BundleError: there is no plan, or it is wrong.
        GraphError: the graph is wrong.
    """
    plan = plan_of(document)
    return _settled(document, version, plan, plan.control)


def promoted(document: Mapping[str, Any], version: str, arm: str) -> Change:
    """Return a description with all keys at one arm, which is the control from then on, and without the plan.

    Where the bundle has a holdout, the control stays: those who are held out keep it.

    Raises:
        BundleError: there is no plan or no such arm, or it is the control already.
        GraphError: the graph is wrong.
    """
    plan = plan_of(document)
    treatments = [found for found in node_of(document, plan).split.arms if found != plan.control]
    if arm not in treatments:
        raise BundleError(
            f"{_where(document)}: {arm!r} is no treatment of {plan.name!r}; there is: {', '.join(treatments)}"
        )
    return _settled(document, version, plan, arm)


def is_same(former: RandomSplit, node: RandomSplit) -> bool:
    """Whether two splits serve every key alike; what weights they were made of does not matter."""
    return (former.split, former.traffic, former.control) == (node.split, node.traffic, node.control)


def control_version(version: str) -> str:
    """Return the version that has the control alone, for one in which an experiment runs.

    Raises:
        BundleError: it would be too long.
    """
    return _checked(version + CONTROL_SUFFIX)


def next_version(version: str, taken: Collection[str]) -> str:
    """Return the version that follows another one: the next number of its last part that nobody has.

    Raises:
        BundleError: it would be too long.
    """
    base = version.removesuffix(CONTROL_SUFFIX)
    found = re.fullmatch(r"(.*?)([0-9]+)", base)
    stem, number = (found[1], int(found[2])) if found else (f"{base}.", 0)
    while True:
        number += 1
        new = f"{stem}{number}"
        if new not in taken and new + CONTROL_SUFFIX not in taken:
            return _checked(new)


def _settled(document: Mapping[str, Any], version: str, plan: Plan, arm: str) -> Change:
    before = node_of(document, plan)
    split = before.split.reweight({found: int(found == arm) for found in before.split.arms})
    if arm == plan.control:
        after = before._replace(split=split)
    else:
        control = before.control if document.get("holdout") else arm  # who is held out keeps what there was before
        after = before._replace(split=split, control=control, layer=None, traffic=1.0)
    change = _changed(document, version, plan.node, before, after)
    return change._replace(document={name: value for name, value in change.document.items() if name != "experiment"})


def _changed(document: Mapping[str, Any], version: str, node: str, before: RandomSplit, after: RandomSplit) -> Change:
    new = copy.deepcopy(dict(document))
    new["version"] = _checked(version)
    new["nodes"][node] = node_to_dict(after)
    graph_of(new)
    return Change(new, node, before, after)


def _ordered(
    document: Mapping[str, Any], plan: Plan, node: RandomSplit, weights: Mapping[str, Fraction]
) -> dict[str, int | Fraction]:
    arms = node.split.arms
    for arm in weights:
        if arm not in arms:
            raise BundleError(f"{_where(document)}: {arm!r} is no arm of {plan.node!r}; there is: {', '.join(arms)}")
        if weights[arm] and arm not in plan.units:
            known = ", ".join(plan.units)
            raise BundleError(
                f"{_where(document)}: the plan of {plan.name!r} has no sample of {arm!r}; it has: {known}"
            )
    missing = [arm for arm in arms if arm not in weights]
    if missing:
        raise BundleError(f"{_where(document)}: --weights names every arm; {', '.join(missing)} is missing")
    return {arm: int(weights[arm]) if weights[arm].denominator == 1 else weights[arm] for arm in arms}


def graph_of(document: Mapping[str, Any]) -> Graph:
    """Return the graph of a bundle's description.

    Raises:
        GraphError: it is wrong.
    """
    holdout = document.get("holdout")
    return parse_graph(document["name"], document["nodes"], document["route"], document["models"], holdout)


def _split(graph: Graph, plan: Plan) -> RandomSplit:
    node = graph.nodes[plan.node]
    assert isinstance(node, RandomSplit)  # check_plan() has seen to it
    return node


def _checked(version: str) -> str:
    return check_version(version)


def _where(document: Mapping[str, Any]) -> str:
    return f"{document['name']}@{document['version']}"
