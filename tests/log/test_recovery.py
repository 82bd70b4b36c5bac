"""What a dead process left is kept as far as it is valid, once, and what was lost is written down."""

from __future__ import annotations

import errno
from itertools import pairwise

import pytest

from edgerun import LogError
from edgerun.log.policy import LogPolicy
from edgerun.log.rows import Kind
from edgerun.log.segment import Frame, identify, scan
from edgerun.log.writer import LogWriter
from edgerun.testing import SimulatedDisk
from support.logs import SOURCES, Row, Ticks, batch_of, call, label, read_files

FOLDER = "/log"


def opened(disk: SimulatedDisk, **policy) -> LogWriter:
    return LogWriter(FOLDER, policy=LogPolicy(**policy), disk=disk, clocks=Ticks().clocks())


@pytest.fixture
def disk() -> SimulatedDisk:
    """A disk with an open segment of five frames, of three rows each, whose process is dead."""
    disk = SimulatedDisk()
    writer = opened(disk)
    for first in range(0, 15, 3):
        writer.write(batch_of([call(first), call(first + 1), call(first + 2)]), [], SOURCES)
    disk.kill()
    return disk


def only_file(disk: SimulatedDisk) -> tuple[str, bytes]:
    ((name, data),) = disk.contents(FOLDER).items()
    return name, data


def with_file(name: str, data: bytes) -> SimulatedDisk:
    disk = SimulatedDisk()
    disk.make_folder(FOLDER)
    disk.close(_filled(disk, name, data))
    return disk


def _filled(disk: SimulatedDisk, name: str, data: bytes) -> int:
    file = disk.create(f"{FOLDER}/{name}")
    disk.write(file, 0, data)
    return file


def frames_in(name: str, data: bytes) -> list[Frame]:
    return [found for found in scan(data, identify(data, name)[0]) if isinstance(found, Frame)]


def sequences(disk: SimulatedDisk) -> list[int]:
    return [row.sequence for row in read_files(disk.contents(FOLDER)).of_kind(Kind.CALL)]


def told(disk: SimulatedDisk) -> list[dict]:
    return [row.value for row in read_files(disk.contents(FOLDER)).of_kind(Kind.LIFECYCLE)]


def test_a_dead_writers_segment_is_sealed_and_told(disk):
    name, _ = only_file(disk)
    opened(disk).close()
    assert sequences(disk) == [*range(15)]
    assert told(disk) == [
        {"event": "recovered", "segment": name.removesuffix(".open"), "rows": 15, "bytes_dropped": 0, "gaps": []}
    ]
    assert all(name.endswith(".log") for name in disk.contents(FOLDER))


def test_a_sealed_segment_has_the_header_of_the_open_one_and_one_frame(disk):
    before, data = only_file(disk)
    opened(disk).close()
    name = f"{before.removesuffix('.open')}.log"
    sealed = disk.contents(FOLDER)[name]
    assert sealed[:64] == data[:64]
    assert [(frame.first_row, frame.rows) for frame in frames_in(name, sealed)] == [(0, 15)]
    assert len(sealed) < len(data) / 2


def test_a_living_writers_segment_is_left_alone():
    disk = SimulatedDisk()
    writer = opened(disk)
    writer.write(batch_of([call(1)]), [], SOURCES)
    before = disk.contents(FOLDER)
    opened(disk).close()
    assert disk.contents(FOLDER) == before


@pytest.mark.parametrize("damaged", range(5))
def test_damage_to_a_frame_costs_its_rows_and_no_others(disk, damaged):
    name, data = only_file(disk)
    offsets = [frame.offset for frame in frames_in(name, data)] + [len(data)]
    spoiled = bytearray(data)
    spoiled[offsets[damaged] + 20] ^= 1
    disk = with_file(name, bytes(spoiled))
    opened(disk).close()
    lost = range(3 * damaged, 3 * damaged + 3)
    assert sequences(disk) == [i for i in range(15) if i not in lost]
    (event,) = told(disk)
    assert event["rows"] == 12
    assert event["bytes_dropped"] == offsets[damaged + 1] - offsets[damaged]
    assert event["gaps"] == ([[lost.start, 3]] if damaged < 4 else [])


def test_a_file_that_was_cut_anywhere_keeps_its_whole_frames(disk):
    name, data = only_file(disk)
    ends = [64, *(frame.end for frame in frames_in(name, data))]
    for size in range(0, len(data), 7):
        cut = with_file(name, data[:size])
        opened(cut).close()
        frames = sum(end <= size for end in ends[1:])
        assert sequences(cut) == [*range(3 * frames)]
        whole = max((end for end in ends if end <= size), default=0)
        events = told(cut)
        assert [event["bytes_dropped"] for event in events] == ([size - whole] if size > 64 or whole < size else [])


def test_a_file_without_its_header_is_read_by_its_name(disk):
    name, data = only_file(disk)
    disk = with_file(name, bytes(64) + data[64:])
    opened(disk).close()
    assert sequences(disk) == [*range(15)]
    sealed = {name: identify(data, name) for name, data in disk.contents(FOLDER).items()}
    header, damage = sealed[f"{name[:-5]}.log"]
    assert (header.class_, header.ids, damage) == (0, header.epoch, None)


def test_an_empty_open_file_is_removed_without_a_word():
    disk = with_file(f"{5:016x}-{0:016x}.open", b"")
    opened(disk).close()
    assert disk.contents(FOLDER) == {}


def test_what_was_being_sealed_is_removed():
    disk = with_file(f"{5:016x}-{0:016x}.tmp", b"half of it")
    opened(disk).close()
    assert disk.contents(FOLDER) == {}


def test_what_a_living_process_is_sealing_is_left_alone():
    disk = SimulatedDisk()
    writer = opened(disk)
    writer.write(batch_of([call(1)]), [], SOURCES)
    (name,) = disk.contents(FOLDER)
    _filled(disk, name.replace(".open", ".tmp"), b"half of it")
    before = disk.contents(FOLDER)
    opened(disk).close()
    assert disk.contents(FOLDER) == before


def test_other_files_are_nobodys_business(disk):
    disk.close(_filled(disk, "notes.txt", b"mine"))
    opened(disk, budget_bytes=1).close()
    assert disk.contents(FOLDER)["notes.txt"] == b"mine"


def test_a_process_that_died_between_sealing_and_removing_is_helped(disk):
    name, data = only_file(disk)
    opened(disk).close()
    disk.close(_filled(disk, name, data))
    sealed = disk.contents(FOLDER)[f"{name[:-5]}.log"]
    opened(disk).close()
    assert name not in disk.contents(FOLDER)
    assert disk.contents(FOLDER)[f"{name[:-5]}.log"] == sealed
    assert sequences(disk) == [*range(15)]


def test_where_both_files_are_damaged_each_gives_what_it_has(disk):
    name, data = only_file(disk)
    parts = [64, *(frame.end for frame in frames_in(name, data))]
    first, second = bytearray(data), bytearray(data)
    first[parts[1] + 20] ^= 1
    second[parts[3] + 20] ^= 1
    disk = with_file(name, bytes(first))
    disk.close(_filled(disk, f"{name[:-5]}.log", bytes(second)))
    opened(disk).close()
    assert sequences(disk) == [*range(15)]


def test_rows_that_the_next_segment_claims_are_its_own(disk):
    name, data = only_file(disk)
    writer = opened(SimulatedDisk())
    epoch = int(name[:16], 16)
    writer._streams[0]._identity = (0, epoch, epoch)
    writer._streams[0].at = writer._streams[0].at._replace(next_row=12)
    writer.write(batch_of([call(100)]), [], SOURCES)
    ((later, claimed),) = writer._disk.contents(FOLDER).items()
    disk = with_file(name, data)
    disk.close(_filled(disk, later, claimed))
    opened(disk).close()
    assert sequences(disk) == [*range(12), 100]


def test_a_file_that_cannot_be_recovered_now_is_recovered_later(disk):
    disk.fail("read", errno.EIO)
    writer = opened(disk)
    writer.write(batch_of([call(100)]), [], SOURCES)
    writer.seal()
    writer.close()
    assert sorted(sequences(disk)) == [*range(15), 100]
    assert all(name.endswith(".log") for name in disk.contents(FOLDER))


def test_what_was_recovered_is_told_even_if_the_disk_fails_meanwhile(disk):
    disk.fail("create", errno.ENOSPC, after=1)  # the sealed file can be made; the journal's cannot
    writer = opened(disk)
    assert any(name.endswith(".open") for name in disk.contents(FOLDER)), "it is kept until it was told of"
    writer.write(batch_of([call(100)]), [], SOURCES)
    assert "recovered" in [event["event"] for event in told(disk)]
    writer.close()
    assert sorted(sequences(disk)) == [*range(15), 100]


@pytest.mark.parametrize("durability", ["event", "group", "seal"])
def test_what_was_recovered_is_told_durably_before_its_file_goes(disk, durability):
    disk.history.clear()
    opened(disk, durability=durability).disown()
    changes = [change.what for change in disk.history]
    sealing, telling, removing = changes.index("replace"), len(changes) - 1 - changes[::-1].index("write"), -1
    assert changes[removing] == "remove"
    assert "sync folder" in changes[sealing:telling]
    assert changes[telling:] == ["write", "sync", "sync folder", "remove"]


def test_a_segment_is_recovered_once_though_many_open_the_folder(disk):
    writers = [opened(disk) for _ in range(4)]
    for writer in writers:
        writer.close()
    assert len(told(disk)) == 1
    assert sequences(disk) == [*range(15)]


def test_disowning_lets_another_process_recover():
    disk = SimulatedDisk()
    writer = opened(disk)
    writer.write(batch_of([call(1)]), [], SOURCES)
    writer.disown()
    with pytest.raises(LogError, match="closed"):
        writer.write(None)
    opened(disk).close()
    assert sequences(disk) == [1]
    assert len(told(disk)) == 1


def stepping(steps_us: list[int]) -> tuple[SimulatedDisk, LogWriter]:
    """A writer whose wall clock is set by so much before each row."""
    disk, ticks = SimulatedDisk(), Ticks()
    step = [10**15]
    clocks = ticks.clocks()._replace(wall_us=lambda: ticks.now_us + step[0])
    writer = LogWriter(FOLDER, disk=disk, clocks=clocks)
    for i, by_us in enumerate(steps_us):
        step[0] += by_us
        writer.write(batch_of([call(i)]), [], SOURCES)
    return disk, writer


def test_sealing_keeps_every_step_of_the_clock_where_it_was():
    disk, writer = stepping([0, 0, 5_000_000, 0, 0, -60_000_000, 0])
    writer.close()
    name, data = only_file(disk)
    frames = frames_in(name, data)
    assert [frame.rows for frame in frames] == [2, 3, 2]
    differences = [frame.wall_us - frame.monotonic_us for frame in frames]
    assert [round((b - a) / 1e6) for a, b in pairwise(differences)] == [5, -60]


def test_sealing_moves_no_time_by_more_than_a_tenth_of_a_second():
    disk, writer = stepping([30_000] * 20)
    (name, data) = only_file(disk)
    before = {frame.first_row: frame.wall_us - frame.monotonic_us for frame in frames_in(name, data)}
    writer.close()
    name, data = only_file(disk)
    for frame in frames_in(name, data):
        for row in range(frame.first_row, frame.first_row + frame.rows):
            assert abs(frame.wall_us - frame.monotonic_us - before[row]) <= 100_000


def test_labels_that_were_left_are_recovered_as_labels():
    disk = SimulatedDisk()
    opened(disk).write(batch_of([label(1), label(2)]), [], SOURCES)
    disk.kill()
    opened(disk).close()
    assert [row.key() for row in read_files(disk.contents(FOLDER)).of_kind(Kind.LABEL)] == [
        label(1).key(),
        label(2).key(),
    ]


def test_rows_of_all_kinds_survive_recovery():
    disk = SimulatedDisk()
    rows = [call(0), Row(Kind.SHADOW, 5, 0, 2, 900, None, 4, 0.25, call(0).outputs), call(1, keyed=False)]
    rows += [Row(Kind.ERROR, 6, 2, 1, value={"error": "ModelError", "message": "no"}), Row(Kind.CALL, 7, 3, 1, 5, 1, 2)]
    rows[-1] = rows[-1]._replace(outputs=())
    writer = opened(disk)
    for row in rows:
        writer.write(batch_of([row]), [], SOURCES)
    disk.kill()
    opened(disk).close()
    found = read_files(disk.contents(FOLDER)).of_kind(Kind.CALL, Kind.SHADOW, Kind.ERROR)
    assert [row.key() for row in found] == [row.key() for row in rows]
