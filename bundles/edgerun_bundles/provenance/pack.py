"""Turns a plan into a commit of the scratch repository, and that into the bytes of a git bundle."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgerun_bundles.provenance import git
from edgerun_bundles.provenance.scratch import quoted
from edgerun_bundles.provenance.working_tree import NESTED

if TYPE_CHECKING:
    from collections.abc import Iterator, Set

    from edgerun_bundles.limits import Limits
    from edgerun_bundles.provenance.git import Git
    from edgerun_bundles.provenance.plan import Plan
    from edgerun_bundles.provenance.working_tree import Disk

REFERENCE = "refs/edgerun/snapshot"
"""The one name in a bundle of ours."""

_COMMITTER = b"edgerun <edgerun@localhost> 0 +0000"  # the same tree on the same parents is the same commit
_MESSAGE = b"The files as edgerun found them\n"


def commit(scratch: Git, made: Plan, disk: Disk, stored: Set[bytes], limits: Limits) -> str:
    """Make the plan's tree a commit, and return its hash.

    Files are read once more, and what they hold then is what counts. One that is gone or has grown too large meanwhile
    joins those left out.

    Args:
        scratch: the repository to write into.
        made: what to commit.
        disk: where the files are.
        stored: paths whose content is taken from the repository's objects, not from the disk.
        limits: of the size of a file.
    """
    if made.tree == made.base and len(made.parents) == 1:
        return made.parents[0]
    stream = _stream(made, disk, stored, limits)
    git.run(scratch, "fast-import", "--quiet", "--force", "--done", "--date-format=raw", stdin=stream)
    return git.run(scratch, "rev-parse", REFERENCE).decode().strip()


def bundle(scratch: Git, tip: str, prerequisites: tuple[str, ...], limits: Limits) -> bytes | None:
    """Return a git bundle of a commit without what its prerequisites bring, or None if it would be too large."""
    git.run(scratch, "update-ref", REFERENCE, tip)
    names = "".join(f"{name}\n" for name in (REFERENCE, *(f"^{commit}" for commit in prerequisites))).encode()
    command = ("bundle", "create", "--quiet", "-", "--stdin")
    outcome = git.call(scratch, *command, stdin=[names], output_max_bytes=limits.code_max_bytes)
    if outcome.is_cut:
        return None
    return outcome.output if not outcome.code else git.run(scratch, *command, stdin=[names])


def _stream(made: Plan, disk: Disk, stored: Set[bytes], limits: Limits) -> Iterator[bytes]:
    """Yield what fast-import reads: the blobs, and then one commit that puts them in their places."""
    changed = sorted(path for path, entry in made.tree.items() if made.base.get(path) != entry)
    places = []
    for mark, path in enumerate(changed, 1):
        entry = made.tree[path]
        if entry.mode == NESTED or path in stored:
            places.append(b"M %b %b %b\n" % (entry.mode, entry.hash.encode(), quoted(path)))
            continue
        try:
            content = disk.content(path, limits.code_file_max_bytes + 1)
        except OSError as error:
            made.left_out[path] = f"it went away while it was captured: {error.strerror}"
            continue
        if len(content) > limits.code_file_max_bytes:
            made.left_out[path] = "it grew while it was captured"
            continue
        yield b"blob\nmark :%d\ndata %d\n%b\n" % (mark, len(content), content)
        places.append(b"M %b :%d %b\n" % (entry.mode, mark, quoted(path)))
    yield b"commit %b\ncommitter %b\ndata %d\n%b" % (REFERENCE.encode(), _COMMITTER, len(_MESSAGE), _MESSAGE)
    for verb, parent in zip((b"from", *[b"merge"] * len(made.parents)), made.parents, strict=False):
        yield b"%b %b\n" % (verb, parent.encode())
    for path in sorted(made.base.keys() - made.tree.keys()):
        yield b"D %b\n" % quoted(path)
    yield from places
    yield b"done\n"
