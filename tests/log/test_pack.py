"""Packed integers: the bits that FORMAT.md says, by a decoder that reads them one by one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgerun._core.pack import pack_u64, unpack_u64
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
