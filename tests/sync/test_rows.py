"""Segments as rows and as columns of Arrow: what a reader of the device's log finds, and nothing else."""

from __future__ import annotations

import io
import json
from datetime import UTC, date, datetime, timedelta

import msgpack
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgerun import EdgeRunner, log
from edgerun.log import Kind, LogPolicy
from edgerun.log.clocks import Clocks
from edgerun.log.policy import Capture
from edgerun.log.rows import Note
from edgerun.log.writer import LogWriter
from edgerun_bundles import recipes
from edgerun_sync.collector.arrow import tables
from edgerun_sync.collector.arrow.parquet import day_files
from edgerun_sync.collector.arrow.schemas import SCHEMAS
from edgerun_sync.collector.arrow.tables import KINDS, lacking, slices
from edgerun_sync.collector.batches import Filling
from edgerun_sync.collector.keys import Landed
from edgerun_sync.collector.rows import decode, rows_of
from edgerun_sync.limits import LIMITS
from support.logs import SOURCES, Row, Ticks, batch_of, call, label
from support.segments import NOON, labels_of
from vectors.log import log_reference as reference

AT_US = 1_700_000_000_000_000
SHADOW = Row(Kind.SHADOW, 5_000, 3, 2, 1000, None, 5, 0.25, ((1, 7, (4,)), (2, 1, (1, 0.5))))
ERROR = Row(Kind.ERROR, 7, 9, 1, value={"error": "ModelError", "message": "it failed"})


def folder_rows(folder, device="oven", at_us=AT_US):
    """The rows of a log's segments."""
    paths = sorted(path for path in folder.iterdir() if path.suffix == ".log")
    return rows_of(at_us, [decode(Landed(device, path.stem), path.read_bytes()) for path in paths])


def segment_rows(*segments, at_us=AT_US, device="oven"):
    """The rows of segments made on the spot."""
    return rows_of(at_us, [decode(Landed(device, segment.name), bytes(segment.data)) for segment in segments])


def table_of(rows, name):
    """All rows of a table as dicts, in the order of streams and rows; through Parquet, as they will be read."""
    found, missing = [], dict.fromkeys(SCHEMAS[name].names)
    for file in day_files(rows, name):
        read = pq.read_table(io.BytesIO(file.data))
        assert read.num_rows == file.rows == json.loads(file.stats)["numRecords"]
        columns = {column: read[column].to_pylist() for column in read.schema.names}
        found += [
            {**missing, "day": date.fromisoformat(file.day), **dict(zip(columns, row, strict=True))}
            for row in zip(*columns.values(), strict=True)
        ]
    return sorted(found, key=lambda row: (row["device"], row["epoch"], row["row"]))


def in_order(table):
    """A table of a reader, as lists by column, in the order of streams and rows."""
    order = np.lexsort((table["row"], table["epoch"]))
    return {name: table[name][order].tolist() for name in table}


def moment(us):
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=us)


# Against the reader of logs.


@pytest.fixture(scope="module", params=["digits", "cards"])
def recipe_log(request, tmp_path_factory):
    """A log that a runner has kept of a recipe: calls, shadows, errors, captures, profiles, labels, outcomes."""
    folder = tmp_path_factory.mktemp("log")
    runner = EdgeRunner.open(
        recipes.folder(request.param) / "bundle", log=folder, log_policy=LogPolicy(capture=Capture(rate=0.2))
    )
    with runner:
        if request.param == "digits":
            with np.load(recipes.folder("digits") / "test.npz") as file:
                images = file["image"]
            found = [runner.predict({"image": images[i : i + 1]}, key=i if i % 5 else None) for i in range(60)]
        else:
            lines = (recipes.folder("cards") / "test.jsonl").read_text().splitlines()[:60]
            dtypes = {"amount": np.float32, "distance_km": np.float32, "hour": np.int64, "merchant": object}
            found = [
                runner.predict(
                    {name: np.array(value, dtypes[name]) for name, value in json.loads(line)["inputs"].items()},
                    meta=json.loads(line)["meta"],
                )
                for line in lines
            ]
        runner.label(found[0].id, 5)
        runner.label(found[1].id, "five")
        runner.label(found[2].id, {"class": [1, None]})
        runner.outcome("paid", 12.5, id=found[3].id)
        runner.shadows(60)
        runner.flush()
    return folder


def test_events_are_what_a_reader_of_the_log_finds(recipe_log):
    read = log.read(recipe_log)
    events = table_of(folder_rows(recipe_log, at_us=int(read.calls["time"].max().astype(int))), "events")
    for kind, names in (("calls", {"inference", "fallback"}), ("shadows", {"shadow"})):
        table = in_order(getattr(read, kind))
        own = [event for event in events if event["kind"] in names]
        assert len(own) == len(table["row"])
        for name in ("bundle", "version", "model", "arm", "assignment", "fallback", "route", "id", "latency_s"):
            assert [event[name] for event in own] == table[name], name
        for name in ("sequence", "row", "nonfinite", "failed", "boot"):
            assert [event[name] for event in own] == table[name], name
        for name in ("time", "clock"):
            assert [event[name].replace(tzinfo=None) for event in own] == table[name], name
        assert [int(event["epoch"], 16) for event in own] == table["epoch"]
        assert {event["device"] for event in own} == {"oven"}
        outputs = [name for name in table if "." in name]
        for event, *values in zip(own, *(table[name] for name in outputs), strict=True):
            numbers, texts = dict(event["outputs"]), dict(event["texts"] or [])
            assert {**numbers, **texts} == {
                name: value for name, value in zip(outputs, values, strict=True) if value is not None
            }
    units = in_order(read.calls)["unit"]
    calls = [event for event in events if event["kind"] in {"inference", "fallback"}]
    assert [None if event["unit"] is None else event["unit"] % 2**64 for event in calls] == units
    assert [event["disagrees"] for event in events if event["kind"] == "shadow"] == in_order(read.shadows)["disagrees"]


def test_a_label_is_the_one_class_of_an_output_and_the_score_its_confidence(recipe_log):
    rows = folder_rows(recipe_log)
    table = in_order(log.read(recipe_log).calls)
    own = [event for event in table_of(rows, "events") if event["kind"] == "inference"]
    if "label.value" in table:
        assert [event["label"] for event in own] == [str(value) for value in table["label.value"]]
    scores = next(table[name] for name in table if name.endswith((".confidence", ".value")) and name != "label.value")
    assert [event["score"] for event in own] == scores


def test_labels_profiles_captures_and_lifecycle_are_what_a_reader_finds(recipe_log):
    read, rows = log.read(recipe_log), folder_rows(recipe_log)
    labels = table_of(rows, "labels")
    assert [(found["kind"], found["value"], found["text"], found["name"]) for found in labels] == [
        ("label", 5.0, None, None),
        ("label", None, "five", None),
        ("label", None, '{"class":[1,null]}', None),
        ("outcome", 12.5, None, "paid"),
    ]
    assert [found["id"] for found in labels[:3]] == in_order(read.labels)["id"]
    profiles = table_of(rows, "profiles")
    wanted = in_order(read.profiles)
    assert [msgpack.unpackb(found["profile"], strict_map_key=False) for found in profiles] == wanted["profile"]
    for name in ("begin", "end"):
        assert [found[name].replace(tzinfo=None) for found in profiles] == wanted[name]
    captures, wanted = table_of(rows, "captures"), in_order(read.captures)
    assert [found["id"] for found in captures] == wanted["id"]
    for found, inputs in zip(captures, wanted["inputs"], strict=True):
        assert {name: np.asarray(value).tolist() for name, value in inputs.items()} == json.loads(found["inputs"])


def written(folder, rows, notes=()):
    writer = LogWriter(folder, clocks=Ticks().clocks())
    writer.write(batch_of(rows), notes, SOURCES)
    writer.close()
    return folder


def test_errors_losses_and_what_happened_have_their_columns(tmp_path):
    notes = [Note(Kind.LOSS, 8, {"reason": "budget", "rows": 3}), Note(Kind.LIFECYCLE, 9, {"event": "activated"})]
    rows = folder_rows(written(tmp_path, [ERROR, SHADOW], notes))
    shadow, failed = sorted(table_of(rows, "events"), key=lambda event: event["kind"] == "error")
    assert (failed["error"], failed["message"], failed["kind"], failed["sequence"]) == (
        "ModelError", "it failed", "error", 9,
    )  # fmt: skip
    assert (shadow["disagrees"], shadow["difference"], shadow["unit"], shadow["nonfinite"]) == (True, 0.25, None, True)
    lifecycle = table_of(rows, "lifecycle")
    assert [(found["event"], json.loads(found["details"])) for found in lifecycle] == [
        ("loss", {"reason": "budget", "rows": 3}),
        ("activated", {"event": "activated"}),
    ]


def test_what_a_newer_device_says_of_a_label_besides_is_kept():
    segment = reference.Segment()
    values = [{"id": "a-1", "value": 1, "by": "ann", "sure": 0.5}, {"id": "a-2", "value": 2}]
    segment.frame([reference.notes(reference.LABEL, [1, 2], values)], clocks=(9, NOON))
    found = table_of(segment_rows(segment), "labels")
    assert [row["details"] for row in found] == ['{"by":"ann","sure":0.5}', None]


def test_calls_of_unlike_outputs_and_sources_share_a_table(tmp_path):
    shapes = [
        call(0),
        call(1, keyed=False),
        Row(Kind.CALL, 5, 2, 1, 1000, 7, 0, None, ((4, 8, ("a", "b")), (1, 1, (0.5, 1.5, 2.5)))),
        Row(Kind.CALL, 6, 3, 2, 1000, 2**64 - 1, 0, None, ((5, 1, ("cat", 0.75)), (0, 1, ()))),
        Row(Kind.CALL, 7, 4, 3, 1000, None, 2, None, ((3, 11, (3, 0.0, 4.0, 2.0)),)),
        Row(Kind.CALL, 8, 5, 3, 1000, None, 2, None, ()),
    ]
    found = table_of(folder_rows(written(tmp_path, shapes)), "events")
    assert [event["label"] for event in found] == ["0", "1", None, "cat", None, None]
    assert [event["score"] for event in found] == [0.5, 0.5, None, 0.75, None, None]
    assert [event["unit"] for event in found] == [-(2**63), None, 7, -1, None, None]
    assert dict(found[2]["outputs"]) == {f"output_1.value_{i}": i + 0.5 for i in range(3)}
    assert dict(found[2]["texts"]) == {"output_0.text_0": "a", "output_0.text_1": "b"}
    assert dict(found[4]["outputs"]) == {"output_0.argmax": 3, "output_0.min": 0, "output_0.max": 4, "output_0.mean": 2}
    assert [not event["outputs"] for event in found] == [False, False, False, False, False, True]


# Each row once.


def test_a_row_that_two_segments_have_is_of_the_later_one():
    first, second = reference.Segment(), reference.Segment(first_row=3)
    labels_of(first, 5)
    labels_of(second, 4)
    for order in ([first, second], [second, first]):
        found = table_of(segment_rows(*order), "labels")
        assert [row["row"] for row in found] == [*range(7)]


def test_one_stream_of_two_devices_is_two():
    """As when a store was copied: both names have its rows."""
    segment = reference.Segment()
    labels_of(segment, 2)
    decoded = [decode(Landed(device, segment.name), bytes(segment.data)) for device in ("a", "b")]
    found = table_of(rows_of(AT_US, decoded), "labels")
    assert [(row["device"], row["row"]) for row in found] == [("a", 0), ("a", 1), ("b", 0), ("b", 1)]


def test_a_damaged_frame_costs_its_rows_and_is_counted():
    segment = reference.Segment()
    labels_of(segment, 3)
    end = len(segment.data)
    labels_of(segment, 3)
    labels_of(segment, 3)
    data = bytearray(segment.data)
    data[end + 20] ^= 1
    rows = rows_of(AT_US, [decode(Landed("a", segment.name), bytes(data))])
    assert [row["row"] for row in table_of(rows, "labels")] == [0, 1, 2, 6, 7, 8]
    assert rows.damaged > 0


# Times.


def test_times_before_the_first_step_of_a_boots_clock_are_repaired_within_a_batch():
    boot = bytes(range(16))
    early, late = reference.Segment(boot=boot), reference.Segment(epoch=8, boot=boot)
    labels_of(early, 2, wall=0)
    late.row = 0
    labels_of(late, 2, wall=NOON, step=10_000_000)
    alone = table_of(segment_rows(early), "labels")
    together = table_of(segment_rows(early, late), "labels")
    assert [row["time"].year for row in alone] == [1970, 1970]
    assert [row["time"] for row in together[:2]] == [moment(NOON), moment(NOON + 1000)]
    assert [row["clock"].year for row in together[:2]] == [1970, 1970]


def test_another_device_never_lends_its_clock():
    boot = bytes(range(16))
    early, late = reference.Segment(boot=boot), reference.Segment(epoch=8, boot=boot)
    labels_of(early, 2, wall=0)
    labels_of(late, 2, wall=NOON, step=10_000_000)
    rows = rows_of(AT_US, [decode(Landed(d, s.name), bytes(s.data)) for d, s in (("a", early), ("b", late))])
    assert [row["time"].year for row in table_of(rows, "labels")] == [1970, 1970, 2023, 2023]


@pytest.mark.parametrize(
    ("time_us", "day_us"),
    [
        (AT_US, AT_US),
        (AT_US - 400 * 86_400_000_000, AT_US - 400 * 86_400_000_000),
        (AT_US - 400 * 86_400_000_000 - 1, AT_US),
        (AT_US + 86_400_000_000, AT_US + 86_400_000_000),
        (AT_US + 86_400_000_000 + 1, AT_US),
        (0, AT_US),
        (2**62 - 10, AT_US),
        (-(2**62) + 10, AT_US),
    ],
)
def test_the_day_is_that_of_the_time_unless_it_cannot_be(time_us, day_us):
    segment = reference.Segment()
    labels = reference.notes(reference.LABEL, [0], [{"id": "a-1", "value": 1}])
    segment.frame([labels], clocks=(0, time_us))
    (found,) = table_of(segment_rows(segment), "labels")
    assert found["day"] == moment(day_us).date()
    assert 1 <= found["time"].year <= 9999


def test_rows_of_several_days_are_files_of_their_own():
    segment = reference.Segment()
    labels_of(segment, 6, wall=AT_US - 86_400_000_000 * 6, step=86_400_000_000)
    files = day_files(segment_rows(segment), "labels")
    assert len(files) == 6
    assert [file.rows for file in files] == [1] * 6
    assert [file.day for file in files] == sorted(file.day for file in files)


# Whatever a device sends.

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.text(max_size=5)
    | st.binary(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3) | st.integers(0, 9), inner, max_size=3)
    ),
    max_leaves=6,
)
KEYS = st.sampled_from(
    ["id", "value", "unit", "name", "event", "error", "message", "probability", "inputs", "begin", "end"]
)
NOTES = st.lists(st.dictionaries(KEYS | st.text(max_size=3), VALUES, max_size=4), min_size=1, max_size=4)
VALUE_KINDS = [Kind.LABEL, Kind.OUTCOME, Kind.LOSS, Kind.LIFECYCLE, Kind.PROFILE]


@given(st.sampled_from(VALUE_KINDS), NOTES)
def test_any_value_becomes_a_row(kind, values):
    segment = reference.Segment()
    segment.frame([reference.notes(int(kind), [*range(len(values))], values)], clocks=(9, NOON))
    rows = segment_rows(segment)
    assert sum(len(table_of(rows, name)) for name in KINDS) == len(values)


@given(st.lists(st.dictionaries(KEYS, VALUES, max_size=4), min_size=1, max_size=4))
def test_any_captured_inputs_become_a_row(values):
    segment = reference.Segment()
    block = {**reference.notes(4, [*range(len(values))], values), 4: 7, 5: 0}
    segment.frame([block], clocks=(9, NOON))
    found = table_of(segment_rows(segment), "captures")
    assert len(found) == len(values)
    assert all(json.loads(row["inputs"]) is not ... for row in found)


@given(st.binary(max_size=200))
def test_bytes_that_are_no_segment_are_damage(data):
    decoded = decode(Landed("a", "0" * 16 + "-" + "0" * 16), data)
    assert (decoded.rows, decoded.damaged) == (0, len(data))
    assert rows_of(AT_US, [decoded]).count() == 0


def test_tables_have_the_columns_of_the_protocol(tmp_path):
    rows = folder_rows(written(tmp_path, [call(0), label(1)]))
    for name in ("events", "labels"):
        (sliced,) = slices(rows, name)
        (file,) = day_files(rows, name)
        read = pq.read_schema(pa.BufferReader(file.data))
        wanted = SCHEMAS[name].remove(SCHEMAS[name].get_field_index("day"))
        missing = lacking(rows, name)
        assert read.names == [column for column in wanted.names if column not in missing]
        for field in wanted:
            if field.name in missing:
                continue
            if not pa.types.is_map(field.type):
                assert read.field(field.name).type == field.type, field.name
        assert sliced.table.num_rows == file.rows == 1


@pytest.mark.parametrize(
    ("rows", "missing"),
    [
        ([call(0)], {"fallback", "node", "disagrees", "difference", "texts", "error", "message"}),
        ([SHADOW], {"fallback", "node", "texts", "error", "message"}),
        ([call(0), SHADOW, ERROR], {"fallback", "node", "texts"}),
    ],
)
def test_a_file_goes_without_the_columns_that_none_of_its_rows_has(tmp_path, monkeypatch, rows, missing):
    found = folder_rows(written(tmp_path, rows))
    assert lacking(found, "events") == missing
    without = table_of(found, "events")
    monkeypatch.setattr(tables, "lacking", lambda *_: set())
    assert table_of(found, "events") == without


def test_a_batch_is_full_at_its_limits():
    by_segments = Filling()
    assert all(by_segments.add(0, 0) for _ in range(LIMITS.batch_segments_max - 1))
    assert not by_segments.add(0, 0)
    assert Filling().add(LIMITS.batch_rows_max - 1, 0)
    assert not Filling().add(LIMITS.batch_rows_max, 0)
    assert Filling().add(1, LIMITS.batch_plain_max_bytes - 1)
    assert not Filling().add(1, LIMITS.batch_plain_max_bytes)


def test_rows_do_not_depend_on_who_decodes_them_or_when(tmp_path):
    """What a rebuild rests on."""
    clocks = Clocks(iter(range(10**9, 10**10, 1000)).__next__, iter(range(NOON, 2 * NOON, 1000)).__next__, bytes(16))
    writer = LogWriter(tmp_path, clocks=clocks)
    writer.write(batch_of([call(i) for i in range(20)]), (), SOURCES)
    writer.close()
    assert [day_files(folder_rows(tmp_path), "events") for _ in range(2)] == [
        day_files(folder_rows(tmp_path), "events") for _ in range(2)
    ]
