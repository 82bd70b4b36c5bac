"""A log stays within its budget: the oldest measurements go first, the journal last, and the log says which."""

from __future__ import annotations

import errno

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgerun.log.budget import Segment, excess
from edgerun.log.policy import LogPolicy
from edgerun.log.rows import Kind
from edgerun.log.writer import LogWriter
from edgerun.testing import SimulatedDisk
from support.logs import SOURCES, Ticks, batch_of, call, label, read_files

FOLDER = "/log"

segments = st.lists(
    st.builds(Segment, st.integers(0, 1), st.integers(0, 5), st.text("abc", min_size=3), st.integers(1, 100)),
    unique_by=lambda segment: segment.name,
)


@given(segments, st.integers(-5, 500))
def test_no_more_goes_than_must(found, over):
    gone = excess(found, over)
    sizes = [segment.size for segment in gone]
    assert sum(sizes) >= over or len(gone) == len(found)
    assert not gone or sum(sizes[:-1]) < over


@given(segments, st.integers(1, 500))
def test_measurements_go_before_the_journal_and_old_before_new(found, over):
    gone = excess(found, over)
    assert gone == sorted(found)[: len(gone)]
    kept = [segment for segment in found if segment not in gone]
    assert not any(segment.stream_class == 1 for segment in gone) or all(segment.stream_class == 1 for segment in kept)


class Log:
    """A log with little room, written by one process after the other."""

    def __init__(self, budget_bytes: int) -> None:
        self.disk = SimulatedDisk()
        self.ticks = Ticks()
        self.policy = LogPolicy(budget_bytes=budget_bytes)
        self.writer = self.open()
        self.count = self.largest = 0

    def open(self) -> LogWriter:
        return LogWriter(FOLDER, policy=self.policy, disk=self.disk, clocks=self.ticks.clocks())

    def write(self, frames: int, labels: int = 0) -> None:
        for _ in range(frames):
            rows = [call(self.count + i, value=1 / (3 + self.count + i)) for i in range(20)]
            self.writer.write(batch_of([*rows, *map(label, range(labels))]), [], SOURCES)
            self.count += 20
            self.writer.seal_due(self.ticks.look())
            self.largest = max(self.largest, self.size())

    def size(self) -> int:
        return sum(map(len, self.disk.contents(FOLDER).values()))

    def rows(self, *kinds: Kind):
        return read_files(self.disk.contents(FOLDER)).of_kind(*kinds)

    def losses(self) -> list[dict]:
        return [row.value for row in self.rows(Kind.LOSS)]


def test_a_log_never_takes_more_than_its_budget():
    log = Log(20_000)
    log.write(150, labels=1)
    assert log.largest <= 20_000
    assert len(log.rows(Kind.CALL)) > 300


def test_what_is_gone_is_told_by_segment_and_kind():
    log = Log(8000)
    log.write(150)
    gone = {*range(log.count)} - {row.sequence for row in log.rows(Kind.CALL)}
    assert gone
    assert gone == {*range(len(gone))}, "the oldest"
    assert sum(loss["rows"] for loss in log.losses()) == len(gone)
    assert {loss["reason"] for loss in log.losses()} == {"budget"}
    assert sum(loss["events"][Kind.CALL] for loss in log.losses()) == len(gone)
    assert not {loss["segment"] for loss in log.losses()} & {name[:33] for name in log.disk.contents(FOLDER)}


def test_labels_outlive_calls():
    log = Log(12_000)
    log.write(10, labels=2)
    log.write(150)
    assert len(log.rows(Kind.LABEL)) == 20
    assert len(log.rows(Kind.CALL)) < log.count


def test_another_process_makes_room_among_what_it_finds():
    log = Log(200_000)
    log.write(100)
    log.writer.close()
    log.policy = LogPolicy(budget_bytes=4000)
    log.open().close()
    assert log.size() <= 4000
    assert sum(loss["rows"] for loss in log.losses()) + len(log.rows(Kind.CALL)) == log.count


def test_segments_of_living_writers_stay():
    log = Log(10**6)
    log.write(50)
    (name,) = log.disk.contents(FOLDER)
    log.policy = LogPolicy(budget_bytes=1000)
    log.open().close()
    assert name in log.disk.contents(FOLDER)


def test_a_full_disk_does_not_keep_the_budget_from_making_room():
    log = Log(200_000)
    log.write(100)
    log.writer.close()
    log.policy = LogPolicy(budget_bytes=4000)
    log.disk.fail("create", errno.ENOSPC)
    writer = log.open()
    assert log.size() <= 4000
    writer.write(batch_of([label(1)]), [], SOURCES)
    writer.close()
    assert sum(loss["rows"] for loss in log.losses()) + len(log.rows(Kind.CALL)) == log.count


@pytest.mark.parametrize("budget_bytes", [0, 1, 100])
def test_a_budget_that_holds_nothing_loses_all_and_stays_alive(budget_bytes):
    log = Log(budget_bytes)
    log.write(5, labels=1)
    log.writer.close()
    assert log.rows(Kind.CALL) == []
