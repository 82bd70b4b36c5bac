"""The writer of a log: rows into the two streams of a process, sealed in time, within a budget, whatever the disk does.

One thread at a time uses it. A call that fails leaves it usable: the same rows may be given again, and are then
written once. What a disk error, a recovery or the budget cost is written to the journal with the next rows.
"""

from __future__ import annotations

import os
import struct
from contextlib import suppress
from typing import TYPE_CHECKING

from edgerun.disk import Disk, RealDisk
from edgerun.errors import LogError
from edgerun.log.clocks import Clocks, system_clocks
from edgerun.log.frame import JOURNAL, MEASUREMENTS
from edgerun.log.plan import frames_of
from edgerun.log.policy import DEFAULT_LOG_POLICY, LogPolicy
from edgerun.log.rows import Kind
from edgerun.log.stream import Stream
from edgerun.log.upkeep import Upkeep

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from edgerun.log.rows import Batch, Note, Source

SEGMENTS_MIN = 8
"""The budget holds at least so many segments: where it is small, they are sealed earlier."""
RESERVED_SEGMENTS = 3
"""Segments for which the budget keeps room: those being written, and one being sealed."""
SEAL_RETRY_US = 10_000_000
"""How long a seal that failed is not tried again."""


class LogWriter:
    """Writes the log of one process.

    Args:
        folder: where; made if it is not there.
        policy: how soon rows are safe, and how large the log may grow.
        disk: of the operating system, or a stand-in.
        clocks: likewise.
        epoch: of the measurements, where it is known already; a random one by default.

    Raises:
        LogError: the folder cannot be made or listed.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        policy: LogPolicy = DEFAULT_LOG_POLICY,
        disk: Disk | None = None,
        clocks: Clocks | None = None,
        epoch: int | None = None,
    ) -> None:
        fresh, journal = struct.unpack("<QQ", os.urandom(16))
        self.epoch: int = fresh if epoch is None else epoch
        """Of the measurements, and so of the ids of this process's events."""
        self._folder = os.path.abspath(folder)
        self._policy = policy
        self._disk = disk or RealDisk()
        self._clocks = clocks or system_clocks()
        self._segment_bytes = min(policy.segment_bytes, policy.budget_bytes // SEGMENTS_MIN)
        self._streams = {
            stream_class: Stream(self._disk, self._folder, self._clocks, stream_class, epoch, self.epoch)
            for stream_class, epoch in ((MEASUREMENTS, self.epoch), (JOURNAL, journal))
        }
        self._upkeep = Upkeep(self._disk, self._folder, self._clocks)
        self._is_closed = False
        self._seal_again_us = -(2**63)
        try:
            self._disk.make_folder(self._folder)
            self._upkeep.recover()
        except OSError as error:
            raise LogError(f"{self._folder} cannot hold a log: {error}") from error
        with suppress(LogError):  # a full disk: what was found is written down with the first rows that can be
            self.write(None)
            self._keep_to_budget()

    def write(
        self, batch: Batch | None, notes: Sequence[Note] = (), sources: Mapping[int, Source] | None = None
    ) -> None:
        """Write rows, and return when they are as durable as the policy says.

        Args:
            batch: rows of the recorder.
            notes: rows that come after them.
            sources: all sources that are known so far, by number.

        Raises:
            LogError: the disk failed. The same rows may be given again.
        """
        self._check_open()
        self._look_after_files()
        own = len(self._upkeep.notes)
        planned = frames_of(batch, [*notes, *self._upkeep.notes])
        before = {stream_class: self._streams[stream_class].at for stream_class in planned}
        try:
            for stream_class, frames in planned.items():
                for frame in frames:
                    self._streams[stream_class].append(frame, sources or {})
            for stream_class in planned:
                if self._policy.durability != "seal" or (own and stream_class == JOURNAL):
                    self._streams[stream_class].sync()
        except BaseException as error:
            for stream_class, position in before.items():
                self._upkeep.retire(self._streams[stream_class].roll_back(position))
            if isinstance(error, OSError):
                raise self._failed("written", error) from error
            raise
        self._upkeep.told(own)

    def seal_due(self, now_us: int) -> bool:
        """Seal the segments that are old or large enough; returns whether there were any.

        Args:
            now_us: microseconds of the monotonic clock.

        Raises:
            LogError: the disk failed; it is tried again in a while.
        """
        self._check_open()
        due = [stream for stream in self._streams.values() if self._is_due(stream, now_us)]
        if now_us < self._seal_again_us or not (due or self._upkeep.has_retired()):
            return False
        self._seal_again_us = now_us + SEAL_RETRY_US
        self._seal(due)
        self._seal_again_us = now_us
        return True

    def due_s(self) -> float | None:
        """Return in how many seconds a segment is old enough to be sealed; None where none is open."""
        begun = [stream.begun_us for stream in self._streams.values() if stream.head is not None]
        if not begun:
            return None
        due_us = max(min(begun) + int(self._policy.seal_s * 1e6), self._seal_again_us)
        return (due_us - self._clocks.monotonic_us()) / 1e6

    def seal(self) -> None:
        """Seal all segments that are open, recover what other processes left, and keep to the budget.

        Raises:
            LogError: the disk failed; nothing is lost, and it may be called again.
        """
        self._check_open()
        self._seal(self._streams.values())

    def close(self) -> None:
        """Seal all segments, and write no more.

        Raises:
            LogError: they could not be sealed; who opens the folder next recovers them.
        """
        if self._is_closed:
            return
        try:
            self.write(None)
            self._seal(self._streams.values())
            self.write(None)  # what that had to tell
            self._seal_streams(self._streams.values())
        finally:
            self.disown()

    def disown(self) -> None:
        """Let go of all files without a further word.

        A forked child calls it first of all: a lock belongs to every process that has the file open, so one that the
        child kept would hide from others that its parent has died.
        """
        self._is_closed = True
        for stream in self._streams.values():
            self._upkeep.retire(stream.retire(stream.at))
        self._upkeep.let_go()

    def _seal(self, streams: Iterable[Stream]) -> None:
        self._seal_streams(streams)
        try:
            self._upkeep.recover()  # of processes that died meanwhile
        except OSError as error:
            raise self._failed("looked through", error) from error
        if self._upkeep.notes:
            self.write(None)
        self._keep_to_budget()

    def _seal_streams(self, streams: Iterable[Stream]) -> None:
        try:
            self._upkeep.seal_retired()  # if that fails, no more are taken over
            for stream in streams:
                try:
                    sealed = stream.seal_as_it_is()
                except OSError:
                    self._upkeep.retire(stream.retire(stream.at))
                    raise
                if not sealed:
                    self._upkeep.retire(stream.retire(stream.at))
            self._upkeep.seal_retired()
        except OSError as error:
            raise self._failed("sealed", error) from error

    def _keep_to_budget(self) -> None:
        room = self._policy.budget_bytes - RESERVED_SEGMENTS * self._segment_bytes
        try:
            victims = self._upkeep.over_budget(room)
        except OSError as error:
            raise self._failed("kept to its budget", error) from error
        if victims:
            with suppress(LogError):  # a full disk: what is removed makes room for the row that tells of it
                self.write(None)
            self._upkeep.remove(victims)

    def _is_due(self, stream: Stream, now_us: int) -> bool:
        if stream.head is None:
            return False
        age_s = (now_us - stream.begun_us) / 1e6
        return age_s >= self._policy.seal_s or stream.at.size >= self._segment_bytes

    def _look_after_files(self) -> None:
        for stream in self._streams.values():
            with suppress(OSError):  # the write will tell
                if stream.has_vanished():
                    self._upkeep.forget_vanished(stream)

    def _failed(self, what: str, error: OSError) -> LogError:
        reason = error.strerror or str(error)
        self._upkeep.tell(Kind.LIFECYCLE, {"event": "disk_error", "what": what, "error": reason})
        return LogError(f"{self._folder}: the log cannot be {what}: {error}")

    def _check_open(self) -> None:
        if self._is_closed:
            raise LogError(f"{self._folder}: this writer is closed; open the log again")
