"""Reading a log: every row once, in the order of its boot, and only what was asked for."""

from __future__ import annotations

import json
import math
import os
from datetime import UTC, datetime, timedelta, timezone
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from edgerun import LogError
from edgerun.log import Gap, Kind, read
from support.segments import NOON, labels_of, write_log
from vectors.log import log_reference as reference
from vectors.log.log_reference import Segment

ROOT = Path(__file__).parents[2]
VECTORS = ROOT / "tests" / "vectors" / "log" / "v1"
ROUNDED = VECTORS.with_name("v1-rounded")


@pytest.fixture
def folder(tmp_path):
    """Write segments into a log's folder."""
    return partial(write_log, tmp_path)


def values(log):
    return log.labels["value"].tolist()


# The golden log.


def plain(table, name, row):
    """A value as rows.json has it."""
    if name == "latency_ns":
        return round(float(table["latency_s"][row]) * 1e9)
    if name in {"time_us", "clock_us"}:
        return int(table[name.removesuffix("_us")][row].astype(np.int64))
    value = table[name][row]
    if value is np.ma.masked:
        return None
    value = value.item() if hasattr(value, "item") else value
    return "inf" if isinstance(value, float) and math.isinf(value) else value


@pytest.mark.parametrize("folder", [VECTORS, ROUNDED], ids=lambda folder: folder.name)
@pytest.mark.parametrize(
    "name", ["calls", "shadows", "errors", "captures", "profiles", "labels", "outcomes", "losses", "lifecycle"]
)
def test_a_log_of_version_1_is_read_as_its_independent_writer_meant_it(folder, name):
    table = getattr(read(folder), name)
    expected = json.loads((folder / "rows.json").read_text("utf-8"))[name]
    assert table.rows == len(expected)
    for row, want in enumerate(expected):
        assert {column: plain(table, column, row) for column in want} == want


def test_what_is_lost_of_that_log_is_told():
    recovery = read(VECTORS).recovery
    assert recovery.events == 1
    assert recovery.gaps == (Gap(0xE2, 17, 1, f"{0xE2:016x}-{16:016x}.log"),)
    assert [(lost.file[14:16], lost.why) for lost in recovery.damage] == [
        ("e1", "the file ends within a frame"),
        ("e2", "a checksum does not hold"),
        ("e3", "no frame begins here"),
    ]
    assert recovery.bytes_dropped == sum(lost.length for lost in recovery.damage)


def test_captured_inputs_are_arrays_again():
    (inputs,) = read(VECTORS).captures["inputs"]
    assert inputs["x"].dtype == np.float32
    assert inputs["x"].tolist() == [[1.0, 2.0]]


def test_what_is_lost_is_counted_by_the_names_of_kinds(folder):
    events = {1: 5, "shadow": 2, 99: 1}
    segment = Segment(class_=1).frame([reference.notes(18, [1, 2], [{"events": events}, {"reason": "x"}])])
    assert read(folder(segment)).losses["events"].tolist() == [{"call": 5, "shadow": 2, 99: 1}, None]


def test_where_rows_differ_in_shape_columns_are_masked():
    calls = read(VECTORS).calls
    assert isinstance(calls["unit"], np.ma.MaskedArray)
    assert calls["label.value"].mask.tolist() == [False, True, False, True, True, True, True]
    assert calls["output_0.value"].dtype == np.int64
    assert calls["output_3.text_0"].tolist() == [None, None, None, None, "Zürich", "", None]


# Each row once.


def test_rows_of_a_sealed_and_an_open_copy_count_once(folder):
    path = folder(labels_of(labels_of(Segment(class_=1), 3), 2))
    folder(labels_of(labels_of(labels_of(Segment(class_=1), 1), 3), 3), suffix="open")
    assert values(read(path)) == [0, 1, 2, 3, 4, 5, 6]
    assert read(path).recovery.gaps == ()


def test_a_row_belongs_to_the_segment_that_claims_it(folder):
    """After a failed sync the former segment may hold rows that were written again, as others."""
    first = labels_of(Segment(class_=1), 4)
    again = Segment(first_row=2, class_=1).frame([reference.notes(16, [5000], [{"value": "again"}])])
    found = read(folder(first, again))
    assert values(found) == [0, 1, "again"]
    assert found.labels["row"].tolist() == [0, 1, 2]


def test_a_segment_on_its_way_to_be_sealed_is_nothing(folder):
    folder(labels_of(Segment(class_=1, epoch=5), 3), suffix="tmp")
    assert values(read(folder(labels_of(Segment(class_=1), 1)))) == [0]


def test_what_is_no_segment_is_left_alone(folder):
    path = folder(labels_of(Segment(class_=1), 1))
    (path / "notes.log").write_text("mine")
    (path / f"{9:016x}-{9:016x}.log").mkdir()
    assert values(read(path)) == [0]
    assert read(path).recovery.damage == ()


# What is asked for.


def test_one_segment_can_be_read_alone_under_any_name(folder, tmp_path):
    (tmp_path / "copy").write_bytes(labels_of(Segment(class_=1), 3).data)
    assert values(read(tmp_path / "copy")) == [0, 1, 2]
    assert values(read(str(folder(labels_of(Segment(class_=1), 2)) / f"{7:016x}-{0:016x}.log"))) == [0, 1]


def test_an_empty_folder_is_an_empty_log_with_columns_all_the_same(tmp_path):
    found = read(tmp_path)
    assert repr(found) == "Log(empty; lost: 0 rows, 0 bytes)"
    for table in found.tables.values():
        assert {len(column) for column in table.values()} == {0}
        assert table.to_pandas().shape == table.to_arrow().shape == (0, len(table))
    assert found.calls["time"].dtype == np.dtype("datetime64[us]")
    assert found.calls["unit"].dtype == np.uint64


@pytest.mark.parametrize(
    ("path", "words"), [("nowhere", "No such file"), ("a\0b", "null"), ("unreadable", "cannot be read")]
)
def test_a_path_that_is_no_log_is_told(tmp_path, path, words):
    with pytest.raises(LogError, match=words):
        read(f"{tmp_path}/{path}")


def test_a_file_that_is_no_segment_is_damage_from_end_to_end(tmp_path):
    (tmp_path / "x").write_bytes(b"hello" * 100)
    assert read(tmp_path / "x").recovery.bytes_dropped == 500


def test_kinds_are_chosen_by_name_or_number():
    assert repr(read(VECTORS, kinds=["label", Kind.LOSS])).startswith("Log(label=1, loss=1;")
    assert read(VECTORS, kinds="call").calls.rows == 7
    for wrong in (["prediction"], [99], "calls"):
        with pytest.raises(LogError, match="is no kind of row; there are: call, shadow"):
            read(VECTORS, kinds=wrong)


def test_an_arm_has_calls_errors_captures_and_profiles():
    assert repr(read(VECTORS, arm="challenger")).startswith("Log(call=4, capture=1;")
    assert repr(read(VECTORS, arm="control")).startswith("Log(call=3, error=1, profile=2;")
    assert repr(read(VECTORS, arm="nobody")).startswith("Log(empty;")


MOMENT = datetime(2025, 11, 23, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    "moment",
    [
        MOMENT,
        MOMENT.astimezone(timezone(timedelta(hours=5))),
        np.datetime64("2025-11-23T12:00"),
        "2025-11-23T12:00",
        "2025-11-23 13:00+01:00",
        MOMENT.timestamp(),
        int(MOMENT.timestamp()),
    ],
    ids=repr,
)
def test_times_may_be_given_in_many_ways(folder, moment):
    wall = int(MOMENT.timestamp()) * 1_000_000 - 5000
    path = folder(labels_of(Segment(class_=1), 10, wall=wall))
    assert values(read(path, since=moment)) == [5, 6, 7, 8, 9]
    assert values(read(path, until=moment)) == [0, 1, 2, 3, 4]
    assert values(read(path, since=moment, until=MOMENT + timedelta(microseconds=1))) == [5]


@pytest.mark.parametrize(
    "moment",
    ["soon", datetime(2025, 1, 1), True, math.inf, math.nan, 1e300, np.datetime64("NaT"), [1]],
    ids=repr,
)
def test_what_is_no_time_is_refused(tmp_path, moment):
    with pytest.raises(LogError, match="is no time"):
        read(tmp_path, since=moment)


def test_times_are_filtered_as_they_are_repaired(folder):
    """A row that the clock called 1970 is found where it belongs."""
    segment = labels_of(labels_of(Segment(class_=1), 3, wall=0), 3)
    path = folder(segment)
    assert values(read(path, since=NOON / 1e6)) == [0, 1, 2, 3, 4, 5]
    assert values(read(path, until=NOON / 1e6)) == []
    assert read(path).labels["clock"].astype(np.int64).tolist()[:3] == [0, 1000, 2000]


# Order and clocks.


def test_processes_of_one_boot_are_in_the_order_of_its_clock(folder):
    one, two = Segment(epoch=1, class_=1), Segment(epoch=2, class_=1)
    for segment, times in ((one, [10, 40]), (two, [20, 30])):
        segment.frame(
            [reference.notes(16, times, [{"value": at} for at in times])], clocks=(times[-1], NOON + times[-1])
        )
    assert values(read(folder(one, two))) == [10, 20, 30, 40]


def test_a_clock_put_back_changes_no_order_and_loses_nothing(folder):
    segment = Segment(class_=1)
    for at, difference in ((1000, NOON), (2000, NOON + 9_000_000), (3000, NOON - 3600_000_000)):
        segment.frame([reference.notes(16, [at], [{"value": at}])], clocks=(at, at + difference))
    found = read(folder(segment))
    assert values(found) == [1000, 2000, 3000]
    times = found.labels["time"].astype(np.int64).tolist()
    assert times == [1000 + NOON + 9_000_000, 2000 + NOON + 9_000_000, 3000 + NOON - 3600_000_000]


def test_boots_follow_each_other_by_when_they_were(folder):
    later = Segment(epoch=1, class_=1, boot=b"b" * 16).frame(
        [reference.notes(16, [5], [{"value": "later"}])], clocks=(5, NOON + 5)
    )
    earlier = Segment(epoch=2, class_=1, boot=b"a" * 16).frame(
        [reference.notes(16, [99], [{"value": "earlier"}])], clocks=(99, NOON - 10**9)
    )
    assert values(read(folder(later, earlier))) == ["earlier", "later"]


def test_streams_whose_boot_nobody_knows_do_not_share_a_clock(folder):
    right = labels_of(Segment(epoch=1, class_=1, boot=bytes(16)), 1)
    unset = labels_of(Segment(epoch=2, class_=1, boot=bytes(16)), 1, wall=0)
    times = read(folder(right, unset)).labels["time"].astype(np.int64).tolist()
    assert sorted(times) == [0, NOON]


def test_reading_leaves_a_folder_that_is_read_only_as_it_is(folder):
    path = folder(labels_of(Segment(class_=1), 3))
    before = {entry.name: entry.stat().st_mtime_ns for entry in os.scandir(path)}
    path.chmod(0o555)
    try:
        assert values(read(path)) == [0, 1, 2]
    finally:
        path.chmod(0o755)
    assert {entry.name: entry.stat().st_mtime_ns for entry in os.scandir(path)} == before
