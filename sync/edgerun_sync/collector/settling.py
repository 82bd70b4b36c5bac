"""What delta-rs writes on a local disk, made to survive a power cut: it syncs nothing itself.

A table's log is settled from its newest version back to the first that this process has not settled: whoever relies on
a version relies on all before it. Where the power fails earlier, `mend` takes what it left half written off the log's
end; no segment was given up for it yet.
"""

from __future__ import annotations

import json
import os
import re
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from edgerun_sync.errors import TableError

if TYPE_CHECKING:
    from collections.abc import Callable

_LOG = "_delta_log"
_COMMIT = re.compile(r"(\d{20})\.json")
_CHECKPOINT = re.compile(r"(\d{20})\.checkpoint.*\.parquet")
_LAST = "_last_checkpoint"
_PARQUET_ENDS = b"PAR1"
_PARQUET_BYTES_MIN = 12


class Settler:
    """Settles the logs of the tables below a folder.

    Args:
        folder: that holds the tables.
        sync: of a file's descriptor; a stand-in lets tests see the order.
    """

    def __init__(self, folder: str | os.PathLike[str], *, sync: Callable[[int], None] = os.fsync) -> None:
        self._folder = Path(folder)
        self._sync = sync
        self._settled: dict[str, set[str]] = {}

    def __call__(self, name: str) -> None:
        """Return when all that a table's log says now would survive a power cut.

        Raises:
            TableError: the disk failed.
        """
        table = self._folder / name
        settled = self._settled.setdefault(name, set())
        try:
            found = {entry.name for entry in os.scandir(table / _LOG) if entry.is_file()}
            for file in sorted(found - settled):
                with suppress(FileNotFoundError):  # an old one, that was cleaned up
                    self._settle(table / _LOG / file)
            for folder in (table / _LOG, table, self._folder) if found - settled else ():
                self._settle(folder)
        except OSError as error:
            raise TableError(f"{table}: its log cannot be synced: {error.strerror or error}") from error
        self._settled[name] = found - {_LAST}

    def _settle(self, path: Path) -> None:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            self._sync(file)
        finally:
            os.close(file)


def mend(folder: str | os.PathLike[str]) -> list[str]:
    """Remove what a power cut left half written of a table's log, and return the names of those files.

    A version that cannot be read goes, with all after it; so does a checkpoint, whose versions are still there.

    Raises:
        TableError: the disk failed.
    """
    log, removed = Path(folder) / _LOG, []
    try:
        names = sorted(path.name for path in log.iterdir()) if log.is_dir() else []
        commits = [name for name in names if _COMMIT.fullmatch(name)]
        torn = next((name for name in commits if not _is_commit(log / name)), None)
        doubtful = [name for name in commits if torn is not None and name >= torn]
        bad = [name for name in names if _CHECKPOINT.fullmatch(name) and not _is_parquet(log / name)]
        if bad or (_LAST in names and not _is_commit(log / _LAST)):
            bad += [_LAST] if _LAST in names else []
        for name in [*reversed(doubtful), *bad]:
            (log / name).unlink()
            removed.append(name)
    except OSError as error:
        raise TableError(f"{folder}: its log cannot be mended: {error.strerror or error}") from error
    return removed


def _is_commit(path: Path) -> bool:
    """Whether a file holds lines of JSON."""
    try:
        lines = path.read_bytes().splitlines()
        return bool(lines) and all(isinstance(json.loads(line), dict) for line in lines)
    except ValueError:
        return False


def _is_parquet(path: Path) -> bool:
    data = path.read_bytes()
    return len(data) >= _PARQUET_BYTES_MIN and data[:4] == data[-4:] == _PARQUET_ENDS
