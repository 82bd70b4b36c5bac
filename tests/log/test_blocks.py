"""Rows of all kinds and shapes become blocks, which say the same when read, merged or cut."""

from __future__ import annotations

import struct

import msgpack
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgerun.errors import LogError
from edgerun.log.batches import of_batch, of_notes, readable
from edgerun.log.blocks import merge, of_contents, take
from edgerun.log.frame import FrameHead, SegmentHead, frame_bytes, payload_pieces, source_map, stored
from edgerun.log.plan import FRAME_BYTES_MAX, NOTE_BYTES_MAX, frames_of
from edgerun.log.rows import Kind, Note
from edgerun.log.segment import identify, scan
from support.logs import DOUBLE, FLOAT, INT64, SOURCES, TEXT, Row, batch_of, call, label, read_files

HEAD = SegmentHead(0, 77, 0, bytes(16), 77, 10**15)

float32s = st.floats(width=32, allow_nan=False)
doubles = st.floats(allow_nan=False)
times = st.integers(0, 2**50)
words = st.integers(0, 2**64 - 1)
texts = st.text(max_size=4)
outputs = st.one_of(
    st.just(()),
    st.tuples(
        st.tuples(st.just(1), st.just(INT64), st.tuples(st.integers(-(2**63), 2**63 - 1))),
        st.tuples(st.just(2), st.just(FLOAT), st.tuples(st.integers(0, 9), float32s)),
    ),
    st.tuples(
        st.tuples(st.just(4), st.just(TEXT), st.tuples(texts, texts)),
        st.tuples(st.just(1), st.just(FLOAT), st.tuples(float32s, float32s, float32s)),
    ),
    st.tuples(
        st.tuples(st.just(5), st.just(FLOAT), st.tuples(texts, float32s)),
        st.just((0, FLOAT, ())),
    ),
    st.tuples(st.tuples(st.just(3), st.just(DOUBLE), st.tuples(st.integers(0, 2**40), doubles, doubles, doubles))),
)
latencies = st.integers(0, 50_000)
values = st.dictionaries(texts, st.none() | texts | doubles | words | st.binary(max_size=5), max_size=3)
rows = st.one_of(
    st.tuples(
        st.just(1), times, words, st.integers(1, 3), latencies, st.none() | words, st.just(1), st.none(), outputs
    ).map(lambda fields: Row(*fields)),
    st.tuples(st.just(2), times, words, st.integers(1, 3), latencies, st.none(), st.just(4), doubles, outputs).map(
        lambda fields: Row(*fields)
    ),
    st.tuples(st.sampled_from([3, 4]), times, words, st.integers(1, 3), values).map(
        lambda fields: Row(*fields[:4], value=fields[4])
    ),
    st.tuples(st.sampled_from([5, 16, 17, 18, 19]), times, values).map(
        lambda fields: Row(*fields[:2], value=fields[2])
    ),
)


def frame_of(blocks, n: int) -> bytes:
    head = FrameHead(0, n, 5, 6, {number: source_map(source) for number, source in SOURCES.items()})
    return HEAD.bytes() + frame_bytes(HEAD, 64, *stored(payload_pieces(head, blocks)))


def read(data: bytes) -> list[Row]:
    found = read_files({"000000000000004d-0000000000000000.log": data})
    assert found.damaged == 0
    return [row for _, row in sorted(found.rows.items())]


def blocks_in(data: bytes):
    header, _ = identify(data, "000000000000004d-0000000000000000.log")
    (frame,) = scan(data, header)
    return [of_contents(block) for block in frame.blocks]


def assert_same(found: list[Row], given: list[Row]) -> None:
    assert [row.key() for row in found] == [row.key() for row in given]


@given(st.lists(rows, min_size=1, max_size=30))
def test_rows_are_read_as_they_were_given(given):
    batch = batch_of(given)
    assert_same(read(frame_of(of_batch(batch, np.arange(len(given))), len(given))), given)


@given(st.lists(rows, min_size=1, max_size=30))
def test_blocks_that_were_read_say_the_same_when_written_again(given):
    data = frame_of(of_batch(batch_of(given), np.arange(len(given))), len(given))
    assert_same(read(frame_of(blocks_in(data), len(given))), given)


@given(st.lists(st.lists(rows, min_size=1, max_size=8), min_size=1, max_size=5))
def test_merged_blocks_say_what_they_said_apart(parts):
    given, blocks = [], []
    for part in parts:
        found = blocks_in(frame_of(of_batch(batch_of(part), np.arange(len(part))), len(part)))
        blocks += [block._replace(place=block.place + len(given)) for block in found]
        given += part
    merged = merge(blocks)
    assert len(merged) == len({block.likeness() for block in merged})
    assert_same(read(frame_of(merged, len(given))), given)


@given(st.lists(rows, min_size=2, max_size=20), st.data())
def test_a_part_of_a_frame_has_the_rows_of_that_part(given, data):
    first = data.draw(st.integers(0, len(given) - 1))
    end = data.draw(st.integers(first + 1, len(given)))
    blocks = of_batch(batch_of(given), np.arange(len(given)))
    cut = [found for block in blocks if len((found := take(block, first, end)).place)]
    cut = [block._replace(place=block.place - first) for block in cut]
    assert_same(read(frame_of(cut, end - first)), given[first:end])


@given(st.lists(rows, min_size=1, max_size=20), st.lists(values, max_size=4))
def test_every_row_has_its_place_in_one_of_two_streams(given, told):
    notes = [Note(Kind.LIFECYCLE if i % 2 else Kind.PROFILE, i, value) for i, value in enumerate(told)]
    noted = [Row(note.kind, note.time_us, value=note.value) for note in notes]
    planned = frames_of(batch_of(given), notes)
    for stream_class, frames in planned.items():
        (frame,) = frames
        expected = [row for row in [*given, *noted] if (row.kind >= 16) == (stream_class == 1)]
        assert frame.rows == len(expected)
        assert_same(read(frame_of(frame.blocks, frame.rows)), expected)
    assert sum(frame.rows for frames in planned.values() for frame in frames) == len(given) + len(told)


def test_many_rows_are_several_frames():
    planned = frames_of(batch_of([call(i) for i in range(40_000)]), [])
    assert [frame.rows for frame in planned[0]] == [16_384, 16_384, 7232]


def test_large_rows_are_several_frames():
    large = [Row(Kind.CAPTURE, i, i, 1, value={"inputs": "x" * 60_000}) for i in range(40)]
    planned = frames_of(batch_of(large), [])
    assert [frame.rows for frame in planned[0]] == [17, 17, 6]
    assert all(sum(len(value) for value in frame.blocks[0].values) <= FRAME_BYTES_MAX for frame in planned[0])


def test_sources_that_rows_quote_are_known():
    (frame,) = frames_of(batch_of([call(0), call(1), call(3), label(1)]), [])[0]
    assert frame.sources() == {1, 2}


@pytest.mark.parametrize(
    "value",
    [{"big": b"x" * NOTE_BYTES_MAX}, {"set": {1, 2}}, {"big": 2**80}, {"lone": "\ud800"}],
    ids=["too large", "no msgpack", "too large a number", "no UTF-8"],
)
def test_a_note_that_cannot_be_written_is_a_loss_and_blocks_no_other(value):
    notes = [Note(Kind.PROFILE, 1, value), Note(Kind.PROFILE, 2, {"fine": True})]
    planned = frames_of(None, notes)
    assert [frame.rows for frame in planned[0]] == [1]
    assert [row.value for row in read(frame_of(planned[0][0].blocks, 1))] == [{"fine": True}]
    (loss,) = read(frame_of(planned[1][0].blocks, 1))
    assert loss.kind == Kind.LOSS
    assert loss.value["events"] == {Kind.PROFILE: 1}


@pytest.mark.parametrize("raw", [b"", b"\xc1", b"\x01", b"\x81\x01", msgpack.packb(msgpack.ExtType(5, b"x"))])
def test_a_value_that_no_reader_takes_is_kept_as_its_bytes(raw):
    assert msgpack.unpackb(readable(raw)) == {"unreadable": raw}


def test_rows_that_do_not_fit_their_shape_are_refused():
    batch = batch_of([call(0), call(1)])
    with pytest.raises(LogError, match="disagree"):
        of_batch(batch._replace(numbers_at=np.array([0, 1, 6], np.uint32)), np.arange(2))


def test_a_lone_call_is_small():
    blocks = of_batch(batch_of([call(5, keyed=False)]), np.arange(1))
    assert len(frame_of(blocks, 1)) - 64 - len(b"".join(payload_pieces(FrameHead(0, 0, 0, 0, SOURCES_NAMED), []))) < 60


SOURCES_NAMED = {number: source_map(source) for number, source in SOURCES.items()}


def test_notes_have_the_places_after_the_rows():
    blocks = of_notes([(19, 5, msgpack.packb({})), (5, 6, msgpack.packb({}))], 3)
    assert sorted(place for block in blocks for place in block.place.tolist()) == [3, 4]


def test_float_bits_that_are_no_number_come_back():
    nan = Row(
        1, 5, 1, 1, 1, None, 0, None, ((1, INT64, (1,)), (2, FLOAT, (0, struct.unpack("<f", b"\1\0\xc0\x7f")[0])))
    )
    assert repr(read(frame_of(of_batch(batch_of([nan]), np.arange(1)), 1))[0].outputs) == repr(nan.outputs)
