"""What a batch consists of: which segments are committed together, as an object says it and as a planner decides it.

Pure: whoever plans reads the segments one after the other, and stops when a batch is full.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from edgerun_sync.collector.keys import Again, Landed, is_check_in
from edgerun_sync.errors import CollectorError
from edgerun_sync.limits import LIMITS, Limits
from edgerun_sync.names import is_device, is_segment

if TYPE_CHECKING:
    from collections.abc import Sequence

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ARCHIVE = b"ERARCH1\n"


class Member(NamedTuple):
    """A segment or check-in of a batch: the names of its device and its own, and SHA-256 and size of its bytes.

    ``again`` where a segment had been set aside, and its bytes come from quarantine.
    """

    device: str
    segment: str
    digest: str
    size: int
    again: bool = False

    @property
    def landed(self) -> Landed:
        """Its names alone."""
        return (Again if self.again else Landed)(self.device, self.segment)


class Aside(NamedTuple):
    """A segment or check-in of a batch whose bytes cannot become rows, and why."""

    device: str
    segment: str
    why: str

    @property
    def landed(self) -> Landed:
        """Its names alone."""
        return Landed(self.device, self.segment)


class Batch(NamedTuple):
    """What one commit consists of.

    Attributes:
        at_us: when it was planned, microseconds since 1970; the batch_time of its rows.
        members: its segments, in the order of devices and names.
        check_ins: likewise.
        aside: those of both that are left out.
    """

    at_us: int
    members: tuple[Member, ...]
    check_ins: tuple[Member, ...] = ()
    aside: tuple[Aside, ...] = ()


class Filling:
    """Counts what a batch has, and says when it is full."""

    def __init__(self, limits: Limits = LIMITS) -> None:
        self._limits = limits
        self._segments = self._rows = self._plain = 0

    def add(self, rows: int, plain: int) -> bool:
        """Count a segment of so many rows and bytes, and return whether there is room for another one."""
        self._segments += 1
        self._rows += rows
        self._plain += plain
        if self._plain >= self._limits.batch_plain_max_bytes:
            return False
        return self._segments < self._limits.batch_segments_max and self._rows < self._limits.batch_rows_max


def in_turn(listed: Sequence[str], after: str) -> Sequence[str]:
    """Return sorted keys from the first one behind a key on, then the rest: all have their turn."""
    start = bisect_right(listed, after)
    return [*listed[start:], *listed[:start]]


def batch_bytes(batch: Batch) -> bytes:
    """Return a batch as its object says it."""
    at = (_EPOCH + timedelta(microseconds=batch.at_us)).isoformat().replace("+00:00", "Z")
    document: dict[str, object] = {"at": at, "segments": [*map(_listed, batch.members)]}
    if batch.check_ins:
        document["checkins"] = [*map(_listed, batch.check_ins)]
    if batch.aside:
        document["aside"] = [[*aside] for aside in batch.aside]
    return json.dumps(document, separators=(",", ":")).encode()


def parse_batch(data: bytes) -> Batch:
    """Return the batch that an object says.

    Raises:
        CollectorError: it is none.
    """
    try:
        document = json.loads(data)
        at_us = (datetime.fromisoformat(document["at"]) - _EPOCH) // timedelta(microseconds=1)
        members, check_ins = (tuple(map(_of_list, document.get(name, ()))) for name in ("segments", "checkins"))
        return Batch(at_us, members, check_ins, tuple(_aside(*entry) for entry in document.get("aside", ())))
    except (ValueError, KeyError, TypeError) as error:
        raise CollectorError(f"a batch is damaged: {data[:100]!r}") from error


def archive_bytes(segments: Sequence[tuple[Member, bytes]]) -> bytes:
    """Return the segments and check-ins of a batch as one object: a line that lists them, and their bytes."""
    listed = [_listed(member._replace(size=len(data))) for member, data in segments]
    return b"".join(
        (_ARCHIVE, json.dumps(listed, separators=(",", ":")).encode(), b"\n", *(data for _, data in segments))
    )


def parse_archive(data: bytes) -> list[tuple[Member, bytes]]:
    """Return the segments and check-ins of an archive.

    Raises:
        CollectorError: it is none.
    """
    position = data.find(b"\n", len(_ARCHIVE)) + 1
    found = []
    try:
        for member in map(_of_list, json.loads(data[len(_ARCHIVE) : position])):
            found.append((member, data[position : position + member.size]))
            position += member.size
    except (ValueError, TypeError) as error:
        raise CollectorError(f"an archive is damaged: {error}") from error
    if not data.startswith(_ARCHIVE) or position != len(data):
        raise CollectorError(f"an archive is damaged: it has {len(data)} bytes, and lists {position}")
    return found


def _listed(member: Member) -> list[object]:
    return [*member] if member.again else [*member[:4]]


def _aside(device: str, segment: str, why: object) -> Aside:
    return Aside(*_member(device, segment, "", 0)[:2], str(why))


def _of_list(entry: list[object]) -> Member:
    return _member(*entry)


def _member(device: object, segment: object, digest: object, size: object, again: object = False) -> Member:
    if not isinstance(device, str) or not isinstance(segment, str):
        raise ValueError(f"{device!r}/{segment!r} is no segment")  # noqa: TRY004 - whoever parses maps it
    if not is_device(device) or not (is_segment(segment) or is_check_in(segment)):
        raise ValueError(f"{device!r}/{segment!r} is no segment")
    if not isinstance(digest, str) or not isinstance(size, int) or size < 0:
        raise ValueError(f"{device}/{segment} has no digest or size")
    return Member(device, segment, digest, size, again is True)
