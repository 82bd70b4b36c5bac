"""A fleet of real processes: collectors of one folder, and devices that record and sync, all of which may be killed."""

from __future__ import annotations

import multiprocessing
import os
import time
from random import Random
from typing import TYPE_CHECKING

from edgerun.disk import RealDisk
from edgerun.errors import LogError
from edgerun.log.clocks import Clocks, system_clocks
from edgerun.log.handover import segment_files
from edgerun.log.policy import LogPolicy
from edgerun.log.writer import LogWriter
from edgerun_sync.agent import Agent, SyncPolicy
from edgerun_sync.collector.claims import Claims
from edgerun_sync.collector.crew import Crew
from edgerun_sync.collector.data import open_data
from edgerun_sync.collector.http.app import Application
from edgerun_sync.collector.http.metrics import Metrics
from edgerun_sync.collector.http.server import Server
from edgerun_sync.collector.service import Service
from support.logs import SOURCES, batch_of, call, label

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from multiprocessing.context import BaseContext
    from pathlib import Path

POLICY = LogPolicy(segment_bytes=4096, seal_s=0.1)
SYNC = SyncPolicy(interval_s=1, timeout_s=2)
PRELOAD = [
    "edgerun.log.writer",
    "edgerun_sync.agent",
    "edgerun_sync.collector.claims",
    "edgerun_sync.collector.crew",
    "edgerun_sync.collector.data",
    "edgerun_sync.collector.delta",
    "edgerun_sync.collector.http.app",
    "edgerun_sync.collector.http.metrics",
    "edgerun_sync.collector.http.server",
    "edgerun_sync.collector.service",
    "pandas",  # pyarrow brings it in with its first array
]
HOUR_US = 3_600_000_000


def forking() -> BaseContext:
    """A context whose processes have what is slow to import, and no threads."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOAD)
    return context


def collector(folder: Path, port: int, serving: Connection) -> None:
    """What ``edgerun collector serve`` runs, until it is killed."""
    data = open_data(str(folder))
    server = Server(Application(Service(data.objects, data.lanes), Metrics()).asgi(), "127.0.0.1", port)
    with Crew(data, claims=Claims(data.objects), every_s=0.1):
        serving.send(True)
        server.run()


class ScarceDisk(RealDisk):
    """The real disk, on which there is room only now and then."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._refusals = 0

    def write(self, file: int, offset: int, data: bytes) -> int:
        if self._refusals == 0 and self._random.random() < 0.02:
            self._refusals = self._random.randrange(1, 6)
        if self._refusals:
            self._refusals -= 1
            raise OSError(28, "No space left on device")
        return super().write(file, offset, data[: self._random.randrange(1, len(data) + 1)])


def jumping(random: Random) -> Clocks:
    """Clocks of which the one on the wall jumps by hours."""
    found = system_clocks()

    def wall_us() -> int:
        return found.wall_us() + random.choice([0, 0, 0, -HOUR_US, HOUR_US])

    return found._replace(wall_us=wall_us)


def device(store: Path, seed: int, told: Connection) -> None:
    """Record and sync until killed; say first what is recorded next, and then what was recorded durably."""
    random, number = Random(seed), seed * 10**6
    writer = LogWriter(store / "log", policy=POLICY, disk=ScarceDisk(random), clocks=jumping(random))
    agent = Agent(store, SYNC)
    while True:
        count = random.choice([1, 3, 40])
        rows = [call(number + i, time_us=time.monotonic_ns() // 1000) for i in range(count)] + [label(number)]
        told.send(("try", number, count))
        while True:
            try:
                writer.write(batch_of(rows), [], SOURCES)
                break
            except LogError:
                told.send(("full", 0, 0))
        told.send(("done", number, count))
        number += count
        try:
            writer.seal_due(time.monotonic_ns() // 1000)
            if random.random() < 0.3:
                writer.seal()
        except LogError:
            told.send(("full", 0, 0))
        if random.random() < 0.4:
            agent.sync()


def last_sync(store: Path) -> None:
    """Recover what killed processes left, and hand everything over."""
    LogWriter(store / "log", policy=POLICY).close()
    agent, end = Agent(store, SYNC), time.monotonic() + 60
    while segment_files(os.fspath(store / "log")):
        assert agent.sync().uplink.refused == ()
        assert time.monotonic() < end
