"""The promise of exactly once with a fleet of real processes, over a network that fails, on disks that fill up."""

from __future__ import annotations

import os
import time
from random import Random

import pytest

from edgerun_sync.agent.enrolment import Enrolment, machine_hash, write_enrolment
from edgerun_sync.collector.data import open_data
from support.collection import commit_all
from support.collector_command import enrolled
from support.docker_registry import free_port
from support.fleet_process import collector, device, forking, last_sync
from support.proxy import proxying

pytestmark = pytest.mark.slow
SEED = int(os.environ.get("EDGERUN_SEED", "0"))
BLOCKS, SCHEDULES = 4, 5
DEVICES = ("oven-1", "pump-7")
STEPS = 5
END_S = 60


class Fleet:
    """Two collectors of one folder, two devices, and a proxy between them."""

    def __init__(self, folder, random):
        self.folder, self.random, self.context = folder, random, forking()
        self.data = open_data(str(folder / "data"))
        self.collectors = [[free_port(), None], [free_port(), None]]
        self.devices = {}
        self.tried, self.done, self.full, self.killed, self.epochs = set(), set(), 0, 0, 0

    def enrol(self, url):
        for name in DEVICES:
            token = enrolled(self.folder / "data", name)
            enrolment = Enrolment(url, name, token, machine=machine_hash(), instance=name.encode().hex()[:16])
            write_enrolment(str(self.folder / name), enrolment._replace(rotated_s=time.time()))

    def start_collector(self, which):
        reader, writer = self.context.Pipe(duplex=False)
        port = self.collectors[which][0]
        self.collectors[which][1] = self.start(collector, self.folder / "data", port, writer)
        writer.close()
        assert reader.poll(END_S)
        assert reader.recv()
        reader.close()

    def start_device(self, name):
        reader, writer = self.context.Pipe(duplex=False)
        self.epochs += 1
        number = 1 + self.epochs
        self.devices[name] = (self.start(device, self.folder / name, number, writer), reader)
        writer.close()

    def kill_device(self, name):
        process, reader = self.devices.pop(name)
        self.end(process)
        try:
            while True:
                self.note(name, *reader.recv())
        except EOFError:
            reader.close()

    def note(self, name, what, first, count):
        rows = {(name, "event", first + i) for i in range(count)} | {(name, "label", first)}
        self.tried |= rows if what == "try" else set()
        self.done |= rows if what == "done" else set()
        self.full += what == "full"

    def wait_for_rows(self, name):
        """Let a device record something: on a busy machine it might be killed before it can."""
        _, reader = self.devices[name]
        while not any(row[0] == name for row in self.done):
            assert reader.poll(END_S)
            self.note(name, *reader.recv())

    def start(self, target, *args):
        process = self.context.Process(target=target, args=args, daemon=True)
        process.start()
        return process

    def end(self, process):
        assert process.exitcode is None, "it ended before it was killed"
        process.kill()
        process.join(END_S)
        self.killed += 1

    def step(self):
        """Somebody is killed, after a moment that chance chooses, and started again."""
        time.sleep(self.random.random() * 0.25)
        victim = self.random.choice([0, 1, *DEVICES])
        if isinstance(victim, int):
            self.end(self.collectors[victim][1])
            self.start_collector(victim)
        else:
            self.kill_device(victim)
            self.start_device(victim)

    def hand_over(self):
        """Devices hand over what they still have."""
        processes = [self.start(last_sync, self.folder / name) for name in DEVICES]
        for process in processes:
            process.join(2 * END_S)
            assert process.exitcode == 0

    def found(self):
        """What stands in the tables, as devices count it."""
        events, labels = (self.data.tables.another().rows(name) for name in ("events", "labels"))
        rows = [(event["device"], "event", event["sequence"]) for event in events.to_pylist()]
        return rows + [(label["device"], "label", int(label["value"])) for label in labels.to_pylist()]


@pytest.mark.parametrize("block", range(BLOCKS))
def test_a_fleet_that_is_killed_all_the_time_loses_nothing_and_doubles_nothing(tmp_path, block):
    killed = full = 0
    for number in range(SCHEDULES):
        seed = SEED + 100 * block + number
        print(f"the seed of this schedule: {seed}")
        fleet = Fleet(tmp_path / str(seed), Random(seed))
        with proxying(*(f"http://127.0.0.1:{port}" for port, _ in fleet.collectors)) as proxy:
            fleet.enrol(proxy.url)
            proxy.turn_bad(Random(seed))
            for which in range(2):
                fleet.start_collector(which)
            for name in DEVICES:
                fleet.start_device(name)
            for name in DEVICES:
                fleet.wait_for_rows(name)
            for _ in range(STEPS):
                fleet.step()
            for name in DEVICES:
                fleet.kill_device(name)
            proxy.clear_up()
            fleet.hand_over()
            for _, process in fleet.collectors:
                fleet.end(process)
        commit_all(fleet.data)
        rows = fleet.found()
        assert rows
        assert len(rows) == len(set(rows))
        assert fleet.done <= set(rows) <= fleet.tried
        killed, full = killed + fleet.killed, full + fleet.full
    assert killed >= SCHEDULES * (STEPS + 4)
    assert full > 0
