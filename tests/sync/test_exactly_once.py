"""Every row that was acknowledged stands in the tables, once: whatever is repeated, reordered, lost or killed."""

from __future__ import annotations

import hashlib
import os
from random import Random

import pytest

from edgerun_sync.collector import keys, quarantine
from edgerun_sync.collector.audit import Audit
from edgerun_sync.collector.check_ins import CheckedIn, check_in_bytes, check_in_name
from edgerun_sync.collector.committing import Committer
from edgerun_sync.collector.landing import Landing, land
from edgerun_sync.errors import ContentError, StorageError
from edgerun_sync.limits import LIMITS
from support.fleet import Actor, KilledError, Memory, ModelTables, Stepping, TablesOfModel, order, pool

LANES = 2
SCHEDULES = 1000
BLOCKS = 20
LIMITS_OF_A_BATCH = LIMITS._replace(
    batch_segments_max=3, batch_rows_max=20, batch_check_ins_max=2, check_ins_wait_s=0.0
)
SEED = int(os.environ.get("EDGERUN_SEED", "0"))


class Fleet:
    """Devices, one storage, and whatever processes run at the moment."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.objects, self.model = Memory(), ModelTables()
        devices = self.random.sample(pool(), self.random.randint(1, 4))
        self.waiting = [segment for device in devices for segment in device]
        self.sent, self.acknowledged = set(), set()
        self.landings: list[tuple[Actor, object]] = []
        self.committers: list[Actor] = []
        self.check_ins = 0
        self.hostile = self.random.sample(["device-1", "device-2", "device-3"], self.random.choice([0, 0, 1, 2]))

    def send(self) -> None:
        """A device sends one of its segments, in any order, perhaps while the same one is under way."""
        segment = self.random.choice(self.waiting)
        self.sent |= segment.rows
        self.landings.append((Actor(lambda actor: self._land(actor, segment)), segment))

    def _land(self, actor: Actor, segment) -> Landing:
        objects = Stepping(self.objects, actor.before, actor.after)
        return land(objects, LANES, segment.landed, segment.body, digest_of(segment))

    def check_in(self) -> None:
        """A device checks in, and is answered."""
        self.check_ins += 1
        said = {"instance": "0123456789abcdef", "count": self.check_ins}
        device = self.random.choice(["device-1", "device-2", "device-3"])
        key = keys.check_in_key(keys.lane_of(device, LANES), device, check_in_name(said))
        assert self.objects.put_new(key, check_in_bytes(CheckedIn(device, "", (), said)))
        row = (device, said["instance"], said["count"])
        self.sent |= {row}
        self.acknowledged |= {row}

    def start_committer(self, lane: int) -> None:
        """A committer starts: an old one, which cannot make rows of what some devices send, or a new one."""
        refused = self.random.choice([(), self.hostile])
        self.committers.append(Actor(lambda actor: self._commit(actor, lane, refused)))

    def _commit(self, actor: Actor, lane: int, refused) -> None:
        objects = Stepping(self.objects, actor.before, actor.after)
        tables = TablesOfModel(self.model, actor.before, actor.after, refused)
        committer = Committer(objects, tables, lane, now_us=lambda: 10**15, limits=LIMITS_OF_A_BATCH)
        failures = 0
        while failures < 3:
            try:
                if committer.step() is None:
                    return
            except (StorageError, ContentError):
                failures += 1

    def retry(self) -> None:
        """An operator has everything tried again that was set aside."""
        for held in [*quarantine.held(self.objects)]:
            quarantine.retry(self.objects, Audit(self.objects), held, who="console")

    def step(self) -> None:
        """Something happens."""
        running = [*self.committers, *(actor for actor, _ in self.landings)]
        chance = self.random.random()
        if self.random.random() < 0.03:
            self.check_in()
        if self.hostile and self.random.random() < 0.03:
            self.retry()
        if self.waiting and (not running or (chance < 0.15 and len(self.landings) < 6)):
            self.send()
        elif len(self.committers) < 4 and (not running or chance > 0.93):
            self.start_committer(self.random.randrange(LANES))
        elif running:
            self.random.choice(running).go(order(self.random))
        self.reap(0.8)

    def reap(self, replies: float) -> None:
        """Take note of what has ended; some replies get lost."""
        for actor, segment in [pair for pair in self.landings if pair[0].is_done]:
            self.landings.remove((actor, segment))
            assert actor.result in {None, Landing.STORED, Landing.KNOWN}
            assert isinstance(actor.error, KilledError | StorageError | None)
            if actor.result is not None and self.random.random() < replies:
                self.acknowledged |= segment.rows
                if segment in self.waiting:
                    self.waiting.remove(segment)
        for actor in [actor for actor in self.committers if actor.is_done]:
            self.committers.remove(actor)
            assert isinstance(actor.error, KilledError | StorageError | None), actor.error

    def end(self) -> None:
        """The weather clears: what runs ends, devices that still live send the rest, all is committed."""
        for actor in [*self.committers, *(actor for actor, _ in self.landings)]:
            while not actor.is_done:
                actor.go(KilledError() if self.random.random() < 0.1 else None)
        self.reap(1.0)
        if self.random.random() < 0.7:
            for segment in self.waiting[:]:
                found = self.land_now(segment)
                assert found is not Landing.CONFLICT
                self.acknowledged |= segment.rows
                self.sent |= segment.rows
        for _ in range(2):
            for lane in range(LANES):
                committer = Committer(self.objects, TablesOfModel(self.model, nothing, nothing), lane)
                while committer.step():
                    pass
            self.retry()

    def land_now(self, segment) -> Landing:
        return land(self.objects, LANES, segment.landed, segment.body, digest_of(segment))


def digest_of(segment) -> str:
    return hashlib.sha256(segment.body).hexdigest()


def nothing() -> None:
    """No one waits."""


def check(fleet: Fleet) -> None:
    rows = fleet.model.rows()
    assert len(rows) == len(set(rows)), "a row is there twice"
    assert fleet.acknowledged <= set(rows), "a row that was acknowledged is not there"
    assert set(rows) <= fleet.sent
    for segment in [segment for device in pool() for segment in device]:
        if segment.rows <= fleet.acknowledged:
            assert fleet.land_now(segment) is Landing.KNOWN
    for key, data in fleet.objects.stored.items():
        if key.startswith("segments/"):
            assert keys.parse_tombstone(data) is not None, "a segment was left over"
        assert not key.startswith("checkins/"), "a check-in was left over"
        if key.startswith("inbox/"):
            assert keys.from_inbox(key).key not in fleet.objects.stored
    assert [*quarantine.held(fleet.objects)] == []


@pytest.mark.parametrize("block", range(BLOCKS))
def test_rows_are_there_once_under_any_schedule(block):
    for number in range(SCHEDULES // BLOCKS):
        seed = SEED + block * SCHEDULES + number
        fleet = Fleet(seed)
        try:
            for _ in range(fleet.random.randint(20, 400)):
                fleet.step()
            fleet.end()
            check(fleet)
        except BaseException:
            print(f"the seed of this schedule: {seed}")
            raise
