"""Collectors as processes that kill themselves, as the power would, at one of their operations on storage."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import signal
from typing import TYPE_CHECKING

from edgerun_sync.collector.committing import Committer
from edgerun_sync.collector.delta import DeltaTables
from edgerun_sync.collector.files import Files
from edgerun_sync.collector.landing import land
from edgerun_sync.collector.settling import Settler
from edgerun_sync.limits import LIMITS
from support.fleet import Stepping

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from pathlib import Path

    from support.fleet import Made

LANES = 2
PRELOAD = [
    "edgerun.log.writer",
    "edgerun.testing",
    "edgerun_sync.collector.committing",
    "edgerun_sync.collector.delta",
    "edgerun_sync.collector.landing",
    "edgerun_sync.collector.settling",
]
BATCHES = LIMITS._replace(batch_segments_max=3)


def forking():
    """A context whose processes have what is slow to import, and no threads of Python."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOAD)
    return context


class Countdown:
    """Ends the process at the n-th look; never for None."""

    def __init__(self, looks: int | None) -> None:
        self._left = looks

    def __call__(self) -> None:
        if self._left is not None:
            self._left -= 1
            if self._left < 0:
                os.kill(os.getpid(), signal.SIGKILL)


def lander(folder: Path, segments: list[Made], looks: int | None, acknowledged: Connection) -> None:
    """Land segments, and say which were."""
    countdown = Countdown(looks)
    objects = Stepping(Files(folder), countdown, countdown)
    for number, segment in enumerate(segments):
        land(objects, LANES, segment.landed, segment.body, hashlib.sha256(segment.body).hexdigest())
        acknowledged.send(number)
    acknowledged.close()


def committer(folder: Path, lane: int, looks: int | None) -> None:
    """Commit all that waits in a lane."""
    countdown = Countdown(looks)
    objects = Stepping(Files(folder), countdown, countdown)
    tables = DeltaTables(folder.as_uri(), objects, settle=Settler(folder / "tables"))
    working = Committer(objects, tables, lane, limits=BATCHES)
    while working.step() is not None:
        pass
