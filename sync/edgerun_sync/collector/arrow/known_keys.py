"""Keys that somebody knows, whether or not a fleet ever heard of them, as tables that an engine can be given."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from edgerun_sync.collector.arrow.hashes import hashes_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from edgerun.enrolment import Gate
    from edgerun.split import Split

KEYS: pa.Schema = pa.schema([("key", pa.string())])
"""The column."""

_SLICE_ROWS = 1 << 14
"""So many keys are hashed at once: what is in between stays in a core's cache."""
_POINT_SHIFT = np.uint64(32)


def keys_table(keys: Sequence[str]) -> pa.Table:
    """Return keys as a table with the column ``key``, each key once."""
    return pa.table({"key": pa.array(keys, pa.string()).unique()}, schema=KEYS)


def points_table(keys: Sequence[str], nodes: Mapping[str, tuple[Split, Sequence[Gate]]]) -> pa.Table:
    """Return the units of keys, and where several nodes put them.

    The table has a row for each key, once: ``unit``, its hash as events have it, and of each node ``point_NAME``, where
    the key is in its split, missing where it does not pass its gates. It is computed here, from native/SPLIT.md and not
    by the code of devices: a hash that an engine asks for takes four times as long.

    Args:
        keys: texts.
        nodes: of each name, the split, and what a key must pass, as `edgerun.enrolment.gates_of` has them.
    """
    texts = pa.array(keys, pa.string())
    found = _points_of(texts, nodes)
    units = np.sort(found["unit"].to_numpy())
    is_once = bool((units[1:] != units[:-1]).all())  # sorting numbers takes a twentieth of the time of comparing texts
    return found if is_once else _points_of(texts.unique(), nodes)


def _points_of(texts: pa.Array, nodes: Mapping[str, tuple[Split, Sequence[Gate]]]) -> pa.Table:
    schema = pa.schema([("unit", pa.int64()), *((f"point_{name}", pa.int64()) for name in nodes)])
    slices = (texts.slice(first, _SLICE_ROWS) for first in range(0, len(texts), _SLICE_ROWS))
    batches = [
        pa.record_batch([pa.array(hashes_of(some)), *(_points(some, *node) for node in nodes.values())], schema=schema)
        for some in slices
    ]
    return pa.Table.from_batches(batches, schema=schema)


def _points(keys: pa.Array, split: Split, gates: Sequence[Gate]) -> pa.Array:
    is_stopped = np.zeros(len(keys), bool)
    for gate in gates:
        place = _point(keys, gate.salt)
        is_stopped |= (place < gate.start) | (place >= gate.end)
    return pa.array(_point(keys, split.salt), mask=is_stopped)


def _point(keys: pa.Array, salt: str) -> NDArray[np.int64]:
    return (hashes_of(keys, salt).view(np.uint64) >> _POINT_SHIFT).view(np.int64)
