"""One node of the routing graph as it is written down: its kinds, its fields, and what each field may hold. Pure."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from edgerun._shown import shown
from edgerun.enrolment import Layer, layer_document, parse_layer, purpose_salt
from edgerun.errors import GraphError, InputError, SplitError
from edgerun.limits import LIMITS
from edgerun.split import Split, key_bytes

_PURPOSES = ("traffic", "layer", "holdout", "shadow")
"""What a split's salt is extended by (native/SPLIT.md section 6), so that no salt may end with one of them."""

NAMES_SHOWN = 20
"""How many names one error message lists at most."""


class RandomSplit(NamedTuple):
    """Draws an arm for each key; every arm is the name of a node or a model.

    Attributes:
        split: which arm owns which key.
        split_key: the meta field whose value is the key; None draws anew for each request.
        control: the arm that serves keys that are not enrolled, have no key, or whose own arm fails.
        traffic: the share of keys enrolled, from 0 to 1; it has a salt of its own.
        force: keys that quality assurance sends to an arm; they are never counted as assigned.
        layer: the slice of a layer whose keys alone are enrolled; None enrols from all keys.
    """

    split: Split
    split_key: str | None
    control: str
    traffic: float
    force: Mapping[str, str]
    layer: Layer | None = None

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


def salt_of(bundle: str, name: str) -> str:
    """Return the salt that a random split has where its author gave none."""
    return f"{bundle}/{name}"


def listed(names: Iterable[str]) -> str:
    """Return names for an error message, in order; not all where there are very many."""
    first = sorted(names)
    more = f" and {len(first) - NAMES_SHOWN} more" if len(first) > NAMES_SHOWN else ""
    return ", ".join(repr(name) for name in first[:NAMES_SHOWN]) + more


def _check_name(name: Any) -> None:
    if not _is_text(name):
        raise GraphError(f"node {shown(name)}: a node's name must be a text that is not empty")
    try:
        size = len(name.encode())
    except UnicodeEncodeError as error:
        raise GraphError(f"node {shown(name)}: the name has a lone surrogate: it is not Unicode text") from error
    if size > LIMITS.arm_name_max_bytes:
        raise GraphError(f"node {shown(name)}: the name has {size} bytes; at most {LIMITS.arm_name_max_bytes}")


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
            raise self.error(f"{field!r} must be {what}, got {shown(value)}")
        return value

    def finish(self) -> None:
        for field in self.left:
            raise self.error(f"unknown field {shown(field)}; known: {', '.join(self.known)}")


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and value != ""


def _is_text_map(value: Any) -> bool:
    return isinstance(value, Mapping) and all(isinstance(k, str) and _is_text(v) for k, v in value.items())


def _is_share(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1


def _is_tolerance(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= sys.float_info.max


def _is_text_list(value: Any) -> bool:
    return isinstance(value, list | tuple) and len(value) > 0 and all(map(_is_text, value))


def parse_node(bundle: str, name: str, fields: Any) -> Node:
    """Read a node from plain data.

    Args:
        bundle: the bundle's name, for the default salt.
        name: the node's own.
        fields: "kind" and what that kind has.

    Raises:
        GraphError: a field is missing, unknown or wrong; the message starts with the node's name.
    """
    _check_name(name)
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
            raise table.error(
                f"'force' sends key {shown(key)} to {shown(arm)}, which is no arm; arms: {listed(split.arms)}"
            )
        try:
            key_bytes(key)
        except InputError as error:
            raise table.error(f"'force': {error}") from error
    split_key = table.take("split_key", "the name of a meta field", _is_text, None)
    if force and split_key is None:
        raise table.error("'force' needs a 'split_key': without one there is no key to force")
    traffic = table.take("traffic", "a share from 0 to 1", _is_share, 1.0)
    layer = table.take("layer", "a table of name, from and to", lambda value: value is not None, None)
    try:
        slice_ = None if layer is None else parse_layer(layer)
    except GraphError as error:
        raise table.error(str(error)) from error
    return RandomSplit(split, split_key, control, float(traffic), dict(force), slice_)


def _parse_split(bundle: str, table: _Fields) -> Split:
    """Read the arms: either weights, or the exact split that reweighting has led to."""
    try:
        if "split" in table.left:
            split = Split.from_dict(table.take("split", "a split as Split.to_dict() gives it", lambda _: True))
        else:
            weights = table.take("weights", "a table of arm to weight", lambda value: isinstance(value, Mapping))
            split = Split(table.take("salt", "a text", _is_text, salt_of(bundle, table.name)), weights)
    except SplitError as error:
        raise table.error(str(error)) from error
    _check_salt(table, split.salt)
    return split


def _check_salt(table: _Fields, salt: str) -> None:
    for purpose in _PURPOSES:
        if salt.endswith(purpose_salt("", purpose)):
            raise table.error(
                f"the salt {shown(salt)} ends with '/{purpose}', which stands for another purpose of a split; "
                "give another 'salt', or rename the node"
            )
        if len(purpose_salt(salt, purpose).encode()) > LIMITS.salt_max_bytes:
            raise table.error(
                f"the salt has {len(salt.encode())} bytes; with '/{purpose}' after it, it must stay within "
                f"{LIMITS.salt_max_bytes}"
            )


def _parse_key_split(_: str, table: _Fields) -> KeySplit:
    field = table.take("field", "the name of a meta field", _is_text)
    cases = table.take("cases", "a table of value to node or model", _is_text_map)
    return KeySplit(field, dict(cases), table.take("default", "the name of a node or model", _is_text))


def _parse_shadow_deploy(_: str, table: _Fields) -> ShadowDeploy:
    champion = table.take("champion", "the name of a node or model", _is_text)
    shadows = table.take("shadows", "a list of models", _is_text_list)
    if champion in shadows or len(set(shadows)) < len(shadows):
        raise table.error(f"a model is watched twice or watches itself: {shown(champion)}, {shown(list(shadows))}")
    sample = table.take("sample", "a share from 0 to 1", _is_share, 1.0)
    tolerance = table.take("tolerance", "a finite number, 0 or more", _is_tolerance, LIMITS.shadow_tolerance)
    return ShadowDeploy(champion, tuple(shadows), float(sample), float(tolerance))


def node_to_dict(node: Node) -> dict[str, Any]:
    """Return a node as parse_graph() reads it, with the exact ranges of its split instead of bare weights."""
    match node:
        case RandomSplit():
            layer = None if node.layer is None else layer_document(node.layer)
            optional = {"split_key": node.split_key, "force": dict(node.force), "layer": layer}
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
