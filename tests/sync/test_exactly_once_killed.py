"""The same promise with real processes, real Delta tables on a disk, and SIGKILL between any two operations."""

from __future__ import annotations

import os
from random import Random

import pytest

from edgerun_sync.collector.data import open_data
from edgerun_sync.collector.delta import DeltaTables
from edgerun_sync.collector.rebuild import rebuild
from support.collection import commit_all, rows_in_tables
from support.collector_process import BATCHES, LANES, committer, forking, lander
from support.fleet import pool

pytestmark = pytest.mark.slow
SEED = int(os.environ.get("EDGERUN_SEED", "0"))
ROUNDS = 3
END_S = 60


class Processes:
    """The processes of one schedule."""

    def __init__(self, folder, random):
        self.folder, self.random, self.context = folder, random, forking()
        self.killed = 0

    def looks(self):
        """After how many looks a process kills itself; None for never."""
        return self.random.choice([self.random.randrange(60), None])

    def round(self, segments):
        """Run a lander and two committers of one lane at once; returns the segments that were acknowledged."""
        lane, order = self.random.randrange(LANES), self.random.sample(segments, len(segments))
        reader, writer = self.context.Pipe(duplex=False)
        running = [self.start(lander, order, self.looks(), writer)]
        writer.close()
        running += [self.start(committer, lane, self.looks()) for _ in range(2)]
        acknowledged = []
        for process in running:
            process.join(END_S)
            assert process.exitcode in {0, -9}
            self.killed += process.exitcode == -9
        try:
            while True:
                acknowledged.append(order[reader.recv()])
        except EOFError:
            reader.close()
        return acknowledged

    def start(self, target, *args):
        process = self.context.Process(target=target, args=(self.folder, *args))
        process.start()
        return process


@pytest.mark.parametrize("block", range(4))
def test_rows_are_there_once_whichever_processes_are_killed(tmp_path, block):
    killed = 0
    for number in range(5):
        seed = SEED + 100 * block + number
        random = Random(seed)
        data = open_data(str(tmp_path / str(seed)), lanes=LANES)
        segments = [segment for device in random.sample(pool(), 2) for segment in device]
        processes = Processes(tmp_path / str(seed), random)
        acknowledged = set()
        for _ in range(ROUNDS):
            for segment in processes.round(segments):
                acknowledged |= segment.rows
        commit_all(data, BATCHES)
        rows = rows_in_tables(data.tables)
        message = f"the seed of this schedule: {seed}"
        assert len(rows) == len(set(rows)), message
        assert acknowledged <= set(rows) <= {row for segment in segments for row in segment.rows}, message
        killed += processes.killed
        if number == 0:
            again = DeltaTables((tmp_path / str(seed)).as_uri(), data.objects, folder="rebuilt")
            again.make()
            rebuild(data.objects, LANES, again)
            assert sorted(rows_in_tables(again)) == sorted(rows), message
    assert killed > 5
