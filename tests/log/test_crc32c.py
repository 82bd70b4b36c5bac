"""CRC-32C: published vectors, an independent implementation, and going on from a former result."""

from __future__ import annotations

from pathlib import Path

import google_crc32c
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgerun._core.pack import crc32c

VECTORS = Path(__file__).parents[1] / "vectors" / "log" / "crc32c.tsv"
ROWS = [line.split("\t") for line in VECTORS.read_text(encoding="utf-8").splitlines()[1:]]


@pytest.mark.parametrize(("case", "data", "crc"), ROWS, ids=[row[0] for row in ROWS])
def test_vectors(case: str, data: str, crc: str) -> None:
    assert crc32c(bytes.fromhex(data)) == int(crc, 16)


def test_the_vectors_of_the_rfc_are_among_them() -> None:
    assert sum(case.startswith("RFC 3720 B.4") for case, _, _ in ROWS) == 5


@given(st.binary(max_size=300), st.binary(max_size=300))
def test_any_bytes_in_two_pieces_are_those_of_google_crc32c_in_one(first: bytes, second: bytes) -> None:
    assert crc32c(second, crc32c(first)) == google_crc32c.value(first + second)


def test_other_contiguous_memory_is_read_too() -> None:
    assert crc32c(memoryview(b"0123456789")[1:]) == crc32c(bytearray(b"123456789")) == 0xE3069283
