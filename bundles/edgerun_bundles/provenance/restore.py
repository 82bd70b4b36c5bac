"""Gives the code of a snapshot back in a new folder: the very tree, checked by its hash, or nothing at all.

A snapshot may come from anybody. Its bundle is unpacked in a scratch repository, where no hook or filter runs, and
what it needs beyond itself comes from a remote, of which nothing but objects with the right hashes is taken.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from edgerun_bundles.errors import ProvenanceError
from edgerun_bundles.limits import LIMITS, Limits
from edgerun_bundles.provenance import checkout, fetch, git, remote_urls, scratch
from edgerun_bundles.provenance.bundle_header import checked_hash, read_header
from edgerun_bundles.provenance.snapshot import RestoredCode
from edgerun_bundles.provenance.working_tree import NESTED

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from edgerun_bundles.provenance.checkout import Checkout
    from edgerun_bundles.provenance.git import Git
    from edgerun_bundles.provenance.snapshot import CodeSnapshot

NAMES_SHOWN = 20


def restore_code(
    snapshot: CodeSnapshot,
    dest: str | os.PathLike[str],
    *,
    remote: str | os.PathLike[str] | None = None,
    clones: Sequence[str | os.PathLike[str]] = (),
    limits: Limits = LIMITS,
) -> RestoredCode:
    """Write the captured tree into a new folder. It holds the files alone, with no repository around them.

    Args:
        snapshot: from `capture_code`.
        dest: the folder to make; it may exist if it is empty.
        remote: where to get the commits that the bundle stands on: an address, or the folder of a clone. By default
            the remotes that the snapshot names are asked in turn. Nothing is asked for where the bundle suffices.
        clones: folders of clones on this machine, to be asked before any remote, with their submodules.
        limits: what may be written.

    Raises:
        ProvenanceError: the folder is in use, no remote has what is needed, or the snapshot is damaged or hostile.
            The folder is then as it was.
    """
    target = Path(dest).absolute()
    if target.is_symlink() or (target.exists() and not (target.is_dir() and not any(target.iterdir()))):
        raise ProvenanceError(f"{target}: in use; code is restored into a new folder or an empty one")
    folders = [Path(clone).absolute() for clone in clones]
    sources = [remote_source(remote)] if remote is not None else sources_of(snapshot, folders)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".edgerun-restore-", dir=target.parent) as name:
            staging = Path(name) / "code"
            staging.mkdir()
            written = _restore(snapshot, staging, sources, folders, limits)
            staging.replace(target)
    except OSError as error:
        raise ProvenanceError(f"{target}: the code cannot be restored: {error}") from error
    return RestoredCode(str(target), snapshot.tree, written.files, tuple(written.missing))


def sources_of(snapshot: CodeSnapshot, clones: Sequence[Path]) -> list[str]:
    """Return where to ask for what a snapshot stands on: clones that are there, then the remotes that it names."""
    return [*(str(clone) for clone in clones if (clone / ".git").exists()), *(each.url for each in snapshot.remotes)]


def remote_source(remote: str | os.PathLike[str]) -> str:
    """Return an address that git takes from any folder."""
    return remote_urls.absolute(os.fspath(remote), Path.cwd())


class _Written(NamedTuple):
    """What one folder and those below it have got."""

    files: int
    content_bytes: int
    missing: list[str]


def _restore(
    snapshot: CodeSnapshot, root: Path, sources: list[str], clones: Sequence[Path], limits: Limits
) -> _Written:
    if limits.nested_depth_max < 0:
        raise ProvenanceError("it lies deeper inside others than nested_depth_max")
    checked_hash(snapshot.tree, snapshot.object_format)
    with scratch.empty(snapshot.object_format) as here:
        tree = unpacked_tree(here, snapshot, sources)
        found = checkout.checked(here, tree, [each.path for each in snapshot.nested], limits)
        files = checkout.write(here, found, root)
    content_bytes = found.content_bytes
    missing = [*_missing(snapshot), *_empty(snapshot, found)]
    for each in snapshot.nested:
        left = limits._replace(
            restored_max_bytes=limits.restored_max_bytes - content_bytes,
            nested_depth_max=limits.nested_depth_max - 1,
        )
        below = [clone / each.path for clone in clones]
        try:
            inner = _restore(each.snapshot, root / each.path, sources_of(each.snapshot, below), below, left)
        except ProvenanceError as error:
            shutil.rmtree(root / each.path)  # a part of it would look like all of it
            (root / each.path).mkdir()
            missing.append(f"{each.path}: this repository is not restored: {error}")
            continue
        files, content_bytes = files + inner.files, content_bytes + inner.content_bytes
        missing += [f"{each.path}: {sentence}" for sentence in inner.missing]
    return _Written(files, content_bytes, missing)


def unpacked_tree(here: Git, snapshot: CodeSnapshot, sources: list[str]) -> str:
    """Bring a snapshot's tree and all below it into a scratch repository, and return its hash.

    Args:
        here: the scratch repository, of the snapshot's object format.
        snapshot: from `capture_code`.
        sources: addresses to ask in turn for what the snapshot stands on.

    Raises:
        ProvenanceError: no source has what is needed, or the snapshot is damaged.
    """
    if snapshot.bundle is None:
        if len(snapshot.prerequisites) != 1:
            raise ProvenanceError("the code's snapshot has no bundle, and does not name one commit instead")
        tip = checked_hash(snapshot.prerequisites[0], snapshot.object_format)
        fetch.fetch(here, (tip,), sources)
    else:
        header = read_header(snapshot.bundle)
        if header.object_format != snapshot.object_format:
            raise ProvenanceError(
                f"the code's bundle has {header.object_format} hashes, its snapshot {snapshot.object_format}"
            )
        tip = header.tip
        fetch.fetch(here, header.prerequisites, sources)
        git.run(here, "index-pack", "--stdin", "--fix-thin", stdin=[snapshot.bundle[header.pack_offset :]])
    found = git.call(here, "rev-parse", "--quiet", "--verify", f"{tip}^{{tree}}").output.decode().strip()
    if found != snapshot.tree:
        raise ProvenanceError(f"the code's commit {tip} has the tree {found or 'none'}, not {snapshot.tree}")
    return found


def _empty(snapshot: CodeSnapshot, found: Checkout) -> Iterator[str]:
    """Name each submodule of which the snapshot knows only the commit: it was not checked out where it was taken."""
    known = {each.path for each in snapshot.nested} | {each.name for each in snapshot.left_out}
    for path, entry in found.tree.items():
        name = path.decode("utf-8", "backslashreplace")
        if entry.mode == NESTED and name not in known:
            yield f"{name} is empty: it stands for commit {entry.hash} of a repository that was not there"


def _missing(snapshot: CodeSnapshot) -> Iterator[str]:
    """Say in a sentence each what was not captured."""
    for each in snapshot.left_out:
        yield f"{each.name} was left out: {each.reason}"
    if more := snapshot.left_out_count - len(snapshot.left_out):
        yield f"{more:,} more files were left out"
    if snapshot.ignored_count:
        shown = ", ".join(snapshot.ignored[:NAMES_SHOWN])
        more = snapshot.ignored_count - len(snapshot.ignored[:NAMES_SHOWN])
        yield f"what git ignores was not captured: {shown}" + (f", and {more:,} more" if more else "")
    for name in snapshot.staged_apart[:NAMES_SHOWN]:
        yield f"{name} was staged with another content than it had on disk; only what was on disk is here"
    if more := snapshot.staged_apart_count - len(snapshot.staged_apart[:NAMES_SHOWN]):
        yield f"{more:,} more files were staged with another content than they had on disk"
    if snapshot.history_left_out:
        yield f"{snapshot.unpushed_count:,} unpushed commits are only named, not kept: {snapshot.history_left_out}"
