"""The thread that writes the log: it drains the ring, turns it into frames, and seals segments when they are due.

It never stops for a disk that fails: what was drained is kept and tried again, while the ring fills and losses are
counted.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, NamedTuple

from edgerun._core import profile as profile_core
from edgerun._core import recorder as core
from edgerun._fork import LOG_THREAD
from edgerun.errors import LogError
from edgerun.log.captures import with_captures
from edgerun.log.profile_values import as_value
from edgerun.log.profiles import read_profile
from edgerun.log.rounding import rounded
from edgerun.log.rows import Batch, Kind, Note
from edgerun.log.writer import LogWriter

if TYPE_CHECKING:
    from edgerun.log.recorder import Recorder

ROWS_AT_ONCE = 8192
RETRY_FIRST_S, RETRY_MAX_S = 0.5, 30.0
HOUR_S = 3600.0


class _Unwritten(NamedTuple):
    """What was drained and is not on the disk yet."""

    batch: Batch | None
    notes: list[Note]
    end: int
    """Where in the ring the batch ends."""


class Flusher:
    """Writes what a recorder's ring and profiles hold, on a thread of its own.

    Attributes:
        problem: why the last write failed; None where it did not.
        profiled_at_ns: when profiles were last taken.
    """

    def __init__(self, recorder: Recorder) -> None:
        self.problem: str | None = None
        self._recorder, self._policy = recorder, recorder.policy
        self._drain = core.Drain(recorder.ring, ROWS_AT_ONCE)
        self._writer: LogWriter | None = None
        self._unwritten: _Unwritten | None = None
        self._lost: dict[str, dict[str, int]] = {}
        self.profiled_at_ns = core.clock_ns()
        self._hour = int(time.time() // HOUR_S)
        self._unprofiled = False
        self._changed = threading.Condition()
        self._written_to, self._failures = 0, 0
        self._closing = self._ended = self._hurry = False
        self._thread = threading.Thread(target=self._work, name=LOG_THREAD, daemon=True)
        self._thread.start()

    # ---- other threads ----

    def settle(self) -> None:
        """Wait until what was recorded so far is written; return at once while the disk refuses."""
        if self.problem is None:
            self.flush(None)

    def flush(self, timeout_s: float | None) -> bool:
        """Write now; return whether what was recorded so far is on the disk after the next attempt."""
        head = core.head(self._recorder.ring)
        with self._changed:
            failures, self._hurry = self._failures, True
            self._changed.notify_all()
            core.wake(self._recorder.ring)
            self._changed.wait_for(
                lambda: self._written_to >= head or self._failures > failures or self._ended, timeout_s
            )
            return self._written_to >= head

    def close(self) -> None:
        """Write out everything, seal the segments, and return when the thread has ended."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        core.wake(self._recorder.ring)
        self._thread.join()

    def disown(self) -> None:
        """In a forked child: leave the parent's files alone."""
        if self._writer is not None:
            self._writer.disown()

    # ---- the thread ----

    def _work(self) -> None:
        retry_s = RETRY_FIRST_S
        closing = False
        while not closing:
            closing = self._closing
            self._hurry = False
            try:
                self._write_out(closing)
            except Exception as error:  # noqa: BLE001 - whatever it is, the device goes on, and the log tries again
                self._tell(str(error) if isinstance(error, LogError) else repr(error))
                self._pause(retry_s)
                retry_s = min(2 * retry_s, RETRY_MAX_S)
            else:
                retry_s = RETRY_FIRST_S
                self._wait()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _wait(self) -> None:
        """Sleep until there is a group to write, something is due, or somebody asks."""
        if not self._closing:
            core.wait(self._recorder.ring, self._due_s(), self._policy.group_s, self._policy.group_rows)

    def _pause(self, seconds: float) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._closing or self._hurry, seconds)

    def _due_s(self) -> float | None:
        """Return in how many seconds something is due without a new event; None where nothing is."""
        due = None if self._writer is None else self._writer.due_s()
        if not self._unprofiled:
            return due
        profiles = self._policy.profile_s - (core.clock_ns() - self.profiled_at_ns) / 1e9
        profiles = min(profiles, HOUR_S - time.time() % HOUR_S)
        return profiles if due is None else min(due, profiles)

    def _write_out(self, closing: bool) -> None:
        """Write what waits now, and no more, so that what comes meanwhile can gather; seal what is due."""
        if self._writer is None:
            self._writer = LogWriter(self._recorder.folder, policy=self._policy, epoch=int(self._recorder.epoch, 16))
        head = core.head(self._recorder.ring)
        while self._gather(closing):
            unwritten = self._unwritten
            assert unwritten is not None
            self._writer.write(unwritten.batch, unwritten.notes, self._recorder.sources())
            self._unwritten = None
            self._tell(None, unwritten.end)
            if unwritten.end >= head and not closing:
                break
        if closing:
            self._writer.close()
        else:
            self._writer.seal_due(core.clock_ns() // 1000)
        self._tell(None)

    def _gather(self, closing: bool) -> bool:
        """Drain the ring, unless something drained before still waits; return whether there is anything to write."""
        if self._unwritten is None:
            batch = self._drained()
            self._unprofiled |= batch is not None
            end = core.tail(self._recorder.ring)
            notes = [*self._losses(), *self._profiles(closing and batch is None)]
            if batch is None and not notes:
                return False
            self._unwritten = _Unwritten(batch, notes, end)
        return True

    def _drained(self) -> Batch | None:
        batch = self._drain.take()
        if not len(batch.kind):
            return None
        batch = rounded(batch, self._policy)
        return with_captures(batch, self._policy.capture, self._recorder.input_names())

    def _tell(self, problem: str | None, written_to: int | None = None) -> None:
        with self._changed:
            self.problem = problem
            self._failures += problem is not None
            if written_to is not None:
                self._written_to = written_to
            self._changed.notify_all()

    def _losses(self) -> list[Note]:
        """Return a row for each reason for which more was lost than last time."""
        notes = []
        now_us = core.clock_ns() // 1000
        for reason, counts in self._recorder.losses().items():
            before = self._lost.get(reason, {})
            more = {kind: count - before.get(kind, 0) for kind, count in counts.items() if count > before.get(kind, 0)}
            if more:
                notes.append(Note(Kind.LOSS, now_us, {"reason": reason, "events": more}))
                self._lost[reason] = counts
        return notes

    def _profiles(self, closing: bool) -> list[Note]:
        """Return the profiles when they are due: after a while, when the hour ends, and at the end."""
        now_ns, hour = core.clock_ns(), int(time.time() // HOUR_S)
        if not closing and hour == self._hour and now_ns - self.profiled_at_ns < self._policy.profile_s * 1e9:
            return []
        begin_us, end_us = self.profiled_at_ns // 1000, now_ns // 1000
        self.profiled_at_ns, self._hour, self._unprofiled = now_ns, hour, False
        notes = []
        for key, inputs, outputs, handle in self._recorder.profiles():
            taken = profile_core.take(handle)
            profile = read_profile(taken, inputs, outputs, **key._asdict(), begin=begin_us, end=end_us)
            if any(port.seen for port in profile.ports):
                notes.append(Note(Kind.PROFILE, end_us, as_value(profile)))
        return notes
