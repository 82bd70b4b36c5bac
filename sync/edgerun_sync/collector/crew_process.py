"""The process that commits, as the one that serves has it: started, listened to, started again where it dies, stopped.

Both would take the interpreter's lock from each other, and devices would wait for batches to be answered. It shares
nothing with the one that serves but the data, whose every step may be repeated.
"""

from __future__ import annotations

import logging
import os
import random
import subprocess
import sys
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

from edgerun_sync.collector import crew_main
from edgerun_sync.collector.committing import Committed
from edgerun_sync.collector.crew_main import STOP
from edgerun_sync.collector.reports import Compacted, Ready, Unable, Waiting, parse_report
from edgerun_sync.errors import CollectorError

if TYPE_CHECKING:
    from collections.abc import Callable

_LOG = logging.getLogger("edgerun.collector")
BACKOFF_MIN_S, BACKOFF_MAX_S = 0.5, 60.0
"""Before it is started again: from the first, doubling up to the last, with jitter; a commit begins anew."""


class CrewProcess:
    """A process that commits the lanes of a collection until this context ends; then the batch under way is completed.

    Args:
        url: of the data.
        every_s: between the beginnings of two batches of a lane.
        committed: is told of each batch, by a thread.
        compacted: is told of each round of compaction, likewise.
        waiting: is told of a lane and its inbox's entries that no batch has yet, likewise.
    """

    def __init__(
        self,
        url: str,
        *,
        every_s: float,
        committed: Callable[[Committed], object] = lambda _: None,
        compacted: Callable[[Compacted], object] = lambda _: None,
        waiting: Callable[[int, int], object] = lambda *_: None,
    ) -> None:
        module = crew_main.__name__
        self._command = [sys.executable, "-P", "-m", module, url, os.urandom(8).hex(), str(every_s)]
        self._committed, self._compacted, self._waiting = committed, compacted, waiting
        self._lock = threading.Lock()
        self._stop, self._is_ready = threading.Event(), threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._problem: str | None = None
        self._failures = 0
        self._thread = threading.Thread(target=self._work, name="edgerun-crew", daemon=True)

    def __enter__(self) -> CrewProcess:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Return when it has ended."""
        with self._lock:
            self._stop.set()
            if self._process is not None and self._process.stdin is not None:
                with suppress(OSError, ValueError):  # it has ended
                    self._process.stdin.write(STOP)
                    self._process.stdin.flush()
        self._thread.join()

    def wait_until_ready(self) -> None:
        """Return when it commits for the first time.

        Raises:
            CollectorError: it cannot; the message says why.
        """
        self._is_ready.wait()
        if self._problem is not None:
            raise CollectorError(self._problem)

    def _work(self) -> None:
        while not self._stop.is_set():
            code = self._run()
            if self._stop.is_set():
                return
            if not self._is_ready.is_set():
                self._problem = self._problem or f"the process that commits ended with {code} before it began"
                self._is_ready.set()
                return
            self._failures += 1
            wait_s = min(BACKOFF_MAX_S, BACKOFF_MIN_S * 2 ** min(self._failures, 16)) * random.uniform(0.5, 1)  # noqa: S311 - not a secret
            level = logging.ERROR if code else logging.INFO
            _LOG.log(level, "the process that commits has ended", extra={"code": code, "again_s": round(wait_s, 1)})
            self._stop.wait(wait_s)

    def _run(self) -> int:
        """Start it, and listen until it ends; returns its exit code."""
        with self._lock:
            if self._stop.is_set():
                return 0
            try:
                self._process = subprocess.Popen(  # noqa: S603 - our own program, and no shell
                    self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE
                )
            except OSError as error:
                self._problem = f"the process that commits cannot be started: {error.strerror}"
                return 1
        with self._process as process:
            assert process.stdout is not None
            for line in process.stdout:
                if line.endswith(b"\n"):  # else it died while it wrote
                    self._hear(line)
        return process.returncode

    def _hear(self, line: bytes) -> None:
        try:
            report = parse_report(line)
        except CollectorError as error:
            _LOG.error("a report is lost", extra={"problem": str(error)})
            return
        match report:
            case Committed():
                self._failures = 0
                self._committed(report)
            case Compacted():
                self._compacted(report)
            case Waiting():
                self._waiting(*report)
            case Ready():
                self._is_ready.set()
            case Unable(reason):
                self._problem = reason
                _LOG.error("the tables cannot be opened", extra={"problem": reason})
