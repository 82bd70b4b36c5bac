"""The threads that commit: each looks after some lanes, one batch at a time, until it is told to stop."""

from __future__ import annotations

import logging
import random
import threading
from typing import TYPE_CHECKING

from edgerun.errors import EdgerunError
from edgerun_sync.collector.committing import Committed, Committer

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
    idle_s: float = IDLE_S,
) -> None:
    """Commit batches of some lanes by turns, until told to stop; a batch that was begun is completed.

    What fails is logged and tried again, later and later, with full jitter.

    Args:
        committers: one for each lane.
        stop: set it to end.
        holds: whether a lane is to be looked after now.
        report: is told of each batch.
        idle_s: how long nothing is looked at again where nothing waited.
    """
    failures = 0
    while not stop.is_set():
        wait_s = idle_s
        for committer in committers:
            try:
                found = committer.step() if not stop.is_set() and holds(committer.lane) else None
            except EdgerunError as error:
                failures += 1
                wait_s = random.uniform(0, min(BACKOFF_MAX_S, BACKOFF_MIN_S * 2 ** min(failures, 16)))  # noqa: S311 - not a secret
                _LOG.warning("lane %d: %s; again in %.1f s", committer.lane, error, wait_s)
                break
            if found is not None:
                failures, wait_s = 0, 0.0
                counted = {"segments": found.segments, "rows": found.rows, "damaged": found.damaged}
                _LOG.info("committed", extra={"lane": found.lane, "batch": found.number, **counted})
                for aside in found.aside:
                    _LOG.error("%s is in quarantine: %s", "/".join(aside.landed), aside.why)
                report(found)
        stop.wait(wait_s)


class Crew:
    """Some threads that commit all lanes of a collection, among several collectors; a context manager.

    Args:
        data: what to commit.
        claims: which lanes are this collector's; None for all.
        threads: how many.
        report: is told of each batch, by any thread.
    """

    def __init__(
        self,
        data: Data,
        *,
        claims: Claims | None = None,
        threads: int = 2,
        report: Callable[[Committed], object] = lambda _: None,
    ) -> None:
        self._claims = claims
        self._stop = threading.Event()
        holds = claims.holds if claims is not None else lambda _: True
        shares = [[*range(first, data.lanes, threads)] for first in range(threads)]
        self._threads = [
            threading.Thread(
                target=run,
                args=([Committer(data.objects, data.tables.another(), lane) for lane in share], self._stop),
                kwargs={"holds": holds, "report": report},
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
