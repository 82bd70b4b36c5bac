"""What a data set is: the hash of all of its content, and the rows and columns of its tables.

PREDICATE.md section 5 is the contract. A link inside a folder is named and never followed; what is no file, folder or
link is refused; a file that changes while it is read is refused too, since its hash would be of nothing that ever was.
"""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from edgerun_bundles.errors import ProvenanceError
from edgerun_bundles.limits import LIMITS, Limits
from edgerun_bundles.provenance.redaction import without_secrets
from edgerun_bundles.provenance.tables import Table, describe_table, is_table, merged
from edgerun_bundles.provenance.values import readable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from io import FileIO

    from edgerun_bundles.provenance.digest_cache import DigestCache

_MAGIC = b"edgerun folder v1\n"
_READ_BYTES = 2**20
_NOT_FOLLOWED = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
"""A link or a pipe that took a file's place after it was listed must neither be followed nor waited for."""


class Data(NamedTuple):
    """A file or a folder of data."""

    name: str
    kind: str
    """``file`` or ``folder``."""
    sha256: str
    """Of the content, as PREDICATE.md section 5 defines it."""
    size: int
    """Bytes of all files."""
    files: int = 0
    """How many files are in the folder; 0 for a file."""
    links: int = 0
    uri: str | None = None
    tables: tuple[Table, ...] = ()
    problems: tuple[str, ...] = ()
    """Tables whose rows and columns are not known, and why."""
    tags: dict[str, str] = {}  # noqa: RUF012 - never written to


class _Content(NamedTuple):
    """One entry of a folder, or the root."""

    kind: str
    size: int
    digest: str


def describe_data(
    path: Path,
    *,
    name: str | None = None,
    tags: Mapping[str, str] | None = None,
    uri: str | None = None,
    progress: Callable[[int], object] | None = None,
    cache: DigestCache | None = None,
    limits: Limits = LIMITS,
) -> Data:
    """Return what a file or a folder of data holds; every byte of it is read.

    Args:
        path: the file or folder; it may itself be a link.
        name: what to call it; else the file's name.
        tags: the user's own notes.
        uri: where it is to be had.
        progress: called with the number of bytes, as they are read.
        cache: where to look up files that did not change since they were read; by default none is trusted.
        limits: the limits in force.

    Raises:
        ProvenanceError: something cannot be read, changes meanwhile, is of another kind, or is past a limit.
    """
    reading = _Reading(progress or _ignore, cache, limits)
    try:
        root = Path(path).resolve(strict=True)
        is_folder = root.is_dir()
        content = reading.folder(root, 0) if is_folder else reading.file(root)
    except (OSError, ValueError, RuntimeError) as error:  # ValueError: a NUL in the name; RuntimeError: a ring of links
        raise ProvenanceError(f"{path}: the data cannot be read: {error}") from error
    if not is_folder and is_table(root.name):
        reading.table_files.append(root)
    tables, problems = reading.tables()
    return Data(
        name=readable(name if name is not None else Path(path).absolute().name),
        kind=content.kind,
        sha256=content.digest,
        size=content.size,
        files=reading.files if is_folder else 0,
        links=reading.links,
        uri=None if uri is None else without_secrets(uri),
        tables=tables,
        problems=problems,
        tags={readable(str(key)): readable(str(value)) for key, value in (tags or {}).items()},
    )


def _ignore(_: int) -> None:
    """Nobody watches."""


class _Reading:
    """One walk through the data: what it counts, and what it may not pass."""

    def __init__(self, progress: Callable[[int], object], cache: DigestCache | None, limits: Limits) -> None:
        self.files = self.links = self._entries = 0
        self.table_files: list[Path] = []
        self._root: Path | None = None
        self._progress, self._cache, self._limits = progress, cache, limits
        self._buffer = memoryview(bytearray(_READ_BYTES))

    def folder(self, path: Path, depth: int) -> _Content:
        """Hash a folder: each entry by its kind, size, digest and name, in the order of the names' bytes."""
        self._root = self._root or path
        if depth > self._limits.data_depth_max:
            raise ProvenanceError(f"{path}: deeper than {self._limits.data_depth_max} folders (data_depth_max)")
        hashed = hashlib.sha256(_MAGIC)
        size = 0
        with os.scandir(path) as listing:
            entries = [(os.fsencode(entry.name), entry) for entry in self._counted(path, listing)]
        for name, entry in sorted(entries, key=lambda pair: pair[0]):
            content = self._entry(Path(entry.path), entry, depth)
            hashed.update(f"{content.kind} {content.size} {content.digest} ".encode() + name + b"\0")
            size += content.size
        return _Content("folder", size, hashed.hexdigest())

    def _counted(self, path: Path, listing: Iterable[os.DirEntry[str]]) -> list[os.DirEntry[str]]:
        found = []
        for entry in listing:
            self._entries += 1
            if self._entries > self._limits.data_entries_max:
                raise ProvenanceError(f"{path}: more than {self._limits.data_entries_max} entries (data_entries_max)")
            found.append(entry)
        return found

    def _entry(self, path: Path, entry: os.DirEntry[str], depth: int) -> _Content:
        if entry.is_symlink():
            self.links += 1
            target = os.fsencode(path.readlink())
            return _Content("link", len(target), hashlib.sha256(target).hexdigest())
        if entry.is_dir(follow_symlinks=False):
            return self.folder(path, depth + 1)
        self.files += 1
        if is_table(entry.name):
            self.table_files.append(path)
        return self.file(path)

    def file(self, path: Path) -> _Content:
        """Hash a file, or look it up where a cache was given."""
        descriptor = os.open(path, os.O_RDONLY | _NOT_FOLLOWED | getattr(os, "O_CLOEXEC", 0))
        with os.fdopen(descriptor, "rb", buffering=0) as file:
            before = os.fstat(descriptor)
            if not stat.S_ISREG(before.st_mode):
                raise ProvenanceError(f"{path}: neither a file nor a folder nor a link; take it out of the data")
            known = self._cache.get(path, before) if self._cache else None
            if known is not None:
                self._progress(before.st_size)
                return _Content("file", before.st_size, known)
            size, found = self._hash(file, before.st_size)
            after = os.fstat(descriptor)
        if size != before.st_size or _state(before) != _state(after):
            raise ProvenanceError(f"{path}: changed while it was read; try again when nothing writes to it")
        if self._cache:
            self._cache.put(path, after, found)
        return _Content("file", size, found)

    def _hash(self, file: FileIO, most: int) -> tuple[int, str]:
        """Hash a file; of one that grows, no more than shows that it does."""
        hashed = hashlib.sha256()
        size = 0
        while size <= most and (count := file.readinto(self._buffer)):
            hashed.update(self._buffer[:count])
            self._progress(count)
            size += count
        return size, hashed.hexdigest()

    def tables(self) -> tuple[tuple[Table, ...], tuple[str, ...]]:
        """Describe every table that was seen, equal ones as one."""
        tables, problems = [], []
        for path in self.table_files:
            place = path.relative_to(self._root) if self._root else Path(path.name)
            try:
                tables.append(describe_table(path, self._limits))
            except ProvenanceError as problem:
                problems.append(readable(f"{place}: {problem}"))
        return merged(tables, self._limits), _listed(problems, self._limits.data_tables_max)


def _state(found: os.stat_result) -> tuple[int, int]:
    return found.st_size, found.st_mtime_ns


def _listed(problems: list[str], most: int) -> tuple[str, ...]:
    more = len(problems) - most
    return tuple(problems) if more <= 0 else (*problems[:most], f"and {more} more tables")
