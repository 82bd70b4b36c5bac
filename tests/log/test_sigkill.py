"""Real processes on a real disk: killed at random moments, several at once, and forked. What was promised is there."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from random import Random
from typing import TYPE_CHECKING

import pytest

from edgerun.log.policy import LogPolicy
from edgerun.log.rows import Kind
from edgerun.log.writer import LogWriter
from support.log_process import forking, open_and_close, write
from support.logs import SOURCES, batch_of, call, read_files

if TYPE_CHECKING:
    from pathlib import Path


class Writing:
    """A process that writes into a folder, and what it was promised."""

    def __init__(self, folder: Path, durability: str, seed: int) -> None:
        context = forking()
        self._told, told = context.Pipe(duplex=False)
        self._process = context.Process(target=write, args=(folder, durability, seed, told))
        self._process.start()
        told.close()  # so that the end is heard of when the process dies
        self.epoch = self._told.recv()

    def kill_after(self, seconds: float) -> list[str]:
        """Let it write for so long, then kill it; returns the rows that it was promised."""
        promised, end = list[str](), time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if self._told.poll(left):
                promised += self._told.recv()
        self._process.kill()
        with suppress(EOFError):  # what it said before it died, but for the last, half a word
            while True:
                promised += self._told.recv()
        self._told.close()
        self._process.join()
        assert self._process.exitcode == -9, "it was killed, and did not fail before"
        return promised


def rows_in(folder: Path) -> list[str]:
    """The rows of a log as a writing process names them; each is there once and as it was given."""
    found = read_files({path.name: path.read_bytes() for path in folder.iterdir()})
    calls = found.of_kind(Kind.CALL)
    assert all(row.key() == call(row.sequence, time_us=row.sequence).key() for row in calls)
    names = [f"call {row.sequence}" for row in calls]
    names += [f"label {row.value['value']}" for row in found.of_kind(Kind.LABEL)]
    assert len(names) == len({*names})
    return names


@pytest.mark.slow
@pytest.mark.parametrize(("durability", "rounds"), [("event", 70), ("group", 70), ("seal", 70)])
def test_what_was_promised_outlives_its_process(tmp_path, durability, rounds):
    random, promised, epochs = Random(durability), set[str](), set[int]()
    for round_ in range(rounds):
        writing = Writing(tmp_path, durability, round_)
        epochs.add(writing.epoch)
        promised |= {*writing.kill_after(random.random() * 0.15)}
        if round_ % 10 == 9:
            assert promised <= {*rows_in(tmp_path)}
    assert len(epochs) == rounds
    assert len(promised) > rounds
    LogWriter(tmp_path).close()
    assert promised <= {*rows_in(tmp_path)}
    assert {path.suffix for path in tmp_path.iterdir()} == {".log"}
    before = sorted(path.name for path in tmp_path.iterdir())
    LogWriter(tmp_path).close()
    assert sorted(path.name for path in tmp_path.iterdir()) == before


@pytest.mark.slow
def test_several_processes_write_into_one_folder_at_once(tmp_path):
    random, promised = Random(5), set[str]()
    for round_ in range(6):
        writing = [Writing(tmp_path, "group", 100 + 4 * round_ + i) for i in range(4)]
        for one in writing:
            promised |= {*one.kill_after(0.1 + 0.1 * random.random())}
    LogWriter(tmp_path).close()
    assert promised <= {*rows_in(tmp_path)}
    assert {path.suffix for path in tmp_path.iterdir()} == {".log"}


def test_a_segment_is_recovered_once_though_many_processes_open_the_folder(tmp_path):
    writer = LogWriter(tmp_path)
    writer.write(batch_of([call(i, time_us=i) for i in range(100)]), [], SOURCES)
    writer.disown()
    opening = [forking().Process(target=open_and_close, args=(tmp_path,)) for _ in range(6)]
    for process in opening:
        process.start()
    for process in opening:
        process.join()
    assert [process.exitcode for process in opening] == [0] * 6
    found = read_files({path.name: path.read_bytes() for path in tmp_path.iterdir()})
    assert len(found.of_kind(Kind.CALL)) == 100
    assert [row.value["event"] for row in found.of_kind(Kind.LIFECYCLE)] == ["recovered"]


def in_a_child(action) -> int:
    """Fork; run an action in the child; return how it ended."""
    child = os.fork()
    if child == 0:  # pragma: no cover - in another process
        with suppress(BaseException):
            action()
            os._exit(0)
        os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_a_child_that_disowned_the_log_does_not_hold_its_lock(tmp_path):
    released, hold = os.pipe()
    ready, say = os.pipe()

    def parent_that_dies() -> None:
        writer = LogWriter(tmp_path)
        writer.write(batch_of([call(1, time_us=1)]), [], SOURCES)
        if os.fork() == 0:
            os.close(hold)
            writer.disown()
            os.write(say, b"x")
            os.read(released, 1)  # until the test ends
            os._exit(0)
        os.read(ready, 1)
        os._exit(0)

    assert in_a_child(parent_that_dies) == 0
    LogWriter(tmp_path).close()
    os.close(hold)
    assert rows_in(tmp_path) == ["call 1"]
    assert {path.suffix for path in tmp_path.iterdir()} == {".log"}
    for file in (released, ready, say):
        os.close(file)


def test_a_child_that_disowned_the_log_leaves_the_parents_alone(tmp_path):
    writer = LogWriter(tmp_path, policy=LogPolicy(durability="event"))
    writer.write(batch_of([call(1, time_us=1)]), [], SOURCES)

    def go_on() -> None:
        writer.disown()
        own = LogWriter(tmp_path)
        assert own.epoch != writer.epoch
        own.write(batch_of([call(2, time_us=2)]), [], SOURCES)
        own.close()

    assert in_a_child(go_on) == 0
    writer.write(batch_of([call(3, time_us=3)]), [], SOURCES)
    writer.close()
    assert sorted(rows_in(tmp_path)) == ["call 1", "call 2", "call 3"]
    found = read_files({path.name: path.read_bytes() for path in tmp_path.iterdir()})
    assert found.of_kind(Kind.LIFECYCLE) == [], "nobody took the living parent for dead"


def test_a_log_on_a_real_disk_is_read_as_it_was_written(tmp_path):
    folder = tmp_path / "device" / "log"
    with_rows = [[call(i, time_us=i) for i in range(first, first + 300)] for first in range(0, 3000, 300)]
    writer = LogWriter(folder)
    for rows in with_rows:
        writer.write(batch_of(rows), [], SOURCES)
    writer.close()
    assert rows_in(folder) == [f"call {i}" for i in range(3000)]
