"""Committing: landed segments into the tables, batch by batch, each row once. The five steps are those of PROTOCOL.md.

Every step may be repeated, at any time, by any number of committers: what counts is an object that one of them was
first to make, or a version of a table that Delta let one of them write.
"""

from __future__ import annotations

import hashlib
import time
from typing import TYPE_CHECKING, NamedTuple, Protocol

from edgerun_sync.collector import keys, quarantine
from edgerun_sync.collector.ahead import read_in_order
from edgerun_sync.collector.audit import Audit
from edgerun_sync.collector.batches import (
    Aside,
    Batch,
    Filling,
    Member,
    archive_bytes,
    batch_bytes,
    in_turn,
    parse_batch,
)
from edgerun_sync.collector.building import Built, Gathering
from edgerun_sync.limits import LIMITS, Limits

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from edgerun_sync.collector.arrow.parquet import DayFile
    from edgerun_sync.collector.objects import Objects
    from edgerun_sync.collector.rows import Rows


class Tables(Protocol):
    """The tables that a committer writes to."""

    def committed(self, lane: int) -> int:
        """Return the greatest number of a batch of a lane that any table has; 0 where none has one."""

    def files_of(self, rows: Rows) -> Mapping[str, Sequence[DayFile]]:
        """Return a batch's rows as the files of each table that has some; nothing is written."""

    def append_files(self, lane: int, number: int, files: Mapping[str, Sequence[DayFile]]) -> dict[str, int]:
        """Add a batch's files to each table that does not have this batch, durably; returns the rows, by table."""


class Committed(NamedTuple):
    """What one batch was.

    Attributes:
        lane: of the devices.
        number: of the batch.
        segments: how many it has; 0 where its archive was there before, so that each is told of once at most.
        rows: by table; empty where they had been committed before.
        damaged: bytes of the segments that no row could be read from.
        aside: what cannot become rows, and is in quarantine; empty where it was there before.
    """

    lane: int
    number: int
    segments: int
    rows: dict[str, int]
    damaged: int
    aside: tuple[Aside, ...] = ()


class Committer:
    """Commits the batches of one lane, one after the other.

    Args:
        objects: where segments are landed.
        tables: where their rows go.
        lane: which.
        now_us: a clock, microseconds since 1970.
        limits: of a batch.
    """

    def __init__(
        self,
        objects: Objects,
        tables: Tables,
        lane: int,
        *,
        now_us: Callable[[], int] = lambda: time.time_ns() // 1000,
        limits: Limits = LIMITS,
    ) -> None:
        self._objects = objects
        self._tables = tables
        self.lane = lane
        """Whose batches it commits."""
        self.waiting = 0
        """Entries of the inbox that were not looked at when the last batch was planned, for it was full."""
        self._now_us = now_us
        self._limits = limits
        self._audit = Audit(objects)
        self._number = 0
        self._last = ""
        self._looked_us: int | None = None

    def step(self) -> Committed | None:
        """Commit one batch, or complete one that was begun; None where nothing waits.

        Raises:
            StorageError: the storage failed; the same batch is completed by the next call, or by anybody else's.
            TableError: a table failed; likewise.
            ContentError: another edgerun planned the batch, and this one can make no rows of it; update it.
            CollectorError: an object is damaged.
        """
        number = self._number or max(1, self._tables.committed(self.lane))
        read: dict[Member, bytes] = {}
        built: Built | None = None
        found = self._objects.get(keys.batch_key(self.lane, number))
        if found is None:
            batch, built = self._plan(read)
            if not batch.members and not batch.check_ins:
                self._number = number
                return None
            if not self._objects.put_new(keys.batch_key(self.lane, number), batch_bytes(batch)):
                read, built = {}, None
                batch = self._batch(number)
        else:
            batch = parse_batch(found)
        committed = self._write(number, batch, read, built)
        self._finish(number, batch)
        self._number = number + 1
        return committed

    def count_waiting(self) -> None:
        """Count all entries of the inbox as waiting, where no batch was planned of them.

        Raises:
            StorageError: the inbox cannot be listed.
        """
        self.waiting = sum(1 for _ in self._objects.list(keys.inbox_prefix(self.lane)))

    def _batch(self, number: int) -> Batch:
        found = self._objects.get(keys.batch_key(self.lane, number))
        return parse_batch(found or b"")

    def _plan(self, read: dict[Member, bytes]) -> tuple[Batch, Built]:
        """Step 1: read what the inbox speaks of, until a batch is full; clear away what is committed already."""
        filling, gathering = Filling(self._limits), Gathering(self._limits)
        inbox = in_turn([*self._objects.list(keys.inbox_prefix(self.lane))], self._last)
        self.waiting = len(inbox)
        all_landed = [keys.from_inbox(key) for key in inbox]
        with read_in_order(self._objects, (landed.key for landed in all_landed)) as found:
            for key, landed, (_, data) in zip(inbox, all_landed, found, strict=True):
                self.waiting -= 1
                if data is None:  # its landing was cut short, or is under way
                    continue
                if keys.parse_tombstone(data) is not None:
                    self._objects.delete(key)
                    continue
                is_again = isinstance(landed, keys.Again)
                read[Member(*landed, hashlib.sha256(data).hexdigest(), len(data), is_again)] = data
                self._last = key
                if not filling.add(*gathering.add_segment(landed, data)):
                    break
        members, check_ins, at_us = tuple(sorted(read)), self._waiting_check_ins(read), self._now_us()
        for member in check_ins:
            gathering.add_check_in(member.landed, read[member])
        built, aside = gathering.build_sound(self._tables, at_us)
        return self._without_again(Batch(at_us, members, check_ins, aside), read), built

    def _without_again(self, batch: Batch, read: dict[Member, bytes]) -> Batch:
        """Leave out of a batch what was set aside before and cannot become rows this time either."""
        why = {aside.landed: aside.why for aside in batch.aside}
        failed = {member for member in batch.members if member.again and member.landed in why}
        for member in failed:
            quarantine.refuse_again(self._objects, member.landed, why.pop(member.landed))
            self._objects.delete(keys.inbox_key(self.lane, member.landed))
            del read[member]
        members = tuple(member for member in batch.members if member not in failed)
        return batch._replace(members=members, aside=tuple(one for one in batch.aside if one.landed in why))

    def _waiting_check_ins(self, read: dict[Member, bytes]) -> tuple[Member, ...]:
        """Read the check-ins that wait; none where they were looked at a moment ago."""
        now_us, found = self._now_us(), list[Member]()
        wait_us = self._limits.check_ins_wait_s * 1e6
        if self._looked_us is not None and 0 <= now_us - self._looked_us < wait_us:
            return ()
        with read_in_order(self._objects, self._objects.list(keys.check_in_prefix(self.lane))) as waiting:
            for key, data in waiting:
                if data is not None:
                    member = Member(*keys.from_check_in(key), hashlib.sha256(data).hexdigest(), len(data))
                    read[member] = data
                    found.append(member)
                if len(found) == self._limits.batch_check_ins_max:
                    return tuple(found)
        self._looked_us = now_us
        return tuple(found)

    def _write(self, number: int, batch: Batch, read: dict[Member, bytes], built: Built | None) -> Committed:
        """Steps 2 and 3, and the archive of step 4: after it, the rows are in the tables, durably."""
        archive = keys.archive_key(self.lane, number)
        if built is None:
            if self._objects.get(archive) is not None:
                return Committed(self.lane, number, 0, {}, 0)
            self._read_again(batch, read)
        left_out = {aside.landed: aside for aside in batch.aside}
        listed = [(member, read[member]) for member in (*batch.members, *batch.check_ins) if member in read]
        aside = [(left_out[member.landed], data) for member, data in listed if member.landed in left_out]
        quarantine.set_aside(self._objects, self._audit, aside, self.lane, number)
        listed = [(member, data) for member, data in listed if member.landed not in left_out]
        if built is None:
            gathering = Gathering(self._limits)
            for member, data in listed:
                add = gathering.add_check_in if keys.is_check_in(member.segment) else gathering.add_segment
                add(member.landed, data)
            built = gathering.build(self._tables, batch.at_us)
        written = self._tables.append_files(self.lane, number, built.files)
        is_first = self._objects.put_new(archive, archive_bytes(listed))
        segments = len(batch.members) if is_first else 0
        return Committed(self.lane, number, segments, written, built.damaged, batch.aside)

    def _read_again(self, batch: Batch, read: dict[Member, bytes]) -> None:
        """Read what a batch has that is no tombstone yet: of all else the tables have the rows, as others saw."""
        places = {member.landed.key: member for member in batch.members}
        places |= {keys.check_in_key(self.lane, *member.landed): member for member in batch.check_ins}
        with read_in_order(self._objects, places) as found:
            for key, data in found:
                if data is not None and keys.parse_tombstone(data) is None:
                    read[places[key]] = data

    def _finish(self, number: int, batch: Batch) -> None:
        """Step 4: leave a tombstone of each segment, take it off the inbox, and remove the check-ins."""
        replaced = [
            (member.landed.key, keys.tombstone_bytes(keys.Tombstone(member.digest, member.size, number)))
            for member in batch.members
        ]
        self._objects.replace_all(replaced)
        self._objects.delete_all([keys.inbox_key(self.lane, member.landed) for member in batch.members])
        self._objects.delete_all([keys.check_in_key(self.lane, *member.landed) for member in batch.check_ins])
