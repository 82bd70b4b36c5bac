"""Reading a log: every row once, by whom it was written to whom it is read, and what was lost."""

from __future__ import annotations

import fcntl
import json
import math
import os
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import edgerun.log
from edgerun import EdgeRunner, LogError
from edgerun.log import Capture, Gap, Kind, LogPolicy, Reader, read
from edgerun.log.spans import Spans
from edgerun.log.writer import LogWriter
from support.logs import SOURCES, Ticks, batch_of, call, label
from vectors.log import log_reference as reference
from vectors.log.log_reference import Segment

ROOT = Path(__file__).parents[2]
VECTORS = ROOT / "tests" / "vectors" / "log" / "v1"
DIGITS = ROOT / "bundles" / "recipes" / "digits"
NOON = 1_700_000_000_000_000


def labels_of(segment, count, *, wall=NOON, step=1000, **arguments):
    """Append a frame of labels, whose values are the numbers of their rows."""
    rows = range(segment.row, segment.row + count)
    times = [row * step for row in rows]
    clocks = (times[-1] + 1, wall + times[-1] + 1)
    values = [{"id": "a-1", "value": row} for row in rows]
    return segment.frame([reference.notes(reference.LABEL, times, values)], clocks=clocks, **arguments)


@pytest.fixture
def folder(tmp_path):
    """Write segments into a log's folder."""

    def write(*segments, suffix="log"):
        for segment in segments:
            (tmp_path / f"{segment.name}.{suffix}").write_bytes(segment.data)
        return tmp_path

    return write


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


@pytest.mark.parametrize(
    "name", ["calls", "shadows", "errors", "captures", "profiles", "labels", "outcomes", "losses", "lifecycle"]
)
def test_a_log_of_version_1_is_read_as_its_independent_writer_meant_it(name):
    table = getattr(read(VECTORS), name)
    expected = json.loads((VECTORS / "rows.json").read_text("utf-8"))[name]
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


# What was lost.


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


# A writer of ours.


def written(path, batches, **policy):
    writer = LogWriter(path, policy=LogPolicy(**policy), clocks=Ticks().clocks())
    for rows in batches:
        writer.write(batch_of(rows), (), SOURCES)
    return writer


ROWS = st.lists(
    st.builds(
        lambda sequence, kind, keyed, at: (
            label(sequence) if kind else call(sequence, at, keyed=keyed, value=at % 7 / 7)
        ),
        st.integers(0, 2**60),
        st.booleans(),
        st.booleans(),
        st.integers(0, 2**40),
    ),
    min_size=1,
    max_size=12,
)


@given(batches=st.lists(ROWS, min_size=1, max_size=4), sealed=st.booleans())
def test_what_the_writer_was_given_is_what_is_read(tmp_path_factory, batches, sealed):
    path = tmp_path_factory.mktemp("log")
    writer = written(path, batches)
    if sealed:
        writer.close()
    found = read(path)
    writer.disown()
    rows = [row for batch in batches for row in batch]
    calls = sorted((row for row in rows if row.kind == Kind.CALL), key=lambda row: row.time_us)
    order = np.argsort(found.calls["row"], kind="stable")
    table = {name: found.calls[name] for name in ("sequence", "monotonic_us", "model", "unit")}
    by_row = [row for row in rows if row.kind == Kind.CALL]
    assert table["sequence"][order].tolist() == [row.sequence for row in by_row]
    assert table["model"][order].tolist() == [SOURCES[row.source].model for row in by_row]
    assert table["unit"][order].tolist() == [row.unit for row in by_row]
    if calls:
        assert found.calls["output_1.confidence"][order].tolist() == [row.outputs[1][2][1] for row in by_row]
    assert table["monotonic_us"].tolist() == [row.time_us for row in calls]
    assert [value["id"] for value in _values_in_rows(found.labels)] == [
        row.value["id"] for row in rows if row.kind == Kind.LABEL
    ]
    assert found.recovery.events == found.recovery.bytes_dropped == 0


def _values_in_rows(table):
    order = np.argsort(table["row"], kind="stable")
    return [{"id": table["id"][i], "value": table["value"][i]} for i in order]


def test_rows_come_once_while_a_writer_writes_and_seals(tmp_path):
    """Polls, each from another thread's point of view, add up to what was written."""
    stop, count = threading.Event(), 300

    def write():
        writer = LogWriter(tmp_path, clocks=Ticks().clocks())
        for number in range(count):
            writer.write(batch_of([call(number), label(number)]), (), SOURCES)
            if number % 7 == 6:
                writer.seal()
        stop.set()
        writer.disown()

    thread = threading.Thread(target=write)
    thread.start()
    reader, seen, labelled = Reader(tmp_path), [], []
    while True:
        is_last = stop.is_set()
        log = reader.poll()
        seen += log.calls["sequence"].tolist()
        labelled += log.labels["value"].tolist()
        assert log.recovery.events == 0
        if is_last:
            break
    thread.join()
    assert sorted(seen) == sorted(labelled) == [*range(count)]


def test_a_poll_with_a_time_gives_what_is_new_too(tmp_path):
    writer = written(tmp_path, [[call(1)]])
    reader = Reader(tmp_path, since=0)
    assert reader.poll().calls["sequence"].tolist() == [1]
    assert reader.poll().calls.rows == 0
    writer.write(batch_of([call(2), label(1)]), (), SOURCES)
    found = reader.poll()
    assert found.calls["sequence"].tolist() == [2]
    assert found.calls["model"].tolist() == [SOURCES[call(2).source].model]
    assert values(found) == [1]
    writer.close()
    assert reader.poll().calls.rows == 0


def test_what_a_runner_serves_is_what_is_read(tmp_path):
    images = np.load(DIGITS / "test.npz")["image"][:200]
    policy = LogPolicy(capture=Capture("sample", 0.5), durability="event")
    with EdgeRunner.open(DIGITS / "bundle", log=tmp_path, log_policy=policy) as runner:
        served = [runner.predict({"image": image[None]}, key=f"user-{i}") for i, image in enumerate(images)]
        runner.label(served[3].id, 5)
        runner.outcome("clicked", 1.0, id=served[4].id)
    found = read(tmp_path)
    by_id = {prediction.id: (prediction, image) for prediction, image in zip(served, images, strict=True)}
    calls = found.calls
    assert sorted(calls["id"].tolist()) == sorted(by_id)
    for row, event in enumerate(calls["id"].tolist()):
        prediction, _ = by_id[event]
        assert calls["arm"][row] == prediction.arm
        assert calls["model"][row] == prediction.model
        assert calls["path"][row] == " > ".join(prediction.path)
        assert calls["label.value"][row] == prediction["label"][0]
        assert calls["probabilities.class"][row] == prediction["probabilities"][0].argmax()
        assert calls["probabilities.confidence"][row] == prediction["probabilities"][0].max()
        assert calls["latency_s"][row] == pytest.approx(prediction.latency_s, rel=1 / 2048)
    assert 50 < found.captures.rows < 150
    for event, inputs in zip(found.captures["id"], found.captures["inputs"], strict=True):
        assert inputs["image"].tobytes() == by_id[event][1].tobytes()
    assert found.labels["id"].tolist() == [served[3].id]
    assert found.outcomes["id"].tolist() == [served[4].id]
    assert {*found.shadows["model"].tolist()} <= {"champion", "challenger"}
    assert found.recovery.events == 0
    now = np.datetime64(int(time.time() * 1e6), "us")
    assert bool((abs(calls["time"] - now) < np.timedelta64(600, "s")).all())


# Fuzz.

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


# Other libraries.


def test_pandas_and_arrow_have_the_same_values():
    for table in read(VECTORS).tables.values():
        frame, arrow = table.to_pandas(), table.to_arrow()
        assert [*frame.columns] == arrow.column_names == [*table]
        assert len(frame) == arrow.num_rows == table.rows
    calls = read(VECTORS).calls
    assert calls.to_pandas()["unit"].isna().tolist() == [False] * 4 + [True] * 3
    assert calls.to_arrow()["unit"].to_pylist() == [2**64 - 1, 0, 12345678901234567890, 7, None, None, None]
    assert calls.to_pandas()["output_3.text_0"][4] == "Zürich"
    assert calls.to_arrow()["output_4.confidence"].to_pylist()[4] == 0.5


def test_what_arrow_has_no_one_type_for_is_json(folder):
    segment = Segment(class_=1).frame([reference.notes(16, [1, 2, 3], [{"value": 1}, {"value": "x"}, {"value": None}])])
    assert read(folder(segment)).labels.to_arrow()["value"].to_pylist() == ["1", '"x"', None]


@pytest.mark.parametrize("library", ["pandas", "pyarrow"])
def test_a_library_that_is_missing_is_named(monkeypatch, tmp_path, library):
    monkeypatch.setitem(sys.modules, library, None)
    table = read(tmp_path).calls
    with pytest.raises(LogError, match=f"{library} is not installed; try: pip install {library}"):
        (table.to_pandas if library == "pandas" else table.to_arrow)()


# The package.


def test_whoever_serves_and_logs_imports_nothing_that_reads():
    program = "import sys, edgerun.log.writer; print({'edgerun.log.reading', 'edgerun.log.tables'} & {*sys.modules})"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout == "set()\n"


def test_every_public_name_is_there_and_documented():
    assert edgerun.log.__all__ == sorted(edgerun.log.__all__, key=lambda name: (not name.isupper(), name))
    for name in edgerun.log.__all__:
        assert getattr(edgerun.log, name) is not None
    assert {*edgerun.log.__all__} <= {*dir(edgerun.log)}
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        edgerun.log.nothing  # noqa: B018 - it is the access that raises


def test_a_column_that_is_not_there_is_a_key_error(tmp_path):
    calls = read(tmp_path).calls
    assert "nothing" not in calls
    with pytest.raises(KeyError):
        calls["nothing"]


def test_reading_leaves_a_folder_that_is_read_only_as_it_is(folder):
    path = folder(labels_of(Segment(class_=1), 3))
    before = {entry.name: entry.stat().st_mtime_ns for entry in os.scandir(path)}
    path.chmod(0o555)
    try:
        assert values(read(path)) == [0, 1, 2]
    finally:
        path.chmod(0o755)
    assert {entry.name: entry.stat().st_mtime_ns for entry in os.scandir(path)} == before
