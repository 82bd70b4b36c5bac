"""Writes a tree into a new folder, byte for byte, and never a byte outside of it.

The tree may come from anybody, so nothing is left to git's own checks: every name is looked at before the first file
is written, symbolic links are made last, so that nothing is written through one, and no file replaces another.
"""

from __future__ import annotations

import hashlib
import os
import stat
import unicodedata
from typing import IO, TYPE_CHECKING, NamedTuple

from edgerun_bundles.errors import ProvenanceError
from edgerun_bundles.provenance import git
from edgerun_bundles.provenance.working_tree import FILE, LINK, NESTED, PROGRAM, Entry, Tree

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from edgerun_bundles.limits import Limits
    from edgerun_bundles.provenance.git import Git

PATH_MAX_BYTES = 4095  # as Linux has it, for a link's target too
CHUNK_BYTES = 2**20

_MODES = {FILE, PROGRAM, LINK, NESTED}
"""All that ``ls-tree`` should give: it takes an odd mode for the nearest of these."""


class Checkout(NamedTuple):
    """A tree that may be written."""

    tree: Tree
    """With the folders of nested repositories, whether the tree names them or not."""
    content_bytes: int


def checked(scratch: Git, tree: str, nested: Iterable[str], limits: Limits) -> Checkout:
    """Read a tree, and see that all of it, and of its nested repositories, can be written.

    Raises:
        ProvenanceError: a path leads out of the folder, is absurd, or is in another's way; a file of the tree is
            missing; or the tree is larger than a limit.
    """
    command = ("ls-tree", "-r", "-z", "--full-tree", tree)
    rows = git.run(scratch, *command, output_max_bytes=limits.listing_max_bytes).split(b"\0")
    found: Tree = {}
    for row in filter(None, rows):
        facts, _, path = row.partition(b"\t")
        mode, _, digest = facts.split(b" ")
        if path in found:
            raise _refused(path, "is there twice")
        if mode not in _MODES:
            raise _refused(path, f"has the mode {mode.decode('latin-1')}")
        found[path] = Entry(mode, digest.decode())
    for folder in nested:
        path = os.fsencode(folder)
        if found.setdefault(path, Entry(NESTED, "")).mode != NESTED:
            raise _refused(path, "is a file, and a repository too")
    for path in found:
        _check_name(path)
        _check_place(path, found)
    return Checkout(found, _content_bytes(scratch, found, limits))


def write(scratch: Git, checkout: Checkout, root: Path) -> int:
    """Write a checked tree into an empty folder, and return how many files and links there are.

    Raises:
        ProvenanceError: the content of a file is missing or is not what its hash says, or the disk is full.
    """
    files = {path: entry for path, entry in checkout.tree.items() if entry.mode != NESTED}
    links: dict[bytes, bytes] = {}
    folders = {path.rpartition(b"/")[0] for path in files}
    hashes = (entry.hash.encode() + b"\n" for entry in files.values())
    try:
        for path in checkout.tree.keys() - files.keys():
            _place(root, path).mkdir(parents=True)
        for path in folders:
            _place(root, path).mkdir(parents=True, exist_ok=True)
        with git.started(scratch, "cat-file", "--batch", "--buffer", stdin=hashes) as (process, _):
            assert process.stdout is not None
            for path, entry in files.items():
                if entry.mode == LINK:
                    links[path] = _link_target(process.stdout, path, entry)
                else:
                    _write_file(process.stdout, _place(root, path), path, entry)
        for path, target in links.items():
            _place(root, path).symlink_to(os.fsdecode(target))
    except (OSError, ValueError) as error:
        raise ProvenanceError(f"{root}: the code cannot be written: {error}") from error
    return len(files)


def _place(root: Path, path: bytes) -> Path:
    return root / os.fsdecode(path)


def _write_file(source: IO[bytes], place: Path, path: bytes, entry: Entry) -> None:
    size = _announced_size(source, path, entry)
    digest = _digest(entry, size)
    is_program = entry.mode == PROGRAM
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(place, flags, 0o777 if is_program else 0o666), "wb", buffering=0) as file:
        left = size
        while left and (chunk := source.read(min(left, CHUNK_BYTES))):
            digest.update(chunk)
            file.write(chunk)
            left -= len(chunk)
        if is_program:
            os.fchmod(file.fileno(), os.fstat(file.fileno()).st_mode | stat.S_IXUSR)
    _check_end(source, path, entry, digest.hexdigest())


def _link_target(source: IO[bytes], path: bytes, entry: Entry) -> bytes:
    size = _announced_size(source, path, entry)
    if size > PATH_MAX_BYTES:
        raise _refused(path, f"is a symbolic link of {size} bytes")
    target = source.read(size)
    digest = _digest(entry, size)
    digest.update(target)
    _check_end(source, path, entry, digest.hexdigest())
    return target


def _announced_size(source: IO[bytes], path: bytes, entry: Entry) -> int:
    words = source.readline().split()
    if len(words) != 3 or words[:2] != [entry.hash.encode(), b"blob"]:
        raise ProvenanceError(f"{_text(path)}: its content ({entry.hash}) is missing")
    return int(words[2])


def _digest(entry: Entry, size: int) -> hashlib._Hash:
    name = "sha1" if len(entry.hash) == 40 else "sha256"
    return hashlib.new(name, b"blob %d\0" % size, usedforsecurity=False)


def _check_end(source: IO[bytes], path: bytes, entry: Entry, found: str) -> None:
    if source.read(1) != b"\n" or found != entry.hash:
        raise ProvenanceError(f"{_text(path)}: its content is not what its hash {entry.hash} says")


def _check_name(path: bytes) -> None:
    if len(path) > PATH_MAX_BYTES:
        raise _refused(path, f"is {len(path)} bytes long")
    for part in path.split(b"/"):
        if part in (b"", b".", b".."):
            raise _refused(path, "leads somewhere else")
        if _is_git_folder(part):
            raise _refused(path, "would be part of a git repository's own files")


def _is_git_folder(part: bytes) -> bool:
    """Whether some file system takes a name for ``.git``: HFS+ and APFS skip characters, NTFS cuts the end off."""
    text = part.decode("utf-8", "surrogateescape")
    if not text.isascii():
        text = "".join(character for character in text if unicodedata.category(character) != "Cf")
    return text.casefold().partition(":")[0].rstrip(". ") in (".git", "git~1")


def _check_place(path: bytes, tree: Tree) -> None:
    parent = path.rpartition(b"/")[0]
    while parent:
        if parent in tree:
            raise _refused(path, f"lies below {_text(parent)}, which is no folder of the tree")
        parent = parent.rpartition(b"/")[0]


def _content_bytes(scratch: Git, tree: Tree, limits: Limits) -> int:
    hashes = [entry.hash for entry in tree.values() if entry.mode != NESTED]
    names = "".join(f"{name}\n" for name in dict.fromkeys(hashes)).encode()
    rows = git.run(scratch, "cat-file", "--batch-check=%(objecttype) %(objectsize)", stdin=[names]).splitlines()
    kinds = dict(zip(dict.fromkeys(hashes), (row.split() for row in rows), strict=True))
    for path, entry in tree.items():
        if entry.mode != NESTED and kinds[entry.hash][0] != b"blob":
            raise ProvenanceError(f"{_text(path)}: its content ({entry.hash}) is missing")
    total = sum(int(kinds[name][1]) for name in hashes)
    if total > limits.restored_max_bytes:
        raise ProvenanceError(f"the code is {total:,} bytes, and restored_max_bytes is {limits.restored_max_bytes:,}")
    return total


def _refused(path: bytes, why: str) -> ProvenanceError:
    return ProvenanceError(f"the code's tree is refused: {_text(path[:200])!r} {why}")


def _text(path: bytes) -> str:
    return path.decode("utf-8", "backslashreplace")
