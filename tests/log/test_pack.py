"""Packed integers: the bits that FORMAT.md says, by a decoder that reads them one by one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgerun._core.pack import pack_column, pack_u64, unpack_u64
from edgerun.errors import LogError

integers = st.integers(0, 63).flatmap(lambda length: st.integers(0, 2 ** (length + 1) - 1))
"""Integers of every length alike, which st.integers(0, 2**64 - 1) would hardly ever give."""


def read_bits(lengths: bytes, bits: bytes) -> list[int]:
    """FORMAT.md, Columns, with Python's own integers."""
    stream, values = int.from_bytes(bits, "little"), []
    for length in lengths:
        width = max(length - 1, 0)
        values.append(stream % 2**width + (2**width if length else 0))
        stream >>= width
    assert stream == 0
    return values


@given(st.lists(integers, max_size=100))
def test_any_integers_come_back(values: list[int]) -> None:
    lengths, bits = pack_u64(np.array(values, np.uint64))
    assert list(lengths) == [value.bit_length() for value in values]
    assert len(bits) == (sum(max(length - 1, 0) for length in lengths) + 7) // 8
    assert read_bits(lengths, bits) == values
    assert unpack_u64(lengths, bits).tolist() == values


def test_nothing_is_nothing() -> None:
    assert pack_u64(np.array([], np.uint64)) == (b"", b"")
    assert unpack_u64(b"", b"").tolist() == []


@pytest.mark.parametrize(
    ("lengths", "bits"),
    [(b"\x41", bytes(8)), (b"\xff", bytes(32)), (b"\x02", b""), (b"\x02", bytes(2)), (b"\x02", b"\x02"), (b"", b"\0")],
    ids=["65 bits", "255 bits", "too few", "too many", "the filling is not zero", "bits of nothing"],
)
def test_bits_that_do_not_belong_to_their_lengths_are_refused(lengths: bytes, bits: bytes) -> None:
    with pytest.raises(LogError, match="do not belong"):
        unpack_u64(lengths, bits)


@given(st.binary(max_size=20), st.binary(max_size=160))
def test_whatever_is_accepted_packs_to_the_same_bytes(lengths: bytes, bits: bytes) -> None:
    try:
        values = unpack_u64(lengths, bits)
    except LogError:
        return
    assert pack_u64(values) == (lengths, bits)


def zigzag(u: int) -> int:
    return u // 2 if u % 2 == 0 else -(u + 1) // 2


def read_column(packed) -> list[int]:
    """FORMAT.md, Columns, codes 0 to 4, with Python's own integers; modulo 2^64."""
    numbers, values = read_bits(packed.lengths, packed.bits), []
    for i, u in enumerate(numbers):
        value = {
            0: packed.base + u,
            1: packed.base - u,
            2: packed.base + zigzag(u),
            3: (values[-1] if values else packed.base) + zigzag(u),
            4: packed.base + (i * packed.step) // 65536 + zigzag(u),
        }[packed.code]
        values.append(value % 2**64)
    return values


signed = integers.flatmap(lambda value: st.sampled_from([value // 2, -(value // 2) - 1]))


@given(st.lists(signed, min_size=1, max_size=100))
def test_a_signed_column_comes_back(values):
    packed = pack_column(np.array(values, np.int64))
    assert read_column(packed) == [value % 2**64 for value in values]
    assert -(2**63) <= packed.base < 2**63


@given(st.lists(integers, min_size=1, max_size=100))
def test_an_unsigned_column_comes_back(values):
    packed = pack_column(np.array(values, np.uint64))
    assert read_column(packed) == values
    assert 0 <= packed.base < 2**64


@given(
    st.integers(3, 300),
    st.integers(-(2**44), 2**44),
    st.integers(-(2**34), 2**34),
    st.integers(0, 2**20),
    st.integers(),
)
def test_a_line_with_jitter_comes_back(n, first, step, jitter, seed):
    noise = np.random.default_rng(abs(seed)).integers(-jitter, jitter + 1, n)
    values = first + step * np.arange(n, dtype=np.int64) + noise
    assert read_column(pack_column(values)) == [value % 2**64 for value in values.tolist()]


def column_of(kind, n=4096):
    rng = np.random.default_rng(0)
    return {
        "steps": np.cumsum(rng.integers(0, 3, n)),
        "grid": 100_000 * np.arange(n) + rng.normal(0, 2000, n).astype(np.int64),
        "bell": rng.normal(10**9, 1000, n).astype(np.int64),
        "floor": 10**9 + rng.geometric(0.1, n),
        "ceiling": 10**9 - rng.geometric(0.1, n),
    }[kind]


@pytest.mark.parametrize(
    ("kind", "codes"), [("steps", {3}), ("grid", {4}), ("bell", {2}), ("floor", {0, 2}), ("ceiling", {1, 2})]
)
def test_the_way_fits_the_values(kind, codes):
    packed = pack_column(column_of(kind))
    assert packed.code in codes
    assert not packed.is_repetitive or kind in {"floor", "ceiling", "steps"}


def test_few_distinct_values_are_noticed():
    rng = np.random.default_rng(0)
    assert pack_column(rng.choice(rng.integers(0, 2**63, 30), 4096)).is_repetitive
    assert not pack_column(rng.integers(0, 2**63, 4096)).is_repetitive
