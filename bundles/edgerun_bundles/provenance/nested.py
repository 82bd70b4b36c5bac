"""The repositories inside a captured one: submodules, and untracked clones. Each has a snapshot of its own."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from edgerun_bundles.errors import ProvenanceError
from edgerun_bundles.provenance import repository
from edgerun_bundles.provenance.plan import SECRET
from edgerun_bundles.provenance.snapshot import NestedSnapshot
from edgerun_bundles.provenance.working_tree import NESTED, Entry, Found

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgerun_bundles.limits import Limits
    from edgerun_bundles.provenance.repository import Repository
    from edgerun_bundles.provenance.snapshot import CodeSnapshot
    from edgerun_bundles.provenance.working_tree import Disk, Listing


class Nested(NamedTuple):
    """What was found of them."""

    snapshots: list[NestedSnapshot]
    found: dict[bytes, Found]
    """By path: the commits that the outer tree names."""
    left_out: dict[bytes, str]

    @property
    def bundle_bytes(self) -> int:
        """Bytes of all their bundles."""
        return sum(each.snapshot.bundle_bytes for each in self.snapshots)


def nested_of(
    outer: Repository,
    listing: Listing,
    disk: Disk,
    is_secret: Callable[[bytes], bool],
    limits: Limits,
    capture: Callable[[Repository, Limits], CodeSnapshot],
) -> Nested:
    """Capture each repository in another one, by the function that is given, in what room the former ones leave."""
    made = Nested([], {}, {})
    for path in listing.nested:
        staged = listing.staged.get(path)
        try:
            is_folder = disk.is_folder(path)
        except OSError as error:
            made.left_out[path] = f"cannot be read: {error.strerror}"
            continue
        if not is_folder:
            if path in listing.sparse and staged is not None:
                made.found[path] = Found(staged, 0, "")
            elif on_disk := disk.find(path, None):
                made.found[path] = on_disk
            continue
        if staged is not None:
            made.found[path] = Found(staged, 0, "")
        folder = Path(os.fsdecode(disk.full(path)))
        if not any(folder.iterdir()):
            continue  # a submodule that was never checked out
        if reason := _reason(path, len(made.snapshots), is_secret, limits):
            made.left_out[path] = reason
            continue
        left = limits._replace(code_max_bytes=max(0, limits.code_max_bytes - made.bundle_bytes))
        try:
            snapshot = capture(_inner(outer, folder), left)
        except ProvenanceError as error:
            made.left_out[path] = str(error)
            continue
        made.snapshots.append(NestedSnapshot(path.decode(), snapshot))
        if snapshot.commit is not None and snapshot.object_format == outer.object_format:
            made.found[path] = Found(Entry(NESTED, snapshot.commit), 0, "")
    return made


def _inner(outer: Repository, folder: Path) -> Repository:
    found = repository.find(folder, ceiling=folder.parent)
    if found.work_tree != folder.resolve():
        raise ProvenanceError(f"{folder}: a repository in {outer.work_tree} whose files are in {found.work_tree}")
    return found


def _reason(path: bytes, count: int, is_secret: Callable[[bytes], bool], limits: Limits) -> str:
    if is_secret(path):
        return SECRET
    if count >= limits.nested_max:
        return f"a repository, and nested_max ({limits.nested_max}) others are captured"
    if limits.nested_depth_max <= 0:
        return "a repository deeper inside others than nested_depth_max"
    try:
        path.decode()
    except UnicodeDecodeError:
        return "a repository whose path is no UTF-8"
    return ""
