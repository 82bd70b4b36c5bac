"""Sectors: vectors of an independent program, what is valid and what is not, and which of two counts."""

from __future__ import annotations

import json
import re
import struct
from pathlib import Path

import google_crc32c
import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgerun import LIMITS
from edgerun.errors import StoreError
from edgerun.store import Bad, Candidate, Happening, State
from edgerun.store.sector import (
    BODY_MAX_BYTES,
    SECTOR_BYTES,
    TAKEN_BACK,
    decode_sector,
    encode_sector,
    read_sectors,
)
from edgerun.store.state import EVENTS, rejected

ROOT = Path(__file__).parents[2]
VECTORS = json.loads((ROOT / "tests" / "vectors" / "store" / "sectors.json").read_text("utf-8"))
FORMAT = (ROOT / "edgerun" / "store" / "FORMAT.md").read_text("utf-8")

digests = st.binary(min_size=32, max_size=32).map(lambda raw: f"sha256:{raw.hex()}")
numbers = st.integers(0, 2**63 - 1)
texts = st.text(max_size=16)
states = st.builds(
    State,
    generation=st.integers(1, 2**64 - 1),
    current=st.none() | digests,
    previous=st.none() | digests,
    candidate=st.none() | st.builds(Candidate, digests, st.integers(0, 3)),
    bad=st.lists(st.builds(Bad, digests, texts), max_size=LIMITS.store_bad_max).map(tuple),
    history=st.lists(st.builds(Happening, numbers, st.sampled_from(EVENTS), digests), max_size=20).map(tuple),
    metadata=numbers,
    root=st.none() | st.binary(min_size=32, max_size=32).map(bytes.hex),
    floors=st.dictionaries(texts, numbers, max_size=LIMITS.store_floors_max),
    seen_s=numbers,
)


def whole(digits: str) -> bytes:
    return bytes.fromhex(digits).ljust(SECTOR_BYTES, b"\0")


def digest(raw: str | None) -> str | None:
    return None if raw is None else f"sha256:{raw}"


@pytest.mark.parametrize("vector", VECTORS["valid"], ids=lambda vector: vector["name"])
def test_a_valid_sector_is_read_and_written_the_same(vector):
    body = vector["body"]
    state = State(
        vector["generation"],
        digest(body["current"]),
        digest(body["previous"]),
        body["candidate"] and Candidate(digest(body["candidate"][0]), body["candidate"][1]),
        tuple(Bad(digest(raw), why) for raw, why in body["bad"]),
        tuple(Happening(time_s, what, digest(raw)) for time_s, what, raw in body["history"]),
        body["metadata"],
        body["root"],
        body["floors"],
        body["seen_s"],
    )
    assert decode_sector(whole(vector["sector"])) == state
    assert encode_sector(state) == whole(vector["sector"])


@pytest.mark.parametrize("vector", VECTORS["invalid"], ids=lambda vector: vector["name"])
def test_an_invalid_sector_says_nothing(vector):
    assert decode_sector(whole(vector["sector"])) is None


def test_a_sector_has_its_size():
    sector = whole(VECTORS["valid"][0]["sector"])
    assert decode_sector(sector[:-1]) is None
    assert decode_sector(sector + b"\0") is None


def test_the_worked_example_is_what_the_table_says():
    (block,) = re.findall(r"^```\n(0000  .*?)^```", FORMAT, re.MULTILINE | re.DOTALL)
    raw = b"".join(bytes.fromhex(line.split(maxsplit=1)[1]) for line in block.splitlines())
    magic, generation, length, crc = struct.unpack("<8sQII", raw[:24])
    assert (magic, generation, length) == (b"ERSTATE1", 2, len(raw) - 24)
    assert crc == google_crc32c.value(raw[:20] + raw[24:])
    body = msgpack.unpackb(raw[24:])
    assert body["candidate"] == [b"\xab" * 32, 3]
    assert body["history"] == [[1_767_225_600, "activated", b"\xab" * 32]]
    assert decode_sector(raw.ljust(SECTOR_BYTES, b"\0")).candidate == Candidate(f"sha256:{'ab' * 32}", 3)


@given(states)
def test_what_is_written_is_read(state):
    assert decode_sector(encode_sector(state)) == state


@given(states, st.integers(0, 8 * SECTOR_BYTES - 1))
def test_no_bit_may_be_another(state, bit):
    sector = bytearray(encode_sector(state))
    sector[bit // 8] ^= 1 << bit % 8
    assert decode_sector(bytes(sector)) is None


@settings(max_examples=300)
@given(st.binary(max_size=200))
def test_no_body_makes_trouble(body):
    head = struct.pack("<8sQI", b"ERSTATE1", 1, len(body))
    sector = (head + struct.pack("<I", google_crc32c.value(head + body)) + body).ljust(SECTOR_BYTES, b"\0")
    assert decode_sector(sector) is None


FULL = State(
    generation=1,
    bad=tuple(Bad(f"sha256:{number:064x}", "x" * LIMITS.store_why_max_bytes) for number in range(16)),
    history=tuple(Happening(2**40, "rolled_back", f"sha256:{number:064x}") for number in range(32)),
    floors={f"{number:0{LIMITS.store_role_max_bytes}}": 2**62 for number in range(LIMITS.store_floors_max)},
)


def test_the_oldest_of_the_history_go_first_where_a_body_is_too_long():
    found = decode_sector(encode_sector(FULL))
    assert (found.bad, found.floors) == (FULL.bad, FULL.floors)
    assert 0 < len(found.history) < 32
    assert found.history == FULL.history[-len(found.history) :]
    one_more = FULL._replace(history=FULL.history[-len(found.history) - 1 :])
    assert decode_sector(encode_sector(one_more)) == found, "as little is left out as can be"


def test_then_the_oldest_of_the_bad_do():
    floors = {f"{number:0150}": 2**62 for number in range(16)}
    body = msgpack.unpackb(encode_sector(FULL._replace(floors=floors))[24:].rstrip(b"\0") + b"\0")
    assert (body["history"], body["floors"]) == ([], floors)
    kept = [int.from_bytes(raw, "big") for raw, _ in body["bad"]]
    assert kept == [*range(16)][-len(kept) :]
    assert 0 < len(kept) < 16


def test_a_state_that_cannot_be_made_to_fit_is_refused():
    floors = {f"{number:0{BODY_MAX_BYTES // 8}}": 1 for number in range(8)}
    with pytest.raises(StoreError, match="at most 4072"):
        encode_sector(State(generation=1, floors=floors))


# Which of the two counts.

ONE, TWO = (encode_sector(State(generation=generation, seen_s=generation)) for generation in (1, 2))
ZEROS, TORN = bytes(SECTOR_BYTES), ONE[:512] + b"\1" * (SECTOR_BYTES - 512)


@pytest.mark.parametrize(
    ("first", "second", "generation", "offset"),
    [
        (ONE, TWO, 2, 0),
        (TWO, ONE, 2, SECTOR_BYTES),
        (ONE, ZEROS, 1, SECTOR_BYTES),
        (ONE, TORN, 1, SECTOR_BYTES),
        (ONE, TAKEN_BACK, 1, SECTOR_BYTES),
        (TORN, TWO, 2, 0),
        (ZEROS, ZEROS, 0, 0),
        (TORN, ZEROS, 0, 0),
    ],
    ids=["newer", "older", "first", "torn", "taken back", "torn first", "none yet", "torn at the very first write"],
)
def test_the_valid_one_with_the_higher_generation_counts_and_the_other_is_written(first, second, generation, offset):
    found = read_sectors(first + second)
    assert (found.state.generation, found.offset) == (generation, offset)


@pytest.mark.parametrize(
    "raw",
    [TORN + TORN, ZEROS + TORN, TAKEN_BACK + TORN, b"", ZEROS, (ZEROS + ZEROS)[:-1]],
    ids=["both torn", "the second torn", "none left", "empty", "half a file", "short"],
)
def test_a_file_without_a_valid_sector_is_damaged(raw):
    assert read_sectors(raw) is None


def test_what_happened_last_is_kept_however_much_there_is():
    state = FULL
    for number in range(40):
        state = decode_sector(encode_sector(rejected(state, f"sha256:{number + 100:064x}", "y" * 99, number)))
    assert state.bad[-1].digest == f"sha256:{139:064x}"
    assert state.floors == FULL.floors
