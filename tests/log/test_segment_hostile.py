"""What a hostile segment may say: it is damage, and costs no more time and memory than its size."""

from __future__ import annotations

import time
import tracemalloc

import msgpack
import pytest
import zstandard

from edgerun import LIMITS
from edgerun.log.segment import Damage
from support.segments import damage_of, labels, rows_of, scanned
from vectors.log import log_reference as reference
from vectors.log.log_reference import Segment


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
