"""Whom an experiment enrols: slices of layers, holdouts and traffic as intervals of points (native/SPLIT.md section 6).

Pure. Routing, the audit in SQL and the comparison of bundles all take the intervals from here.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from re import fullmatch
from typing import TYPE_CHECKING, Any, NamedTuple

from edgerun._shown import shown
from edgerun.errors import GraphError
from edgerun.limits import LIMITS
from edgerun.split import Split

if TYPE_CHECKING:
    from edgerun.nodes import RandomSplit

POINTS = 2**32

_RATIO = "([0-9]{1,400})/([0-9]{1,400})"


class Layer(NamedTuple):
    """The slice of a layer that a random split takes its keys from.

    Attributes:
        name: of the layer: the same name is the same layer in every bundle.
        start: the share at which the slice begins.
        end: the share before which it ends.
    """

    name: str
    start: Fraction
    end: Fraction


class Holdout(NamedTuple):
    """The keys that no random split of a bundle enrols.

    Attributes:
        name: the same name holds out the same keys in every bundle.
        share: of all keys.
        split_key: the meta field whose value is the key.
    """

    name: str
    share: Fraction
    split_key: str


class Gate(NamedTuple):
    """One purpose as an interval of points: a key passes whose point lies in it.

    Attributes:
        salt: under which the point is taken.
        start: the first point that passes.
        end: the first point after it that does not.
        otherwise: what the assignment of a key is that does not pass.
    """

    salt: str
    start: int
    end: int
    otherwise: str

    @property
    def share(self) -> Fraction:
        """The share of all keys that pass."""
        return Fraction(self.end - self.start, POINTS)

    def passes(self, point: int) -> bool:
        """Return whether a key of this point passes."""
        return self.start <= point < self.end

    def as_split(self) -> Split:
        """Return the split whose arm 0 are the keys that pass; some must, and some must not."""
        parts = [(0, "out"), (self.start, "in"), (self.end, "out")]
        ends = [self.start, self.end, POINTS]
        ranges = [[start, arm] for (start, arm), end in zip(parts, ends, strict=True) if start < end]
        width = self.end - self.start
        return Split.from_dict(
            {"version": 1, "salt": self.salt, "weights": {"in": width, "out": POINTS - width}, "ranges": ranges}
        )


def purpose_salt(salt: str, purpose: str) -> str:
    """Return the salt of another purpose of the same node, or of a layer or holdout: purposes never share one."""
    return f"{salt}/{purpose}"


def bound_of(share: Fraction | float) -> int:
    """Return the number of points below a share of them: exact, and nothing but the share enters."""
    return (2 * Fraction(share) * POINTS + 1) // 2


def gates_of(node: RandomSplit, holdout: Holdout | None = None) -> tuple[Gate, ...]:
    """Return what a key must pass to be enrolled by a random split, in the order in which it is asked.

    A holdout of other keys than the node's is left out: the node's key does not tell it. So is what every key passes.
    """
    gates = []
    if holdout is not None and holdout.split_key == node.split_key:
        gates.append(holdout_gate(holdout))
    if node.layer is not None:
        gates.append(layer_gate(node.layer))
    gates.append(traffic_gate(node.split.salt, node.traffic))
    return tuple(gate for gate in gates if gate.share < 1)


def layer_gate(layer: Layer) -> Gate:
    """Return the points that lie in a slice."""
    return Gate(purpose_salt(layer.name, "layer"), bound_of(layer.start), bound_of(layer.end), "other_slice")


def holdout_gate(holdout: Holdout) -> Gate:
    """Return the points that are not held out."""
    return Gate(purpose_salt(holdout.name, "holdout"), bound_of(holdout.share), POINTS, "holdout")


def traffic_gate(salt: str, traffic: float) -> Gate:
    """Return the points that an experiment of this salt enrols."""
    return Gate(purpose_salt(salt, "traffic"), 0, bound_of(traffic), "not_enrolled")


def enrolled_share(node: RandomSplit, holdout: Holdout | None = None) -> Fraction:
    """Return the share of all keys that a random split enrols; a holdout of other keys is an independent draw."""
    share = Fraction(1) if holdout is None else holdout_gate(holdout).share
    for gate in gates_of(node):
        share *= gate.share
    return share


def parse_layer(value: Any) -> Layer:
    """Read the field ``layer`` of a random split.

    Args:
        value: ``name``, ``from`` and ``to``.

    Raises:
        GraphError: a field is missing, unknown or wrong, or no point lies in the slice.
    """
    name, start, end = _fields(value, "layer", ("name", "from", "to"))
    layer = Layer(_name(name, "layer"), _share(start, "'layer': 'from'"), _share(end, "'layer': 'to'"))
    if layer_gate(layer).share <= 0:
        raise GraphError(
            f"'layer': no key lies in the slice from {shown(start)} to {shown(end)}; it must end after it begins"
        )
    return layer


def parse_holdout(value: Any) -> Holdout:
    """Read the field ``holdout`` of a bundle.

    Args:
        value: ``name``, ``share`` and ``split_key``.

    Raises:
        GraphError: a field is missing, unknown or wrong.
    """
    name, share, split_key = _fields(value, "holdout", ("name", "share", "split_key"))
    if not isinstance(split_key, str) or not split_key:
        raise GraphError(f"'holdout': 'split_key' must be the name of a meta field, got {shown(split_key)}")
    return Holdout(_name(name, "holdout"), _share(share, "'holdout': 'share'"), split_key)


def layer_document(layer: Layer) -> dict[str, Any]:
    """Return a layer as parse_layer() reads it."""
    return {"name": layer.name, "from": _written(layer.start), "to": _written(layer.end)}


def holdout_document(holdout: Holdout) -> dict[str, Any]:
    """Return a holdout as parse_holdout() reads it."""
    return {"name": holdout.name, "share": _written(holdout.share), "split_key": holdout.split_key}


def check_slices(splits: Mapping[str, RandomSplit]) -> None:
    """Check that the slices of one layer exclude each other, or are the same.

    Args:
        splits: the random splits of one bundle, by the names of their nodes.

    Raises:
        GraphError: two overlap, or draw by different keys; the later node is named.
    """
    of_layer: dict[str, list[tuple[str, Gate, str | None]]] = {}
    for name, node in splits.items():
        if node.layer is None:
            continue
        gate = layer_gate(node.layer)
        for other, theirs, split_key in of_layer.setdefault(node.layer.name, []):
            layer = f"node {name!r}: its slice of the layer {shown(node.layer.name)}"
            if split_key != node.split_key:
                raise GraphError(
                    f"{layer} is drawn by {node.split_key or 'each request'!r} and that of node {other!r} by "
                    f"{split_key or 'each request'!r}, so they exclude nobody; give both one 'split_key'"
                )
            if gate != theirs and max(gate.start, theirs.start) < min(gate.end, theirs.end):
                raise GraphError(
                    f"{layer} overlaps that of node {other!r}; let one end where the other begins, "
                    "or make them the same"
                )
        of_layer[node.layer.name].append((name, gate, node.split_key))


def _fields(value: Any, what: str, names: tuple[str, ...]) -> list[Any]:
    if not isinstance(value, Mapping):
        raise GraphError(f"{what!r} must be a table of {', '.join(names)}, got {shown(value)}")
    for field in value:
        if field not in names:
            raise GraphError(f"{what!r}: unknown field {shown(field)}; known: {', '.join(names)}")
    for field in names:
        if field not in value:
            raise GraphError(f"{what!r}: {field!r} is missing; expected {', '.join(names)}")
    return [value[field] for field in names]


def _name(value: Any, what: str) -> str:
    if not isinstance(value, str) or not value:
        raise GraphError(f"{what!r}: 'name' must be a text that is not empty, got {shown(value)}")
    try:
        size = len(value.encode())
    except UnicodeEncodeError as cause:
        raise GraphError(f"{what!r}: the name {shown(value)} has a lone surrogate: it is not Unicode text") from cause
    if size > LIMITS.arm_name_max_bytes:
        raise GraphError(f"{what!r}: the name has {size} bytes; at most {LIMITS.arm_name_max_bytes}")
    return str(value)


def _share(value: Any, where: str) -> Fraction:
    """A number as the binary value that it holds, or the text ``numerator/denominator``."""
    ratio = fullmatch(_RATIO, value) if isinstance(value, str) else None
    if ratio is not None and int(ratio[2]) > 0:
        share = Fraction(int(ratio[1]), int(ratio[2]))
    elif isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1:
        share = Fraction(value)
    else:
        share = Fraction(-1)
    if not 0 <= share <= 1:
        raise GraphError(f"{where} must be a share from 0 to 1, or a text such as '1/3', got {shown(value)}")
    return share


def _written(share: Fraction) -> int | float | str:
    """A share as JSON keeps it exactly."""
    if share.denominator == 1:
        return int(share)
    number = float(share)
    return number if Fraction(number) == share else f"{share.numerator}/{share.denominator}"
