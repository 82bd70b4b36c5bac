"""Landing: stored, known or a conflict; and an inbox entry that stands before its segment does."""

from __future__ import annotations

import hashlib

import msgpack
import pytest

from edgerun_sync.collector import keys
from edgerun_sync.collector.batches import (
    Batch,
    Member,
    archive_bytes,
    batch_bytes,
    in_turn,
    parse_archive,
    parse_batch,
)
from edgerun_sync.collector.committing import Committer
from edgerun_sync.collector.landing import Landing, land
from edgerun_sync.collector.segments import check
from edgerun_sync.errors import CollectorError, SegmentError
from edgerun_sync.limits import LIMITS
from edgerun_sync.names import is_device
from support.fleet import Memory, ModelTables, TablesOfModel, pool
from vectors.log import log_reference as reference

SEGMENT = pool()[0][0]
OTHER = pool()[0][1]


def digest(body):
    return hashlib.sha256(body).hexdigest()


def landed(objects, body=SEGMENT.body):
    return land(objects, 2, SEGMENT.landed, body, digest(body))


def commit(objects):
    lane = keys.lane_of(SEGMENT.landed.device, 2)
    tables = TablesOfModel(ModelTables(), lambda: None, lambda: None)
    assert Committer(objects, tables, lane).step().segments == 1


def test_a_segment_is_stored_and_then_known():
    objects = Memory()
    assert landed(objects) is Landing.STORED
    assert landed(objects) is Landing.KNOWN
    assert objects.get(SEGMENT.landed.key) == SEGMENT.body


def test_other_bytes_under_the_same_name_are_a_conflict_and_change_nothing():
    objects = Memory()
    landed(objects)
    assert landed(objects, OTHER.body) is Landing.CONFLICT
    assert objects.get(SEGMENT.landed.key) == SEGMENT.body


def test_a_committed_segment_is_still_known_and_still_conflicts():
    objects = Memory()
    landed(objects)
    commit(objects)
    assert keys.parse_tombstone(objects.get(SEGMENT.landed.key)).digest == digest(SEGMENT.body)
    assert landed(objects) is Landing.KNOWN
    assert landed(objects, OTHER.body) is Landing.CONFLICT


def test_the_inbox_speaks_of_a_segment_before_it_is_there():
    objects = Memory()
    landed(objects)
    lane = keys.lane_of(SEGMENT.landed.device, 2)
    assert [*objects.stored] == [keys.inbox_key(lane, SEGMENT.landed), SEGMENT.landed.key]


def test_a_stray_entry_of_an_inbox_is_cleared_away_once_its_segment_is_committed():
    objects = Memory()
    landed(objects)
    commit(objects)
    lane = keys.lane_of(SEGMENT.landed.device, 2)
    objects.put_new(keys.inbox_key(lane, SEGMENT.landed), b"")
    tables = TablesOfModel(ModelTables(), lambda: None, lambda: None)
    Committer(objects, tables, lane).step()
    assert [*objects.list(f"inbox/{lane}/")] == []


# Names and documents.


@pytest.mark.parametrize("name", ["oven-7", "A.b_c", "-", "x" * LIMITS.device_name_max_bytes])
def test_names_of_devices(name):
    assert is_device(name)


@pytest.mark.parametrize("name", ["", ".x", "a/b", "a~b", "ä", "a\n", "x" * (LIMITS.device_name_max_bytes + 1)])
def test_what_is_no_name_of_a_device(name):
    assert not is_device(name)


def test_an_inbox_key_tells_its_segment():
    assert keys.from_inbox(keys.inbox_key(1, SEGMENT.landed)) == SEGMENT.landed
    for key in ("inbox/1/a", "inbox/1/a~b", "inbox/1/~0000000000000000-0000000000000000"):
        with pytest.raises(CollectorError):
            keys.from_inbox(key)


def test_a_tombstone_is_none_of_a_segment_and_a_damaged_one_is_said_to_be():
    tombstone = keys.Tombstone("ab", 12, 3)
    assert keys.tombstone_bytes(tombstone) == b'ERDONE1\n{"batch":3,"digest":"ab","size":12}'
    assert keys.parse_tombstone(keys.tombstone_bytes(tombstone)) == tombstone
    assert keys.parse_tombstone(SEGMENT.body) is None
    with pytest.raises(CollectorError, match="tombstone"):
        keys.parse_tombstone(b"ERDONE1\n{}")


def test_batches_and_archives_are_read_as_they_were_written():
    members = tuple(Member(*made.landed, digest(made.body), len(made.body)) for made in pool()[1])
    batch = Batch(1_700_000_000_123_456, members)
    assert b'"at":"2023-11-14T22:13:20.123456Z"' in batch_bytes(batch)
    assert parse_batch(batch_bytes(batch)) == batch
    pairs = [(member, made.body) for member, made in zip(members, pool()[1], strict=True)]
    assert parse_archive(archive_bytes(pairs)) == pairs


@pytest.mark.parametrize(
    "data", [b"", b"{}", b'{"at":"x","segments":[]}', b'{"at":"2023-11-14T22:13:20Z","segments":[[1]]}']
)
def test_a_damaged_batch_is_said_to_be(data):
    with pytest.raises(CollectorError, match="batch"):
        parse_batch(data)


@pytest.mark.parametrize("change", [lambda data: data[:-1], lambda data: data[1:], lambda data: b"ERARCH1\n[[1]]\n"])
def test_a_damaged_archive_is_said_to_be(change):
    made = pool()[0][0]
    data = archive_bytes([(Member(*made.landed, digest(made.body), len(made.body)), made.body)])
    with pytest.raises(CollectorError, match="archive"):
        parse_archive(change(data))


def test_every_key_has_its_turn():
    assert in_turn(["a", "b", "c"], "") == ["a", "b", "c"]
    assert in_turn(["a", "b", "c"], "b") == ["c", "a", "b"]
    assert in_turn(["a", "c"], "b") == ["c", "a"]
    assert in_turn(["a", "b"], "z") == ["a", "b"]


# What is taken for a segment.


def test_a_segment_is_checked():
    found = check(SEGMENT.landed.segment, SEGMENT.body, digest(SEGMENT.body))
    assert found == (digest(SEGMENT.body), len(SEGMENT.rows), SEGMENT.body[9], 0)


def test_damage_within_a_segment_is_reported_and_the_segment_taken():
    segment = reference.Segment()
    for first in (0, 3):
        segment.frame([reference.notes(reference.LABEL, [1, 2, 3], [{"id": "a-1", "value": first}] * 3)])
    data = bytes(segment.data)
    damaged = data[:-1] + bytes([data[-1] ^ 1])
    found = check(segment.name, damaged)
    assert found.rows == 3
    assert found.damaged > 0


@pytest.mark.parametrize(
    ("name", "body", "sha", "status", "slug"),
    [
        (SEGMENT.landed.segment, SEGMENT.body, "00" * 32, 422, "wrong-digest"),
        (OTHER.landed.segment, SEGMENT.body, None, 422, "wrong-name"),
        (SEGMENT.landed.segment, b"", None, 422, "not-a-segment"),
        (SEGMENT.landed.segment, SEGMENT.body[:64], None, 422, "not-a-segment"),
        (SEGMENT.landed.segment, b"x" + SEGMENT.body[1:], None, 422, "not-a-segment"),
    ],
    ids=["digest", "name", "empty", "no-frame", "no-header"],
)
def test_what_is_no_segment_is_refused_for_good(name, body, sha, status, slug):
    with pytest.raises(SegmentError) as raised:
        check(name, body, sha)
    assert (raised.value.status, raised.value.slug) == (status, slug)


def test_a_segment_may_have_so_many_bytes_and_no_more():
    body = SEGMENT.body + bytes(LIMITS.segment_max_bytes - len(SEGMENT.body))  # damage, which is taken
    assert check(SEGMENT.landed.segment, body).damaged == LIMITS.segment_max_bytes - len(SEGMENT.body)
    with pytest.raises(SegmentError) as raised:
        check(SEGMENT.landed.segment, body + b"\0")
    assert raised.value.status == 413


def test_a_segment_may_have_so_many_rows_and_no_more():
    """`segment_rows_max`: frames that say little and hold many rows."""
    segment, rows = reference.Segment(), 2**16
    block = {0: reference.LABEL, 1: rows, 3: 5, 11: [7, []]}
    for _ in range(LIMITS.segment_rows_max // rows):
        segment.frame([block])
    assert check(segment.name, bytes(segment.data)).rows == LIMITS.segment_rows_max
    segment.frame([{**block, 1: 1}])
    with pytest.raises(SegmentError) as raised:
        check(segment.name, bytes(segment.data))
    assert (raised.value.status, raised.value.slug) == (413, "too-many-rows")


def test_a_segment_may_hold_so_many_bytes_and_no_more():
    """`segment_plain_max_bytes`: frames of 16 MiB that are small as long as they are compressed."""
    segment, size = reference.Segment(), 2**24
    values = [{"id": "", "value": bytes(size - 100)}]
    block = {0: reference.LABEL, 1: 1, 3: 5, 11: [7, values]}
    document = {0: 0, 1: 1, 2: [0, 0], 3: {}, 4: [block]}
    values[0]["value"] = bytes(size - 100 + (size - 100 - len(msgpack.packb(document)) + 100))
    assert len(msgpack.packb(document)) == size
    for row in range(LIMITS.segment_plain_max_bytes // size):
        segment.payload(msgpack.packb({**document, 0: row}))
    assert check(segment.name, bytes(segment.data)).rows == LIMITS.segment_plain_max_bytes // size
    with pytest.raises(SegmentError) as raised:
        check(segment.name, bytes(segment.frame([{**block, 11: [7, [{}]]}]).data))
    assert (raised.value.status, raised.value.slug) == (413, "too-large")
