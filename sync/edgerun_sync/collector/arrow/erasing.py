"""Which rows are of a device or of a unit, and files without them. What has no unit of its own goes with its call."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from edgerun_sync.collector.arrow.parquet import file_without, opened_file

if TYPE_CHECKING:
    from edgerun_sync.collector.arrow.parquet import DayFile


class Gone(NamedTuple):
    """Which rows are to go: those of a device, or those of a unit and of its calls.

    Attributes:
        device: its name; None where a unit goes.
        unit: as the tables have it, signed; None where a device goes.
        ids: of the unit's calls.
    """

    device: str | None = None
    unit: int | None = None
    ids: frozenset[str] = frozenset()


class Found(NamedTuple):
    """What a file has of rows that are to go.

    Attributes:
        ids: of calls.
        batches: device and time of the batch, microseconds since 1970.
    """

    ids: frozenset[str]
    batches: frozenset[tuple[str, int]]


def found_in(data: bytes | None, gone: Gone) -> Found:
    """Return what a file of a table has of the rows that are to go.

    Raises:
        TableError: it is gone, or no Parquet.
    """
    file = opened_file(data)
    names = [name for name in ("device", "batch_time", "unit", "id") if name in file.schema_arrow.names]
    table = file.read(names)
    marked = table.filter(_is_gone(table, gone))
    times = pc.cast(marked["batch_time"], pa.int64()).to_pylist()
    ids = marked["id"].drop_null().to_pylist() if "id" in names else []
    return Found(frozenset(ids), frozenset(zip(marked["device"].to_pylist(), times, strict=True)))


def remaining(name: str, day: str, data: bytes | None, gone: Gone) -> tuple[int, DayFile | None]:
    """Return how many rows of a table's file are to go, and a file of the others; None where there are none.

    Raises:
        TableError: it is gone, or no Parquet.
    """
    return file_without(name, day, opened_file(data), lambda table: _is_gone(table, gone))


def _is_gone(table: pa.Table, gone: Gone) -> pa.ChunkedArray | pa.Array:
    if gone.device is not None:
        return pc.equal(table["device"], gone.device)
    marked = pa.array(np.zeros(table.num_rows, np.bool_))
    if gone.unit is not None and "unit" in table.schema.names:
        marked = pc.or_(marked, pc.fill_null(pc.equal(table["unit"], gone.unit), fill_value=False))
    if gone.ids and "id" in table.schema.names:
        marked = pc.or_(marked, pc.is_in(table["id"], pa.array(sorted(gone.ids), table.schema.field("id").type)))
    return marked
