"""Reading a damaged log: what can be read is, each row once, and what was lost is told."""

from __future__ import annotations

import fcntl
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgerun.log import Gap, read
from edgerun.log.spans import Spans
from support.segments import labels_of, write_log
from vectors.log import log_reference as reference
from vectors.log.log_reference import Segment

VECTORS = Path(__file__).parents[1] / "vectors" / "log" / "v1"


@pytest.fixture
def folder(tmp_path):
    """Write segments into a log's folder."""
    return partial(write_log, tmp_path)


def values(log):
    return log.labels["value"].tolist()


def spoilt(segment, at):
    segment.data = segment.data[:at] + bytes([segment.data[at] ^ 1]) + segment.data[at + 1 :]
    return segment


def test_rows_that_damage_cost_are_counted(folder):
    segment = labels_of(Segment(class_=1), 3)
    at = len(segment.data)
    labels_of(labels_of(segment, 5), 2)
    found = read(folder(spoilt(segment, at + 30)))
    assert values(found) == [0, 1, 2, 8, 9]
    assert found.recovery.events == 5
    assert found.recovery.gaps == (Gap(7, 3, 5, f"{segment.name}.log"),)


def test_rows_lost_at_the_end_are_known_by_the_next_segment(folder):
    first = labels_of(labels_of(Segment(class_=1), 3), 4)
    found = read(folder(spoilt(first, len(first.data) - 1), labels_of(Segment(first_row=7, class_=1), 1)))
    assert found.recovery.gaps == (Gap(7, 3, 4, f"{first.name}.log"),)
    assert found.recovery.events == 4


def test_segments_that_were_dropped_or_sent_are_no_loss(folder):
    found = read(folder(labels_of(Segment(class_=1), 3), labels_of(Segment(first_row=50, class_=1), 1)))
    assert found.recovery == (0, 0, (Gap(7, 3, 47, None),), ())


def test_without_its_header_a_segment_still_gives_its_rows(folder):
    first = labels_of(Segment(class_=1), 3)
    first.data = bytes(64) + first.data[64:]
    second = labels_of(Segment(first_row=3, class_=1), 1)
    found = read(folder(first, second))
    assert values(found) == [0, 1, 2, 3]
    assert found.recovery.bytes_dropped == 64
    assert len({*found.labels["boot"].tolist()}) == 1  # the next segment of the stream says which


def test_rows_whose_source_was_lost_say_that_they_do_not_know(folder):
    segment = Segment().frame([reference.calls([1], [1], [5])], sources={0: reference.source()})
    at = len(segment.data)
    segment.frame([reference.calls([2], [2], [5])])
    found = read(folder(spoilt(segment, at - 1)))
    assert found.calls["model"].tolist() == [None]
    assert found.calls["path"].tolist() == [None]
    assert found.calls.sources[int(found.calls.source[0])] is None


def test_the_end_of_a_file_that_is_being_written_is_not_lost(folder):
    segment = labels_of(Segment(class_=1), 3)
    segment.data += b"\xe5\x46\x00"
    path = folder(segment, suffix="open")
    assert read(path).recovery.bytes_dropped == 3
    with (path / f"{segment.name}.open").open("rb") as writer:
        fcntl.flock(writer, fcntl.LOCK_EX)
        assert read(path).recovery.bytes_dropped == 0
        assert values(read(path)) == [0, 1, 2]


def test_a_segment_of_a_newer_version_is_told_and_the_others_are_read(folder):
    newer = labels_of(Segment(epoch=8, class_=1, version=2), 3)
    found = read(folder(newer, labels_of(Segment(class_=1), 1)))
    assert values(found) == [0]
    assert "version 2" in found.recovery.damage[0].why


SEGMENTS = {path.name: path.read_bytes() for path in VECTORS.iterdir() if path.suffix in {".log", ".open"}}


@st.composite
def damaged_logs(draw):
    """The golden log, with bytes set, cut off and moved from file to file."""
    files = {name: bytearray(data) for name, data in SEGMENTS.items()}
    for _ in range(draw(st.integers(1, 5))):
        data = files[draw(st.sampled_from(sorted(files)))]
        if len(data) < 2:
            continue
        at = draw(st.integers(0, len(data) - 1))
        match draw(st.sampled_from(["set", "cut", "remove", "transplant"])):
            case "set":
                data[at] ^= draw(st.integers(1, 255))
            case "cut":
                del data[at:]
            case "remove":
                del data[at : at + draw(st.integers(1, 99))]
            case "transplant":
                other = SEGMENTS[draw(st.sampled_from(sorted(SEGMENTS)))]
                data[at : at + 300] = other[at : at + 300]
    return files


def every_row(log):
    """All rows, as the texts of their stream, number, kind and values."""
    found = {}
    for kind, table in log.tables.items():
        for i in range(table.rows):
            values = {name: str(table[name][i]) for name in ("sequence", "value", "event", "reason") if name in table}
            assert found.setdefault((int(table["epoch"][i]), int(table["row"][i])), (kind, values)) == (kind, values)
    return found


GENUINE = every_row(read(VECTORS))


@given(files=damaged_logs())
def test_of_a_damaged_log_only_genuine_rows_are_read_each_once_and_the_loss_is_told(tmp_path_factory, files):
    path = tmp_path_factory.mktemp("log")
    for name, data in files.items():
        (path / name).write_bytes(data)
    log = read(path)
    found = every_row(log)
    assert sum(table.rows for table in log.tables.values()) == len(found)
    assert found.items() <= GENUINE.items()
    assert log.recovery.bytes_dropped <= sum(map(len, files.values()))
    if len(found) < len(GENUINE):
        assert log.recovery.damage or any(len(files[name]) < len(SEGMENTS[name]) for name in files)
    for table in log.tables.values():
        assert {len(column) for column in table.values()} <= {table.rows}
    for gap in log.recovery.gaps:
        assert not any((gap.epoch, row) in found for row in range(gap.first_row, gap.first_row + min(gap.rows, 99)))


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 20))))
def test_spans_are_sets_of_integers(added):
    spans, known = Spans(), set()
    for first, size in added:
        span = {*range(first, first + size)}
        parts = spans.add(first, first + size)
        assert {i for part in parts for i in range(*part)} == span - known
        assert sum(end - begin for begin, end in parts) == len(span - known)
        known |= span
    assert {i for part in spans.missing(0, 100) for i in range(*part)} == {*range(100)} - known
    assert spans.end() == (max(known) + 1 if known else 0)
