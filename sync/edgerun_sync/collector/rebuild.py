"""Tables made again from what was landed: the archives of all batches, lane by lane, in their order."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from edgerun_sync.collector import keys
from edgerun_sync.collector.batches import parse_archive, parse_batch
from edgerun_sync.collector.rows import decode, rows_of
from edgerun_sync.errors import CollectorError

if TYPE_CHECKING:
    from edgerun_sync.collector.committing import Tables
    from edgerun_sync.collector.objects import Objects


class Rebuilt(NamedTuple):
    """What was made again: batches, segments, and rows by table."""

    batches: int
    segments: int
    rows: dict[str, int]


def rebuild(objects: Objects, lanes: int, tables: Tables) -> Rebuilt:
    """Append every archived batch to tables that have none of them yet, or those of a rebuild that was cut short.

    Nobody else may commit to these tables meanwhile. What was not committed before is left to a committer.

    Args:
        objects: what was landed.
        lanes: how many lanes it has.
        tables: new ones, in a place of their own.

    Raises:
        StorageError: the storage failed; the same call goes on where it was.
        TableError: a table failed; likewise.
        CollectorError: an archive or batch is damaged.
    """
    batches, segments, rows = 0, 0, dict[str, int]()
    for lane in range(lanes):
        for key in objects.list(keys.batch_prefix(lane)):
            number = keys.number_of(key)
            archive = objects.get(keys.archive_key(lane, number))
            if archive is None:  # it is under way, and so the last one
                break
            batch, found = parse_batch(objects.get(key) or b""), parse_archive(archive)
            if not {member for member, _ in found} <= {*batch.members}:
                raise CollectorError(f"{keys.archive_key(lane, number)} has segments that {key} does not list")
            decoded = [decode(member.landed, data) for member, data in found]
            batches, segments = batches + 1, segments + len(found)
            for name, count in tables.append(lane, number, rows_of(batch.at_us, decoded)).items():
                rows[name] = rows.get(name, 0) + count
    return Rebuilt(batches, segments, rows)
