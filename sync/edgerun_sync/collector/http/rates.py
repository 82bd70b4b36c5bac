"""How much one caller may ask: a token bucket for each, kept in this process alone."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from typing import TYPE_CHECKING

from edgerun_sync.errors import RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable

CALLERS_MAX = 100_000


class Rates:
    """Requests that callers may make; any thread may ask.

    Args:
        per_s: requests a second, in the long run.
        burst: requests at once.
        clock: seconds of a clock that never steps.
    """

    def __init__(self, per_s: float, burst: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_s, self._burst, self._clock = per_s, burst, clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._lock = threading.Lock()

    def take(self, caller: str) -> None:
        """Count a request.

        Raises:
            RefusedError: 429: the caller asks too often.
        """
        with self._lock:
            now = self._clock()
            level, since = self._buckets.pop(caller, (float(self._burst), now))
            level = min(self._burst, level + (now - since) * self._per_s)
            allowed = level >= 1
            self._buckets[caller] = (level - 1 if allowed else level, now)
            if len(self._buckets) > CALLERS_MAX:
                self._buckets.popitem(last=False)
        if not allowed:
            wait_s = (1 - level) / self._per_s
            raise RefusedError(429, "too-often", "too many requests; wait", wait_s)
