"""Captures the code of a folder exactly as it is on disk, without changing a byte, a mode or a time of it.

The snapshot is a git bundle that stands on what a remote has, so a small change makes a small bundle. It is made in a
scratch repository that sees the user's objects, and that keeps git from writing into theirs.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from edgerun_bundles.errors import ProvenanceError
from edgerun_bundles.limits import LIMITS, Limits
from edgerun_bundles.provenance import git, history, pack, repository, scratch, working_tree
from edgerun_bundles.provenance.built_bundles import built_bundles
from edgerun_bundles.provenance.nested import nested_of
from edgerun_bundles.provenance.plan import plan
from edgerun_bundles.provenance.secret_names import secret_matcher
from edgerun_bundles.provenance.snapshot import CodeSnapshot, LeftOut
from edgerun_bundles.provenance.survey import Survey, staged_apart, survey

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edgerun_bundles.provenance.git import Git
    from edgerun_bundles.provenance.history import History
    from edgerun_bundles.provenance.repository import Repository
    from edgerun_bundles.provenance.working_tree import Disk, Tree

ROOM_MIN_BYTES = 1024
"""Where not even so many bytes of content fit, the names and modes alone are too many."""


def capture_code(
    folder: str | os.PathLike[str], *, limits: Limits = LIMITS, secrets: Sequence[str] = ()
) -> CodeSnapshot:
    """Capture the whole repository that a folder is in, or the folder's own files where there is no git.

    A folder that its repository ignores as a whole counts as one without git.

    Every tracked or untracked file is taken as it is on disk: no filter, no line-ending conversion. Ignored files
    are only named, and so are untracked bundles that were built. A file whose name is in `SECRET_NAMES` is never
    carried, nor is any unpushed commit that holds one.

    Args:
        folder: where the code is.
        limits: what the snapshot may carry.
        secrets: further names of files never to carry, as patterns of the shell such as ``*.token``.

    Raises:
        ProvenanceError: git is missing, the repository cannot be read, or the folder is not there.
    """
    path = Path(folder).absolute()
    if not path.is_dir():
        raise ProvenanceError(f"{path}: not a folder; its code cannot be captured")
    try:
        return _capture(repository.find(path), limits, secret_matcher(secrets))
    except OSError as error:
        raise ProvenanceError(f"{path}: its code cannot be captured: {error}") from error


def _capture(found: Repository, limits: Limits, is_secret: Callable[[bytes], bool]) -> CodeSnapshot:
    def capture_inner(inner: Repository, left: Limits) -> CodeSnapshot:
        return _capture(inner, left._replace(nested_depth_max=left.nested_depth_max - 1), is_secret)

    with scratch.beside(found) as here:
        listing = working_tree.listing(here, has_git=found.git_dir is not None)
        if found.subfolder and listing.ignores(found.subfolder.encode("utf-8", "surrogateescape")):
            return _capture(repository.without_git(found.work_tree / found.subfolder), limits, is_secret)
        head = working_tree.tree_of(here, found.head) if found.head else {}
        disk = working_tree.Disk(os.fsencode(found.work_tree), found.object_format, found.settings)
        built = built_bundles(disk, listing.untracked)
        listing = listing._replace(untracked=[path for path in listing.untracked if path not in built])
        nested = nested_of(found, listing, disk, is_secret, limits, capture_inner)
        own_max_bytes = max(0, limits.code_max_bytes - nested.bundle_bytes)
        seen = survey(here, listing, head, disk, is_secret, limits)
        seen.found.update(nested.found)
        past = history.history_of(here, found)
        packed = _packed(here, past, head, seen, disk, is_secret, limits._replace(code_max_bytes=own_max_bytes))
        left_out = {**built, **listing.unreadable, **nested.left_out, **packed.left_out}
        empty_hash = hashlib.new(found.object_format, b"blob 0\0", usedforsecurity=False).hexdigest()
        apart = staged_apart(listing, seen, head, empty_hash)
        is_nested_dirty = any(each.snapshot.is_dirty for each in nested.snapshots)
        shown = limits.names_max
        return CodeSnapshot(
            has_git=found.git_dir is not None,
            object_format=found.object_format,
            remotes=found.remotes,
            commit=found.head,
            branch=found.branch,
            operation=found.operation,
            subfolder=_text(os.fsencode(found.subfolder)),
            unpushed=history.described(here, past.unpushed[:shown]),
            unpushed_count=len(past.unpushed),
            is_dirty=seen.differs_from(head) or listing.staged != head or is_nested_dirty,
            tree=git.run(here, "rev-parse", f"{packed.tip}^{{tree}}").decode().strip(),
            left_out=tuple(LeftOut(_text(path), left_out[path]) for path in sorted(left_out)[:shown]),
            left_out_count=len(left_out),
            ignored=tuple(map(_text, listing.ignored[:shown])),
            ignored_count=len(listing.ignored),
            staged_apart=tuple(map(_text, apart[:shown])),
            staged_apart_count=len(apart),
            history_left_out=packed.history_left_out,
            prerequisites=packed.prerequisites,
            bundle=packed.bundle,
            nested=tuple(nested.snapshots),
        )


class _Packed(NamedTuple):
    """A commit, and the bundle that brings it."""

    tip: str
    bundle: bytes | None
    prerequisites: tuple[str, ...]
    left_out: dict[bytes, str]
    history_left_out: str


def _packed(
    here: Git,
    past: History,
    head: Tree,
    seen: Survey,
    disk: Disk,
    is_secret: Callable[[bytes], bool],
    limits: Limits,
) -> _Packed:
    """Pack the tree with its history; else without, on what a remote has; else with ever fewer of the large files."""

    def attempt(parents: tuple[str, ...], base: Tree, room_bytes: int, reason: str) -> _Packed | None:
        made = plan(parents, base, seen.found, is_secret, limits, room_bytes)
        tip = pack.commit(here, made, disk, seen.stored, limits)
        if tip in past.boundary:
            return _Packed(tip, None, (tip,), made.left_out, reason)
        bundle = pack.bundle(here, tip, past.boundary, limits)
        if bundle is None:
            return None
        return _Packed(tip, bundle, past.boundary, made.left_out, reason)

    reason = history.must_stay(here, past, is_secret, limits)
    room_bytes = limits.code_max_bytes
    if not reason:
        parents = past.unpushed[:1] or past.boundary  # HEAD, where there is one
        if packed := attempt(parents, head, room_bytes, ""):
            return packed
        if past.unpushed:
            reason = f"with it the bundle would be larger than code_max_bytes ({limits.code_max_bytes:,})"
    base = working_tree.tree_of(here, past.boundary[0]) if past.boundary else {}
    while room_bytes >= ROOM_MIN_BYTES:
        if packed := attempt(past.boundary, base, room_bytes, reason):
            return packed
        room_bytes //= 2
    raise ProvenanceError(
        f"{here.folder}: the mere names of its files are more than code_max_bytes ({limits.code_max_bytes:,})"
    )


def _text(path: bytes) -> str:
    return path.decode("utf-8", "backslashreplace")
