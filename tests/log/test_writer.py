"""A writer keeps what it acknowledged, gives no row two numbers, and goes on after every failure of the disk."""

from __future__ import annotations

import errno
import re

import pytest

from edgerun import LogError
from edgerun.log.policy import LogPolicy
from edgerun.log.rows import Kind, Note
from edgerun.log.segment import identify, scan
from edgerun.log.writer import LogWriter
from edgerun.testing import SimulatedDisk
from support.logs import SOURCES, Row, Ticks, batch_of, call, label, read_files

FOLDER = "/log"


class Log:
    """A writer on a simulated disk."""

    def __init__(self, durability: str = "group", **policy) -> None:
        self.disk = SimulatedDisk()
        self.ticks = Ticks()
        self.policy = LogPolicy(durability=durability, **policy)
        self.writer = self.open()

    def open(self) -> LogWriter:
        return LogWriter(FOLDER, policy=self.policy, disk=self.disk, clocks=self.ticks.clocks())

    def write(self, *rows: Row, notes=()) -> None:
        self.writer.write(batch_of([*rows]), notes, SOURCES)

    def rows(self, *kinds: Kind) -> list[Row]:
        found = read_files(self.disk.contents(FOLDER))
        assert found.damaged == 0
        return found.of_kind(*kinds)

    def sequences(self) -> list[int]:
        return [row.sequence for row in self.rows(Kind.CALL)]

    def told(self) -> list[dict]:
        return [row.value for row in self.rows(Kind.LIFECYCLE, Kind.LOSS)]

    def names(self, ending: str) -> list[str]:
        return [name for name in self.disk.contents(FOLDER) if name.endswith(ending)]


@pytest.fixture
def log() -> Log:
    return Log()


def changes(log: Log) -> list[str]:
    found = [change.what for change in log.disk.history if change.what != "make folder"]
    log.disk.history.clear()
    return found


def test_there_is_no_file_before_there_is_a_row(log):
    log.writer.write(None)
    assert log.disk.contents(FOLDER) == {}


def test_closing_a_log_without_rows_leaves_nothing(log):
    log.writer.close()
    assert log.disk.contents(FOLDER) == {}


@pytest.mark.parametrize("durability", ["event", "group"])
def test_a_row_is_synced_before_write_returns(durability):
    log = Log(durability)
    log.write(call(1))
    assert changes(log) == ["create", "write", "write", "sync", "sync folder"]
    log.write(call(2))
    assert changes(log) == ["write", "sync"]


def test_rows_are_not_synced_before_they_are_sealed_if_that_is_the_policy():
    log = Log("seal")
    log.write(call(1))
    log.write(call(2))
    assert changes(log) == ["create", "write", "write", "write"]
    log.writer.seal()
    assert changes(log) == ["create", "write", "write", "sync", "replace", "sync folder", "remove"]


def test_each_row_goes_to_the_stream_of_its_class(log):
    log.write(call(1), label(1), notes=[Note(Kind.PROFILE, 3, {}), Note(Kind.LIFECYCLE, 4, {"event": "start"})])
    found = read_files(log.disk.contents(FOLDER))
    by_class = {found.classes[epoch]: [] for epoch, _ in found.rows}
    for (epoch, number), row in sorted(found.rows.items()):
        by_class[found.classes[epoch]].append((number, row.kind))
    assert by_class == {0: [(0, Kind.CALL), (1, Kind.PROFILE)], 1: [(0, Kind.LABEL), (1, Kind.LIFECYCLE)]}


def test_both_streams_name_the_epoch_of_the_events(log):
    log.write(call(1), label(1))
    headers = [identify(data, name)[0] for name, data in log.disk.contents(FOLDER).items()]
    assert {header.ids for header in headers} == {log.writer.epoch}
    assert {header.class_: header.epoch == log.writer.epoch for header in headers} == {0: True, 1: False}


def test_a_segment_names_each_source_once(log):
    log.write(call(0), call(1))
    log.write(call(1), call(2))
    ((name, data),) = log.disk.contents(FOLDER).items()
    named = [frame.sources for frame in scan(data, identify(data, name)[0])]
    assert named == [{1: SOURCES[1], 2: SOURCES[2]}, {3: SOURCES[3]}]


def test_the_next_segment_names_its_sources_anew(log):
    log.write(call(0))
    log.writer.seal()
    log.write(call(0))
    (name,) = log.names(".open")
    data = log.disk.contents(FOLDER)[name]
    assert next(scan(data, identify(data, name)[0])).sources == {1: SOURCES[1]}


FAILURES = ["create", "write", "sync", "sync_folder"]


@pytest.mark.parametrize("durability", ["event", "group"])
@pytest.mark.parametrize("operation", FAILURES)
@pytest.mark.parametrize("after", range(4))
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EROFS])
def test_rows_that_are_given_again_after_a_failure_are_there_once(durability, operation, after, number):
    log = Log(durability)
    log.write(call(1))
    log.disk.fail(operation, number, after=after, times=2)
    for first in range(2, 12, 2):
        for _ in range(4):
            try:
                log.write(call(first), label(first), call(first + 1))
                break
            except LogError:
                continue
        else:
            pytest.fail("the disk has healed")
    assert log.sequences() == [*range(1, 12)]
    assert len(log.rows(Kind.LABEL)) == 5
    log.disk.heal()
    log.writer.close()
    assert log.sequences() == [*range(1, 12)]
    numbers = sorted(read_files(log.disk.contents(FOLDER)).rows)
    assert numbers == [(epoch, i) for epoch in sorted({e for e, _ in numbers}) for i in range(_rows(numbers, epoch))]


def _rows(numbers, epoch) -> int:
    return sum(one == epoch for one, _ in numbers)


def test_rows_that_fail_and_are_given_up_leave_no_trace(log):
    log.write(call(1))
    log.disk.fail("sync", errno.EIO, after=1)
    with pytest.raises(LogError):
        log.write(call(2), label(2))
    log.write(call(3))
    log.writer.close()
    assert log.sequences() == [1, 3]
    assert log.rows(Kind.LABEL) == []


def test_a_write_that_falls_short_is_finished(log):
    log.disk.fall_short(times=3)
    log.write(call(1))
    assert log.sequences() == [1]


def test_half_a_frame_is_cut_off_again(log):
    log.write(call(1))
    log.disk.fall_short()
    log.disk.fail("write", errno.ENOSPC, after=0)
    with pytest.raises(LogError, match="No space left"):
        log.write(call(2))
    assert log.sequences() == [1]
    assert len(log.names(".open")) == 1


def test_after_a_sync_that_failed_the_next_rows_are_in_another_file(log):
    log.write(call(1))
    (first,) = log.names(".open")
    log.disk.fail("sync", errno.EIO)
    with pytest.raises(LogError):
        log.write(call(2))
    log.write(call(2))
    assert f"{first[:16]}-{1:016x}.open" in log.names(".open")
    assert [told["event"] for told in log.told()] == ["disk_error"]
    log.writer.close()
    assert log.sequences() == [1, 2]
    assert log.names(".open") == []


def test_a_failure_is_told_once_however_often_it_comes(log):
    log.write(call(1))
    log.disk.fail("sync", errno.EIO, times=50)
    for _ in range(50):
        with pytest.raises(LogError):
            log.write(call(2))
    log.write(call(2))
    assert [told["event"] for told in log.told()] == ["disk_error"]
    assert len(log.disk.contents(FOLDER)) <= 4


def test_a_full_disk_takes_rows_again_when_there_is_room(log):
    log.write(*map(call, range(10)))
    log.disk.capacity = sum(map(len, log.disk.contents(FOLDER).values())) + 20
    for _ in range(20):
        with pytest.raises(LogError, match="No space left"):
            log.write(call(10), label(10))
    with pytest.raises(LogError, match="sealed"):
        log.writer.seal()
    log.disk.heal()
    log.write(call(10), label(10))
    log.writer.close()
    assert log.sequences() == [*range(11)]


def test_a_read_only_disk_takes_rows_again_when_it_can(log):
    log.write(call(1))
    log.disk.is_read_only = True
    with pytest.raises(LogError, match="Read-only"):
        log.write(call(2))
    log.disk.heal()
    log.write(call(2))
    assert log.sequences() == [1, 2]


def test_a_log_opens_on_a_full_or_read_only_disk_and_recovers_later():
    log = Log()
    log.write(call(1))
    log.disk.kill()
    log.disk.is_read_only = True
    log.writer = log.open()
    with pytest.raises(LogError):
        log.write(call(2))
    log.disk.heal()
    log.write(call(2))
    log.writer.seal()
    log.writer.close()
    assert log.sequences() in ([1, 2], [2, 1])
    assert log.names(".open") == []


def test_a_folder_that_vanished_is_made_again_and_the_loss_told(log):
    log.write(call(1), call(2))
    log.disk.lose_folder(FOLDER)
    log.write(call(3))
    assert log.sequences() == [3]
    (told,) = log.told()
    assert (told["event"], told["rows"]) == ("vanished", 2)


def test_a_folder_that_cannot_be_listed_is_a_log_error_in_words():
    disk = SimulatedDisk()
    disk.fail("sizes", errno.EACCES)
    with pytest.raises(LogError, match=r"/log cannot hold a log: .*Permission denied"):
        LogWriter(FOLDER, disk=disk)


def test_a_closed_writer_says_so(log):
    log.writer.close()
    log.writer.close()
    for use in (lambda: log.writer.write(None), log.writer.seal, lambda: log.writer.seal_due(0)):
        with pytest.raises(LogError, match="closed"):
            use()


def test_a_segment_is_sealed_when_it_is_old():
    log = Log(seal_s=300)
    log.write(call(1))
    assert not log.writer.seal_due(log.ticks.now_us + 299 * 10**6)
    assert log.names(".log") == []
    assert log.writer.seal_due(log.ticks.now_us + 301 * 10**6)
    assert log.names(".open") == []


def test_a_segment_is_sealed_when_it_is_large():
    log = Log(segment_bytes=2000)
    written = 0
    while not log.names(".log"):
        written += 1
        log.write(call(written))
        assert log.writer.seal_due(log.ticks.now_us) == bool(log.names(".log"))
    assert 10 < written < 40
    assert log.sequences() == [*range(1, written + 1)]


def test_a_seal_that_failed_is_tried_again_in_a_while():
    log = Log(seal_s=1)
    log.write(call(1))
    log.disk.fail("replace", errno.EIO)
    now_us = log.ticks.now_us + 2 * 10**6
    with pytest.raises(LogError, match="sealed"):
        log.writer.seal_due(now_us)
    assert not log.writer.seal_due(now_us + 10**6)
    assert log.writer.seal_due(now_us + 11 * 10**6)
    assert log.sequences() == [1]
    assert log.names(".tmp") == []
    assert [told["what"] for told in log.told()] == ["sealed"]


def test_files_are_named_by_stream_and_first_row(log):
    log.write(call(1), call(2))
    log.writer.seal()
    log.write(call(3))
    assert sorted(log.disk.contents(FOLDER)) == [
        f"{log.writer.epoch:016x}-{0:016x}.log",
        f"{log.writer.epoch:016x}-{2:016x}.open",
    ]
    assert all(re.fullmatch(r"[0-9a-f]{16}-[0-9a-f]{16}\.(log|open)", name) for name in log.disk.contents(FOLDER))


def test_two_writers_of_a_folder_leave_each_other_alone(log):
    other = log.open()
    log.write(call(1))
    other.write(batch_of([call(2)]), [], SOURCES)
    third = log.open()
    third.close()
    other.close()
    log.writer.close()
    assert sorted(log.sequences()) == [1, 2]
    assert log.told() == []
