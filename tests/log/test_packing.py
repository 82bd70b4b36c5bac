"""Every column says exactly what it was made of, and in few bytes."""

from __future__ import annotations

import msgpack
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgerun.log.packing import Texts, encode, encode_texts, texts_of

WORD = 2**64


def decoded(column, n: int) -> list:
    """The values of a column, by the words of FORMAT.md and with Python's own integers."""
    if not isinstance(column, list):
        return [column] * n
    code, *items = column
    if code == 5:
        values = decoded(items[0], len(items[0][-2]))
        return [values[i] for i in decoded(items[1], n)]
    if code == 6:
        return [items[0][i] for i in decoded(items[1], n)]
    if code == 8:
        return [value << items[0] for value in decoded(items[1], n)]
    lengths, bits = items[-2:]
    assert len(lengths) == n
    stream, at, unsigned = int.from_bytes(bits, "little"), 0, []
    for length in lengths:
        low = stream >> at & (1 << max(0, length - 1)) - 1
        unsigned.append(low | 1 << length - 1 if length else 0)
        at += max(0, length - 1)
    assert len(bits) == (at + 7) // 8
    signed = [u // 2 if u % 2 == 0 else -(u + 1) // 2 for u in unsigned]
    base = items[0]
    if code == 0:
        return [base + u for u in unsigned]
    if code == 1:
        return [base - u for u in unsigned]
    if code == 2:
        return [base + z for z in signed]
    if code == 3:
        values = [base := base + z for z in signed]
        return values
    assert code == 4
    return [base + i * items[1] // 65536 + z for i, z in enumerate(signed)]


def column_of(values: np.ndarray):
    return msgpack.unpackb(b"".join(encode(values)), strict_map_key=False)


def assert_kept(values: np.ndarray) -> None:
    found = decoded(column_of(values), len(values))
    assert [value % WORD for value in found] == [value % WORD for value in values.tolist()]


SIGNED = st.integers(-(2**63), 2**63 - 1)
UNSIGNED = st.integers(0, WORD - 1)


@given(st.lists(SIGNED | st.integers(-9, 9), min_size=1, max_size=60))
def test_signed_integers_come_back(values):
    assert_kept(np.array(values, np.int64))


@given(st.lists(UNSIGNED | st.integers(0, 9), min_size=1, max_size=60))
def test_unsigned_integers_come_back(values):
    assert_kept(np.array(values, np.uint64))


@given(st.lists(st.sampled_from([0, 1, WORD - 1, 2**63, 2**63 - 1, 12345]), min_size=1, max_size=300))
def test_few_distinct_integers_come_back(values):
    assert_kept(np.array(values, np.uint64))


@given(SIGNED, st.integers(-(2**45), 2**45), st.lists(st.integers(-1000, 1000), min_size=2, max_size=200))
def test_integers_along_a_line_come_back(base, step, jitter):
    values = [(base + i * step + jump + 2**63) % WORD - 2**63 for i, jump in enumerate(jitter)]
    assert_kept(np.array(values, np.int64))


@given(st.lists(SIGNED, min_size=2, max_size=60), st.integers(1, 63))
def test_multiples_of_a_power_of_two_come_back(values, shift):
    shifted = [(value << shift) % WORD for value in values]
    assert_kept(np.array(shifted, np.uint64))
    assert_kept(np.array(shifted, np.uint64).view(np.int64))


def test_bits_that_are_zero_in_all_values_cost_nothing():
    values = np.random.default_rng(0).integers(0, 2**20, 1000)
    assert sum(map(len, encode(values * 1024))) == sum(map(len, encode(values))) + 3
    assert column_of(np.array([1024, 3 * 1024]))[0] != 8  # too few to be worth saying


@pytest.mark.parametrize("n", [1, 2, 3, 7, 8, 255, 256, 257, 4095, 4096, 4097, 16_384])
@pytest.mark.parametrize("seed", range(3))
def test_long_columns_of_any_kind_come_back(n, seed):
    random = np.random.default_rng(seed)
    noise = random.normal(0, 1000, n).astype(np.int64)
    assert_kept(noise)
    assert_kept(np.arange(n) * 100_000 + noise)
    assert_kept(np.cumsum(np.abs(noise)))
    assert_kept(random.integers(0, WORD, 50, np.uint64)[random.integers(0, 50, n)])
    assert_kept(random.integers(0, WORD, n, np.uint64))
    assert_kept(np.repeat(random.integers(0, WORD, n // 100 + 1, np.uint64), 100)[:n])


def test_a_column_that_changes_after_its_middle_comes_back():
    values = np.full(16_384, 10**12)
    values[:3000] = 5
    values[-1] = -7
    assert_kept(values)


@pytest.mark.parametrize("n", [1, 2, 1000])
def test_what_all_rows_share_is_one_number(n):
    assert column_of(np.full(n, -42)) == -42
    assert column_of(np.full(n, WORD - 1, np.uint64)) == WORD - 1


def size_of(values: np.ndarray) -> float:
    """Bits of each value, the lengths as a perfect coder would write them."""
    lengths, bits = column_of(values)[-2:]
    counts = np.bincount(np.frombuffer(lengths, np.uint8))
    shares = counts[counts > 0] / len(lengths)
    return 8 * len(bits) / len(values) - float(shares @ np.log2(shares))


@pytest.mark.parametrize(
    ("values", "bits"),
    [
        (np.random.default_rng(1).normal(0, 1000, 16_384).astype(np.int64), np.log2(1000 * np.sqrt(2 * np.pi * np.e))),
        (np.random.default_rng(2).integers(0, 2**40, 16_384), 40),
        (
            np.arange(16_384) * 100_000 + np.random.default_rng(3).normal(0, 2000, 16_384).astype(np.int64),
            np.log2(2000 * np.sqrt(2 * np.pi * np.e)),
        ),
    ],
    ids=["normal", "uniform", "regular times"],
)
def test_a_column_costs_about_its_entropy(values, bits):
    assert size_of(values) < bits + 0.2


@given(st.lists(st.text(max_size=3), min_size=1, max_size=50))
def test_texts_come_back(values):
    column = texts_of([value.encode(errors="replace") for value in values])
    found = decoded(msgpack.unpackb(b"".join(encode_texts(column))), len(values))
    assert found == [value.encode(errors="replace").decode() for value in values]


def test_bytes_that_are_no_text_are_shown_as_far_as_they_are():
    assert texts_of([b"ab\xff"]).texts == ["ab\N{REPLACEMENT CHARACTER}"]


def test_a_text_stands_once_however_often_it_occurs():
    column = texts_of([b"yes", b"no"] * 500)
    assert isinstance(column, Texts)
    assert column.texts == ["yes", "no"]
