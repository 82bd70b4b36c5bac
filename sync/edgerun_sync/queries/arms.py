"""How every arm of the fleet did in the last minutes, for dashboards: asked by one thread, in little memory."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import ibis

from edgerun_sync.collector.families import Family, Point
from edgerun_sync.errors import QueryError
from edgerun_sync.limits import LIMITS, Limits
from edgerun_sync.queries.duck import DuckDB
from edgerun_sync.queries.serving import quantile_name, serving
from edgerun_sync.queries.tables import EVENTS, ask, between

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from edgerun_sync.collector.delta import DeltaTables

WINDOW_S = 900
"""How long ago a call may be that counts. What a device has not handed over yet is not there."""
BY = ("bundle", "version", "arm")
QUANTILES = (0.5, 0.95, 0.99)

_COUNTS = {
    "calls": "Calls that were answered in the last minutes.",
    "fallbacks": "Calls in the last minutes that another than the chosen model answered.",
    "errors": "Calls in the last minutes without an answer.",
}


class RecentArms:
    """Counts the calls of the last minutes by arm, as often as it is asked.

    Args:
        tables: opens the tables where calls are, when they are first asked for; nobody else's.
        window_s: how long ago a call may be.
        clock: the time.
        limits: how many arms there may be.
    """

    def __init__(
        self,
        tables: Callable[[], DeltaTables],
        *,
        window_s: int = WINDOW_S,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        limits: Limits = LIMITS,
    ) -> None:
        self._open, self._window_s, self._clock, self._limits = tables, window_s, clock, limits
        self._tables: DeltaTables | None = None
        self._asked: DuckDB | None = None
        self._lock = threading.Lock()

    def families(self) -> list[Family]:
        """Return how each arm did; those with most calls where there are too many, and how many are left out.

        Raises:
            TableError: the calls cannot be read.
            QueryError: the engine failed, or was interrupted.
        """
        until = self._clock()
        since = until - timedelta(seconds=self._window_s)
        if self._tables is None:
            self._tables = self._open()
        events = self._tables.snapshot("events").since(since.date())
        memory_max_bytes = self._limits.exported_arms_memory_max_bytes
        with DuckDB({"events": events}, {}, threads=1, memory_max_bytes=memory_max_bytes) as engine:
            try:
                self._asked = engine
                rows = ask(engine, recent_arms(since, until, self._limits.exported_arms_max)).to_pylist()
            except KeyboardInterrupt as error:
                raise QueryError("the question was given up, since the collector stops") from error
            finally:
                with self._lock:
                    self._asked = None
        return families_of(rows, self._window_s)

    def interrupt(self) -> None:
        """Let a question that another thread waits for fail."""
        with self._lock:
            if self._asked is not None:
                self._asked.interrupt()


def recent_arms(since: datetime, until: datetime, arms_max: int) -> Any:
    """Ask how each arm did between two times: what serving() says, and ``arms``, how many there are.

    Raises:
        QueryError: a time has no zone.
    """
    of_days = EVENTS.filter(EVENTS.day >= ibis.literal(since.date()))  # whole files are left out by it
    found = serving(between(of_days, since, until), by=BY, quantiles=QUANTILES)
    counted = found.mutate(arms=found.count().over(ibis.window()))
    return counted.order_by([(counted.calls + counted.errors).desc(), *BY]).limit(arms_max)


def families_of(rows: Sequence[Mapping[str, Any]], window_s: int) -> list[Family]:
    """Return the answer of recent_arms() as families of gauges, whether there are rows or not."""
    arms = int(rows[0]["arms"]) if rows else 0
    found = [
        _gauge("edgerun_arms", "Arms that were called in the last minutes.", [Point({}, arms)]),
        _gauge("edgerun_arms_left_out", "Arms that no numbers are sent of.", [Point({}, arms - len(rows))]),
        _gauge("edgerun_arm_window_seconds", "How long the last minutes are.", [Point({}, window_s)]),
    ]
    for name, text in _COUNTS.items():
        found.append(_gauge(f"edgerun_arm_{name}", text, [Point(_labels(row), row[name]) for row in rows]))
    latencies = [
        Point({**_labels(row), "quantile": f"{share:g}"}, row[quantile_name(share)])
        for row in rows
        for share in QUANTILES
        if row[quantile_name(share)] is not None
    ]
    found.append(_gauge("edgerun_arm_latency_seconds", "Latencies of the last minutes, by quantile.", latencies))
    return found


def _labels(row: Mapping[str, Any]) -> dict[str, str]:
    return {name: row[name] or "" for name in BY}


def _gauge(name: str, text: str, points: Iterable[Point]) -> Family:
    return Family(name, text, "gauge", tuple(points))
