"""The threads of a runner that calls run on; most apps never need one, so each is started at its first need."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from edgerun.errors import ClosedError
from edgerun.limits import LIMITS

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

    from edgerun.deadline import Workers


class CallThreads:
    """Thread pools by name, and the workers of calls with a deadline."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pools: dict[str, ThreadPoolExecutor] = {}
        self._workers: Workers | None = None
        self._closed = False

    def pool(self, name: str) -> ThreadPoolExecutor:
        """Return a pool of LIMITS.workers_max threads.

        Raises:
            ClosedError: close() was called.
        """
        from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - it takes milliseconds of a start

        with self._lock:
            if self._closed:
                raise ClosedError
            if name not in self._pools:
                self._pools[name] = ThreadPoolExecutor(LIMITS.workers_max, thread_name_prefix=name)
            return self._pools[name]

    def workers(self) -> Workers:
        """Return the workers of calls with a deadline.

        Raises:
            ClosedError: close() was called.
        """
        from edgerun.deadline import Workers  # noqa: PLC0415 - it brings concurrent.futures

        with self._lock:
            if self._closed:
                raise ClosedError
            self._workers = self._workers or Workers()
            return self._workers

    def close(self) -> None:
        """Refuse further work, and return when what was begun has ended."""
        with self._lock:
            self._closed = True
        for pool in self._pools.values():
            pool.shutdown(wait=True)  # what it has queued finds the runner closed
        if self._workers is not None:
            self._workers.close()
