"""What differs between two bundles, down to the share of keys that another arm will serve. Pure but for reading sizes.

The share is exact, not sampled: the ranges of both splits are laid over each other. It supposes only that hashes under
different salts are independent, as the split's specification does.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

from edgerun.graph import RandomSplit, node_to_dict, purpose_salt
from edgerun.routing import share_split

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgerun.artifact import Manifest
    from edgerun.bundle import Bundle
    from edgerun.graph import Node
    from edgerun.split import Split

POINTS = 2**32


def compare(before: tuple[Bundle, Manifest], after: tuple[Bundle, Manifest]) -> dict[str, Any]:
    """Return what differs between two bundles, as JSON holds it.

    Fields: ``before`` and ``after`` (name, version, digest, bytes), ``same``, ``models`` (added, removed, changed),
    ``route``, ``nodes`` (added, removed, changed: for each the fields, and for a split the share of its keys that
    move and the shares of the arms), ``golden``, ``requires``, ``limits``, ``experiment``, ``transfer_bytes``
    (what must be sent to where the former bundle is).
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
        "nodes": _nodes(old.graph.nodes, new.graph.nodes),
        "golden": [len(old.golden), len(new.golden)],
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


def _nodes(before: Mapping[str, Node], after: Mapping[str, Node]) -> dict[str, Any]:
    changed = {name: _node(before[name], node) for name, node in after.items() if name in before}
    return {
        "added": {name: node_to_dict(node) for name, node in after.items() if name not in before},
        "removed": {name: node_to_dict(node) for name, node in before.items() if name not in after},
        "changed": {name: found for name, found in changed.items() if found["fields"]},
    }


def _node(before: Node, after: Node) -> dict[str, Any]:
    old, new = node_to_dict(before), node_to_dict(after)
    fields = {name: [old.get(name), new.get(name)] for name in {**old, **new} if old.get(name) != new.get(name)}
    if not isinstance(before, RandomSplit) or not isinstance(after, RandomSplit) or not fields:
        return {"fields": fields}
    fields.pop("split", None)
    return {
        "fields": fields or {"weights": [dict_of_weights(before.split), dict_of_weights(after.split)]},
        "moved": float(keys_moved(before, after)),
        "least": float(least_moved(before, after)),
        "shares": [dict(before.split.shares), dict(after.split.shares)],
        "salt": [before.split.salt, after.split.salt],
    }


def dict_of_weights(split: Split) -> dict[str, float]:
    """Return the weights of a split as JSON has them."""
    return {arm: float(weight) for arm, weight in split.weights.items()}


def keys_moved(before: RandomSplit, after: RandomSplit) -> Fraction:
    """Return the share of keys that a split sends elsewhere than before; keys that are forced are left out.

    A key that is not enrolled is where the control is. With another salt or another split key, every key is drawn anew.
    """
    if before.split.salt != after.split.salt or before.split_key != after.split_key:
        return 1 - sum(
            (share * _served(after).get(arm, Fraction()) for arm, share in _served(before).items()), Fraction()
        )
    enrolled = [_enrolled(before), _enrolled(after)]
    both, one = min(enrolled), max(enrolled) - min(enrolled)
    wider, control = (before, after.control) if enrolled[0] > enrolled[1] else (after, before.control)
    moved_in_one = 1 - _shares(wider.split).get(control, Fraction())
    outside = Fraction(int(before.control != after.control))
    return both * _overlaid(before.split, after.split) + one * moved_in_one + (1 - max(enrolled)) * outside


def least_moved(before: RandomSplit, after: RandomSplit) -> Fraction:
    """Return the share of keys that must move at least for the arms to serve what they now serve."""
    old, new = _served(before), _served(after)
    return sum((max(Fraction(), share - old.get(arm, Fraction())) for arm, share in new.items()), Fraction())


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


def _enrolled(node: RandomSplit) -> Fraction:
    enrol = share_split(purpose_salt(node.split.salt, "traffic"), node.traffic)
    return Fraction(1) if enrol is None else _shares(enrol).get("in", Fraction())


def _served(node: RandomSplit) -> dict[str, Fraction]:
    """The share of all keys that each arm serves, those that are not enrolled included."""
    enrolled = _enrolled(node)
    served = {arm: enrolled * share for arm, share in _shares(node.split).items()}
    served[node.control] = served.get(node.control, Fraction()) + 1 - enrolled
    return served
