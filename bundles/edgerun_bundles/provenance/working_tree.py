"""What lies in a working tree, byte for byte: names from git, contents and modes from the disk.

Contents are hashed as they are. ``git add`` would pass them through line-ending conversion, clean filters and
re-encodings, and would trust what the index remembers of sizes and times.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from typing import TYPE_CHECKING, NamedTuple

from edgerun_bundles.provenance import git
from edgerun_bundles.provenance.scratch import NAME_PREFIX

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgerun_bundles.provenance.git import Git

FILE, PROGRAM, LINK, NESTED = b"100644", b"100755", b"120000", b"160000"
"""Modes of the entries of a tree."""

DERIVED = ("__pycache__/", ".venv/", "venv/", "node_modules/", ".ipynb_checkpoints/", ".tox/", ".*_cache/")
"""Ignored in a folder without git, where nobody has written a .gitignore yet: what tools make again."""

CHUNK_BYTES = 2**20


class Entry(NamedTuple):
    """What a tree says of one path."""

    mode: bytes
    hash: str


Tree = dict[bytes, Entry]


class Listing(NamedTuple):
    """The names in a working tree."""

    staged: Tree
    """What is staged, conflicts aside."""
    sparse: set[bytes]
    """Tracked paths that a sparse checkout may keep off the disk."""
    tracked: set[bytes]
    untracked: list[bytes]
    nested: list[bytes]
    """Folders that are repositories, submodules included."""
    ignored: list[bytes]
    """Files, and whole folders with a slash at the end."""
    unreadable: dict[bytes, str]
    """Folders that git could not look into, and why."""

    def ignores(self, folder: bytes) -> bool:
        """Whether a whole folder is ignored."""
        return any(name.endswith(b"/") and (folder + b"/").startswith(name) for name in self.ignored)


class Found(NamedTuple):
    """One path as it is on disk."""

    entry: Entry | None
    """None if it was not read, or is missing in a tree."""
    size: int
    problem: str
    """Why it cannot be read, or nothing."""


def tree_of(scratch: Git, commit: str) -> Tree:
    """Return every path of a commit's tree."""
    rows = git.run(scratch, "ls-tree", "-r", "-z", "--full-tree", commit).split(b"\0")
    found: Tree = {}
    for row in filter(None, rows):
        facts, _, path = row.partition(b"\t")
        mode, _, digest = facts.split(b" ")
        found[path] = Entry(mode, digest.decode())
    return found


def listing(scratch: Git, *, has_git: bool) -> Listing:
    """Ask git which paths there are: staged, untracked, ignored, and repositories of their own."""
    index: Tree = {}
    sparse: set[bytes] = set()
    tracked: set[bytes] = set()
    for row in filter(None, git.run(scratch, "ls-files", "--stage", "-v", "-z").split(b"\0")):
        facts, _, path = row.partition(b"\t")
        tag, mode, digest, stage = facts.split(b" ")
        tracked.add(path)
        if stage == b"0":
            index[path] = Entry(mode, digest.decode())
        if tag in b"Ss":
            sparse.add(path)
    ours = [f"--exclude={NAME_PREFIX}*", *(f"--exclude={name}" for name in DERIVED if not has_git)]
    command = ("ls-files", "--others", "--exclude-standard", "-z", *ours)
    output, messages = git.run_with_messages(scratch, *command)
    others = output.split(b"\0")
    ignored = git.run(scratch, *command, "--ignored", "--directory").split(b"\0")
    submodules = {path for path, entry in index.items() if entry.mode == NESTED}
    return Listing(
        staged=index,
        sparse=sparse,
        tracked=tracked,
        untracked=[path for path in others if path and not path.endswith(b"/")],
        nested=sorted(submodules | {path[:-1] for path in others if path.endswith(b"/")}),
        ignored=_without_covered([path for path in ignored if path and NAME_PREFIX.encode() not in path]),
        unreadable=unreadable(messages),
    )


def _without_covered(paths: list[bytes]) -> list[bytes]:
    """Leave out what lies in a folder that is ignored as a whole: git lists both where the folder ignores itself."""
    found: list[bytes] = []
    folder = b"/"
    for path in sorted(paths):
        if not path.startswith(folder):
            found.append(path)
            folder = path if path.endswith(b"/") else folder
    return found


def unreadable(messages: str) -> dict[bytes, str]:
    """Read from git's warnings which folders it left out of a list: it does not call that an error."""
    return {
        os.fsencode(found["folder"].rstrip("/")): f"cannot be read: {found['reason']}"
        for found in re.finditer(r"could not open directory '(?P<folder>.*)': (?P<reason>.*)", messages)
    }


class Disk:
    """Reads paths of one working tree, never through a symbolic link, and remembers which folders are real ones."""

    def __init__(self, root: bytes, object_format: str, settings: Mapping[str, str]) -> None:
        self._root = root
        self._format = object_format
        self._has_modes = settings.get("core.filemode", "true") != "false"
        self._folders: dict[bytes, bool] = {b"": True}

    def size(self, path: bytes) -> int | None:
        """Return the bytes of a file or a link; None if neither is there, or cannot be looked at."""
        try:
            found = self._stat(path)
        except OSError:
            return None
        is_content = found is not None and (stat.S_ISREG(found.st_mode) or stat.S_ISLNK(found.st_mode))
        return found.st_size if found is not None and is_content else None

    def find(self, path: bytes, staged: Entry | None) -> Found | None:
        """Hash what is at a path; None if nothing is, or a folder."""
        try:
            found = self._stat(path)
            if found is None or stat.S_ISDIR(found.st_mode):
                return None
            if stat.S_ISLNK(found.st_mode):
                return Found(Entry(LINK, self._hash_of(self.link(path))), found.st_size, "")
            if not stat.S_ISREG(found.st_mode):
                return Found(None, 0, "neither a file nor a symbolic link")
            return self._file(path, staged)
        except OSError as error:
            return Found(None, 0, f"cannot be read: {error.strerror}")

    def link(self, path: bytes) -> bytes:
        """Return where a symbolic link leads."""
        return os.readlink(self.full(path))  # noqa: PTH115 - pathlib has no paths of bytes

    def content(self, path: bytes, max_bytes: int) -> bytes:
        """Return what a path of a plan holds now, at most that many bytes of it.

        Raises:
            OSError: it is gone, or became something else.
        """
        found = self._stat(path)
        if found is not None and stat.S_ISLNK(found.st_mode):
            return self.link(path)
        with os.fdopen(self._open(path), "rb") as file:
            return file.read(max_bytes)

    def is_folder(self, path: bytes) -> bool:
        """Whether a path is a folder, and not by way of a symbolic link.

        Raises:
            OSError: nobody can tell, for one above it is closed.
        """
        if path not in self._folders:
            parent = path.rpartition(b"/")[0]
            try:
                is_real = self.is_folder(parent) and stat.S_ISDIR(os.lstat(self.full(path)).st_mode)
            except (FileNotFoundError, NotADirectoryError):
                is_real = False
            self._folders[path] = is_real
        return self._folders[path]

    def _file(self, path: bytes, staged: Entry | None) -> Found:
        digest = hashlib.new(self._format, usedforsecurity=False)
        with os.fdopen(self._open(path), "rb", buffering=0) as file:
            facts = os.fstat(file.fileno())
            digest.update(b"blob %d\0" % facts.st_size)
            while chunk := file.read(CHUNK_BYTES):
                digest.update(chunk)
        is_program = bool(facts.st_mode & stat.S_IXUSR)
        if not self._has_modes:
            is_program = staged is not None and staged.mode == PROGRAM
        return Found(Entry(PROGRAM if is_program else FILE, digest.hexdigest()), facts.st_size, "")

    def _stat(self, path: bytes) -> os.stat_result | None:
        if not self.is_folder(path.rpartition(b"/")[0]):
            return None
        try:
            return os.lstat(self.full(path))
        except (FileNotFoundError, NotADirectoryError):
            return None

    def _open(self, path: bytes) -> int:
        return os.open(self.full(path), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)

    def _hash_of(self, content: bytes) -> str:
        return hashlib.new(self._format, b"blob %d\0%b" % (len(content), content), usedforsecurity=False).hexdigest()

    def full(self, path: bytes) -> bytes:
        """Return the path with the folder that it is in."""
        return os.path.join(self._root, path)  # noqa: PTH118 - pathlib has no paths of bytes
