"""Payloads compressed and decompressed, by many threads and under changing limits."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from edgerun.errors import LogError
from edgerun.log.payload import compress, decompress


def test_many_threads_decompress_at_once() -> None:
    plain = [bytes([i]) * 100_000 + i.to_bytes(4, "big") * 1000 for i in range(200)]
    stored = [compress([each]) for each in plain]
    with ThreadPoolExecutor(8) as threads:
        assert [*threads.map(lambda each: decompress(each, 2**20), stored)] == plain


def test_each_call_has_its_own_limit() -> None:
    stored = compress([b"x" * 1000])
    assert decompress(stored, 1000) == b"x" * 1000
    with pytest.raises(LogError, match="at most 999"):
        decompress(stored, 999)
    assert decompress(stored, 2**20) == b"x" * 1000


def test_damage_leaves_nothing_behind() -> None:
    stored = compress([bytes(range(256)) * 40])
    with pytest.raises(LogError, match="not a zstd frame"):
        decompress(stored[:-9], 2**20)
    assert decompress(stored, 2**20) == bytes(range(256)) * 40
