"""Tables as Parquet files in memory, one for each day, with what Delta wants to know of each."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from edgerun_sync.collector.arrow.schemas import SCHEMAS, file_schema
from edgerun_sync.collector.arrow.tables import slices

if TYPE_CHECKING:
    from edgerun_sync.collector.rows import Rows

_FIRST_DAY = date(1970, 1, 1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LEVEL = 1
_FOLLOWING = ("time", "clock", "row", "sequence", "batch_time", "begin", "end")
"""Integers that mostly follow each other: their differences are what is written."""
_BOUNDED = ("time", "row")
"""Columns whose least and greatest values Delta is told, so that files can be passed over."""


class DayFile(NamedTuple):
    """One file of a table.

    Attributes:
        day: of its rows, as Delta writes it.
        data: its bytes.
        rows: how many.
        stats: as JSON, as Delta wants them.
    """

    day: str
    data: bytes
    rows: int
    stats: str


def day_files(rows: Rows, table: str) -> list[DayFile]:
    """Return a batch's rows of a table as files."""
    schema, writers = file_schema(SCHEMAS[table]), dict[int, _Writer]()
    for sliced in slices(rows, table):
        days = np.unique(sliced.day).tolist()
        for day in days:
            writer = writers.get(day) or writers.setdefault(day, _Writer(schema))
            own = sliced.table if len(days) == 1 else sliced.table.filter(pa.array(sliced.day == day))
            writer.write(own)
    return [writer.close(day) for day, writer in sorted(writers.items())]


class _Writer:
    """A file that is being written."""

    def __init__(self, schema: pa.Schema) -> None:
        self._sink = pa.BufferOutputStream()
        self._rows = 0
        self._bounds: dict[str, tuple[int, int]] = {}
        following = [name for name in _FOLLOWING if name in schema.names]
        encoding = dict.fromkeys(following, "DELTA_BINARY_PACKED")
        if "id" in schema.names:
            encoding["id"] = "DELTA_BYTE_ARRAY"
        self._writer = pq.ParquetWriter(
            self._sink,
            schema,
            compression="zstd",
            compression_level=_LEVEL,
            use_dictionary=_with_dictionary(schema, encoding),
            column_encoding=encoding,
            store_schema=False,
            write_statistics=[name for name in schema.names if name not in {"outputs", "texts"}],
        )
        self._schema = schema

    def write(self, table: pa.Table) -> None:
        self._writer.write_table(table, row_group_size=max(1, table.num_rows))
        self._rows += table.num_rows
        for name in _BOUNDED:
            column = table[name]
            found = pc.min_max(column.cast(pa.int64())).as_py()
            low, high = self._bounds.get(name, (found["min"], found["max"]))
            self._bounds[name] = min(low, found["min"]), max(high, found["max"])

    def close(self, day: int) -> DayFile:
        self._writer.close()
        data = self._sink.getvalue().to_pybytes()
        return DayFile((_FIRST_DAY + timedelta(days=day)).isoformat(), data, self._rows, self._stats())

    def _stats(self) -> str:
        document: dict[str, Any] = {"numRecords": self._rows}
        for field, which in (("minValues", 0), ("maxValues", 1)):
            document[field] = {
                name: _moment(bounds[which]) if name == "time" else bounds[which]
                for name, bounds in self._bounds.items()
            }
        return json.dumps(document | {"nullCount": dict.fromkeys(self._bounds, 0)})


def _moment(time_us: int) -> str:
    return (_EPOCH + timedelta(microseconds=time_us)).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _with_dictionary(schema: pa.Schema, encoding: dict[str, str]) -> list[str]:
    return [name for name in schema.names if name not in encoding]
