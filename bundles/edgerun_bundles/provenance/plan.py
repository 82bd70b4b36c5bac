"""Decides, without touching a disk, which files a snapshot carries, and names those that it does not."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from edgerun_bundles.limits import Limits
    from edgerun_bundles.provenance.working_tree import Found, Tree

SECRET = "its name says that it is secret"  # noqa: S105 - a reason, not a password


class Plan(NamedTuple):
    """The tree to make, on top of parents that bring a part of it."""

    parents: tuple[str, ...]
    base: Tree
    """The tree of the first parent."""
    tree: Tree
    left_out: dict[bytes, str]
    """Paths that the tree has as the base has them, or not at all, and why."""


def plan(
    parents: tuple[str, ...],
    base: Tree,
    wanted: Mapping[bytes, Found],
    is_secret: Callable[[bytes], bool],
    limits: Limits,
    room_bytes: int,
) -> Plan:
    """Choose what fits: what the base has is free, and of the rest the small files come first."""
    tree: Tree = {}
    left_out: dict[bytes, str] = {}
    candidates: list[tuple[int, bytes]] = []
    for path, found in wanted.items():
        if found.entry is not None and base.get(path) == found.entry:
            tree[path] = found.entry
        elif reason := _reason(path, found, is_secret, limits):
            left_out[path] = reason
        else:
            candidates.append((found.size, path))
    for size, path in sorted(candidates):
        room_bytes -= size
        entry = wanted[path].entry
        if room_bytes < 0 or entry is None:
            left_out[path] = f"{size:,} bytes, and code_max_bytes ({limits.code_max_bytes:,}) is used up"
        else:
            tree[path] = entry
    tree |= {path: base[path] for path in left_out if path in base}
    return Plan(parents, base, tree, left_out)


def _reason(path: bytes, found: Found, is_secret: Callable[[bytes], bool], limits: Limits) -> str:
    if is_secret(path):
        return SECRET
    if found.problem:
        return found.problem
    if found.size > limits.code_file_max_bytes:
        return f"{found.size:,} bytes, and code_file_max_bytes is {limits.code_file_max_bytes:,}"
    return ""
