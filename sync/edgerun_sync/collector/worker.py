"""Committing in the background: a thread for each lane, which commits what was landed and waits where nothing is."""

from __future__ import annotations

import logging
import random
import threading
from typing import TYPE_CHECKING

from edgerun.errors import EdgerunError
from edgerun_sync.collector.committing import Committer

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgerun_sync.collector.committing import Committed
    from edgerun_sync.collector.data import Data

logger = logging.getLogger("edgerun.collector")

IDLE_S = 1.0
"""Between two looks at an empty inbox: a row is in the tables about so long after it was landed."""
FAILED_S = 5.0
"""After a failure; moved by chance by up to half, so that several collectors do not try in step."""


class Workers:
    """Commits all lanes of a collector's data until it is stopped.

    Args:
        data: what was landed, and the tables.
        committed: is told of each batch.
    """

    def __init__(self, data: Data, committed: Callable[[Committed], None] = lambda _: None) -> None:
        self._data, self._committed = data, committed
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._work, args=(lane,), name=f"edgerun-lane-{lane}") for lane in range(data.lanes)
        ]

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End after the batches that are under way."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _work(self, lane: int) -> None:
        committer = Committer(self._data.objects, self._data.tables, lane)
        chance = random.Random()  # noqa: S311 - chance that spreads load guards no secret
        while not self._stop.is_set():
            try:
                found = committer.step()
            except EdgerunError as error:
                logger.warning("a batch could not be committed", extra={"lane": lane, "problem": str(error)})
                self._stop.wait(FAILED_S * chance.uniform(0.5, 1.5))
                committer = Committer(self._data.objects, self._data.tables, lane)
                continue
            if found is None:
                self._stop.wait(IDLE_S)
                continue
            logger.info(
                "committed", extra={"lane": lane, "batch": found.number, "segments": found.segments, "rows": found.rows}
            )
            self._committed(found)
