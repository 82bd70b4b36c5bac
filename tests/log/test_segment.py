"""A segment's bytes: every valid frame is found, and all else is reported as lost."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgerun import LogError
from edgerun.log.contents import latency_ns
from edgerun.log.rows import Kind
from edgerun.log.segment import CUT, Damage, identify, parse_header, parse_name, scan
from support.segments import damage_of, labels, rows_of, scanned
from vectors.log import log_reference as reference
from vectors.log.log_reference import Segment


def three_frames(**fields):
    segment = Segment(epoch=0xE, first_row=5, class_=1, **fields)
    for i in range(3):
        segment.frame([labels(4, 4 * i)], clocks=(100 * i, 10**15 + 100 * i), stored=i % 2)
    return segment


def spans(data, start=64):
    """Where the frames of a whole segment lie."""
    return [(frame.offset, frame.end) for frame in scanned(data, start=start)]


# The header.


def test_a_header_says_what_was_written_into_it():
    header = parse_header(reference.header(3, 4, 1, bytes(range(16)), ids=9, begun_us=77))
    assert header == (1, 3, 4, bytes(range(16)), 9, 77)


def test_a_flipped_bit_of_a_header_is_seen_wherever_it_is():
    whole = reference.header(3, 4)
    for bit in range(8 * len(whole)):
        spoilt = bytearray(whole)
        spoilt[bit // 8] ^= 1 << bit % 8
        with pytest.raises(LogError, match="damaged"):
            parse_header(bytes(spoilt))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "ends within its header"),
        (reference.header(1, 0)[:63], "ends within its header"),
        (reference.header(1, 0, version=2), "has version 2 of the format, and this edgerun reads 1: update it"),
        (reference.header(1, 0, class_=2), "unknown class 2"),
        (bytes(64), "is no segment of a log"),
    ],
    ids=["empty", "cut", "another version", "another class", "zeros"],
)
def test_a_header_that_cannot_be_read_says_why(data, words):
    with pytest.raises(LogError, match=words):
        parse_header(data)


def test_names_of_files_say_stream_and_row():
    assert parse_name(f"{0xAB:016x}-{12:016x}.open") == (0xAB, 12, "open")
    for name in ("x.log", f"{0xAB:016X}-{12:016x}.log", f"{1:016x}-{1:016x}.logs", f"{1:015x}-{1:016x}.log", ""):
        assert parse_name(name) is None


def test_without_its_header_a_file_is_read_by_its_name():
    segment = three_frames()
    data = bytes(64) + segment.data[64:]
    header, damage = identify(data, f"{segment.name}.log")
    assert header[:3] == (None, 0xE, 5)
    assert damage.length == 64
    assert rows_of(scan(data, header)) == [*range(12)]


def test_without_either_nothing_can_be_read():
    data = bytes(64) + three_frames().data[64:]
    assert identify(data, "renamed.log") == (
        None,
        Damage(0, len(data), "the header is damaged, or the file is no segment of a log"),
    )


def test_a_newer_version_is_left_alone():
    segment = three_frames(version=2)
    header, damage = identify(segment.data, f"{segment.name}.log")
    assert header is None
    assert damage.length == len(segment.data)
    assert "update it" in damage.why


def test_an_empty_file_lost_nothing():
    assert identify(b"", "x") == (None, None)


# Frames.


def test_all_frames_come_in_order_and_nothing_is_lost():
    found = scanned(three_frames().data)
    assert rows_of(found) == [*range(12)]
    assert [(f.first_row, f.rows, f.monotonic_us, f.wall_us) for f in found] == [
        (5 + 4 * i, 4, 100 * i, 10**15 + 100 * i) for i in range(3)
    ]


def test_reading_can_go_on_behind_a_frame():
    segment = three_frames()
    assert rows_of(scanned(segment.data, start=spans(segment.data)[1][0])) == [*range(4, 12)]


def test_a_segment_without_frames_has_none():
    assert scanned(reference.header(1, 0)) == []


def test_rows_of_kinds_that_are_not_asked_for_are_not_looked_into():
    segment = Segment().frame(
        [
            {**labels(1), 2: 0},
            reference.notes(reference.LOSS, [1], [{"reason": "full"}], place=1),
            reference.notes(reference.ERROR, [2], [{"error": "E"}], place=2) | {4: 1, 5: 0},
        ]
    )
    assert [block.kind for block in scanned(segment.data)[0].blocks] == [Kind.LABEL, Kind.LOSS, Kind.ERROR]
    assert [block.kind for block in scanned(segment.data, kinds={Kind.LOSS})[0].blocks] == [Kind.LOSS]


@pytest.mark.parametrize("broken", [0, 1, 2])
def test_a_flipped_bit_costs_one_frame_and_its_bytes_are_told(broken):
    whole = three_frames().data
    begin, end = spans(whole)[broken]
    kept = [value for value in range(12) if value // 4 != broken]
    for bit in range(8 * begin, 8 * end):
        spoilt = bytearray(whole)
        spoilt[bit // 8] ^= 1 << bit % 8
        found = scanned(spoilt)
        assert rows_of(found) == kept
        assert [(lost.offset, lost.length) for lost in damage_of(found)] == [(begin, end - begin)]


def test_a_file_cut_anywhere_keeps_all_frames_before():
    whole = three_frames().data
    ends = [64, *(end for _, end in spans(whole))]
    for size in range(64, len(whole)):
        found = scanned(whole[:size])
        before = max(end for end in ends if end <= size)
        assert rows_of(found) == [*range(4 * ends.index(before))]
        assert damage_of(found) == ([] if before == size else [Damage(before, size - before, CUT)])


def test_zeros_at_the_end_are_told_as_lost():
    whole = three_frames().data
    found = scanned(whole + bytes(512))
    assert rows_of(found) == [*range(12)]
    assert damage_of(found) == [Damage(len(whole), 512, "no frame begins here")]


def test_garbage_between_frames_is_told_with_its_place():
    segment = Segment(class_=1).frame([labels(2)])
    at = len(segment.data)
    segment.raw(b"\xe5\x46\x00\x00garbage \xe5\x46").frame([labels(2, 2)])
    found = scanned(segment.data)
    assert rows_of(found) == [0, 1, 2, 3]
    assert [(lost.offset, lost.length) for lost in damage_of(found)] == [(at, 14)]


def test_what_an_older_file_left_never_validates():
    stale, segment = Segment(epoch=1, class_=1), Segment(epoch=2, class_=1)
    stale.frame([labels(4)]).frame([labels(4)])
    segment.frame([labels(4, 10)])
    found = scanned(segment.data + stale.data[len(segment.data) :])
    assert rows_of(found) == [10, 11, 12, 13]
    assert len(damage_of(found)) == 1


def test_a_frame_in_another_place_or_segment_never_validates():
    segment = Segment(class_=1).frame([labels(4)])
    frame = segment.data[64:]
    assert rows_of(scanned(segment.data + frame)) == [0, 1, 2, 3]
    assert rows_of(scanned(reference.header(7, 1) + frame)) == []


def test_a_length_that_reaches_past_the_end_does_not_hide_the_frames_behind():
    whole = bytearray(three_frames().data)
    begin, end = spans(bytes(whole))[1]
    whole[begin + 6] = 200
    found = scanned(whole)
    assert rows_of(found) == [0, 1, 2, 3, 8, 9, 10, 11]
    assert damage_of(found) == [Damage(begin, end - begin, "a frame's length is damaged")]


def test_marker_bytes_within_a_payload_do_not_mislead():
    source = random.Random(3)
    tricky = b"\xe5\x46\x00\x00" + (8).to_bytes(4, "little")
    segment = Segment(class_=1)
    for i in range(20):
        segment.frame([reference.notes(16, [i], [{"id": "x", "value": tricky * source.randrange(1, 9)}])], stored=0)
    assert [frame.first_row for frame in scanned(segment.data)] == [*range(20)]


# Latencies.


@given(st.integers(0, 2**62))
def test_a_latency_is_right_to_one_in_2048(ns):
    (found,) = latency_ns(np.array([reference.latency_code(ns)], np.uint64)).tolist()
    assert abs(found - ns) * 2048 <= ns
    assert ns >= 2048 or found == ns


def test_latencies_of_all_codes_rise():
    found = latency_ns(np.arange(54 << 10, dtype=np.uint64))
    assert bool((np.diff(found) > 0).all())
    assert int(found[-1]) == 2047 << 52
