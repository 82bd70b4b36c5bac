"""Sealing writes the same rows in fewer bytes and frames, within bounded memory."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from edgerun.log.policy import LogPolicy
from edgerun.log.rows import FLAG_KEYED, Batch, Kind, Note, OutputShape
from edgerun.log.segment import identify, scan
from edgerun.log.stream import MANY_ROWS
from edgerun.log.writer import LogWriter
from edgerun.testing import SimulatedDisk
from support.logs import SOURCES, Row, Ticks, batch_of, call, read_files

FOLDER = "/log"


def opened(disk: SimulatedDisk, **policy) -> LogWriter:
    return LogWriter(FOLDER, policy=LogPolicy(**policy), disk=disk, clocks=Ticks().clocks())


def many(n: int, first: int = 0) -> Batch:
    """Calls as a classifier of a device makes them, without a loop."""
    random = np.random.default_rng(first)
    confidence = (1 / (1 + np.exp(-np.abs(random.normal(2, 2, n))))).astype(np.float32)
    numbers = np.stack([random.integers(0, 2, n).astype(np.uint64), confidence.view(np.uint32) | np.uint64(2**31)], 1)
    ids = np.arange(first, first + n)
    return Batch(
        kind=np.full(n, Kind.CALL, np.uint8),
        flags=np.full(n, FLAG_KEYED, np.uint8),
        source=(1 + ids % 3).astype(np.uint32),
        sequence=ids.astype(np.uint64),
        unit=(ids % 200).astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15),
        time_us=ids * 100_000 + random.normal(0, 2000, n).astype(np.int64),
        latency=(10_000 + random.normal(0, 500, n)).astype(np.uint32),
        shape=np.zeros(n, np.uint16),
        numbers=numbers.reshape(-1),
        numbers_at=np.arange(0, 2 * n + 1, 2, dtype=np.uint32),
        data=np.empty(0, np.uint8),
        data_at=np.zeros(n + 1, np.uint32),
        shapes=((OutputShape(2, 1, 2),),),
    )


def frames_of(disk: SimulatedDisk) -> list[tuple[int, int]]:
    found = []
    for name, data in sorted(disk.contents(FOLDER).items()):
        found += [(frame.first_row, frame.rows) for frame in scan(data, identify(data, name)[0])]
    return found


def test_small_frames_become_frames_of_16384_rows():
    disk = SimulatedDisk()
    writer = opened(disk)
    for first in range(0, 40_000, 500):
        writer.write(many(500, first), [], SOURCES)
    before = read_files(disk.contents(FOLDER)).rows
    writer.seal()
    assert frames_of(disk) == [(0, 16_000), (16_000, 16_000), (32_000, 8000)]
    assert repr(read_files(disk.contents(FOLDER)).rows) == repr(before)


def test_a_segment_of_large_frames_is_renamed_as_it_is():
    disk = SimulatedDisk()
    writer = opened(disk, segment_bytes=2**30, budget_bytes=2**34)
    for first in range(0, MANY_ROWS, 4096):
        writer.write(many(4096, first), [], SOURCES)
    (before,) = disk.contents(FOLDER).values()
    disk.history.clear()
    writer.seal()
    assert [change.what for change in disk.history] == ["replace", "sync folder"]
    assert [*disk.contents(FOLDER).values()] == [before]


def test_frames_with_large_values_stay_apart():
    disk = SimulatedDisk()
    writer = opened(disk, segment_bytes=2**30, budget_bytes=2**34)
    noise = np.random.default_rng(1)
    for i in range(6):
        writer.write(None, [Note(Kind.PROFILE, i, {"data": noise.bytes(400_000)})])
        writer.write(batch_of([Row(Kind.ERROR, i, i, 1, value={})]), [], SOURCES)
    writer.seal()
    assert [rows for _, rows in frames_of(disk)] == [4, 4, 4]


def test_values_that_unpack_to_more_than_a_frame_holds_are_two_frames():
    disk = SimulatedDisk()
    writer = opened(disk, segment_bytes=2**30, budget_bytes=2**34)
    for i in range(4):
        writer.write(None, [Note(Kind.PROFILE, i, {"data": b"a" * 7_000_000})])
        writer.write(None, [Note(Kind.PROFILE, i, {})])
    writer.seal()
    assert [row.value.get("data", b"")[:1] for row in read_files(disk.contents(FOLDER)).of_kind(Kind.PROFILE)] == [
        b"a",
        b"",
    ] * 4
    assert len(frames_of(disk)) > 1


@pytest.mark.parametrize("durability", ["group", "seal"])
def test_sealing_twice_changes_nothing(durability):
    disk = SimulatedDisk()
    writer = opened(disk, durability=durability)
    writer.write(batch_of([call(1)]), [], SOURCES)
    writer.seal()
    before = disk.contents(FOLDER)
    writer.seal()
    assert disk.contents(FOLDER) == before


@pytest.mark.slow
def test_sealing_takes_memory_for_a_frame_and_not_for_a_segment():
    peaks = []
    for rows in (16_384, 8 * 16_384):
        disk = SimulatedDisk()
        writer = opened(disk, segment_bytes=2**30, budget_bytes=2**34)
        for first in range(0, rows, 2048):
            writer.write(many(2048, first), [], SOURCES)
        disk.history.clear()
        size = sum(map(len, disk.contents(FOLDER).values()))
        tracemalloc.start()
        writer.seal()
        peaks.append(tracemalloc.get_traced_memory()[1] - 4 * size)  # the disk and its history are in memory too
        tracemalloc.stop()
    assert peaks[1] < 2 * max(peaks[0], 4 * 2**20)
