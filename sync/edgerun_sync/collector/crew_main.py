"""The process that commits, beside the one that serves: `crew_process` starts it, and what it prints are reports.

It ends after the batches under way when it is told to stop, and at once when whoever started it is no more: any step of
a batch may be repeated by anybody.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from importlib.abc import MetaPathFinder
from typing import TYPE_CHECKING, BinaryIO

from edgerun.errors import EdgerunError
from edgerun_sync.collector.http.logs import log_to_stderr
from edgerun_sync.collector.reports import Ready, Unable, Waiting, report_line

if TYPE_CHECKING:
    from edgerun_sync.collector.reports import Report

STOP = b"stop\n"
"""What it is told on its standard input; the end of that without it means that nobody is there any more."""
ORPHANED, UNABLE = 3, 4
"""Exit codes."""
NICENESS = 10
"""Whoever waits for an acknowledgement goes first."""
ALLOCATOR = ("ARROW_DEFAULT_MEMORY_POOL", "system")
"""The C library's. Arrow's own takes and gives back huge pages with each batch: to zero them is a tenth of its time."""


class _WithoutPandas(MetaPathFinder):
    """Lets pyarrow, which looks for pandas with its first array, find none: it is large, and nobody here needs it."""

    def find_spec(self, name: str, *_: object) -> None:
        """See MetaPathFinder."""
        if name == "pandas":
            raise ModuleNotFoundError("nobody needs pandas here", name=name)


class _Reports:
    """Where reports are written, by any thread, one line at a time."""

    def __init__(self, out: BinaryIO) -> None:
        self._out = out
        self._lock = threading.Lock()
        self._waiting: dict[int, int] = {}

    def tell(self, report: Report) -> None:
        with self._lock:
            try:
                self._out.write(report_line(report))
                self._out.flush()
            except OSError:
                os._exit(ORPHANED)

    def tell_waiting(self, lane: int, segments: int) -> None:
        """Report what waits in a lane where it changed."""
        if self._waiting.get(lane) != segments:
            self._waiting[lane] = segments
            self.tell(Waiting(lane, segments))


def main(url: str, who: str, every_s: str) -> int:
    """Commit and compact until told to stop.

    Args:
        url: of the data.
        who: names this collector to others; one process of that name runs at a time.
        every_s: between the beginnings of two batches of a lane.
    """
    os.environ.setdefault(*ALLOCATOR)  # Arrow looks there when it is loaded
    reports, stop = _Reports(os.fdopen(os.dup(1), "wb")), threading.Event()
    os.dup2(2, 1)  # whatever else prints does not print reports
    os.nice(NICENESS)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is said to all; whoever serves says when to stop
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    threading.Thread(target=_listen, args=(stop,), name="edgerun-listen", daemon=True).start()
    log_to_stderr()
    sys.meta_path.insert(0, _WithoutPandas())
    from edgerun_sync.collector.claims import Claims  # noqa: PLC0415 - whoever started it may end before all is loaded
    from edgerun_sync.collector.compaction import Compaction  # noqa: PLC0415 - likewise
    from edgerun_sync.collector.crew import Crew  # noqa: PLC0415 - likewise
    from edgerun_sync.collector.data import open_data  # noqa: PLC0415 - likewise

    try:
        data = open_data(url)
    except EdgerunError as error:
        reports.tell(Unable(str(error)))
        return UNABLE
    claims = Claims(data.objects, who)
    crew = Crew(data, claims=claims, report=reports.tell, waiting=reports.tell_waiting, every_s=float(every_s))
    with Compaction(data.tables.another(), done=reports.tell), crew:
        reports.tell(Ready())
        stop.wait()
    return 0


def _listen(stop: threading.Event) -> None:
    """Wait for the word on standard input."""
    if os.read(0, len(STOP)) != STOP:
        os._exit(ORPHANED)
    stop.set()
    while os.read(0, len(STOP)):
        pass
    os._exit(ORPHANED)


if __name__ == "__main__":
    code = main(*sys.argv[1:])
    sys.stderr.flush()
    os._exit(code)  # a round of compaction may be under way in a thread of its own: it may be cut short anywhere
