"""The routing graph as it is walked: every way through it is laid out once, so that a call only looks things up.

Deciding is pure: the same key and meta always take the same way. Nothing here reads a clock or does IO.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

from edgerun._core.recorder import note_unit, split_assign_keyed
from edgerun._core.split import split_assign_key
from edgerun._shown import shown
from edgerun.enrolment import holdout_gate, layer_gate
from edgerun.errors import GraphError, InputError
from edgerun.graph import Graph, KeySplit, RandomSplit, ShadowDeploy, purpose_salt, salt_of
from edgerun.limits import LIMITS
from edgerun.split import Split, key_bytes

Meta = Mapping[str, Any]


class Watch(NamedTuple):
    """One watched model of one shadow_deploy node.

    Attributes:
        slot: its number among all watches of the graph.
        sample: the split whose arm 0 is watched; None watches every key.
    """

    node: str
    model: str
    tolerance: float
    slot: int
    sample: Split | None


class Route(NamedTuple):
    """One way through the graph, and where it ends.

    Attributes:
        version: of the bundle.
        model: the model that serves.
        path: the names passed, the model last.
        arm: the arm that the innermost random split assigned; None where none did.
        assignment: "assigned", "forced", "holdout", "other_slice", "not_enrolled" or "unassigned" by the innermost
            random split passed; None where the way has none.
        control: where to go when the model fails: the control of the innermost random split whose arm was drawn.
        watches: the models to run beside this one.
        unit: the meta field whose value, or else the caller's key, is the unit that the innermost sticky split, or
            else the holdout, hashed; None where none did.
        number: among all routes of the graph.
    """

    version: str
    model: str
    path: tuple[str, ...]
    arm: str | None = None
    assignment: str | None = None
    control: Step | None = None
    watches: tuple[Watch, ...] = ()
    unit: str | None = None
    number: int = 0


Decide = Callable[[Any, "Meta | None", str, int], Route]
"""``decide(key, meta, epoch, sequence)``: a step that leads to a route.

``key`` is what the caller gave, or None; ``meta`` likewise. ``epoch`` and ``sequence`` name the call's event, whose id
is the key of splits that have none. Raises InputError where a key or a meta value cannot be a key.
"""

Step = Route | Decide
"""The end of a way, or a decision. Steps are closures, since a call passes them every time: see follow()."""


def follow(step: Step, key: Any, meta: Meta | None, epoch: str, sequence: int) -> Route:
    """Return the route that a step leads a call to."""
    return step if type(step) is Route else step(key, meta, epoch, sequence)  # type: ignore[operator] # not a Route


def event_id(epoch: str, sequence: int) -> str:
    """Return the id of an event: its stream's epoch and its number there."""
    return f"{epoch}-{sequence}"


def _keyed_split(
    node: RandomSplit, lone: bool, arms: list[Step], forced: dict[bytes, Step], spare: dict[str, Step]
) -> Decide:
    """A random split that is sticky: one key, one arm."""
    field = node.split_key
    handle = node.split.handle
    enrol = share_split(purpose_salt(node.split.salt, "traffic"), node.traffic)
    unassigned, not_enrolled = spare["unassigned"], spare["not_enrolled"]

    def decide(key: Any, meta: Meta | None, epoch: str, sequence: int) -> Route:
        unit = key
        if meta is not None or not lone:
            unit = _unit(field, lone, key, meta)
        if unit is None:
            step = unassigned
        else:
            try:
                raw = unit.encode() if type(unit) is str else key_bytes(unit)
                step = arms[split_assign_keyed(handle, raw, len(raw))]
                if forced and raw in forced:
                    step = forced[raw]
                elif enrol is not None and not in_share(enrol, raw):
                    step = not_enrolled
            except (UnicodeEncodeError, IndexError):
                key_bytes(unit)  # says what is wrong with it
                raise
        return step if type(step) is Route else step(key, meta, epoch, sequence)  # type: ignore[operator] # not a Route

    return decide


def _unit(field: str | None, lone: bool, key: Any, meta: Meta | None) -> Any:
    """Return the value that a sticky split draws for: from meta first, else the caller's key."""
    found = None if meta is None else _field(meta, field)
    if found is not None:
        return found
    if key is not None and not lone:
        raise InputError(f"key= is ambiguous: the graph has several split keys; give {field!r} in meta")
    return key


def _field(meta: Meta, field: str | None) -> Any:
    """Return the value of a meta field, or None. To try costs nothing; to check the type would cost every call."""
    try:
        return meta.get(field)  # type: ignore[arg-type] # a keyed split has a field
    except AttributeError as error:
        raise InputError(f"meta must be a mapping of field to value, got {shown(meta)}") from error


def _request_split(node: RandomSplit, arms: list[Step], not_enrolled: Step) -> Decide:
    """A random split without a key: the event's id is drawn upon, so the log can replay it."""
    handle = node.split.handle
    enrol = share_split(purpose_salt(node.split.salt, "traffic"), node.traffic)

    def decide(key: Any, meta: Meta | None, epoch: str, sequence: int) -> Route:
        raw = event_id(epoch, sequence).encode()
        step = arms[split_assign_key(handle, raw, len(raw))]
        if enrol is not None and not in_share(enrol, raw):
            step = not_enrolled
        return follow(step, key, meta, epoch, sequence)

    return decide


class _Gated(NamedTuple):
    """Where a call goes before a node: on, or around it. Nodes that everybody may pass have none of this.

    Attributes:
        inside: for keys that pass.
        outside: for those that do not.
        missing: for calls without a key.
    """

    inside: Step
    outside: Step
    missing: Step


def _gated(
    field: str, lone: bool, gate: Split, ways: _Gated, assign: Callable[..., int], passing: Collection[bytes] = ()
) -> Decide:
    """Ask whether a key passes, or is one of `passing`; `assign` notes it as the call's unit, or does not."""
    handle, (inside, outside, missing) = gate.handle, ways

    def decide(key: Any, meta: Meta | None, epoch: str, sequence: int) -> Route:
        unit = key
        if meta is not None or not lone:
            unit = _unit(field, lone, key, meta)
        if unit is None:
            step = missing
        else:
            try:
                raw = unit.encode() if type(unit) is str else key_bytes(unit)
                step = (inside, outside)[assign(handle, raw, len(raw))]
                if passing and raw in passing:
                    step = inside
            except (UnicodeEncodeError, IndexError):
                key_bytes(unit)  # says what is wrong with it
                raise
        return follow(step, key, meta, epoch, sequence)

    return decide


def _gated_request(gate: Split, inside: Step, outside: Step) -> Decide:
    """Ask whether the id of a call passes."""
    handle = gate.handle

    def decide(key: Any, meta: Meta | None, epoch: str, sequence: int) -> Route:
        raw = event_id(epoch, sequence).encode()
        step = inside if split_assign_key(handle, raw, len(raw)) == 0 else outside
        return follow(step, key, meta, epoch, sequence)

    return decide


def _forced_alone(field: str, lone: bool, forced: dict[bytes, Step], otherwise: Step) -> Decide:
    """What is left of a random split for calls that it must not enrol."""

    def decide(key: Any, meta: Meta | None, epoch: str, sequence: int) -> Route:
        unit = _unit(field, lone, key, meta)
        step = otherwise
        if unit is not None:
            raw = key_bytes(unit)
            if raw in forced:
                note_unit(raw, len(raw))
                step = forced[raw]
        return follow(step, key, meta, epoch, sequence)

    return decide


def _key_split(field: str, cases: dict[str, Step], default: Step) -> Decide:
    """A table from a meta field's value to the next step."""

    def decide(key: Any, meta: Meta | None, epoch: str, sequence: int) -> Route:
        value = None if meta is None else _field(meta, field)
        if value is not None and type(value) is not str:
            value = _case(field, value)
        step = default if value is None else cases.get(value, default)
        return follow(step, key, meta, epoch, sequence)

    return decide


def _case(field: str, value: Any) -> str:
    """Return the text that a case is written as: of an integer its decimal text, as of a key."""
    if isinstance(value, str):
        return str.__str__(value)  # an enum that is a str is the text it holds, whatever it prints
    if not isinstance(value, int | np.integer) or isinstance(value, bool):
        raise InputError(f"meta field {field!r} must be a text or an integer, got {shown(value)}")
    try:
        return key_bytes(value).decode()
    except InputError as error:
        raise InputError(f"meta field {field!r}: {error}") from error


def share_split(salt: str, share: float) -> Split | None:
    """Return the split whose arm 0 owns a share of all keys; None for a share of 1, where nothing need be hashed."""
    if share == 1:
        return None
    exact = Fraction(share)
    return Split(salt, {"in": exact, "out": 1 - exact})


def in_share(split: Split, raw: bytes) -> bool:
    """Return whether a share_split() takes a key in. A key too long for a split is not in it."""
    return split_assign_key(split.handle, raw, len(raw)) == 0


def compile_graph(bundle: str, version: str, graph: Graph) -> tuple[Step, tuple[Route, ...], tuple[Watch, ...]]:
    """Lay out every way through a graph.

    Returns:
        Where every call starts, all routes, and all watches by their slots.

    Raises:
        GraphError: there are more routes than LIMITS.routes_max.
    """
    compiler = _Compiler(bundle, graph)
    start = compiler.start(Route(version=version, model="", path=()))
    return start, tuple(compiler.routes), tuple(compiler.watches.values())


class _Compiler:
    """Walks the graph depth first, carrying the route so far."""

    def __init__(self, bundle: str, graph: Graph) -> None:
        self.bundle, self.graph = bundle, graph
        self.routes: list[Route] = []
        self.watches: dict[tuple[str, str], Watch] = {}
        self.lone = len(graph.split_keys) == 1
        self.enrols_nobody: str | None = None

    def start(self, so_far: Route) -> Step:
        """Where every call starts: with a holdout, there are three graphs, and who is held out is asked once."""
        holdout = self.graph.holdout
        if holdout is None:
            return self.step(self.graph.route, so_far)
        keyed = so_far._replace(unit=holdout.split_key)
        inside = self.step(self.graph.route, keyed)
        self.enrols_nobody = "holdout"
        outside = self.step(self.graph.route, keyed)
        self.enrols_nobody = "unassigned"
        ways = _Gated(inside, outside, self.step(self.graph.route, so_far))
        return _gated(holdout.split_key, self.lone, holdout_gate(holdout).as_split(), ways, split_assign_keyed)

    def step(self, name: str, so_far: Route) -> Step:
        so_far = so_far._replace(path=(*so_far.path, name))
        match self.graph.nodes.get(name):
            case None:
                return self.end(name, so_far)
            case RandomSplit() as node:
                return self.random_split(node, so_far)
            case KeySplit() as node:
                ends = {target: self.step(target, so_far) for target in node.targets}
                cases = {value: ends[target] for value, target in node.cases.items()}
                return _key_split(node.field, cases, ends[node.default])
            case ShadowDeploy() as node:
                watches = tuple(self.watch(name, node, model) for model in node.shadows)
                return self.step(node.champion, so_far._replace(watches=(*so_far.watches, *watches)))

    def end(self, model: str, so_far: Route) -> Route:
        watches = tuple(watch for watch in so_far.watches if watch.model != model)
        control = so_far.control
        while type(control) is Route and control.model == model:  # a model cannot stand in for itself
            control = control.control
        self.routes.append(so_far._replace(model=model, watches=watches, control=control, number=len(self.routes)))
        if len(self.routes) > LIMITS.routes_max:
            raise GraphError(f"node {so_far.path[0]!r}: the graph has more than {LIMITS.routes_max} ways through it")
        if len(watches) > LIMITS.watches_max:
            raise GraphError(
                f"node {so_far.path[-2]!r}: {len(watches)} models watch one call; at most {LIMITS.watches_max}"
            )
        return self.routes[-1]

    def random_split(self, node: RandomSplit, so_far: Route) -> Step:
        if self.enrols_nobody is not None:
            return self.forced_alone(node, so_far, self.enrols_nobody)

        def arm(name: str, assignment: str, assigned: str | None) -> Step:
            fallback = so_far.control if name == node.control else control
            unit = so_far.unit if assignment == "unassigned" else node.split_key or so_far.unit
            return self.step(name, so_far._replace(arm=assigned, assignment=assignment, control=fallback, unit=unit))

        control = self.step(node.control, so_far._replace(arm=None, assignment="assigned"))
        arms = [arm(name, "assigned", name) for name in node.split.arms]
        not_enrolled = arm(node.control, "not_enrolled", None) if node.traffic < 1 else control
        if node.split_key is None:
            return self.in_slice(node, so_far, _request_split(node, arms, not_enrolled), arm, ())
        forced_arms = {name: arm(name, "forced", None) for name in dict.fromkeys(node.force.values())}
        forced = {key_bytes(key): forced_arms[name] for key, name in node.force.items()}
        spare = {"not_enrolled": not_enrolled, "unassigned": arm(node.control, "unassigned", None)}
        return self.in_slice(node, so_far, _keyed_split(node, self.lone, arms, forced, spare), arm, forced)

    def in_slice(
        self, node: RandomSplit, so_far: Route, inside: Step, arm: Callable[..., Step], forced: Collection[bytes]
    ) -> Step:
        """Lead the keys of other slices around a node; what an outer split assigned to them still holds."""
        if node.layer is None:
            return inside
        has_arm = so_far.assignment in {"assigned", "forced"}
        outside = self.step(node.control, so_far) if has_arm else arm(node.control, "other_slice", None)
        gate = layer_gate(node.layer).as_split()
        if node.split_key is None:
            return _gated_request(gate, inside, outside)
        assign = split_assign_key if has_arm else split_assign_keyed  # the unit stays that of the outer split
        return _gated(node.split_key, self.lone, gate, _Gated(inside, outside, inside), assign, forced)

    def forced_alone(self, node: RandomSplit, so_far: Route, why: str) -> Step:
        """Lead everybody to the control but keys that are forced; who was forced before stays so."""
        so_far = so_far._replace(arm=None, assignment="forced" if so_far.assignment == "forced" else why)
        control = self.step(node.control, so_far)
        if not node.force or node.split_key is None:
            return control
        forced = so_far._replace(assignment="forced", unit=node.split_key)
        stood_in = forced._replace(control=control)
        ends = {
            name: self.step(name, forced if name == node.control else stood_in)
            for name in dict.fromkeys(node.force.values())
        }
        steps = {key_bytes(key): ends[name] for key, name in node.force.items()}
        return _forced_alone(node.split_key, self.lone, steps, control)

    def watch(self, name: str, node: ShadowDeploy, model: str) -> Watch:
        if (name, model) not in self.watches:
            sample = share_split(purpose_salt(salt_of(self.bundle, name), "shadow"), node.sample)
            self.watches[name, model] = Watch(name, model, node.tolerance, len(self.watches), sample)
        return self.watches[name, model]
