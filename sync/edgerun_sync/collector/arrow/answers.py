"""Answers of engines as people and files take them: values that JSON has, CSV, Parquet. A batch of rows at a time."""

from __future__ import annotations

import io
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import IO, TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from edgerun_sync.collector.arrow.notes import as_json
from edgerun_sync.errors import QueryError

if TYPE_CHECKING:
    from collections.abc import Iterator


def as_values(reader: pa.RecordBatchReader) -> Iterator[list[Any]]:
    """Yield the rows of an answer as values that JSON has.

    Times are ISO 8601, bytes hexadecimal, and NaN and infinities texts.

    Raises:
        QueryError: the engine failed meanwhile.
    """
    for batch in _batches(reader):
        for row in zip(*(column.to_pylist() for column in batch.columns), strict=True):
            yield [_value(value) for value in row]


def as_records(reader: pa.RecordBatchReader) -> Iterator[dict[str, Any]]:
    """Yield the rows of an answer as Python has them, by the columns' names.

    Raises:
        QueryError: the engine failed meanwhile.
    """
    for batch in _batches(reader):
        yield from batch.to_pylist()


def as_csv_texts(reader: pa.RecordBatchReader) -> Iterator[str]:
    """Yield an answer as CSV, names first; what is missing is empty, and what is nested is JSON.

    Raises:
        QueryError: the engine failed meanwhile.
    """
    schema = _flat(reader.schema)
    yield _csv(pa.RecordBatch.from_pylist([], schema), is_first=True)
    for batch in _batches(reader):
        yield _csv(_flattened(batch, schema), is_first=False)


def write_csv(reader: pa.RecordBatchReader, file: IO[bytes]) -> int:
    """Write an answer as CSV into an open file, and return how many rows there were.

    Raises:
        QueryError: the engine failed meanwhile.
        OSError: the file cannot be written.
    """
    rows, schema = 0, _flat(reader.schema)
    file.write(_csv(pa.RecordBatch.from_pylist([], schema), is_first=True).encode())
    for batch in _batches(reader):
        file.write(_csv(_flattened(batch, schema), is_first=False).encode())
        rows += batch.num_rows
    return rows


def write_parquet(reader: pa.RecordBatchReader, file: IO[bytes]) -> int:
    """Write an answer as Parquet into an open file, and return how many rows there were.

    Raises:
        QueryError: the engine failed meanwhile.
        OSError: the file cannot be written.
    """
    rows = 0
    with pq.ParquetWriter(file, reader.schema, compression="zstd") as writer:
        for batch in _batches(reader):
            writer.write_batch(batch)
            rows += batch.num_rows
    return rows


def _batches(reader: pa.RecordBatchReader) -> Iterator[pa.RecordBatch]:
    while True:
        with _mapped():
            try:
                batch = reader.read_next_batch()
            except StopIteration:
                return
        yield batch


@contextmanager
def _mapped() -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        raise QueryError(f"the engine failed while it answered: {str(error).partition(chr(10))[0]}") from error


def _value(value: Any) -> Any:
    match value:
        case float():
            return value if abs(value) < float("inf") else str(value)
        case datetime() | date():
            return value.isoformat()
        case timedelta():
            return value.total_seconds()
        case Decimal():
            return int(value) if value == value.to_integral_value() else str(value)
        case bytes():
            return value.hex()
        case dict():
            return {str(key): _value(item) for key, item in value.items()}
        case [*items] if items and all(isinstance(item, tuple) for item in items):
            return {str(key): _value(item) for key, item in items}
        case [*items]:
            return [_value(item) for item in items]
    return value


def _is_nested(type_: pa.DataType) -> bool:
    return bool(pa.types.is_nested(type_) or pa.types.is_binary(type_) or pa.types.is_large_binary(type_))


def _flat(schema: pa.Schema) -> pa.Schema:
    return pa.schema([field.with_type(pa.string()) if _is_nested(field.type) else field for field in schema])


def _flattened(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    columns = [
        pa.array([None if value is None else _text(_value(value)) for value in column.to_pylist()], pa.string())
        if _is_nested(column.type)
        else column
        for column in batch.columns
    ]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else as_json(value)


def _csv(batch: pa.RecordBatch, *, is_first: bool) -> str:
    sink = io.BytesIO()
    with _mapped():
        pa_csv.write_csv(batch, sink, pa_csv.WriteOptions(include_header=is_first, quoting_style="needed"))
    return sink.getvalue().decode()
