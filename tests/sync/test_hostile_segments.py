"""Whatever a device may send becomes rows, or is set aside, in bounded memory; it never holds others up."""

from __future__ import annotations

import io
import json
import tempfile

import msgpack
import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgerun.log import Kind
from edgerun.log.captured import captured_arrays
from edgerun_sync.collector import building
from edgerun_sync.collector.arrow.notes import as_json
from edgerun_sync.collector.arrow.parquet import day_files
from edgerun_sync.collector.arrow.schemas import SCHEMAS
from edgerun_sync.collector.arrow.tables import count
from edgerun_sync.collector.building import Gathering
from edgerun_sync.collector.data import open_data
from edgerun_sync.collector.expanding import divided
from edgerun_sync.collector.keys import Landed
from edgerun_sync.collector.rows import decode, rows_of
from edgerun_sync.collector.segments import check
from edgerun_sync.errors import ContentError, SegmentError, TableError
from edgerun_sync.limits import LIMITS
from edgerun_sync.queries.engines import open_engine
from support.collection import commit_all, land_all
from support.fleet import Made
from support.segments import NOON
from vectors.log import log_reference as reference

AT_US = 1_700_000_000_000_000
ONNX_NUMBERS = [1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 13]
BOUNDS = [0, 1, 2**31, 2**53, 2**62, 2**63 - 1, 2**63, 2**64 - 1]


class Files:
    """What makes files of rows, as the tables do."""

    def files_of(self, rows):
        return {name: day_files(rows, name) for name in SCHEMAS if count(rows, name)}


def gathered(*segments, limits=LIMITS):
    """Segments as files, and what was set aside."""
    gathering = Gathering(limits)
    for number, segment in enumerate(segments):
        gathering.add_segment(Landed(f"mill-{number}", segment.name), bytes(segment.data))
    return gathering.build_sound(Files(), AT_US)


def values_in(built):
    """All rows, by table, as Python has them: every time must be of a calendar."""
    return {
        name: [row for file in files for row in pq.read_table(io.BytesIO(file.data)).to_pylist()]
        for name, files in built.files.items()
    }


# Any frame.

UNSIGNED = st.sampled_from(BOUNDS) | st.integers(0, 2**64 - 1)
SIGNED = st.sampled_from([-(2**63), -(2**62), -1, 0, 1, 2**62, 2**63 - 1]) | st.integers(-(2**63), 2**63 - 1)
TEXT = st.text(max_size=6) | st.sampled_from(["", "\0", "NaN", "x" * 1024, "\U0010ffff"])
FLOATS = st.floats() | st.floats(width=16)


def column(values, n):
    """A column of code 0, or one value that all rows share."""
    return values.map(int) | st.lists(values, min_size=n, max_size=n).map(reference.up)


def texts(n):
    return st.lists(TEXT, min_size=n, max_size=n).map(reference.texts)


def elements(n, type_):
    if type_ in {1, 10, 11}:
        form = {1: "f", 10: "e", 11: "d"}[type_]
        shared = FLOATS.map(float)
        narrow = st.floats(width={1: 32, 10: 16, 11: 64}[type_])
        listed = st.lists(narrow.map(lambda value: reference.order(value, form)), min_size=n, max_size=n)
        return shared | listed.map(reference.up)
    bits = {2: (0, 8), 3: (-1, 8), 4: (0, 16), 5: (-1, 16), 6: (-1, 32), 7: (-1, 64), 9: (0, 1), 12: (0, 32)}
    sign, width = bits.get(type_, (0, 64))
    low, high = (-(2 ** (width - 1)), 2 ** (width - 1) - 1) if sign else (0, 2**width - 1)
    return column(st.integers(low, high) | st.sampled_from([low, high]), n)


@st.composite
def outputs(draw, n):
    type_ = draw(st.sampled_from(ONNX_NUMBERS))
    form = draw(st.integers(0, 5))
    some = draw(st.integers(1, 2))
    match form:
        case 0:
            return [0, type_, []]
        case 1:
            return [1, type_, [draw(elements(n, type_)) for _ in range(some)]]
        case 2:
            return [2, type_, [draw(column(SIGNED, n)), draw(elements(n, type_))]]
        case 3:
            return [3, type_, [draw(column(SIGNED, n)), *(draw(elements(n, 11)) for _ in range(3))]]
        case 4:
            return [4, 8, [draw(texts(n)) for _ in range(some)]]
    return [5, type_, [draw(texts(n)), draw(elements(n, type_))]]


@st.composite
def sources(draw):
    fields = ("bundle", "version", "model", "route", "arm", "assignment", "fallback", "node")
    found = {name: draw(st.none() | TEXT) for name in fields}
    return found | {"path": draw(st.lists(TEXT, max_size=2)), "outputs": draw(st.lists(TEXT, max_size=3))}


VALUES = st.recursive(
    st.none() | st.booleans() | SIGNED | UNSIGNED | st.floats() | TEXT | st.binary(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT | st.integers(0, 9), inner, max_size=3),
    max_leaves=6,
)
DTYPES = st.sampled_from(["float32", "f16", "(,)f4", "O", "U4", ">i8", "c8", "M8[s]", "f4,f4", "(2)f4", "é", "", "?"])
SHAPES = st.none() | SIGNED | st.lists(SIGNED | st.integers(0, 4), max_size=3) | VALUES
CAPTURED = st.fixed_dictionaries(
    {"dtype": DTYPES | VALUES, "shape": SHAPES, "data": st.binary(max_size=16) | st.lists(VALUES, max_size=3)}
)
KEYS = st.sampled_from(
    [
        "id",
        "value",
        "unit",
        "name",
        "event",
        "error",
        "message",
        "probability",
        "begin",
        "end",
        "bundle",
        "model",
        "arm",
    ]
)
NOTE = st.dictionaries(KEYS | TEXT, VALUES, max_size=4) | st.fixed_dictionaries(
    {"inputs": st.dictionaries(TEXT, CAPTURED | VALUES, max_size=2) | VALUES, "probability": VALUES}
)


@st.composite
def blocks(draw):
    kind, n = draw(st.sampled_from(list(Kind))), draw(st.integers(1, 3))
    block = {0: int(kind), 1: n, 3: draw(column(SIGNED, n))}
    if kind in {Kind.CALL, Kind.SHADOW, Kind.ERROR, Kind.CAPTURE}:
        block |= {4: draw(column(UNSIGNED, n)), 5: draw(column(st.integers(0, 2) | UNSIGNED, n))}
    if kind not in {Kind.CALL, Kind.SHADOW}:
        return block | {11: reference.listed(draw(st.lists(NOTE, min_size=n, max_size=n)))}
    block |= {6: draw(column(st.integers(0, (54 << 10) - 1), n)), 8: draw(column(UNSIGNED, n))}
    block[10] = draw(st.lists(outputs(n), max_size=3))
    if draw(st.booleans()):
        block |= {7: draw(column(UNSIGNED, n))} if kind == Kind.CALL else {9: draw(elements(n, 11))}
    return block


CLOCK = st.integers(-(2**62), 2**62 - 1) | st.sampled_from([-(2**62), 2**62 - 1, 0, NOON])


@st.composite
def segments(draw):
    first_row = draw(st.sampled_from([0, 2**63 - 2, 2**64 - 2**17]))
    segment = reference.Segment(draw(UNSIGNED), first_row, class_=draw(st.integers(0, 1)))
    for _ in range(draw(st.integers(1, 3))):
        named = draw(st.dictionaries(st.integers(0, 2), sources(), max_size=2))
        segment.frame([draw(blocks())], clocks=(draw(CLOCK), draw(CLOCK)), sources=named)
    return segment


@settings(max_examples=50)
@given(st.lists(segments(), min_size=1, max_size=2))
def test_any_segment_that_is_landed_becomes_rows_all_of_them(some):
    wanted = 0
    for number, segment in enumerate(some):
        body = bytes(segment.data)
        assert check(segment.name, body).damaged == 0
        wanted += decode(Landed(f"mill-{number}", segment.name), body).rows
        assert wanted, "the frames of this test should be valid"
    built, aside = gathered(*some)
    assert aside == ()
    assert sum(len(rows) for rows in values_in(built).values()) == wanted


@given(st.binary(max_size=300))
def test_any_bytes_in_a_frame_become_rows_or_damage(payload):
    segment = reference.Segment().payload(payload)
    try:
        check(segment.name, bytes(segment.data))
    except SegmentError:
        return
    assert gathered(segment)[1] == ()


@settings(max_examples=1, suppress_health_check=[*HealthCheck])
@given(st.lists(segments(), min_size=8, max_size=8, unique_by=lambda segment: segment.epoch))
def test_what_hostile_devices_send_stands_in_tables_and_is_read_by_an_engine(some):
    """Through Delta, and back."""
    with tempfile.TemporaryDirectory() as folder:
        data = open_data(folder, lanes=1)
        land_all(data, *(Made(Landed("mill", one.name), bytes(one.data), frozenset()) for one in some))
        (batch,) = commit_all(data)
        assert batch.aside == ()
        with open_engine(folder) as engine:
            for name, rows in batch.rows.items():
                assert len(engine.rows(f"SELECT * FROM {name}").to_pylist()) == rows


# What broke it once.


def capture(value):
    segment = reference.Segment()
    block = {**reference.notes(reference.CAPTURE, [1], [{"inputs": {"x": value}}]), 4: 7, 5: 0}
    return segment.frame([block], clocks=(9, NOON))


@pytest.mark.parametrize(
    "value",
    [
        {"dtype": "f16", "shape": [1], "data": bytes(16)},
        {"dtype": "longdouble", "shape": [1], "data": bytes(16)},
        {"dtype": "(,)f4", "shape": [1], "data": bytes(4)},
        {"dtype": "f4", "shape": [2**63], "data": bytes(4)},
        {"dtype": "f4", "shape": [2**40, 0], "data": b""},
    ],
    ids=lambda value: f"{value['dtype']} {value['shape']}",
)
def test_an_array_that_no_device_of_ours_captures_is_kept_as_it_is(value):
    built, aside = gathered(capture(value))
    assert aside == ()
    ((row,),) = values_in(built).values()
    assert len(row["inputs"]) < 200
    assert json.loads(row["inputs"])["x"] is not None


def test_an_empty_array_is_rows_of_nothing_up_to_a_thousand():
    for rows, found in ((1024, [[]] * 1024), (1025, {"shape": [1025, 0], "data": []})):
        assert json.loads(as_json(np.zeros((rows, 0)))) == found
    assert captured_arrays({"x": {"dtype": "float32", "shape": [0, 64], "data": b""}})["x"].shape == (0, 64)


@pytest.mark.parametrize("wrapped", [lambda inner: [inner], lambda inner: {"a": inner}], ids=["lists", "maps"])
def test_a_value_of_any_depth_is_kept(wrapped):
    value: object = 1.5
    for _ in range(1000):
        value = wrapped(value)
    packed = b"\x91" * 1000 if isinstance(value, list) else b"\x81\xa1a" * 1000
    segment = reference.Segment(class_=1)
    label = b"\x82\xa2id\xa3a-1\xa5value" + packed + msgpack.packb(1.5)
    block = b"\x84\x00\x10\x01\x01\x03\x07\x0b\x92\x07\x91" + label
    segment.payload(b"\x84\x00\x00\x01\x01\x02\x92\x01\x01\x04\x91" + block)
    built, aside = gathered(segment)
    assert aside == ()
    ((row,),) = values_in(built).values()
    assert row["text"].count(msgpack.unpackb(b"\xa1[" if isinstance(value, list) else b"\xa1{")) == 1000


@given(VALUES)
def test_a_deep_value_is_the_json_that_a_flat_one_is(value):
    from edgerun_sync.collector.arrow import notes  # noqa: PLC0415 - a part of it that is not for others

    assert notes._deep_json(value) == as_json(value)


@pytest.mark.parametrize("error", [IndexError("7"), RecursionError("deep"), MemoryError("none")], ids=repr)
def test_whatever_decoding_fails_with_the_segment_is_set_aside(monkeypatch, error):
    def broken(landed, data):
        if landed.device == "mill-1":
            raise error
        return decode(landed, data)

    monkeypatch.setattr(building, "decode", broken)
    built, (aside,) = gathered(*(repeated(2, text_output("a")) for _ in range(3)))
    assert (aside.device, aside.why) == ("mill-1", f"{type(error).__name__}: {error}")
    assert sum(file.rows for file in built.files["events"]) == 4


class Small(Files):
    """There is memory for the rows of so many devices."""

    def __init__(self, devices):
        self.devices = devices

    def files_of(self, rows):
        if len(rows.streams) > self.devices:
            raise MemoryError("64 GiB")
        return super().files_of(rows)


def test_without_memory_for_a_batch_it_is_tried_again_and_without_it_for_one_segment_that_is_set_aside():
    gathering = Gathering()
    for device in ("a", "b"):
        segment = repeated(2, text_output("a"))
        gathering.add_segment(Landed(device, segment.name), bytes(segment.data))
    with pytest.raises(TableError, match="memory") as found:
        gathering.build_sound(Small(1), AT_US)
    assert not isinstance(found.value, ContentError)
    assert len(gathering.build_sound(Small(0), AT_US)[1]) == 2


# What a few bytes say of many rows.


def repeated(rows, columns, outputs=("label",), source_text="control"):
    """Calls that share all that they have."""
    segment = reference.Segment()
    block = {0: reference.CALL, 1: rows, 3: 5, 4: 1, 5: 1, 6: 0, 8: 0, 10: columns}
    named = {1: reference.source(arm=source_text, outputs=[*outputs])}
    return segment.frame([block], clocks=(9, NOON), sources=named)


def text_output(text):
    return [[4, 8, [[6, [text], 0]]]]


NAME = len("label") + len(".confidence")


def test_outputs_that_would_take_too_much_as_columns_are_set_aside():
    size = 65_536 * (NAME + 100)
    segment = repeated(65_536, text_output("x" * 100))
    assert len(segment.data) < 600
    at_the_limit = LIMITS._replace(segment_expanded_max_bytes=size)
    built, aside = gathered(segment, limits=at_the_limit)
    assert (aside, sum(file.rows for file in built.files["events"])) == ((), 65_536)
    built, (aside,) = gathered(segment, limits=at_the_limit._replace(segment_expanded_max_bytes=size - 1))
    assert built.files == {}
    assert f"{size} bytes" in aside.why


def test_numbers_count_as_texts_do():
    segment = repeated(100, [[1, 1, [0.5] * 16]])
    size = 100 * 16 * (NAME + 8)
    assert gathered(segment, limits=LIMITS._replace(segment_expanded_max_bytes=size))[1] == ()
    assert len(gathered(segment, limits=LIMITS._replace(segment_expanded_max_bytes=size - 1))[1]) == 1


def test_a_terabyte_in_sixteen_megabytes_is_set_aside_at_once():
    segment = repeated(65_536, text_output("x" * (15 * 2**20)))
    check(segment.name, bytes(segment.data))
    assert len(gathered(segment)[1]) == 1


def test_texts_of_sources_have_a_limit():
    limit = LIMITS.source_text_max
    for text, outputs, is_aside in (
        ("x" * limit, ("x" * limit,), False),
        ("x" * (limit + 1), ("label",), True),
        ("control", ("x" * (limit + 1),), True),
    ):
        assert bool(gathered(repeated(2, text_output("a"), outputs, text))[1]) == is_aside


def test_sources_have_a_limit():
    def segment(count):
        named = {number: reference.source(model=f"m{number}") for number in range(count)}
        return reference.Segment().frame(
            [{0: reference.CALL, 1: 1, 3: 5, 4: 1, 5: 1, 6: 0, 8: 0, 10: []}], clocks=(9, NOON), sources=named
        )

    assert gathered(segment(LIMITS.segment_sources_max))[1] == ()
    assert len(gathered(segment(LIMITS.segment_sources_max + 1))[1]) == 1


def chunk_of(segment):
    rows = rows_of(AT_US, [decode(Landed("mill", segment.name), bytes(segment.data))])
    (found,) = (chunk for chunks in rows.chunks.values() for chunk in chunks)
    return found


@pytest.mark.parametrize("rows", [1, 2, 7, 1000])
def test_rows_are_divided_before_they_become_columns(rows):
    chunk = chunk_of(repeated(rows, text_output("x" * 90)))
    each = len("label.text") + 90
    for max_bytes in (each - 1, each, 3 * each, rows * each, rows * each - 1):
        parts = [*divided(chunk, max_bytes)]
        assert sum(part.n for part, _ in parts) == rows
        assert all(size == part.n * each for part, size in parts)
        assert all(size <= max_bytes or part.n == 1 for part, size in parts)
        assert len(parts) == -(-rows // max(1, max_bytes // each))
        assert np.concatenate([part.columns["row"] for part, _ in parts]).tolist() == [*range(rows)]


def test_columns_of_one_slice_stay_within_their_limit():
    segment = repeated(65_536, text_output("x" * 2048))
    rows = rows_of(AT_US, [decode(Landed("mill", segment.name), bytes(segment.data))])
    (file,) = day_files(rows, "events")
    read = pq.ParquetFile(io.BytesIO(file.data))
    each = 2048 + len("label.text")
    assert read.num_row_groups == -(-65_536 // (LIMITS.slice_max_bytes // each))
