"""Remembers the hashes of files, so that a large data set that did not change need not be read again.

A file is known by path, size, times of change, inode and device. Whoever sets clocks back can deceive it, so nobody
gets it without asking. It may be deleted at any time, and a broken one is only slow.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from typing import TYPE_CHECKING, Self

from edgerun_bundles.errors import ProvenanceError

if TYPE_CHECKING:
    from pathlib import Path

_SETTLED_NS = 2 * 10**9
"""A file that changed this lately may change again within the same tick of its file system's clock: it is not kept."""

_TABLE = """CREATE TABLE IF NOT EXISTS file (
  path BLOB PRIMARY KEY, size INT, mtime_ns INT, ctime_ns INT, inode INT, device INT, sha256 TEXT
) WITHOUT ROWID"""
_BIGGEST = 2**63 - 1


class DigestCache:
    """A file of hashes. Use it as a context manager; several processes may share one."""

    def __init__(self, path: Path) -> None:
        """Open the cache, or make it.

        Raises:
            ProvenanceError: the file is something else, or cannot be made.
        """
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._base = sqlite3.connect(path, timeout=5, isolation_level=None)
            self._base.execute("PRAGMA journal_mode=WAL").close()
            self._base.execute("PRAGMA synchronous=OFF").close()
            self._base.execute(_TABLE).close()
        except (sqlite3.Error, OSError) as error:
            raise ProvenanceError(f"{path}: the cache cannot be opened: {error}; delete it") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._base.close()

    def get(self, path: Path, state: os.stat_result) -> str | None:
        """Return the hash of a file that is as it was when it was put here; None if it is not, or was never."""
        with contextlib.suppress(sqlite3.Error):
            query = "SELECT size, mtime_ns, ctime_ns, inode, device, sha256 FROM file WHERE path = ?"
            row = self._base.execute(query, (os.fsencode(path),)).fetchone()
            if row is not None and tuple(row[:-1]) == _identity(state):
                return str(row[-1])
        return None

    def put(self, path: Path, state: os.stat_result, sha256: str) -> None:
        """Keep the hash of a file, unless it changed so lately that another change might not show."""
        if abs(time.time_ns() - max(state.st_mtime_ns, state.st_ctime_ns)) < _SETTLED_NS:
            return
        with contextlib.suppress(sqlite3.Error):
            row = (os.fsencode(path), *_identity(state), sha256)
            self._base.execute("INSERT OR REPLACE INTO file VALUES (?, ?, ?, ?, ?, ?, ?)", row).close()


def _identity(state: os.stat_result) -> tuple[int, ...]:
    return (
        state.st_size,
        state.st_mtime_ns,
        state.st_ctime_ns,
        state.st_ino & _BIGGEST,  # a file system may use all 64 bits, and SQLite has 63
        state.st_dev & _BIGGEST,
    )
