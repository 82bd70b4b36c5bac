"""A segment's bytes: every valid frame is found, all else is reported as lost, and nothing costs more than its size."""

from __future__ import annotations

import random
import time
import tracemalloc

import msgpack
import numpy as np
import pytest
import zstandard
from hypothesis import example, given
from hypothesis import strategies as st

from edgerun import LIMITS, LogError
from edgerun.log.contents import latency_ns
from edgerun.log.rows import Kind
from edgerun.log.segment import CUT, Damage, Frame, identify, parse_header, parse_name, scan
from vectors.log import log_reference as reference
from vectors.log.log_reference import Segment


def labels(count, first=0):
    return reference.notes(
        reference.LABEL, list(range(count)), [{"id": "a-1", "value": first + i} for i in range(count)]
    )


def three_frames(**fields):
    segment = Segment(epoch=0xE, first_row=5, class_=1, **fields)
    for i in range(3):
        segment.frame([labels(4, 4 * i)], clocks=(100 * i, 10**15 + 100 * i), stored=i % 2)
    return segment


def scanned(data, **arguments):
    return [*scan(bytes(data), parse_header(bytes(data)), **arguments)]


def rows_of(found):
    return [value["value"] for frame in found if isinstance(frame, Frame) for value in frame.blocks[0].values]


def damage_of(found):
    return [item for item in found if isinstance(item, Damage)]


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


# What a hostile file may say.


def doc(**changes):
    fields = {0: 0, 1: 2, 2: [0, 0], 3: {}, 4: [labels(2)]}
    return fields | {int(key[1:]): value for key, value in changes.items()}


def block(**changes):
    return {key: value for key, value in doc(**changes).items() if value is not None}


CALLS = reference.calls([1, 2], [1, 2], [5, 6])


def with_output(*output):
    return doc(_4=[CALLS | {10: [[*output]]}])


TWO = reference.up([1, 0])

NOT_ALLOWED = {
    "no map": [1, 2],
    "no first row": {key: value for key, value in doc().items() if key != 0},
    "a first row that is a text": doc(_0="0"),
    "a first row past all numbers": doc(_0=2**64 - 1),
    "a negative number of rows": doc(_1=-1),
    "more rows than the blocks hold": doc(_1=3),
    "true for a number": doc(_1=True),
    "no clocks": doc(_2=None),
    "one clock": doc(_2=[1]),
    "a clock that no arithmetic can take": doc(_2=[0, 2**63]),
    "sources that are a list": doc(_3=[]),
    "a source that is a text": doc(_3={0: "x"}),
    "a source's number that is a text": doc(_3={"0": {}}),
    "a source's arm that is a number": doc(_3={0: reference.source(arm=3)}),
    "a source's path that holds a number": doc(_3={0: reference.source(path=[3])}),
    "a source's outputs that are a text": doc(_3={0: reference.source(outputs="ab")}),
    "no blocks": doc(_4=None),
    "blocks that are numbers": doc(_4=[1]),
    "a block of no rows": doc(_1=0, _4=[labels(0)]),
    "an unknown kind": doc(_4=[labels(2) | {0: 99}]),
    "a kind that is a text": doc(_4=[labels(2) | {0: "1"}]),
    "a time that is nil": doc(_4=[labels(2) | {3: None}]),
    "values that are no maps": doc(_4=[labels(2) | {11: [7, [1, 2]]}]),
    "values that all rows share": doc(_4=[labels(2) | {11: 1}]),
    "too few values": doc(_4=[labels(2) | {11: [7, [{}]]}]),
    "no values": doc(_4=[{key: value for key, value in labels(2).items() if key != 11}]),
    "part of a frame without places": doc(_1=4, _4=[labels(2), labels(2)]),
    "a place outside": doc(_4=[labels(2) | {2: reference.up([0, 2])}]),
    "two rows in one place": doc(_4=[labels(2) | {2: 0}]),
    "two blocks in one place": doc(_1=4, _4=[labels(2) | {2: reference.up([0, 1])}] * 2),
    "a call without a sequence": doc(_4=[CALLS | {4: None}]),
    "a call without a source": doc(_4=[CALLS | {5: None}]),
    "a latency past 64 bits": doc(_4=[CALLS | {6: 54 << 10}]),
    "outputs that are a map": doc(_4=[CALLS | {10: {}}]),
    "too many outputs": doc(_4=[CALLS | {10: [[0, 1, []]] * (LIMITS.ports_max + 1)}]),
    "an output of no known form": with_output(6, 1, []),
    "an output of no known type": with_output(1, 99, [0]),
    "an empty output with a column": with_output(0, 1, [0]),
    "no numbers": with_output(1, 1, []),
    "17 numbers": with_output(1, 1, [0] * 17),
    "numbers that are texts": with_output(1, 8, [reference.texts(["a", "b"])]),
    "a distribution of one column": with_output(2, 1, [TWO]),
    "a summary of three columns": with_output(3, 1, [TWO, 0.0, 0.0]),
    "17 texts": with_output(4, 8, [reference.texts(["a", "b"])] * 17),
    "texts that are numbers": with_output(4, 8, [TWO]),
    "a map whose class is a number": with_output(5, 1, [TWO, 0.0]),
    "a difference that is a text": doc(_4=[CALLS | {0: 2, 9: reference.texts(["a", "b"])}]),
}


@pytest.mark.parametrize("document", NOT_ALLOWED.values(), ids=NOT_ALLOWED)
def test_a_frame_that_says_what_the_format_does_not_allow_is_lost_alone(document):
    segment = Segment(class_=1).frame([labels(2)]).payload(msgpack.packb(document))
    segment.row = 2
    segment.frame([labels(2, 2)])
    found = scanned(segment.data)
    assert rows_of(found) == [0, 1, 2, 3]
    assert len(damage_of(found)) == 1


@pytest.mark.parametrize("document", [doc(), doc(_9="a later key"), doc(_4=[labels(2) | {99: 1}]), doc(_1=0, _4=[])])
def test_what_the_format_allows_is_read_and_keys_unknown_are_ignored(document):
    assert damage_of(scanned(Segment().payload(msgpack.packb(document)).data)) == []


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        msgpack.packb(doc()) + b"\0",
        msgpack.packb(doc())[:-1],
        b"\x81" * 10**5,
        msgpack.packb(doc(_9=msgpack.ExtType(5, b"x"))),
        b"\x81\x90\x00",
    ],
    ids=["nothing", "more behind it", "cut", "nested deep", "an extension", "a list for a key"],
)
def test_a_payload_that_is_not_one_plain_msgpack_value_is_lost(payload):
    (found,) = scanned(Segment().payload(payload, stored=0).data)
    assert isinstance(found, Damage)


def compressed(payload, **arguments):
    return zstandard.ZstdCompressor(**arguments).compress(payload)


GOOD = msgpack.packb(doc())


@pytest.mark.parametrize(
    "kept",
    [
        b"",
        GOOD,
        compressed(GOOD)[:-1],
        compressed(GOOD) + b"\0",
        compressed(GOOD) + compressed(b""),
        compressed(GOOD, write_content_size=False),
        compressed(bytes(LIMITS.log_frame_max_bytes + 1)),
        b"\x28\xb5\x2f\xfd\xe0" + (2**62).to_bytes(8, "little") + compressed(GOOD)[5:],
        b"\x28\xb5\x2f\xfd\x20\x05" + compressed(GOOD)[6:],
        bytes.fromhex("502a4d18") + (4).to_bytes(4, "little") + b"skip",
    ],
    ids=["nothing", "plain", "cut", "more", "two", "no size", "a bomb", "a lie up", "a lie down", "skippable"],
)
def test_a_payload_that_is_not_one_zstd_frame_with_its_size_is_lost(kept):
    (found,) = scanned(Segment().stored(kept).data)
    assert isinstance(found, Damage)


def test_a_frame_of_a_large_payload_is_allowed_up_to_the_limit():
    filler = LIMITS.log_frame_max_bytes - len(msgpack.packb(doc(_9=b"" * 70000))) - 4
    payload = msgpack.packb(doc(_9=bytes(filler + 1)))
    assert len(payload) == LIMITS.log_frame_max_bytes
    assert damage_of(scanned(Segment().payload(payload).data)) == []
    assert damage_of(scanned(Segment().payload(payload, stored=0).data)) == []
    assert len(damage_of(scanned(Segment().payload(payload + b"\0", stored=0).data))) == 1


def test_rows_that_cost_no_bytes_are_bounded():
    """log_frame_rows_max: a shared column has any number of rows."""

    def errors(rows):
        shared = {0: 3, 1: rows, 3: 0, 4: 0, 5: 0, 11: [6, ["x"], 0]}
        return Segment().frame([shared | {0: 1, 6: 0, 8: 0, 10: []}]).data

    assert scanned(errors(LIMITS.log_frame_rows_max))[0].rows == LIMITS.log_frame_rows_max
    assert isinstance(scanned(errors(LIMITS.log_frame_rows_max + 1))[0], Damage)


def test_containers_are_bounded():
    """log_containers_max: empty maps take 64 times the memory of their bytes."""

    def segment(count):  # the map, the clocks, the sources, the blocks and the list itself are five more
        return Segment().payload(msgpack.packb(doc(_1=0, _4=[], _9=[[]] * (count - 5))))

    assert damage_of(scanned(segment(LIMITS.log_containers_max).data)) == []
    assert "maps and lists" in damage_of(scanned(segment(LIMITS.log_containers_max + 1).data))[0].why


def test_shared_columns_of_many_outputs_take_little_memory():
    shared = [[1, 11, [0] * 16]] * LIMITS.ports_max
    rows = LIMITS.log_frame_rows_max
    data = Segment().frame([{0: 1, 1: rows, 3: 0, 4: 0, 5: 0, 6: 0, 8: 0, 10: shared}]).data
    assert len(data) < 10_000
    tracemalloc.start()
    (frame,) = scanned(data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert frame.rows == rows
    assert peak < 20 * 2**20


def test_a_file_full_of_markers_with_long_lengths_is_given_up_soon():
    """Every 16 bytes begin what could be a frame of half the file, so its bytes could be summed 2^16 times."""
    size = 2**20
    fake = b"\xe5\x46\x00\x00" + (size // 2).to_bytes(4, "little") + bytes(8)
    whole = Segment(class_=1).frame([labels(2)]).data
    data = whole + fake * (size // len(fake))
    begin = time.process_time()
    found = scanned(data)
    assert time.process_time() - begin < 10  # a second at most; without a bound, a minute
    assert rows_of(found) == [0, 1]
    (lost,) = damage_of(found)
    assert (lost.offset, lost.length) == (len(whole), len(data) - len(whole))
    assert "the search for more was given up at byte" in lost.why


def test_a_file_full_of_bombs_that_fail_is_given_up_soon():
    segment = Segment()
    bomb = compressed(b"\xc1" * LIMITS.log_frame_max_bytes)
    while len(segment.data) < 2**20:
        segment.stored(bomb)
    begin = time.process_time()
    found = scanned(segment.data)
    assert time.process_time() - begin < 20
    assert "given up" in damage_of(found)[0].why


def test_random_damage_never_ends_the_search():
    """A file of stale frames alone costs each of their bytes once."""
    stale = Segment(epoch=1, class_=1)
    for i in range(2000):
        stale.frame([labels(4, i)], stored=0)
    segment = Segment(epoch=2, class_=1)
    segment.raw(stale.data[64:]).frame([labels(2, 7)])
    found = scanned(segment.data)
    assert rows_of(found) == [7, 8]


# Fuzz.


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


def check_cover(data, found):
    """Frames and damage cover the file without a gap, in order."""
    position = 64
    for item in found:
        assert item.offset == position
        position = item.end if isinstance(item, Frame) else item.offset + item.length
    assert position == max(64, len(data))


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


def test_marker_bytes_within_a_payload_do_not_mislead():
    source = random.Random(3)
    tricky = b"\xe5\x46\x00\x00" + (8).to_bytes(4, "little")
    segment = Segment(class_=1)
    for i in range(20):
        segment.frame([reference.notes(16, [i], [{"id": "x", "value": tricky * source.randrange(1, 9)}])], stored=0)
    assert [frame.first_row for frame in scanned(segment.data)] == [*range(20)]
