"""A device that returns after 60 days: fresh data first, then everything, in bounded memory."""

from __future__ import annotations

import os
import resource
from itertools import count

import numpy as np
import pytest

from edgerun.log.clocks import Clocks
from edgerun.log.handover import segment_files
from edgerun.log.policy import LogPolicy
from edgerun.log.rows import FLAG_KEYED, Batch, Kind, Note
from edgerun.log.writer import LogWriter
from edgerun.testing import SimulatedDisk
from edgerun_sync.agent.http import Http
from edgerun_sync.agent.policy import SyncPolicy
from edgerun_sync.agent.uplink import Uplink
from support.collector import collecting
from support.fleet import NOON_US, log_files
from support.fleet_process import forking
from support.logs import SOURCES, label

pytestmark = pytest.mark.slow
NAME = "buoy-3"
DAY_US = 86_400_000_000
SEGMENTS, ROWS = 480, 3000


def calls(first):
    """Calls whose units are chance, so that they hardly compress."""
    rng, n = np.random.default_rng(first), ROWS
    return Batch(
        kind=np.full(n, Kind.CALL, np.uint8),
        flags=np.full(n, FLAG_KEYED, np.uint8),
        source=np.ones(n, np.uint32),
        sequence=np.arange(first, first + n, dtype=np.uint64),
        unit=rng.integers(0, 2**64, n, dtype=np.uint64),
        time_us=np.arange(n, dtype=np.int64),
        latency=rng.integers(0, 2**14, n, dtype=np.uint32),
        shape=np.zeros(n, np.uint16),
        numbers=np.empty(0, np.uint64),
        numbers_at=np.zeros(n + 1, np.uint32),
        data=np.empty(0, np.uint8),
        data_at=np.zeros(n + 1, np.uint32),
        shapes=((),),
    )


@pytest.fixture
def backlog(tmp_path):
    """The log of 60 days, of which some days have labels."""
    looks = count(10**9, 60 * DAY_US // SEGMENTS // 4)
    clocks = Clocks(lambda: next(looks), lambda: next(looks) + NOON_US, b"a boot of tests.")
    disk = SimulatedDisk()
    writer = LogWriter("/log", policy=LogPolicy(), disk=disk, clocks=clocks)
    for number in range(SEGMENTS):
        writer.write(calls(number * ROWS), [], SOURCES)
        if number % 100 == 0:
            writer.write(None, [label_note(number)])
        writer.seal()
    writer.close()
    folder = tmp_path / "log"
    folder.mkdir()
    for name, body in log_files(disk).items():
        (folder / f"{name}.log").write_bytes(body)
    return folder


def label_note(number):
    return Note(Kind.LABEL, number, label(number).value)


def hand_over(folder, url, token, told):
    """Send everything, and say how much memory that took besides what there was before."""
    http = Http(url)
    uplink = Uplink(http, NAME, os.fspath(folder), SyncPolicy(), lambda _: True)
    uplink.run("er1_device_wrong")  # whatever the first request needs
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    done = uplink.run(token)
    told.send((done, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024))


def test_sixty_days_arrive_in_bounded_memory_and_the_newest_first(backlog):
    files = segment_files(str(backlog))
    begun = [file.begun_us for file in files]
    size = sum(file.size for file in files)
    assert max(begun) - min(begun) > 59 * DAY_US
    newest = max((file for file in files if not file.is_journal), key=lambda file: file.begun_us)
    oldest = min((file for file in files if not file.is_journal), key=lambda file: file.begun_us)
    journals = {file.name.removesuffix(".log") for file in files if file.is_journal}
    with collecting() as collector:
        token, context = collector.device(NAME), forking()
        reader, writer = context.Pipe(duplex=False)
        process = context.Process(target=hand_over, args=(backlog, collector.url, token, writer))
        process.start()
        assert reader.poll(120)
        done, grown = reader.recv()
        process.join()
        arrived = [key.rpartition("/")[2] for key in collector.objects.found if key.startswith("segments/")]
    assert (done.segments, done.problem, done.refused) == (len(files), None, ())
    assert segment_files(str(backlog)) == []
    assert {*arrived[: len(journals)]} == journals
    assert arrived[len(journals)] == newest.name.removesuffix(".log")
    assert arrived[len(journals) + 1] == oldest.name.removesuffix(".log")
    assert size > 10**7
    assert grown < size / 4, "the device held much of its backlog at once"
