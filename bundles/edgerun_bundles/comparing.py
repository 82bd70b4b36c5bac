"""What differs between two bundles, down to the share of keys that another arm will serve. Pure but for reading sizes.

The share is exact, not sampled: the ranges of both splits are laid over each other. It supposes only that hashes under
different salts are independent, as the split's specification does.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

from edgerun.enrolment import Gate, enrolled_share, gates_of, holdout_document, holdout_gate
from edgerun.graph import RandomSplit, node_to_dict

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgerun.artifact import Manifest
    from edgerun.bundle import Bundle
    from edgerun.graph import Graph, Holdout, Node
    from edgerun.split import Split

POINTS = 2**32


def compare(before: tuple[Bundle, Manifest], after: tuple[Bundle, Manifest]) -> dict[str, Any]:
    """Return what differs between two bundles, as JSON holds it.

    Fields: ``before`` and ``after`` (name, version, digest, bytes), ``same``, ``models`` (added, removed, changed),
    ``route``, ``nodes`` (added, removed, changed: for each the fields, and for a split the share of its keys that
    move and the shares of the arms), ``holdout``, ``golden``, ``profile``, ``requires``, ``limits``,
    ``experiment``, ``transfer_bytes`` (what must be sent to where the former bundle is).
    """
    (old, old_manifest), (new, new_manifest) = before, after
    missing = new_manifest.blobs.keys() - old_manifest.blobs.keys()
    is_same = old_manifest.digest == new_manifest.digest
    sent = sum(new_manifest.blobs[digest] for digest in missing) + new_manifest.size
    return {
        "before": _summary(old_manifest),
        "after": _summary(new_manifest),
        "same": is_same,
        "models": tables(_models(*before), _models(*after)),
        "route": [old.graph.route, new.graph.route],
        "nodes": _nodes(old.graph, new.graph),
        "holdout": tables(*(holdout_document(one.holdout) if one.holdout else {} for one in (old.graph, new.graph))),
        "golden": [len(old.golden), len(new.golden)],
        "profile": [_profile(*before), _profile(*after)],
        "requires": tables(_said(old.requires), _said(new.requires)),
        "limits": tables(_said(old.limits), _said(new.limits)),
        "experiment": tables(old.experiment, new.experiment),
        "transfer_bytes": 0 if is_same else sent,
    }


def _summary(manifest: Manifest) -> dict[str, Any]:
    bytes_of_all = {"bytes": manifest.content_bytes}
    return {"name": manifest.name, "version": manifest.version, "digest": manifest.digest, **bytes_of_all}


def _models(bundle: Bundle, manifest: Manifest) -> dict[str, Any]:
    layers = {layer.path: layer for layer in manifest.layers}
    found = {}
    for name, path in bundle.models.items():
        layer = layers[path.relative_to(bundle.folder).as_posix()]
        found[name] = {"digest": layer.digest, "bytes": layer.size}
    return found


def _profile(bundle: Bundle, manifest: Manifest) -> dict[str, Any] | None:
    if bundle.profile is None:
        return None
    path = bundle.profile.relative_to(bundle.folder).as_posix()
    (layer,) = (layer for layer in manifest.layers if layer.path == path)
    return {"digest": layer.digest, "bytes": layer.size}


def _said(record: Any) -> dict[str, Any]:
    """The fields of a record that say something."""
    table = {name: list(value) if isinstance(value, tuple) else value for name, value in record._asdict().items()}
    return {name: value for name, value in table.items() if value not in (None, [])}


def tables(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """Return what was ``added`` to a table, ``removed`` from it, and ``changed`` in it, as it was and as it is."""
    return {
        "added": {name: value for name, value in after.items() if name not in before},
        "removed": {name: value for name, value in before.items() if name not in after},
        "changed": {
            name: [before[name], value] for name, value in after.items() if name in before and before[name] != value
        },
    }


def _nodes(old: Graph, new: Graph) -> dict[str, Any]:
    before, after, holdouts = old.nodes, new.nodes, (old.holdout, new.holdout)
    changed = {name: _node(before[name], node, holdouts) for name, node in after.items() if name in before}
    return {
        "added": {name: node_to_dict(node) for name, node in after.items() if name not in before},
        "removed": {name: node_to_dict(node) for name, node in before.items() if name not in after},
        "changed": {name: found for name, found in changed.items() if found["fields"] or "moved" in found},
    }


def _node(before: Node, after: Node, holdouts: tuple[Holdout | None, Holdout | None]) -> dict[str, Any]:
    old, new = node_to_dict(before), node_to_dict(after)
    fields = {name: [old.get(name), new.get(name)] for name in {**old, **new} if old.get(name) != new.get(name)}
    if not isinstance(before, RandomSplit) or not isinstance(after, RandomSplit):
        return {"fields": fields}
    if not fields and holdouts[0] == holdouts[1]:
        return {"fields": fields}
    if fields.keys() == {"split"}:
        fields = {"weights": [dict_of_weights(before.split), dict_of_weights(after.split)]}
    fields.pop("split", None)
    return {
        "fields": fields,
        "moved": float(keys_moved(before, after, holdouts)),
        "least": float(least_moved(before, after, holdouts)),
        "shares": [dict(before.split.shares), dict(after.split.shares)],
        "salt": [before.split.salt, after.split.salt],
    }


def dict_of_weights(split: Split) -> dict[str, float]:
    """Return the weights of a split as JSON has them."""
    return {arm: float(weight) for arm, weight in split.weights.items()}


def keys_moved(
    before: RandomSplit, after: RandomSplit, holdouts: tuple[Holdout | None, Holdout | None] = (None, None)
) -> Fraction:
    """Return the share of keys that a split sends elsewhere than before; keys that are forced are left out.

    A key that is not enrolled is where the control is. What has one salt before and after is one draw; whatever has
    another salt, and everything where another field is the key, is drawn anew.

    Args:
        before: the split as it was.
        after: as it is.
        holdouts: of the bundles of both.
    """
    is_same_key = before.split_key == after.split_key
    old, new = enrolled_share(before, holdouts[0]), enrolled_share(after, holdouts[1])
    both = _passing_twice(gates_of(before), gates_of(after), is_same_key) * _passing_twice(*_held(holdouts))
    mine, theirs = _shares(before.split), _shares(after.split)
    if is_same_key and before.split.salt == after.split.salt:
        moved = _overlaid(before.split, after.split)
    else:
        moved = 1 - sum((share * theirs.get(arm, Fraction()) for arm, share in mine.items()), Fraction())
    left = (old - both) * (1 - mine.get(after.control, Fraction()))
    joined = (new - both) * (1 - theirs.get(before.control, Fraction()))
    outside = (1 - old - new + both) * int(before.control != after.control)
    return both * moved + left + joined + outside


def least_moved(
    before: RandomSplit, after: RandomSplit, holdouts: tuple[Holdout | None, Holdout | None] = (None, None)
) -> Fraction:
    """Return the share of keys that must move at least for the arms to serve what they now serve."""
    old, new = _served(before, holdouts[0]), _served(after, holdouts[1])
    return sum((max(Fraction(), share - old.get(arm, Fraction())) for arm, share in new.items()), Fraction())


def _held(holdouts: tuple[Holdout | None, Holdout | None]) -> tuple[tuple[Gate, ...], tuple[Gate, ...], bool]:
    """The holdouts as gates, and whether they are drawn by one key."""
    old, new = (() if holdout is None else (holdout_gate(holdout),) for holdout in holdouts)
    return old, new, len({holdout.split_key for holdout in holdouts if holdout}) < 2


def _passing_twice(before: tuple[Gate, ...], after: tuple[Gate, ...], is_same_key: bool) -> Fraction:
    """The share of keys that two lists of gates let through: of one salt the points that both do, of others apart."""
    theirs, share = {gate.salt: gate for gate in after}, Fraction(1)
    for gate in before:
        other = theirs.pop(gate.salt, gate) if is_same_key else gate
        width = min(gate.end, other.end) - max(gate.start, other.start)
        share *= Fraction(max(0, width), POINTS)
    for gate in theirs.values():
        share *= gate.share
    return share


def _overlaid(before: Split, after: Split) -> Fraction:
    """The share of points with another owner: both lists of ranges cover all points, in order."""
    moved, at, mine, theirs = 0, 0, iter(before.ranges), iter(after.ranges)
    old, new = next(mine), next(theirs)
    while True:
        end = min(old.end, new.end)
        moved += (end - at) * (old.arm != new.arm)
        at = end
        if at == POINTS:
            return Fraction(moved, POINTS)
        old = next(mine) if old.end == end else old
        new = next(theirs) if new.end == end else new


def _shares(split: Split) -> dict[str, Fraction]:
    shares: dict[str, Fraction] = {}
    for start, end, arm in split.ranges:
        shares[arm] = shares.get(arm, Fraction()) + Fraction(end - start, POINTS)
    return shares


def _served(node: RandomSplit, holdout: Holdout | None) -> dict[str, Fraction]:
    """The share of all keys that each arm serves, those that are not enrolled included."""
    enrolled = enrolled_share(node, holdout)
    served = {arm: enrolled * share for arm, share in _shares(node.split).items()}
    served[node.control] = served.get(node.control, Fraction()) + 1 - enrolled
    return served
