"""Spark's xxhash64 over columns of text, for engines that have no such function."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from edgerun.split import xxh64
from edgerun_sync.errors import QueryError

_MODULUS, _HALF = 2**64, 2**63


def spark_hashes(*columns: Any) -> pa.Array:
    """Return the hashes of rows of texts, int64: what Spark's ``xxhash64(…)`` gives. No text is missing.

    Raises:
        QueryError: a column is none of texts, of which Spark hashes other bytes.
    """
    for column in columns:
        if not pa.types.is_string(column.type):
            raise QueryError(f"xxhash64 is of texts here, and this is {column.type}: write CAST(… AS VARCHAR)")
    texts = [[text.encode() for text in column.to_pylist()] for column in columns]
    found = [xxh64(*row) for row in zip(*texts, strict=True)]
    return pa.array([code - _MODULUS if code >= _HALF else code for code in found], pa.int64())
