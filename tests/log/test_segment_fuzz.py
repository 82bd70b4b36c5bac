"""Segments of random and of mutated bytes: every byte is in a valid frame or reported as lost, and nothing crashes."""

from __future__ import annotations

import msgpack
import pytest
import zstandard
from hypothesis import example, given
from hypothesis import strategies as st

from edgerun.log.segment import Frame, identify, parse_header, scan
from support.segments import check_cover, scanned
from vectors.log import log_reference as reference
from vectors.log.log_reference import Segment


def everything():
    """A segment with all kinds and forms."""
    times, three = [10, 20, 30], reference.up([3, 1, 2])
    outputs = [
        [0, 1, []],
        [1, 7, [three, 5]],
        [2, 1, [three, reference.up([reference.order(x, "f") for x in (0.5, 0.25, 0.75)])]],
        [3, 11, [three, reference.order(-1.0), reference.order(2.0), reference.order(0.5)]],
        [4, 8, [reference.texts(["a", "b", "a"])]],
        [5, 10, [reference.texts(["x", "x", "x"]), reference.order(0.5, "e")]],
    ]
    segment = Segment(epoch=9)
    segment.frame(
        [reference.calls(times, [7, 5, 6], [100, 5000, 10**9], unit=reference.around([2**63, 2**64 - 1, 0]))],
        sources={0: reference.source()},
    )
    segment.frame(
        [
            reference.calls(times, [8, 9, 10], [1, 2, 3], outputs=outputs, place=reference.up([0, 2, 4])),
            reference.calls(times, [8, 9, 10], [1, 2, 3], kind=2, difference=None, place=reference.up([1, 3, 5])),
        ],
        sources={1: reference.source("challenger", None, node="watch")},
    )
    segment.frame([reference.notes(reference.PROFILE, [1], [{"ports": []}])], stored=0)
    return segment.data


WHOLE = everything()


@st.composite
def mutated(draw):
    data = bytearray(WHOLE)
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(64, len(data) - 1))
        match draw(st.sampled_from(["flip", "set", "cut", "insert", "zero", "copy"])):
            case "flip":
                data[at] ^= 1 << draw(st.integers(0, 7))
            case "set":
                data[at] = draw(st.integers(0, 255))
            case "cut":
                del data[at : at + draw(st.integers(1, 40))]
            case "insert":
                data[at:at] = draw(st.binary(min_size=1, max_size=40))
            case "zero":
                data[at : at + 64] = bytes(64)
            case "copy":
                data[at:at] = data[64 : 64 + draw(st.integers(1, 300))]
        if len(data) <= 64:
            break
    return bytes(data)


def test_all_of_the_whole_segment_is_read():
    found = scanned(WHOLE)
    assert [frame.rows for frame in found] == [3, 6, 1]
    check_cover(WHOLE, found)


@given(mutated())
def test_a_mutated_segment_gives_valid_frames_and_says_what_is_lost(data):
    found = [*scan(data, parse_header(WHOLE))]
    check_cover(data, found)
    genuine = {(frame.offset, frame.first_row) for frame in scanned(WHOLE)}
    assert {(frame.offset, frame.first_row) for frame in found if isinstance(frame, Frame)} <= genuine


@given(st.binary(max_size=2000))
@example(b"\xe5\x46\x00\x00\x00\x00\x00\x00" * 9)
def test_random_bytes_are_lost_bytes(data):
    header, _ = identify(data, f"{1:016x}-{0:016x}.open")
    if header is not None:
        check_cover(data, [*scan(data, header)] if len(data) > 64 else [])


PAYLOADS = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.binary(max_size=9) | st.text(),
    lambda inner: (
        st.lists(inner, max_size=5) | st.dictionaries(st.integers(0, 11) | st.text(max_size=2), inner, max_size=6)
    ),
    max_leaves=12,
)


@given(payload=PAYLOADS)
def test_any_payload_with_a_right_checksum_is_a_frame_or_damage(payload):
    check_cover(data := Segment().payload(msgpack.packb(payload)).data, scanned(data))


def leaves(value, path=()):
    yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in inner:
        yield from leaves(item, (*path, key))


def replaced(value, path, by):
    if not path:
        return by
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = replaced(copy[path[0]], path[1:], by)
    return copy


@pytest.mark.parametrize("index", range(3))
@given(data=st.data())
def test_any_part_of_a_payload_may_be_anything(index, data):
    frame = scanned(WHOLE)[index]
    raw = WHOLE[frame.offset + 12 : frame.end]
    stored = WHOLE[frame.offset + 2]
    document = msgpack.unpackb(zstandard.decompress(raw) if stored else raw, strict_map_key=False)
    path = data.draw(st.sampled_from(sorted(leaves(document), key=str)))
    changed = replaced(document, path, data.draw(PAYLOADS))
    found = scanned(Segment(first_row=0).payload(msgpack.packb(changed)).data)
    assert len(found) == 1
