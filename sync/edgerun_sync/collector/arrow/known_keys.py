"""Keys that somebody knows, whether or not a fleet ever heard of them, as a table that an engine can be given."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Sequence

KEYS: pa.Schema = pa.schema([("key", pa.string())])
"""The column."""


def keys_table(keys: Sequence[str]) -> pa.Table:
    """Return keys as a table with the column ``key``, each key once."""
    return pa.table({"key": pa.array(dict.fromkeys(keys), pa.string())}, schema=KEYS)
