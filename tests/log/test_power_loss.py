"""Power fails after any change of the disk, and takes what was not synced: nothing that was promised is lost.

What a cut disk must still hold is told by what the simulation recorded: rows that were promised before the cut, and
rows whose every byte is where it was written. No reader of the log is asked what it would have found.
"""

from __future__ import annotations

import errno
from contextlib import suppress
from pathlib import PurePosixPath
from random import Random
from typing import TYPE_CHECKING, NamedTuple

import pytest

from edgerun.errors import LogError
from edgerun.log.policy import LogPolicy
from edgerun.log.rows import Kind, Note
from edgerun.log.writer import LogWriter
from edgerun.testing import SimulatedDisk
from support.logs import SOURCES, Row, Ticks, batch_of, call, label, read_files

if TYPE_CHECKING:
    from edgerun.testing.power import Change

FOLDER = "/device/log"
GIVEN = (Kind.CALL, Kind.LABEL, Kind.PROFILE)
"""Kinds of rows that these tests give; the writer adds others."""


class Written(NamedTuple):
    """What one call gave to one stream: the rows, by their keys, and the changes of the disk that hold them."""

    rows: list[str]
    changes: list[Change]

    def is_on(self, files: dict[int, bytes]) -> bool:
        """Whether every byte of it is where it was written."""
        return all(stands_in(files.get(change.file, b""), change) for change in self.changes)


def stands_in(content: bytes, change: Change) -> bool:
    """Whether a file's bytes are what a write made of them."""
    return content[change.offset : change.offset + len(change.data)] == change.data


class Script:
    """Writes rows, and keeps what was promised of them after how many changes of the disk."""

    def __init__(self, durability: str, *, budget_bytes: int = 2**20, segment_bytes: int = 1500) -> None:
        self.disk = SimulatedDisk()
        self.ticks = Ticks()
        self.policy = LogPolicy(durability=durability, budget_bytes=budget_bytes, segment_bytes=segment_bytes)
        self.writer = LogWriter(FOLDER, policy=self.policy, disk=self.disk, clocks=self.ticks.clocks())
        self.epochs = {self.writer.epoch}
        self.promised: list[tuple[int, list[str]]] = []
        self.written: list[Written] = []
        self.given: set[str] = set()
        self.waiting: list[str] = []
        self.count = 0

    def write(self, calls: int, labels: int = 0, *, profile: bool = False) -> None:
        rows = [call(self.count + i, value=1 / (2 + self.count + i)) for i in range(calls)]
        rows += [label(self.count + i) for i in range(labels)]
        self.count += max(calls, labels)
        notes = [Note(Kind.PROFILE, self.count, {"ports": [self.count] * 40})] if profile else []
        noted = [Row(note.kind, note.time_us, value=note.value) for note in notes]
        measured = [row.key() for row in [*rows, *noted] if row.kind < Kind.LABEL]
        journal = [row.key() for row in rows if row.kind >= Kind.LABEL]
        self.given |= {*measured, *journal}
        for _ in range(5):
            begin = len(self.disk.history)
            try:
                self.writer.write(batch_of(rows) if rows else None, notes, SOURCES)
                break
            except LogError:
                continue
        else:
            pytest.fail("a disk that fails now and then takes the rows in the end")
        by_stream: dict[bool, list[Change]] = {True: [], False: []}
        for change in self.disk.history[begin:]:
            if change.what == "write":
                by_stream[self._epoch_of(change.file) == self.writer.epoch].append(change)
        self.written += [Written(measured, by_stream[True]), Written(journal, by_stream[False])]
        self.waiting += [*measured, *journal]
        if self.policy.durability != "seal":
            self._promise()
        with suppress(LogError):  # it is tried again
            self.writer.seal_due(self.ticks.look())

    def seal(self) -> None:
        self.writer.seal()
        self._promise()

    def restart(self) -> None:
        """Another process goes on after a crash of this one."""
        self.disk.kill()
        self.writer = LogWriter(FOLDER, policy=self.policy, disk=self.disk, clocks=self.ticks.clocks())
        self.epochs.add(self.writer.epoch)
        if self.policy.durability == "seal":
            self._promise()  # it has sealed what it found

    def close(self) -> None:
        self.writer.close()
        self._promise()

    def _promise(self) -> None:
        self.promised.append((len(self.disk.history), self.waiting))
        self.waiting = []

    def _epoch_of(self, file: int) -> int:
        (path,) = {change.path for change in self.disk.history if change.what == "create" and change.file == file}
        return int(PurePosixPath(path).name[:16], 16)


def keys(rows: list[Row]) -> list[tuple]:
    return sorted(row.key() for row in rows)


class Reopened(NamedTuple):
    """A log after a power cut, a new writer's rows, and its close."""

    found: list[str]
    told: list[dict]
    recovered: list[dict]
    """What of that the reopening told of."""


def reopen(script: Script, disk: SimulatedDisk) -> Reopened:
    streams = {int(name[:16], 16) for name in disk.contents(FOLDER)}
    policy = LogPolicy(durability=script.policy.durability)  # with room for everything
    writer = LogWriter(FOLDER, policy=policy, disk=disk, clocks=script.ticks.clocks())
    assert writer.epoch not in script.epochs
    fresh = call(10**6)
    writer.write(batch_of([fresh]), [], SOURCES)
    writer.close()
    after = read_files(disk.contents(FOLDER))
    assert after.damaged == 0
    assert {name.rpartition(".")[2] for name in disk.contents(FOLDER)} == {"log"}
    found = keys(after.of_kind(*GIVEN))
    found.remove(fresh.key())
    told = [(epoch, row.value) for (epoch, _), row in after.rows.items() if row.kind in {Kind.LIFECYCLE, Kind.LOSS}]
    news = [value for epoch, value in told if epoch not in streams and value.get("event") == "recovered"]
    return Reopened(found, [value for _, value in told], news)


def strange_bytes(script: Script, changes: int, disk: SimulatedDisk) -> int:
    """Bytes of open files that no write is to blame for as they stand: torn, stale or flipped."""
    strange = 0
    for name, content in disk.contents(FOLDER).items():
        if name.endswith(".open"):
            left = bytearray(b"?" * len(content))
            for change in script.disk.history[:changes]:
                if change.what == "write" and stands_in(content, change):
                    left[change.offset : change.offset + len(change.data)] = bytes(len(change.data))
            strange += left.count(b"?")
    return strange


def cut_everywhere(script: Script, variants: int, *, with_budget: bool = False) -> None:
    for changes in range(len(script.disk.history) + 1):
        promised = {row for at, rows in script.promised if at <= changes for row in rows}
        for variant in range(variants):
            disk = script.disk.after_power_cut(changes, Random(1000 * changes + variant))
            files = {file: disk.read(path) for path, file in disk._names.items()}
            whole = {row for written in script.written if written.is_on(files) for row in written.rows}
            strange = strange_bytes(script, changes, disk)
            result = reopen(script, disk)
            if variant == 0:
                closed = len(disk.history)
                LogWriter(FOLDER, disk=disk, clocks=script.ticks.clocks()).close()
                assert len(disk.history) == closed, "a second reopening finds nothing more to do"
            assert len(result.found) == len({*result.found})
            assert {*result.found} <= script.given
            missing = (promised | whole).difference(result.found)
            dropped = sum(told["rows"] for told in result.told if told.get("reason") == "budget")
            assert len(missing) <= (dropped if with_budget else 0), (changes, variant)
            assert strange <= sum(told["bytes_dropped"] for told in result.recovered), (changes, variant)


DURABILITIES = ("event", "group", "seal")


@pytest.mark.slow
@pytest.mark.parametrize("durability", DURABILITIES)
def test_what_was_promised_survives_a_power_cut_at_every_change(durability):
    script = Script(durability)
    for i in range(6):
        script.write(1 + i % 3, labels=i % 2, profile=i == 4)
    script.seal()
    script.write(40, labels=3)
    script.write(60)
    script.write(0, labels=2)
    script.restart()
    script.write(2, labels=1)
    script.close()
    cut_everywhere(script, variants=12)


@pytest.mark.slow
@pytest.mark.parametrize("durability", DURABILITIES)
@pytest.mark.parametrize("operation", ["sync", "write", "sync_folder", "truncate", "short"])
def test_the_same_holds_where_the_disk_fails_now_and_then(durability, operation):
    script = Script(durability)
    script.write(3, labels=1)
    for round_ in range(4):
        script.write(2, labels=1)
        if operation == "short":
            script.disk.fall_short(after=round_)
            script.disk.fail("write", errno.ENOSPC, after=round_ + 1)
        elif operation == "truncate":
            script.disk.fail("truncate", errno.EIO)
            script.disk.fail("write", errno.EIO, after=1 + round_ % 2)
        else:
            script.disk.fail(operation, errno.EIO, after=round_ % 3)
        script.write(3, labels=round_ % 3)
        script.write(1)
        script.disk.heal()
    script.seal()
    script.write(2, labels=1)
    cut_everywhere(script, variants=6)


@pytest.mark.slow
@pytest.mark.parametrize("operation", ["sync", "write", "sync_folder", "replace", "create", "remove", "read"])
def test_the_same_holds_where_sealing_fails(operation):
    script = Script("seal")
    for round_ in range(3):
        script.write(5, labels=2)
        script.disk.fail(operation, errno.EIO, after=round_)
        try:
            script.seal()
        except LogError:
            script.disk.heal()
            script.write(2)
            script.seal()
        script.disk.heal()
    cut_everywhere(script, variants=6)


@pytest.mark.slow
@pytest.mark.parametrize("operation", ["sync", "write", "sync_folder", "replace", "remove"])
def test_the_same_holds_where_a_process_dies_while_it_seals_and_another_goes_on(operation):
    script = Script("group")
    for _ in range(2):
        script.write(5, labels=2)
        script.disk.fail(operation, errno.EIO)
        with suppress(LogError):
            script.seal()
        script.disk.heal()
        script.restart()
    cut_everywhere(script, variants=8)


@pytest.mark.slow
def test_what_the_budget_takes_is_told_before_it_goes():
    script = Script("group", budget_bytes=6000)
    for i in range(24):
        script.write(30 + i, labels=i % 2)
    assert sum(map(len, script.disk.contents(FOLDER).values())) <= 6000
    script.write(1)
    assert any(change.what == "remove" and change.path.endswith(".log") for change in script.disk.history)
    cut_everywhere(script, variants=2, with_budget=True)
