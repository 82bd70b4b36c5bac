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
from edgerun_sync.collector.arrow.tables import SLICE_ROWS, slices
from edgerun_sync.errors import ContentError, TableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from edgerun_sync.collector.rows import Rows

_FIRST_DAY = date(1970, 1, 1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LEVEL = 1
_FOLLOWING = ("time", "clock", "row", "sequence", "batch_time", "begin", "end")
"""Integers that mostly follow each other: their differences are what is written."""
_VARIED = {"score", "difference"}
"""Floats that seldom repeat: a dictionary of them would take twice the bytes and three times the time."""
_LEAVES = {"outputs": "outputs.key_value.key", "texts": "texts.key_value.key"}
"""Of a map, the part that repeats."""
_NESTED = {"outputs", "texts", "lost", "errors", "flags"}
_ASIDE = {
    "clock",
    "boot",
    "epoch",
    "assignment",
    "fallback",
    "route",
    "node",
    "nonfinite",
    "failed",
    "disagrees",
    "score",
    "error",
    "message",
}
"""Columns by whose values no query passes rows over: their least and greatest would be found for nobody."""
_PIECE_ROWS = 2**14
"""Values that are encoded at once; by the thousand, as pyarrow does by itself, each column takes more time."""
_DICTIONARY_BYTES_MAX = 2**18
"""Of distinct values of a column in a slice; what has more, such as the units of a large fleet, is smaller without."""
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
    """Return a batch's rows of a table as files.

    Raises:
        ContentError: Arrow has no form for them.
    """
    try:
        return _day_files(rows, table)
    except pa.ArrowMemoryError:
        raise
    except (pa.ArrowException, ValueError, TypeError, ArithmeticError, LookupError, RecursionError) as error:
        raise ContentError(f"rows of a batch do not become a file of the table {table}: {error}") from error


def _day_files(rows: Rows, table: str) -> list[DayFile]:
    writers = dict[int, _Writer]()
    for sliced in slices(rows, table):
        days = np.unique(sliced.day).tolist()
        for day in days:
            writer = writers.get(day) or writers.setdefault(day, _Writer(sliced.table.schema))
            own = sliced.table if len(days) == 1 else sliced.table.filter(pa.array(sliced.day == day))
            writer.write(own)
    return [writer.close((_FIRST_DAY + timedelta(days=day)).isoformat()) for day, writer in sorted(writers.items())]


def merged_file(name: str, day: str, files: Iterable[bytes | None]) -> DayFile:
    """Return the rows of some files of a day of a table as one file; columns that only some have are kept.

    Raises:
        TableError: one of the files is gone, or no Parquet.
    """
    opened = [opened_file(data) for data in files]
    return file_of(day, _gathered(opened, _schema_of(name, opened)), _schema_of(name, opened))


def file_without(
    name: str, day: str, file: pq.ParquetFile, is_gone: Callable[[pa.Table], Any]
) -> tuple[int, DayFile | None]:
    """Return how many rows of a file are gone, and a file of the others; None where there are none.

    Args:
        name: of the table.
        day: of the file.
        file: that has all rows.
        is_gone: says of each row of a table whether it goes, as booleans.
    """
    schema = _schema_of(name, [file])
    left, rows = [], 0
    for number in range(file.num_row_groups):
        table = file.read_row_group(number)
        kept = table.filter(pc.invert(is_gone(table)))
        rows += table.num_rows - kept.num_rows
        if kept.num_rows:
            left.append(pa.table([_column(kept, field) for field in schema], schema=schema))
    return rows, file_of(day, left, schema) if left else None


def file_of(day: str, tables: Iterable[pa.Table], schema: pa.Schema) -> DayFile:
    """Return tables as one file."""
    writer = _Writer(schema)
    for table in tables:
        writer.write(table)
    return writer.close(day)


def _schema_of(name: str, files: Iterable[pq.ParquetFile]) -> pa.Schema:
    """The columns of a table, and further ones that files have."""
    own = file_schema(SCHEMAS[name])
    further = {
        field.name: _plain(field) for file in files for field in file.schema_arrow if field.name not in own.names
    }
    return pa.schema([*own, *further.values()])


def opened_file(data: bytes | None) -> pq.ParquetFile:
    """Return a file of a table, to be read.

    Raises:
        TableError: it is gone, or no Parquet.
    """
    if data is None:
        raise TableError("a file of a table is gone; rebuild the tables from what was landed")
    try:
        return pq.ParquetFile(pa.BufferReader(data))
    except pa.ArrowException as error:
        raise TableError(f"a file of a table is no Parquet: {error}") from error


def _plain(field: pa.Field) -> pa.Field:
    """A field as any writer may have it, in the one type that we write: delta-rs has other ones for texts."""
    return field.with_type(pa.string()) if field.type in {pa.string_view(), pa.large_string()} else field


def _gathered(files: Sequence[pq.ParquetFile], schema: pa.Schema) -> Iterator[pa.Table]:
    """The row groups of files, put together to as many rows as a slice has."""
    waiting, rows = [], 0
    for file in files:
        for number in range(file.num_row_groups):
            table = file.read_row_group(number)
            arrays = [_column(table, field) for field in schema]
            waiting.append(pa.table(arrays, schema=schema))
            rows += table.num_rows
            if rows >= SLICE_ROWS:
                yield pa.concat_tables(waiting).unify_dictionaries()
                waiting, rows = [], 0
    if waiting:
        yield pa.concat_tables(waiting).unify_dictionaries()


def _column(table: pa.Table, field: pa.Field) -> pa.ChunkedArray | pa.Array:
    if field.name not in table.schema.names:
        return pa.nulls(table.num_rows, field.type)
    if pa.types.is_dictionary(field.type):
        return table[field.name].cast(field.type.value_type).dictionary_encode()
    return table[field.name].cast(field.type)


class _Writer:
    """A file that is being written."""

    def __init__(self, schema: pa.Schema) -> None:
        self._sink = pa.BufferOutputStream()
        self._rows = 0
        self._bounds: dict[str, tuple[int, int]] = {}
        following = [name for name in _FOLLOWING if name in schema.names]
        encoding = dict.fromkeys(following, "DELTA_BINARY_PACKED")
        if "id" in schema.names:  # of events it is written small, for queries know it by its parts; else to be read
            encoding["id"] = "DELTA_BYTE_ARRAY" if "sequence" in schema.names else "DELTA_LENGTH_BYTE_ARRAY"
        self._writer = pq.ParquetWriter(
            self._sink,
            schema,
            compression="zstd",
            compression_level=_LEVEL,
            use_dictionary=[
                _LEAVES.get(name, name) for name in schema.names if name not in encoding and name not in _VARIED
            ],
            column_encoding=encoding,
            store_schema=False,
            write_statistics=[name for name in schema.names if name not in _NESTED | _ASIDE],
            write_batch_size=_PIECE_ROWS,
            dictionary_pagesize_limit=_DICTIONARY_BYTES_MAX,
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

    def close(self, day: str) -> DayFile:
        self._writer.close()
        return DayFile(day, self._sink.getvalue().to_pybytes(), self._rows, self._stats())

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
