"""The threads that commit: each looks after some lanes, one batch at a time, until it is told to stop.

A batch costs a commit of several tables, however little it holds. So a lane commits what comes first at once, and then
no more often than every few seconds, unless more waits than one batch takes.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from edgerun.errors import EdgerunError
from edgerun_sync.collector.committing import Committed, Committer
from edgerun_sync.limits import LIMITS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edgerun_sync.collector.claims import Claims
    from edgerun_sync.collector.data import Data

_LOG = logging.getLogger("edgerun.collector")
IDLE_S = 0.5
"""How long an empty inbox is not looked at again."""
BACKOFF_MIN_S, BACKOFF_MAX_S = 0.5, 60.0


def run(
    committers: Sequence[Committer],
    stop: threading.Event,
    *,
    holds: Callable[[int], bool] = lambda _: True,
    report: Callable[[Committed], object] = lambda _: None,
    waiting: Callable[[int, int], object] = lambda *_: None,
    every_s: float = LIMITS.commit_every_s,
    idle_s: float = IDLE_S,
) -> None:
    """Commit batches of some lanes by turns, until told to stop; a batch that was begun is completed.

    What fails is logged and tried again, later and later, with full jitter.

    Args:
        committers: one for each lane.
        stop: set it to end.
        holds: whether a lane is to be looked after now.
        report: is told of each batch.
        waiting: is told of each lane and its inbox's entries that no batch has yet, whenever it was looked at.
        every_s: between the beginnings of two batches of a lane, where nothing more waits.
        idle_s: how long a lane is not looked at again where nothing waited.
    """
    lanes = [_Lane(committer, every_s, idle_s) for committer in committers]
    while not stop.is_set():
        for lane in lanes:
            if stop.is_set() or not lane.is_due():
                continue
            found = lane.look(holds)
            if found is not None:
                counted = {"segments": found.segments, "rows": found.rows, "damaged": found.damaged}
                _LOG.info("committed", extra={"lane": found.lane, "batch": found.number, **counted})
                for aside in found.aside:
                    _LOG.error("%s is in quarantine: %s", "/".join(aside.landed), aside.why)
                report(found)
            waiting(lane.number, lane.waiting)
        stop.wait(min(lane.wait_s() for lane in lanes))


class _Lane:
    """A lane as the thread that looks after it sees it.

    Args:
        committer: of the lane.
        every_s: see `run`.
        idle_s: likewise.
    """

    def __init__(self, committer: Committer, every_s: float, idle_s: float) -> None:
        self._committer, self._every_s, self._idle_s = committer, every_s, idle_s
        self._failures = 0
        self._next_s = time.monotonic()
        self.number = committer.lane

    @property
    def waiting(self) -> int:
        """Entries of its inbox that the last batch left."""
        return self._committer.waiting

    def wait_s(self) -> float:
        """In how many seconds it is to be looked at."""
        return max(0.0, self._next_s - time.monotonic())

    def is_due(self) -> bool:
        """Whether it is to be looked at now."""
        return self.wait_s() == 0

    def look(self, holds: Callable[[int], bool]) -> Committed | None:
        """Commit a batch, or complete one that was begun; None where there is none, or that failed."""
        begun_s = time.monotonic()
        try:
            found = self._committer.step() if holds(self.number) else None
        except EdgerunError as error:
            self._failures += 1
            wait_s = random.uniform(0, min(BACKOFF_MAX_S, BACKOFF_MIN_S * 2 ** min(self._failures, 16)))  # noqa: S311 - not a secret
            self._next_s = time.monotonic() + wait_s
            _LOG.warning("lane %d: %s; again in %.1f s", self.number, error, wait_s)
            with suppress(EdgerunError):
                self._committer.count_waiting()
            return None
        self._failures = 0
        pause_s = self._idle_s if found is None else 0.0 if self.waiting else self._every_s
        self._next_s = begun_s + pause_s
        return found


class Crew:
    """Some threads that commit all lanes of a collection, among several collectors; a context manager.

    Args:
        data: what to commit.
        claims: which lanes are this collector's; None for all.
        threads: how many.
        report: is told of each batch, by any thread.
        waiting: is told of each lane and its inbox's entries that no batch has yet, by any thread.
        every_s: between the beginnings of two batches of a lane, where nothing more waits.
    """

    def __init__(
        self,
        data: Data,
        *,
        claims: Claims | None = None,
        threads: int = 2,
        report: Callable[[Committed], object] = lambda _: None,
        waiting: Callable[[int, int], object] = lambda *_: None,
        every_s: float = LIMITS.commit_every_s,
    ) -> None:
        self._claims = claims
        self._stop = threading.Event()
        holds = claims.holds if claims is not None else lambda _: True
        shares = [[*range(first, data.lanes, threads)] for first in range(threads)]
        self._threads = [
            threading.Thread(
                target=run,
                args=([Committer(data.objects, data.tables.another(), lane) for lane in share], self._stop),
                kwargs={"holds": holds, "report": report, "waiting": waiting, "every_s": every_s},
                name=f"edgerun-commit-{share[0]}",
                daemon=True,
            )
            for share in shares
            if share
        ]

    def __enter__(self) -> Crew:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Return when all threads have ended, each after the batch that it had begun."""
        self._stop.set()
        for thread in self._threads:
            if thread.is_alive():
                thread.join()
        if self._claims is not None:
            try:
                self._claims.let_go()
            except EdgerunError as error:
                _LOG.warning("%s; others take over in a while", error)
