"""The files of a table: those of its newest version, those small enough to be put together, those that nobody needs."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from edgerun_sync.collector.arrow.schemas import PARTITION

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_OF_A_BATCH = re.compile(r"(\d+)-(\d+)-[0-9a-f]{32}\.parquet")


def listed_files(table: Any) -> list[tuple[str, int, str]]:
    """Return path, size in bytes and day of each file of an open Delta table, in their order."""
    listed = table.get_add_actions(flatten=True)
    names = ("path", "size_bytes", f"partition.{PARTITION}")
    paths, sizes, days = (listed.column(listed.schema.names.index(name)).to_pylist() for name in names)
    return sorted(zip(paths, sizes, map(str, days), strict=True))


def small_files(table: Any, file_bytes: int) -> Iterator[tuple[str, list[str]]]:
    """Yield days, and paths of small files that together are not too large; two at least."""
    waiting: dict[str, tuple[list[str], int]] = {}
    for path, size, day in listed_files(table):
        if size < file_bytes // 2:
            found, total = waiting.get(day, ([], 0))
            if total + size > file_bytes and len(found) > 1:
                yield day, found
                found, total = [], 0
            waiting[day] = [*found, path], total + size
    yield from ((day, found) for day, (found, _) in waiting.items() if len(found) > 1)


def is_under_way(key: str, committed: Callable[[int], int]) -> bool:
    """Whether a file that no version names is of a batch that may yet be committed.

    A file that a compaction or an erasure placed is not: whoever placed it would be overtaken.

    Args:
        key: of the file.
        committed: the newest batch of a lane that the table has.
    """
    found = _OF_A_BATCH.fullmatch(key.rpartition("/")[2])
    return found is not None and int(found[2]) > committed(int(found[1]))
