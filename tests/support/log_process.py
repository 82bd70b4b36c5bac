"""A process that writes a log until it is killed, and says which rows it was promised."""

from __future__ import annotations

import multiprocessing
from random import Random
from typing import TYPE_CHECKING

from edgerun.log.clocks import system_clocks
from edgerun.log.policy import LogPolicy
from edgerun.log.writer import LogWriter
from support.logs import SOURCES, batch_of, call, label

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from multiprocessing.context import BaseContext
    from pathlib import Path


def forking() -> BaseContext:
    """A context whose processes have what is slow to import, and no threads."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["edgerun.log.writer", "edgerun.log.segment"])
    return context


def write(folder: Path, durability: str, seed: int, told: Connection) -> None:
    """Say the epoch, write for ever, and say of each promise which rows it is about."""
    random, count = Random(seed), seed * 10**6
    policy = LogPolicy(durability=durability, segment_bytes=4000, seal_s=0.02)
    writer = LogWriter(folder, policy=policy)
    told.send(writer.epoch)
    clocks = system_clocks()
    waiting: list[str] = []
    while True:
        calls, labels = random.choice([(1, 0), (3, 1), (0, 2), (40, 0)])
        rows = [call(count + i, time_us=count + i) for i in range(calls)]
        rows += [label(count + i) for i in range(labels)]
        count += max(calls, labels)
        writer.write(batch_of(rows), [], SOURCES)
        waiting += [
            f"call {row.sequence}" if row.sequence is not None else f"label {row.value['value']}" for row in rows
        ]
        writer.seal_due(clocks.monotonic_us())
        if is_sealed := random.random() < 0.1:
            writer.seal()
        if is_sealed or durability != "seal":
            told.send(waiting)
            waiting.clear()


def open_and_close(folder: Path) -> None:
    """What recovers a folder, and does nothing else."""
    LogWriter(folder).close()
