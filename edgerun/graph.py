"""The routing graph as it is written down: the rules that make its nodes one valid whole. Pure; no models needed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from graphlib import CycleError, TopologicalSorter
from typing import Any, NamedTuple

from edgerun._shown import shown
from edgerun.enrolment import Holdout, check_slices, parse_holdout, purpose_salt
from edgerun.errors import GraphError
from edgerun.limits import LIMITS
from edgerun.nodes import (
    KeySplit,
    Node,
    RandomSplit,
    ShadowDeploy,
    listed,
    node_to_dict,
    parse_node,
    salt_of,
)
from edgerun.signature import Signature, common_signature

__all__ = [
    "Graph",
    "Holdout",
    "KeySplit",
    "Node",
    "RandomSplit",
    "ShadowDeploy",
    "check_signatures",
    "node_to_dict",
    "parse_graph",
    "purpose_salt",
    "salt_of",
]


class Graph(NamedTuple):
    """A valid routing graph: names are known, no cycle, everything reachable.

    Attributes:
        route: where every call starts.
        nodes: node name to node.
        models: the names of the bundle's models.
        holdout: the keys that no random split enrols; None holds out nobody.
    """

    route: str
    nodes: Mapping[str, Node]
    models: tuple[str, ...]
    holdout: Holdout | None = None

    def under(self, name: str) -> tuple[str, ...]:
        """Return every name that can be reached from a node or model, itself first, each once."""
        reached: dict[str, None] = {}
        waiting = [name]
        while waiting:
            current = waiting.pop()
            if current not in reached:
                reached[current] = None
                waiting.extend(reversed(self.nodes[current].targets) if current in self.nodes else ())
        return (*reached,)

    @property
    def split_keys(self) -> tuple[str, ...]:
        """The meta fields that random splits and the holdout take their keys from, each once."""
        fields = [node.split_key for node in self.nodes.values() if isinstance(node, RandomSplit)]
        fields += [self.holdout.split_key] if self.holdout else []
        return (*dict.fromkeys(field for field in fields if field is not None),)


def parse_graph(
    bundle: str, nodes: Mapping[str, Any], route: str, models: Iterable[str], holdout: Mapping[str, Any] | None = None
) -> Graph:
    """Read a graph from plain data, in the form of a bundle's ``[nodes.*]`` tables.

    Args:
        bundle: the bundle's name; it begins the default salt of every split, so that two bundles never share one.
        nodes: node name to its fields.
        route: the name of the node or model where every request starts.
        models: the names of the bundle's models.
        holdout: the fields of the bundle's ``[holdout]``; None holds out nobody.

    Raises:
        GraphError: a rule is broken; the message starts with the node's name.
    """
    models = tuple(models)
    if not isinstance(nodes, Mapping):
        raise GraphError(f"the graph's nodes must be a table of node name to fields, got {type(nodes).__name__}")
    if not isinstance(route, str):
        raise GraphError(f"route {shown(route)} must be the name of a node or model")
    if len(nodes) > LIMITS.nodes_max:
        raise GraphError(f"the graph has {len(nodes)} nodes; at most {LIMITS.nodes_max} are allowed")
    for name in nodes:
        if name in models:
            raise GraphError(f"node {name!r}: a model has the same name")
    parsed = {name: parse_node(bundle, name, fields) for name, fields in nodes.items()}
    graph = Graph(route, parsed, models, None if holdout is None else parse_holdout(holdout))
    _check_names(graph)
    _check_acyclic(graph)
    _check_reachable(graph)
    _check_salts(bundle, graph)
    check_slices({name: node for name, node in graph.nodes.items() if isinstance(node, RandomSplit)})
    _check_holdout(graph)
    return graph


def check_signatures(graph: Graph, signatures: Mapping[str, Signature]) -> Signature:
    """Return the one signature of all models of a graph.

    Raises:
        GraphError: two models that a node leads to cannot stand in for each other; the innermost such node is named.
    """
    common = signatures.get(graph.route)
    under = {model: {model: signatures[model]} for model in graph.models}
    for name in _children_first(graph):
        under[name] = {model: found for target in graph.nodes[name].targets for model, found in under[target].items()}
        try:
            common = common_signature(under[name])
        except GraphError as error:
            raise GraphError(f"node {name!r}: {error}") from error
    assert common is not None  # the route is a model, or the last node of the loop
    return common


def _check_names(graph: Graph) -> None:
    known = {*graph.nodes, *graph.models}
    if graph.route not in known:
        raise GraphError(f"route {shown(graph.route)} is neither a node nor a model; known: {listed(known)}")
    for name, node in graph.nodes.items():
        for target in node.targets:
            if target not in known:
                raise GraphError(
                    f"node {name!r}: {shown(target)} is neither a node nor a model; known: {listed(known)}"
                )
        if isinstance(node, ShadowDeploy):
            for shadow in node.shadows:
                if shadow not in graph.models:
                    raise GraphError(f"node {name!r}: the shadow {shadow!r} is a node; only a model can be watched")


def _check_acyclic(graph: Graph) -> None:
    order = TopologicalSorter({name: graph.nodes[name].targets for name in graph.nodes})
    try:
        order.prepare()
    except CycleError as error:
        cycle = [*reversed(error.args[1])]
        raise GraphError(f"node {cycle[0]!r}: the graph has a cycle: {' -> '.join(cycle)}") from error


def _children_first(graph: Graph) -> list[str]:
    """The nodes in an order in which each stands after those it leads to; the route last."""
    order = TopologicalSorter({name: graph.nodes[name].targets for name in graph.nodes})
    return [name for name in order.static_order() if name in graph.nodes]


def _check_reachable(graph: Graph) -> None:
    reached = {*graph.under(graph.route)}
    for name in (*graph.nodes, *graph.models):
        if name not in reached:
            kind = "node" if name in graph.nodes else "model"
            raise GraphError(f"{kind} {name!r}: no route leads here; use it or remove it")


def _check_salts(bundle: str, graph: Graph) -> None:
    """No two nodes share a salt. Since none ends like a purpose's, their purposes share none either."""
    owners: dict[str, str] = {}
    for name, node in graph.nodes.items():
        salt = node.split.salt if isinstance(node, RandomSplit) else salt_of(bundle, name)
        other = owners.setdefault(salt, name)
        if other != name:
            raise GraphError(
                f"node {name!r}: its salt {shown(salt)} clashes with that of node {other!r}; "
                "the two would put the same keys together"
            )


def _check_holdout(graph: Graph) -> None:
    if graph.holdout is not None and not any(isinstance(node, RandomSplit) for node in graph.nodes.values()):
        raise GraphError("'holdout': the graph has no random_split that could leave anybody out; remove it")
