"""The routing graph as it is walked: every way through it is laid out once, so that a call only looks things up.

Deciding is pure: the same key and meta always take the same way. Nothing here reads a clock or does IO.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any, Protocol

from edgerun._core import split_assign_key
from edgerun.errors import GraphError, InputError
from edgerun.graph import Graph, KeySplit, RandomSplit, ShadowDeploy, purpose_salt, salt_of
from edgerun.limits import LIMITS
from edgerun.split import Split, key_bytes

Meta = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Watch:
    """One watched model of one shadow_deploy node.

    Attributes:
        slot: its number among all watches of the graph.
        sample: the split whose arm 0 is watched; None watches every key.
    """

    node: str
    model: str
    tolerance: float
    slot: int
    sample: Split | None = field(compare=False)


@dataclass(frozen=True, slots=True)
class Route:
    """One way through the graph, and where it ends.

    Attributes:
        model: the model that serves.
        path: the names passed, the model last.
        arm: the arm that the innermost random split assigned; None where none did.
        assignment: "assigned", "forced", "not_enrolled" or "unassigned" by the innermost random split passed; None
            where the way has none.
        control: where to go when the model fails: the control of the innermost random split whose arm was drawn.
        watches: the models to run beside this one.
    """

    model: str
    path: tuple[str, ...]
    arm: str | None = None
    assignment: str | None = None
    control: Target | None = None
    watches: tuple[Watch, ...] = ()

    def route(self, key: Any, meta: Meta | None, epoch: str, sequence: int) -> Route:
        """Return this route: its end is reached."""
        return self


class Target(Protocol):
    """Something a call can be routed through."""

    def route(self, key: Any, meta: Meta | None, epoch: str, sequence: int) -> Route:
        """Return the way of one call.

        Args:
            key: the key the caller gave, or None.
            meta: the meta fields the caller gave, or None.
            epoch: of the stream of events, in hexadecimal.
            sequence: of this call; with the epoch it is the event's id, the key of splits that have none.

        Raises:
            InputError: a key or a meta value cannot be a key.
        """


def event_id(epoch: str, sequence: int) -> str:
    """Return the id of an event: its stream's epoch and its number there."""
    return f"{epoch}-{sequence}"


class _KeyedSplit:
    """A random split that is sticky: one key, one arm."""

    __slots__ = ("_arms", "_enrol", "_field", "_force", "_lone", "_not_enrolled", "_owner", "_split", "_unassigned")

    def __init__(  # noqa: D107
        self, node: RandomSplit, lone: bool, arms: list[Target], forced: dict[bytes, Target], control: tuple[Target, Target]
    ) -> None:
        self._field, self._lone = node.split_key, lone
        self._owner, self._split = node.split, node.split.handle  # the handle lives as long as its owner
        self._enrol = share_split(purpose_salt(node.split.salt, "traffic"), node.traffic)
        self._arms, self._force = arms, forced
        self._not_enrolled, self._unassigned = control

    def route(self, key: Any, meta: Meta | None, epoch: str, sequence: int) -> Route:
        caller_key = key
        found = None if meta is None else meta.get(self._field)
        if found is not None:
            key = found
        elif key is not None and not self._lone:
            raise InputError(f"key= is ambiguous: the graph has several split keys; give {self._field!r} in meta")
        if key is None:
            return self._unassigned.route(key, meta, epoch, sequence)
        try:
            raw = key.encode() if type(key) is str else key_bytes(key)
            if self._force and raw in self._force:
                target = self._force[raw]
            elif self._enrol is not None and not in_share(self._enrol, raw):
                target = self._not_enrolled
            else:
                target = self._arms[split_assign_key(self._split, raw, len(raw))]
        except (UnicodeEncodeError, IndexError):
            key_bytes(key)  # says what is wrong with it
            raise
        return target.route(caller_key, meta, epoch, sequence)


class _RequestSplit:
    """A random split without a key: the event's id is drawn upon, so the log can replay it."""

    __slots__ = ("_arms", "_enrol", "_not_enrolled", "_owner", "_split")

    def __init__(self, node: RandomSplit, arms: list[Target], not_enrolled: Target) -> None:  # noqa: D107
        self._owner, self._split = node.split, node.split.handle  # the handle lives as long as its owner
        self._enrol = share_split(purpose_salt(node.split.salt, "traffic"), node.traffic)
        self._arms, self._not_enrolled = arms, not_enrolled

    def route(self, key: Any, meta: Meta | None, epoch: str, sequence: int) -> Route:
        raw = event_id(epoch, sequence).encode()
        if self._enrol is not None and not in_share(self._enrol, raw):
            return self._not_enrolled.route(key, meta, epoch, sequence)
        return self._arms[split_assign_key(self._split, raw, len(raw))].route(key, meta, epoch, sequence)


class _KeySwitch:
    """A key split: a table from a meta field's value to the next step."""

    __slots__ = ("_cases", "_default", "_field")

    def __init__(self, field: str, cases: dict[str, Target], default: Target) -> None:  # noqa: D107
        self._field, self._cases, self._default = field, cases, default

    def route(self, key: Any, meta: Meta | None, epoch: str, sequence: int) -> Route:
        value = None if meta is None else meta.get(self._field)
        if value is not None and type(value) is not str:
            if not isinstance(value, str | int) or isinstance(value, bool):
                raise InputError(f"meta field {self._field!r} must be a text or an integer, got {value!r}")
            value = str(value)
        return self._cases.get(value, self._default).route(key, meta, epoch, sequence)  # type: ignore[arg-type] # None finds no case


def share_split(salt: str, share: float) -> Split | None:
    """Return the split whose arm 0 owns a share of all keys; None for a share of 1, where nothing need be hashed."""
    if share == 1:
        return None
    exact = Fraction(share)
    return Split(salt, {"in": exact, "out": 1 - exact})


def in_share(split: Split, raw: bytes) -> bool:
    """Return whether a share_split() takes a key in. A key too long for a split is not in it."""
    return split_assign_key(split.handle, raw, len(raw)) == 0


def compile_graph(bundle: str, graph: Graph) -> tuple[Target, tuple[Route, ...], tuple[Watch, ...]]:
    """Lay out every way through a graph.

    Returns:
        Where every call starts, all routes, and all watches by their slots.

    Raises:
        GraphError: there are more routes than LIMITS.routes_max.
    """
    compiler = _Compiler(bundle, graph)
    start = compiler.target(graph.route, Route(model="", path=()))
    return start, tuple(compiler.routes), tuple(compiler.watches.values())


class _Compiler:
    """Walks the graph depth first, carrying the route so far."""

    def __init__(self, bundle: str, graph: Graph) -> None:
        self.bundle, self.graph = bundle, graph
        self.routes: list[Route] = []
        self.watches: dict[tuple[str, str], Watch] = {}

    def target(self, name: str, so_far: Route) -> Target:
        so_far = replace(so_far, path=(*so_far.path, name))
        match self.graph.nodes.get(name):
            case None:
                return self.end(name, so_far)
            case RandomSplit() as node:
                return self.random_split(node, so_far)
            case KeySplit() as node:
                cases = {value: self.target(target, so_far) for value, target in node.cases.items()}
                return _KeySwitch(node.field, cases, self.target(node.default, so_far))
            case ShadowDeploy() as node:
                watches = tuple(self.watch(name, node, model) for model in node.shadows)
                return self.target(node.champion, replace(so_far, watches=(*so_far.watches, *watches)))

    def end(self, model: str, so_far: Route) -> Route:
        watches = tuple(watch for watch in so_far.watches if watch.model != model)
        self.routes.append(replace(so_far, model=model, watches=watches))
        if len(self.routes) > LIMITS.routes_max:
            raise GraphError(f"node {so_far.path[0]!r}: the graph has more than {LIMITS.routes_max} ways through it")
        return self.routes[-1]

    def random_split(self, node: RandomSplit, so_far: Route) -> Target:
        def arm(name: str, assignment: str, assigned: str | None) -> Target:
            fallback = so_far.control if name == node.control else control
            return self.target(name, replace(so_far, arm=assigned, assignment=assignment, control=fallback))

        control = self.target(node.control, replace(so_far, arm=None, assignment="assigned"))
        arms = [arm(name, "assigned", name) for name in node.split.arms]
        not_enrolled = arm(node.control, "not_enrolled", None) if node.traffic < 1 else control
        if node.split_key is None:
            return _RequestSplit(node, arms, not_enrolled)
        forced = {key_bytes(key): arm(name, "forced", None) for key, name in node.force.items()}
        unassigned = arm(node.control, "unassigned", None)
        lone = len(self.graph.split_keys) == 1
        return _KeyedSplit(node, lone, arms, forced, (not_enrolled, unassigned))

    def watch(self, name: str, node: ShadowDeploy, model: str) -> Watch:
        if (name, model) not in self.watches:
            sample = share_split(purpose_salt(salt_of(self.bundle, name), "shadow"), node.sample)
            self.watches[name, model] = Watch(name, model, node.tolerance, len(self.watches), sample)
        return self.watches[name, model]
