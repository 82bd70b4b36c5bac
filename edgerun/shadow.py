"""The shadow: watched models run on copies of calls, on a thread of the lowest priority, and never answer."""

from __future__ import annotations

import math
import os
import threading
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from edgerun._core import shadow as core
from edgerun._core.recorder import shadow_record
from edgerun._fork import SHADOW_THREAD
from edgerun._shown import shown
from edgerun.errors import InputError
from edgerun.limits import LIMITS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgerun._core.recorder import Source
    from edgerun._core.runtime import Model


_WAIT_AT_ONCE_S = 0.1


def check_timeout(timeout_s: float | None) -> None:
    """Raise InputError unless a time to wait is None or a number of seconds, 0 or more."""
    if timeout_s is None:
        return
    if isinstance(timeout_s, bool) or not isinstance(timeout_s, int | float) or not timeout_s >= 0:
        raise InputError(f"timeout_s must be a number of seconds, 0 or more, or None, got {shown(timeout_s)}")


class Comparison(NamedTuple):
    """How one watched model answered one call, against what was served.

    Attributes:
        sequence: of the call within its stream.
        slot: the number of the watch.
        disagree: a label or an argmax differs, or a single value by more than the node's tolerance.
        max_abs_diff: the largest absolute difference of any float; infinity where only one side is finite.
        latency_s: seconds of the watched run.
        failed: the watched model raised, so there is no comparison.
        nonfinite: the watched model's outputs hold NaN or infinity.
    """

    sequence: int
    slot: int
    disagree: bool
    max_abs_diff: float
    latency_s: float
    failed: bool
    nonfinite: bool


class ShadowCounts(NamedTuple):
    """What became of the calls offered to one watch.

    Attributes:
        offered: calls offered: done + all dropped + those still queued.
        done: watched runs that ended, failed ones included.
        disagreed: of those, how many disagreed with what was served.
        failed: how many raised.
        nonfinite: how many gave NaN or infinity.
        dropped_full: dropped since the queue was full.
        dropped_bytes: dropped since the queued tensors would have exceeded their bytes.
        dropped_closed: dropped since the runner was closing.
        results_lost: results that nobody fetched before their place was needed.
    """

    offered: int = 0
    done: int = 0
    disagreed: int = 0
    failed: int = 0
    nonfinite: int = 0
    dropped_full: int = 0
    dropped_bytes: int = 0
    dropped_closed: int = 0
    results_lost: int = 0


class Shadow:
    """The queue, its worker thread and the models that it runs; a process's own, never shared over a fork."""

    def __init__(self, models: Sequence[tuple[Model, float]], sources: Sequence[Source] = ()) -> None:
        """Watch ``(model, tolerance)`` pairs; the index of a pair is the slot of its watch.

        Its runs are recorded under C sources, one for each pair; without sources they are not.
        """
        self._models = tuple(models)  # the queue holds bare pointers to them
        self._queue = core.new_shadow(LIMITS.shadow_queue_max, LIMITS.shadow_queue_max_bytes, max(1, len(models)))
        self._watches = [core.new_watch(model, slot, tolerance) for slot, (model, tolerance) in enumerate(models)]
        self._sources = shadow_record(self._queue, sources) if sources else None
        self._arrays: dict[tuple[int, ...], Any] = {}  # of watches, by their slots
        self._thread = threading.Thread(target=self._work, name=SHADOW_THREAD, daemon=True)
        self._thread.start()

    def _work(self) -> None:
        _lowest_priority()
        core.shadow_work(self._queue)  # returns after close(); the GIL is never held inside

    def offer(self, lane: Any, sequence: int, slots: tuple[int, ...]) -> bool:
        """Copy a C lane's inputs and outputs into the queue for some watches, or count why not. Never waits."""
        watches = self._arrays.get(slots)
        if watches is None:
            watches = self._arrays[slots] = core.watch_array([self._watches[slot] for slot in slots])
        return bool(core.shadow_offer(self._queue, lane, sequence, watches, len(slots)) >= 0)

    def wait(self, timeout_s: float | None) -> bool:
        """Wait until all offered calls are done; False if the time ran out. Ctrl-C is heard meanwhile."""
        until = math.inf if timeout_s is None else time.monotonic() + min(timeout_s, threading.TIMEOUT_MAX)
        while not core.shadow_wait(self._queue, min(until - time.monotonic(), _WAIT_AT_ONCE_S)):
            if time.monotonic() >= until:
                return False
        return True

    def results(self) -> list[Comparison]:
        """Return the results since the last call, oldest first."""
        return [
            Comparison(sequence, slot, bool(disagree), max_abs_diff, latency_ns * 1e-9, code != 0, bool(nonfinite))
            for sequence, latency_ns, max_abs_diff, slot, code, disagree, nonfinite in core.shadow_results(self._queue)
        ]

    def counts(self, slot: int) -> ShadowCounts:
        """Return what became of the calls offered to one watch."""
        return ShadowCounts(*core.shadow_counts(self._queue, slot))

    def drops(self) -> dict[str, int]:
        """Return how many watched runs were dropped so far, by reason."""
        counts = [self.counts(slot) for slot in range(len(self._models))]
        return {
            "shadow_full": sum(count.dropped_full for count in counts),
            "shadow_bytes": sum(count.dropped_bytes for count in counts),
            "shadow_closed": sum(count.dropped_closed for count in counts),
        }

    def disown(self) -> None:
        """Leave a parent's shadow alone, in a forked child: its thread is not here, and it cannot be freed."""
        core.disown_shadow(self._queue)

    def close(self) -> None:
        """Drop what is queued, stop the run under way, and return when the worker has ended."""
        core.shadow_close(self._queue)
        self._thread.join()


def _lowest_priority() -> None:
    """Let every other thread go first. Where the system refuses, the shadow merely runs at normal priority."""
    if not hasattr(os, "SCHED_IDLE"):
        return
    try:
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))  # 0 is the calling thread
    except OSError:  # a sandbox may forbid it; serving must not depend on it
        return
