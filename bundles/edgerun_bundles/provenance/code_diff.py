"""What differs between the code of two snapshots: which files, by how many lines, and the patch from one to the other.

Both trees are brought into a scratch repository; the bytes compared are those that were captured, by no filter or
driver of anybody's.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, NamedTuple

from edgerun_bundles.errors import ProvenanceError
from edgerun_bundles.provenance import git, scratch
from edgerun_bundles.provenance.restore import sources_of, unpacked_tree

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from edgerun_bundles.provenance.git import Git
    from edgerun_bundles.provenance.snapshot import CodeSnapshot

_PLAIN = ("--no-ext-diff", "--no-textconv", "--no-color", "--no-renames")


class FileChange(NamedTuple):
    """One file that differs."""

    path: str
    """Bytes that are no UTF-8 are written as ``\\\\xff``."""
    change: str
    """``added``, ``deleted``, ``changed``, or ``retyped``: a file that became a link or a repository, say."""
    added: int | None
    """Lines; None for a binary file."""
    removed: int | None


class Trees(NamedTuple):
    """Two trees in one scratch repository, and those of the repositories inside both that differ."""

    git: Git
    prefix: str
    before: str
    after: str


def changed_files(before: CodeSnapshot, after: CodeSnapshot, clones: Sequence[Path] = ()) -> list[FileChange]:
    """Return every file that differs, in the order of their paths.

    Args:
        before: from `capture_code`.
        after: likewise.
        clones: folders of clones on this machine, to be asked before any remote.

    Raises:
        ProvenanceError: a tree cannot be had, or the two have different kinds of hashes.
    """
    with _all_trees(before, after, clones) as found:
        return [change for trees in found for change in _changes(trees)]


def patch(before: CodeSnapshot, after: CodeSnapshot, clones: Sequence[Path] = ()) -> bytes:
    """Return the patch from one tree to the other, as ``git diff`` writes it; of binary files it only tells.

    Args:
        before: from `capture_code`.
        after: likewise.
        clones: folders of clones on this machine, to be asked before any remote.

    Raises:
        ProvenanceError: a tree cannot be had, or the two have different kinds of hashes.
    """
    with _all_trees(before, after, clones) as found:
        return b"".join(
            git.run(
                trees.git,
                *("diff-tree", "-r", "--patch", "--no-ext-diff", "--no-textconv", "--no-color", "--find-renames"),
                f"--src-prefix=a/{trees.prefix}",
                f"--dst-prefix=b/{trees.prefix}",
                *(trees.before, trees.after),
            )
            for trees in found
        )


@contextlib.contextmanager
def _all_trees(before: CodeSnapshot, after: CodeSnapshot, clones: Sequence[Path]) -> Iterator[list[Trees]]:
    with contextlib.ExitStack() as stack:
        yield [*_trees(stack, before, after, clones, "")]


def _trees(
    stack: contextlib.ExitStack, before: CodeSnapshot, after: CodeSnapshot, clones: Sequence[Path], prefix: str
) -> Iterator[Trees]:
    if before.object_format != after.object_format:
        raise ProvenanceError(
            f"the code cannot be compared: one has {before.object_format} hashes, the other {after.object_format}"
        )
    if before.tree != after.tree:
        here = stack.enter_context(scratch.empty(before.object_format))
        trees = [unpacked_tree(here, each, sources_of(each, clones)) for each in (before, after)]
        yield Trees(here, prefix, *trees)
    inner = {each.path: each.snapshot for each in before.nested}
    for each in after.nested:
        if each.path in inner:
            below = [clone / each.path for clone in clones]
            yield from _trees(stack, inner[each.path], each.snapshot, below, f"{prefix}{each.path}/")


_CHANGES = {b"A": "added", b"D": "deleted", b"M": "changed", b"T": "retyped"}


def _changes(trees: Trees) -> Iterator[FileChange]:
    command = ("diff-tree", "-r", "-z", *_PLAIN)
    told = git.run(trees.git, *command, "--name-status", trees.before, trees.after).split(b"\0")
    kinds = dict(zip(told[1::2], told[::2], strict=False))
    for row in filter(None, git.run(trees.git, *command, "--numstat", trees.before, trees.after).split(b"\0")):
        added, removed, path = row.split(b"\t", 2)
        yield FileChange(
            trees.prefix + path.decode("utf-8", "backslashreplace"),
            _CHANGES.get(kinds.get(path, b"M"), "changed"),
            _lines(added),
            _lines(removed),
        )


def _lines(text: bytes) -> int | None:
    return None if text == b"-" else int(text)
