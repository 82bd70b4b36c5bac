"""Tables made again from what was landed: the archives of all batches, lane by lane, in their order."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, NamedTuple, Protocol

from edgerun_sync.collector import keys
from edgerun_sync.collector.ahead import ARCHIVES_AT_ONCE, read_in_order
from edgerun_sync.collector.archives import is_of_rows, parse_row_archive, rows_in
from edgerun_sync.collector.batches import parse_archive, parse_batch
from edgerun_sync.errors import CollectorError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from edgerun_sync.collector.arrow.parquet import DayFile
    from edgerun_sync.collector.batches import Batch, Member
    from edgerun_sync.collector.objects import Objects
    from edgerun_sync.collector.rows import Rows


class Tables(Protocol):
    """The tables that a rebuild writes to."""

    def append(self, lane: int, number: int, rows: Rows) -> dict[str, int]:
        """Add a batch's rows to each table that does not have this batch, durably; returns the rows, by table."""

    def append_files(self, lane: int, number: int, files: Mapping[str, Sequence[DayFile]]) -> dict[str, int]:
        """Likewise, of a batch that is files already."""


class Rebuilt(NamedTuple):
    """What was made again: batches, segments and check-ins, and rows by table."""

    batches: int
    segments: int
    rows: dict[str, int]


def rebuild(
    objects: Objects, lanes: int, tables: Tables, tell: Callable[[Rebuilt], object] = lambda _: None
) -> Rebuilt:
    """Append every archived batch to tables that have none of them yet, or those of a rebuild that was cut short.

    Nobody else may commit to these tables meanwhile. What was not committed before is left to a committer.

    Args:
        objects: what was landed.
        lanes: how many lanes it has.
        tables: new ones, in a place of their own.
        tell: is told after each batch what was made so far.

    Raises:
        StorageError: the storage failed; the same call goes on where it was.
        TableError: a table failed; likewise.
        CollectorError: an archive or batch is damaged.
    """
    batches, segments, rows = 0, 0, dict[str, int]()
    for lane in range(lanes):
        numbers = [keys.number_of(key) for key in objects.list(keys.batch_prefix(lane))]
        pairs = ((keys.batch_key(lane, number), keys.archive_key(lane, number)) for number in numbers)
        with read_in_order(objects, chain.from_iterable(pairs), ARCHIVES_AT_ONCE) as found:
            for number, (_, planned), (_, archive) in zip(numbers, found, found, strict=True):
                if archive is None:  # it is under way, and so the last one
                    break
                members, written = _append(tables, lane, number, parse_batch(planned or b""), archive)
                batches, segments = batches + 1, segments + members
                for name, count in written.items():
                    rows[name] = rows.get(name, 0) + count
                tell(Rebuilt(batches, segments, rows))
    return Rebuilt(batches, segments, rows)


def _append(tables: Tables, lane: int, number: int, batch: Batch, archive: bytes) -> tuple[int, dict[str, int]]:
    """Members of an archive, and the rows that it gave."""
    if is_of_rows(archive):
        kept = parse_row_archive(archive)
        _check(lane, number, batch, kept.members)
        return len(kept.members), tables.append_files(lane, number, kept.files)
    found = parse_archive(archive)
    _check(lane, number, batch, (member for member, _ in found))
    return len(found), tables.append(lane, number, rows_in(batch.at_us, found))


def _check(lane: int, number: int, batch: Batch, members: Iterable[Member]) -> None:
    if not {*members} <= {*batch.members, *batch.check_ins}:
        raise CollectorError(
            f"{keys.archive_key(lane, number)} has segments that {keys.batch_key(lane, number)} does not list"
        )
