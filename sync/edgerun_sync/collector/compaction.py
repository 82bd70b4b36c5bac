"""Compaction: small files of the tables put together, old ones removed, on schedule, beside readers and committers.

Of several collectors that do it at once one wins, by Delta's own check; the others find nothing left to do.
"""

from __future__ import annotations

import logging
import random
import threading
from typing import TYPE_CHECKING

from edgerun.errors import EdgerunError
from edgerun_sync.collector.arrow.schemas import SCHEMAS
from edgerun_sync.collector.reports import Compacted

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgerun_sync.collector.delta import DeltaTables

logger = logging.getLogger("edgerun.collector")

EVERY_S = 3600.0
"""Between two rounds; moved by chance by up to half, so that several collectors do not work in step."""


def compact_all(tables: DeltaTables, tell: Callable[[str], object] = lambda _: None) -> Compacted:
    """Put the small files of every table together, and remove what no version of the last days has.

    Args:
        tables: which.
        tell: is told of each step.

    Raises:
        TableError: a table cannot be read or written.
        StorageError: likewise.
    """
    found = Compacted({}, {})
    for name in SCHEMAS:
        tell(f"compacting the table {name}")
        found.compacted[name] = tables.compact(name)
        found.removed[name] = tables.vacuum(name)
    return found


class Compaction:
    """A thread that keeps the tables up until it is stopped; a context manager.

    Args:
        tables: which; this thread's own.
        every_s: between two rounds.
        done: is told of each round.
    """

    def __init__(
        self, tables: DeltaTables, *, every_s: float = EVERY_S, done: Callable[[Compacted], object] = lambda _: None
    ) -> None:
        self._tables, self._every_s, self._done = tables, every_s, done
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name="edgerun-compaction", daemon=True)

    def __enter__(self) -> Compaction:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End; a round that is under way is left to end by itself, for it may be cut short anywhere."""
        self._stop.set()
        self._thread.join(timeout=1.0)

    def _work(self) -> None:
        chance = random.Random()  # noqa: S311 - chance that spreads load guards no secret
        while not self._stop.wait(self._every_s * chance.uniform(0.5, 1.5)):
            try:
                found = compact_all(self._tables)
            except EdgerunError as error:
                logger.warning("the tables could not be compacted", extra={"problem": str(error)})
            else:
                logger.info("compacted", extra=found._asdict())
                self._done(found)
