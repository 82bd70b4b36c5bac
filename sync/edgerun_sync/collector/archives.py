"""Archives of batches: raw segments, or, where rows of one were erased, the files that the tables have of the others.

A segment is signed for by its digest and cannot be cut, so an archive that must lose rows keeps the rest as rows.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

from edgerun_sync.collector.arrow.erasing import remaining
from edgerun_sync.collector.arrow.parquet import DayFile, day_files
from edgerun_sync.collector.arrow.schemas import SCHEMAS
from edgerun_sync.collector.batches import Member, archive_bytes, parse_archive
from edgerun_sync.collector.check_ins import parse_check_in
from edgerun_sync.collector.keys import is_check_in
from edgerun_sync.collector.rows import decode, rows_of
from edgerun_sync.errors import CollectorError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from edgerun_sync.collector.arrow.erasing import Gone
    from edgerun_sync.collector.rows import Rows

_ROWS = b"ERROWS1\n"


class RowArchive(NamedTuple):
    """What is left of a batch of which rows were erased.

    Attributes:
        members: its segments and check-ins, whose bytes are gone.
        files: by table.
    """

    members: tuple[Member, ...]
    files: Mapping[str, tuple[DayFile, ...]]


def is_of_rows(data: bytes) -> bool:
    """Whether an archive has rows instead of segments."""
    return data.startswith(_ROWS)


def rows_in(at_us: int, found: Iterable[tuple[Member, bytes]]) -> Rows:
    """Return the rows of an archive's segments and check-ins.

    Raises:
        CollectorError: a check-in is damaged.
    """
    listed = [*found]
    segments = (decode(member.landed, data) for member, data in listed if not is_check_in(member.segment))
    return rows_of(at_us, segments, [parse_check_in(data) for member, data in listed if is_check_in(member.segment)])


def row_archive_bytes(archive: RowArchive) -> bytes:
    """Return an archive of rows as it is stored."""
    listed = [
        [name, file.day, len(file.data), file.rows, file.stats] for name, own in archive.files.items() for file in own
    ]
    document = {"segments": [list(member) for member in archive.members], "files": listed}
    pieces = [file.data for own in archive.files.values() for file in own]
    return b"".join((_ROWS, json.dumps(document, separators=(",", ":")).encode(), b"\n", *pieces))


def parse_row_archive(data: bytes) -> RowArchive:
    """Return the archive of rows that an object is.

    Raises:
        CollectorError: it is none.
    """
    position = data.find(b"\n", len(_ROWS)) + 1
    files: dict[str, tuple[DayFile, ...]] = {}
    try:
        document = json.loads(data[len(_ROWS) : position])
        members = tuple(Member(*entry) for entry in document["segments"])
        for name, day, size, rows, stats in document["files"]:
            files[name] = (*files.get(name, ()), DayFile(day, data[position : position + size], rows, stats))
            position += size
    except (ValueError, KeyError, TypeError) as error:
        raise CollectorError(f"an archive of rows is damaged: {error}") from error
    if not is_of_rows(data) or position != len(data):
        raise CollectorError(f"an archive of rows is damaged: it has {len(data)} bytes, and lists {position}")
    return RowArchive(members, files)


def without(at_us: int, data: bytes, gone: Gone) -> bytes:
    """Return an archive without some rows. A device's segments go; of others, rows are kept instead.

    Args:
        at_us: when its batch was planned.
        data: the archive.
        gone: which rows.

    Raises:
        CollectorError: it is none.
        TableError: rows do not become a file.
    """
    if not is_of_rows(data):
        found = parse_archive(data)
        if gone.device is not None:
            return archive_bytes([(member, body) for member, body in found if member.device != gone.device])
        rows = rows_in(at_us, found)
        files = {name: tuple(day_files(rows, name)) for name in SCHEMAS}
        archive = RowArchive(tuple(member for member, _ in found), files)
    else:
        archive = parse_row_archive(data)
    left: dict[str, tuple[DayFile, ...]] = {}
    for name, own in archive.files.items():
        kept = (remaining(name, file.day, file.data, gone)[1] for file in own)
        left[name] = tuple(file for file in kept if file is not None)
    members = tuple(member for member in archive.members if member.device != gone.device)
    return row_archive_bytes(RowArchive(members, left))
