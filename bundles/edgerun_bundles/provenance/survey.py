"""Looks at every path of a working tree that a snapshot may hold, and hashes what can be of use."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from edgerun_bundles.provenance import git
from edgerun_bundles.provenance.working_tree import NESTED, Entry, Found

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Set

    from edgerun_bundles.limits import Limits
    from edgerun_bundles.provenance.git import Git
    from edgerun_bundles.provenance.working_tree import Disk, Listing, Tree


class Survey(NamedTuple):
    """What is there."""

    found: dict[bytes, Found]
    stored: Set[bytes]
    """Paths that a sparse checkout keeps off the disk: the repository has their content."""

    def differs_from(self, tree: Tree) -> bool:
        """Whether anything is not as in a tree; what was not read counts as different."""
        return {path: found.entry for path, found in self.found.items()} != tree


def survey(
    scratch: Git, listing: Listing, head: Tree, disk: Disk, is_secret: Callable[[bytes], bool], limits: Limits
) -> Survey:
    """Hash the files of a working tree, nested repositories aside.

    Not read is what cannot be captured anyway: secrets, files of another size than HEAD's where both are too large,
    of which a checkout by Git LFS is full, and of untracked files those for which the others leave no room.
    """
    paths = [path for path in {*listing.tracked, *listing.untracked} if path not in listing.nested]
    sizes = {path: size for path in paths if (size := disk.size(path)) is not None}
    unread = _unread(scratch, head, sizes, is_secret, limits)
    found: dict[bytes, Found] = {}
    stored: dict[bytes, Entry] = {}
    for path in paths:
        if path in unread:
            found[path] = Found(None, sizes[path], "")
        elif on_disk := disk.find(path, listing.staged.get(path)):
            found[path] = on_disk
        elif path in listing.sparse and path in listing.staged:
            stored[path] = listing.staged[path]
    lengths = _lengths(scratch, {entry.hash for path, entry in stored.items() if head.get(path) != entry})
    found |= {path: Found(entry, lengths.get(entry.hash, 0), "") for path, entry in stored.items()}
    return Survey(found, stored.keys())


def _unread(
    scratch: Git, head: Tree, sizes: dict[bytes, int], is_secret: Callable[[bytes], bool], limits: Limits
) -> set[bytes]:
    large = {path for path, size in sizes.items() if size > limits.code_file_max_bytes}
    lengths = _lengths(scratch, {head[path].hash for path in large if path in head})
    unread = {path for path in large if path not in head or lengths.get(head[path].hash) != sizes[path]}
    unread |= {path for path in sizes if path not in head and is_secret(path)}
    room_bytes = limits.code_max_bytes
    for size, path in sorted((size, path) for path, size in sizes.items() if path not in head and path not in unread):
        room_bytes -= size
        if room_bytes < 0:
            unread.add(path)
    return unread


def staged_apart(listing: Listing, survey: Survey, head: Tree, empty_hash: str) -> list[bytes]:
    """Return the paths whose staged content is to be found neither in HEAD nor on disk.

    An empty one does not count: ``git add -N`` stages that, and nothing is lost with it.
    """
    return sorted(
        path
        for path, entry in listing.staged.items()
        if entry.mode != NESTED
        and entry.hash != empty_hash
        and head.get(path) != entry
        and (path not in survey.found or survey.found[path].entry != entry)
    )


def _lengths(scratch: Git, hashes: Collection[str]) -> dict[str, int]:
    """Return the bytes of objects; one that is missing, as in a partial clone, is missing here too."""
    if not hashes:
        return {}
    names = "".join(f"{name}\n" for name in hashes).encode()
    rows = git.run(scratch, "cat-file", "--batch-check=%(objectname) %(objectsize)", stdin=[names]).decode().split("\n")
    pairs = [row.split(" ") for row in rows if row]
    return {name: int(size) for name, size in pairs if size != "missing"}
