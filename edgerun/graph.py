"""The routing graph as it is written down: its nodes, and every rule that makes one valid. Pure; no models needed."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from graphlib import CycleError, TopologicalSorter
from typing import Any, NamedTuple

from edgerun.errors import GraphError, InputError, SplitError
from edgerun.limits import LIMITS
from edgerun.signature import Signature, common_signature
from edgerun.split import Split


class RandomSplit(NamedTuple):
    """Draws an arm for each key; every arm is the name of a node or a model.

    Attributes:
        split: which arm owns which key.
        split_key: the meta field whose value is the key; None draws anew for each request.
        control: the arm that serves keys that are not enrolled, have no key, or whose own arm fails.
        traffic: the share of keys enrolled, from 0 to 1; it has a salt of its own.
        force: keys that quality assurance sends to an arm; they are never counted as assigned.
    """

    split: Split
    split_key: str | None
    control: str
    traffic: float
    force: Mapping[str, str]

    @property
    def targets(self) -> tuple[str, ...]:
        """The names this node leads to."""
        return self.split.arms


class KeySplit(NamedTuple):
    """Picks a node or model by the value of a meta field."""

    field: str
    cases: Mapping[str, str]
    default: str

    @property
    def targets(self) -> tuple[str, ...]:
        """The names this node leads to."""
        return (*dict.fromkeys((*self.cases.values(), self.default)),)


class ShadowDeploy(NamedTuple):
    """Serves the champion and runs models beside it whose answers are only compared.

    Attributes:
        champion: the node or model that answers.
        shadows: models that are watched.
        sample: the share of keys that are watched, from 0 to 1.
        tolerance: how far single-valued float outputs may lie apart and still agree.
    """

    champion: str
    shadows: tuple[str, ...]
    sample: float
    tolerance: float

    @property
    def targets(self) -> tuple[str, ...]:
        """The names this node leads to."""
        return (self.champion, *self.shadows)


Node = RandomSplit | KeySplit | ShadowDeploy


class Graph(NamedTuple):
    """A valid routing graph: names are known, no cycle, everything reachable."""

    route: str
    nodes: Mapping[str, Node]
    models: tuple[str, ...]

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

    def models_under(self, name: str) -> tuple[str, ...]:
        """Return the models that a node or model can lead to, each once."""
        return tuple(found for found in self.under(name) if found not in self.nodes)

    @property
    def split_keys(self) -> tuple[str, ...]:
        """The meta fields that random splits take their keys from, each once."""
        fields = (node.split_key for node in self.nodes.values() if isinstance(node, RandomSplit))
        return (*dict.fromkeys(field for field in fields if field is not None),)


def parse_graph(bundle: str, nodes: Mapping[str, Any], route: str, models: Iterable[str]) -> Graph:
    """Read a graph from plain data, in the form of a bundle's ``[nodes.*]`` tables.

    Args:
        bundle: the bundle's name; it begins the default salt of every split, so that two bundles never share one.
        nodes: node name to its fields.
        route: the name of the node or model where every request starts.
        models: the names of the bundle's models.

    Raises:
        GraphError: a rule is broken; the message starts with the node's name.
    """
    models = tuple(models)
    if len(nodes) > LIMITS.nodes_max:
        raise GraphError(f"the graph has {len(nodes)} nodes; at most {LIMITS.nodes_max} are allowed")
    for name in nodes:
        if name in models:
            raise GraphError(f"node {name!r}: a model has the same name")
    graph = Graph(route, {name: _parse_node(bundle, name, fields) for name, fields in nodes.items()}, models)
    _check_names(graph)
    _check_acyclic(graph)
    _check_reachable(graph)
    _check_salts(bundle, graph)
    return graph


def check_signatures(graph: Graph, signatures: Mapping[str, Signature]) -> Signature:
    """Return the one signature of all models of a graph.

    Raises:
        GraphError: two models that a node leads to cannot stand in for each other; the innermost such node is named.
    """
    common = signatures.get(graph.route)
    for name in reversed(_parents_first(graph)):
        try:
            common = common_signature({model: signatures[model] for model in graph.models_under(name)})
        except GraphError as error:
            raise GraphError(f"node {name!r}: {error}") from error
    assert common is not None  # the route is a model, or the last node of the loop
    return common


def salt_of(bundle: str, name: str) -> str:
    """Return the salt that a random split has where its author gave none."""
    return f"{bundle}/{name}"


def purpose_salt(salt: str, purpose: str) -> str:
    """Return the salt of another purpose of the same node: purposes never share one."""
    return f"{salt}/{purpose}"


def _check_names(graph: Graph) -> None:
    known = {*graph.nodes, *graph.models}
    if graph.route not in known:
        raise GraphError(f"route {graph.route!r} is neither a node nor a model; known: {_list(known)}")
    for name, node in graph.nodes.items():
        for target in node.targets:
            if target not in known:
                raise GraphError(f"node {name!r}: {target!r} is neither a node nor a model; known: {_list(known)}")
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


def _parents_first(graph: Graph) -> list[str]:
    """The nodes in an order in which each stands before those it leads to; the route first."""
    order = TopologicalSorter({name: graph.nodes[name].targets for name in graph.nodes}).static_order()
    return [name for name in reversed([*order]) if name in graph.nodes]


def _check_reachable(graph: Graph) -> None:
    reached = {*graph.under(graph.route)}
    for name in (*graph.nodes, *graph.models):
        if name not in reached:
            kind = "node" if name in graph.nodes else "model"
            raise GraphError(f"{kind} {name!r}: no route leads here; use it or remove it")


def _check_salts(bundle: str, graph: Graph) -> None:
    owners: dict[str, str] = {}
    for name, node in graph.nodes.items():
        salt = node.split.salt if isinstance(node, RandomSplit) else salt_of(bundle, name)
        for purpose_of in (salt, purpose_salt(salt, "traffic"), purpose_salt(salt, "shadow")):
            other = owners.setdefault(purpose_of, name)
            if other != name:
                raise GraphError(
                    f"node {name!r}: its salt {salt!r} clashes with that of node {other!r}; "
                    "the two would put the same keys together"
                )


def _list(names: Iterable[str]) -> str:
    return ", ".join(repr(name) for name in sorted(names))


class _Fields:
    """The fields of one node, taken one by one; what is left at the end is unknown."""

    def __init__(self, name: str, fields: Any) -> None:
        self.name = name
        if not isinstance(fields, Mapping):
            raise self.error(f"must be a table of fields, got {type(fields).__name__}")
        self.left = dict(fields)
        self.known: list[str] = []

    def error(self, problem: str) -> GraphError:
        return GraphError(f"node {self.name!r}: {problem}")

    def take(self, field: str, what: str, check: Callable[[Any], bool], default: Any = ...) -> Any:
        self.known.append(field)
        value = self.left.pop(field, default)
        if value is ...:
            raise self.error(f"{field!r} is missing; expected {what}")
        if value is not default and not check(value):
            raise self.error(f"{field!r} must be {what}, got {value!r}")
        return value

    def finish(self) -> None:
        for field in self.left:
            raise self.error(f"unknown field {field!r}; known: {', '.join(self.known)}")


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and value != ""


def _is_text_map(value: Any) -> bool:
    return isinstance(value, Mapping) and all(isinstance(k, str) and _is_text(v) for k, v in value.items())


def _is_share(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1


def _is_tolerance(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value >= 0


def _is_text_list(value: Any) -> bool:
    return isinstance(value, list | tuple) and len(value) > 0 and all(map(_is_text, value))


def _parse_node(bundle: str, name: str, fields: Any) -> Node:
    table = _Fields(name, fields)
    kinds: dict[str, Callable[[str, _Fields], Node]] = {
        "random_split": _parse_random_split,
        "key_split": _parse_key_split,
        "shadow_deploy": _parse_shadow_deploy,
    }
    kind = table.take("kind", f"one of {', '.join(kinds)}", lambda value: isinstance(value, str) and value in kinds)
    node = kinds[kind](bundle, table)
    table.finish()
    return node


def _parse_random_split(bundle: str, table: _Fields) -> RandomSplit:
    split = _parse_split(bundle, table)
    control = table.take("control", "the name of an arm", lambda value: value in split.arms, split.arms[0])
    force = table.take("force", "a table of key to arm", _is_text_map, {})
    for key, arm in force.items():
        if arm not in split.arms:
            raise table.error(f"'force' sends key {key!r} to {arm!r}, which is no arm; arms: {_list(split.arms)}")
    split_key = table.take("split_key", "the name of a meta field", _is_text, None)
    if force and split_key is None:
        raise table.error("'force' needs a 'split_key': without one there is no key to force")
    traffic = table.take("traffic", "a share from 0 to 1", _is_share, 1.0)
    return RandomSplit(split, split_key, control, float(traffic), dict(force))


def _parse_split(bundle: str, table: _Fields) -> Split:
    """Read the arms: either weights, or the exact split that reweighting has led to."""
    try:
        if "split" in table.left:
            return Split.from_dict(table.take("split", "a split as Split.to_dict() gives it", lambda _: True))
        weights = table.take("weights", "a table of arm to weight", lambda value: isinstance(value, Mapping))
        salt = table.take("salt", "a text", _is_text, salt_of(bundle, table.name))
        return Split(salt, weights)
    except (SplitError, InputError) as error:
        raise table.error(str(error)) from error


def _parse_key_split(_: str, table: _Fields) -> KeySplit:
    field = table.take("field", "the name of a meta field", _is_text)
    cases = table.take("cases", "a table of value to node or model", _is_text_map)
    return KeySplit(field, dict(cases), table.take("default", "the name of a node or model", _is_text))


def _parse_shadow_deploy(_: str, table: _Fields) -> ShadowDeploy:
    champion = table.take("champion", "the name of a node or model", _is_text)
    shadows = table.take("shadows", "a list of models", _is_text_list)
    if champion in shadows or len(set(shadows)) < len(shadows):
        raise table.error(f"a model is watched twice or watches itself: {champion!r}, {list(shadows)!r}")
    sample = table.take("sample", "a share from 0 to 1", _is_share, 1.0)
    tolerance = table.take("tolerance", "a finite number, 0 or more", _is_tolerance, LIMITS.shadow_tolerance)
    return ShadowDeploy(champion, tuple(shadows), float(sample), float(tolerance))


def node_to_dict(node: Node) -> dict[str, Any]:
    """Return a node as parse_graph() reads it, with the exact ranges of its split instead of bare weights."""
    match node:
        case RandomSplit():
            optional = {"split_key": node.split_key, "force": dict(node.force)}
            fields = {"split": node.split.to_dict(), "control": node.control, "traffic": node.traffic}
            return {
                "kind": "random_split",
                **fields,
                **{name: value for name, value in optional.items() if value},
            }
        case KeySplit():
            return {
                "kind": "key_split",
                "field": node.field,
                "cases": dict(node.cases),
                "default": node.default,
            }
        case ShadowDeploy():
            return {
                "kind": "shadow_deploy",
                "champion": node.champion,
                "shadows": list(node.shadows),
                "sample": node.sample,
                "tolerance": node.tolerance,
            }
