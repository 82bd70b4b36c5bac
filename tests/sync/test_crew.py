"""The threads that commit: they take what comes, go on after errors, stop cleanly, and take over from the dead."""

from __future__ import annotations

import threading

import pytest

from edgerun_sync.collector.claims import LEASE_S, Claims
from edgerun_sync.collector.committing import Committed, Committer
from edgerun_sync.collector.crew import Crew, run
from edgerun_sync.collector.data import open_data
from edgerun_sync.errors import StorageError
from edgerun_sync.limits import LIMITS
from support.collection import land_all, rows_in_tables
from support.fleet import Memory, pool

WAIT_S = 30


class Scripted:
    """A committer that does what a test says."""

    def __init__(self, *results, lane=0):
        self.lane, self._results, self.waiting = lane, list(results), 0
        self.stop = threading.Event()

    def step(self):
        result = self._results.pop(0) if self._results else None
        if not self._results:
            self.stop.set()
        if isinstance(result, Exception):
            raise result
        return result

    def count_waiting(self):
        self.waiting = 7


def committed(number):
    return Committed(0, number, 1, {"events": 1}, 0)


def test_batches_are_reported_and_errors_are_tried_again(caplog):
    committer, seen = Scripted(committed(1), StorageError("503"), committed(2), None), []
    run([committer], committer.stop, report=seen.append, every_s=0, idle_s=0)
    assert seen == [committed(1), committed(2)]
    assert "lane 0: 503; again in" in caplog.text


def test_a_lane_that_is_not_held_is_left_alone():
    mine, theirs = Scripted(committed(1), None, lane=0), Scripted(committed(2), lane=1)
    run([theirs, mine], mine.stop, holds=lambda lane: lane == 0, every_s=0, idle_s=0)
    assert not theirs.stop.is_set()


class Waiting(Scripted):
    """A committer that says, with each result, how much it left."""

    def step(self):
        result, self.waiting = super().step()
        return result


def test_a_lane_that_left_nothing_is_left_alone_for_a_while_and_the_others_are_not():
    paced, busy = Waiting((committed(1), 0), (committed(2), 0), lane=0), Scripted(*[None] * 50, lane=1)
    run([paced, busy], busy.stop, every_s=3600, idle_s=0)
    assert not paced.stop.is_set()


def test_a_lane_of_which_more_waits_than_a_batch_takes_goes_on_at_once():
    committer, seen, told = Waiting((committed(1), 5), (committed(2), 2), (committed(3), 0)), [], []
    run([committer], committer.stop, report=seen.append, waiting=lambda *said: told.append(said), every_s=3600)
    assert seen == [committed(1), committed(2), committed(3)]
    assert told == [(0, 5), (0, 2), (0, 0)]


def test_what_waits_in_a_lane_that_fails_is_counted():
    committer, told = Scripted(StorageError("503"), None), []
    run([committer], committer.stop, waiting=lambda *said: told.append(said), idle_s=0)
    assert told[0] == (0, 7)


def test_a_committer_knows_what_it_left_for_the_next_batch(tmp_path):
    data = open_data(str(tmp_path), lanes=1)
    segments = [segment for device in pool()[:2] for segment in device]
    land_all(data, *segments)
    committer = Committer(data.objects, data.tables, 0, limits=LIMITS._replace(batch_segments_max=5))
    left = []
    while committer.step() is not None:
        left.append(committer.waiting)
    assert left == [len(segments) - 5, len(segments) - 10, 0]
    land_all(data, *pool()[2])
    committer.count_waiting()
    assert committer.waiting == len(pool()[2])


def test_a_crew_commits_what_is_landed_while_it_runs_and_stops_cleanly(tmp_path):
    data = open_data(str(tmp_path), lanes=3)
    segments = [segment for device in pool()[:4] for segment in device]
    left, done = len(segments), threading.Event()
    lock = threading.Lock()

    def report(batch):
        nonlocal left
        with lock:
            left -= batch.segments
            if left == 0:
                done.set()

    with Crew(data, claims=Claims(data.objects), report=report, every_s=0):
        land_all(data, *segments)
        assert done.wait(WAIT_S)
    assert sorted(rows_in_tables(data.tables)) == sorted(row for segment in segments for row in segment.rows)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("edgerun-commit")]


def test_segments_are_told_of_once_though_their_batch_is_completed_again(tmp_path):
    data = open_data(str(tmp_path), lanes=1)
    land_all(data, *pool()[0])
    told = [Committer(data.objects, data.tables, 0).step().segments for _ in range(2)]
    assert told == [len(pool()[0]), 0]


# Who looks after which lane.


class Now:
    def __init__(self):
        self.s = 1e9

    def __call__(self):
        return self.s


def test_one_collector_holds_a_lane_and_keeps_it():
    objects, now = Memory(), Now()
    first, second = (Claims(objects, who, now_s=now) for who in ("first", "second"))
    assert first.holds(0)
    for _ in range(10):
        now.s += LEASE_S / 3
        assert first.holds(0)
        assert not second.holds(0)
    assert second.holds(1)


def test_a_dead_collectors_lane_is_taken_over():
    objects, now = Memory(), Now()
    assert Claims(objects, "dead", now_s=now).holds(0)
    second = Claims(objects, "second", now_s=now)
    now.s += LEASE_S - 1
    assert not second.holds(0)
    now.s += 1
    assert second.holds(0)


def test_a_lane_that_was_let_go_is_free_at_once():
    objects, now = Memory(), Now()
    first = Claims(objects, "first", now_s=now)
    assert first.holds(0)
    first.let_go()
    assert Claims(objects, "second", now_s=now).holds(0)


@pytest.mark.parametrize("left", [b"", b"{}", b'{"who":"x","until":9e99}', b'{"who":"x","until":"soon"}'])
def test_a_claim_that_is_damaged_or_ends_never_holds_nobody_up(left):
    objects = Memory()
    objects.replace("lanes/0.json", left)
    assert Claims(objects, "me", now_s=Now()).holds(0)
