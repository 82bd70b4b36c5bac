"""Rows and columns of CSV and Parquet files. CSV is streamed, so a file may be larger than memory.

pyarrow does the reading; without it a table's rows are not known, and that is said. Types of CSV are found over all
rows, never guessed from the first ones.
"""

from __future__ import annotations

import csv
import os
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple

from edgerun_bundles.errors import ProvenanceError
from edgerun_bundles.provenance.values import readable

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from edgerun_bundles.limits import Limits

_DELIMITERS = {".csv": ",;\t|", ".tsv": "\t"}
_HEAD_BYTES = 2**18
_BLOCK_BYTES = 2**22
_WORDS_FOR_NOTHING = ("", "NA", "N/A", "NaN", "nan", "null", "NULL", "None")


class Column(NamedTuple):
    """One column of a table."""

    name: str
    type: str


class Table(NamedTuple):
    """Tables of one format with the same columns."""

    format: str
    """``csv`` or ``parquet``."""
    files: int
    rows: int
    """Of all files."""
    columns: tuple[Column, ...]


def is_table(name: str) -> bool:
    """Say whether a file's name is that of a table."""
    return _suffix(name) in {*_DELIMITERS, ".parquet"}


def describe_table(path: Path, limits: Limits) -> Table:
    """Return rows and columns of one file.

    Raises:
        ProvenanceError: the file is not what its name says, has too many columns, or pyarrow is not installed.
    """
    try:
        import pyarrow as pa  # noqa: PLC0415 - a training script without tables need not have it
    except ImportError as error:
        raise ProvenanceError('pyarrow is not installed; try: pip install "edgerun[bundles]"') from error
    describe = _parquet if _suffix(path.name) == ".parquet" else _csv
    try:
        table = describe(path, limits)
    except (pa.ArrowException, OSError, ValueError, csv.Error) as error:
        raise ProvenanceError(f"{error}".partition("\n")[0][:300]) from error
    return table


def merged(tables: Iterable[Table], limits: Limits) -> tuple[Table, ...]:
    """Return tables of the same format and columns as one, in the order of the first of each kind."""
    found: dict[tuple[str, tuple[Column, ...]], Table] = {}
    for table in tables:
        key = (table.format, table.columns)
        known = found.get(key)
        found[key] = table if known is None else table._replace(files=known.files + 1, rows=known.rows + table.rows)
    return tuple(found.values())[: limits.data_tables_max]


def _suffix(name: str) -> str:
    return os.path.splitext(name)[1].lower()  # noqa: PTH122 - a name, not a path


def _parquet(path: Path, limits: Limits) -> Table:
    from pyarrow import parquet  # noqa: PLC0415 - as above

    with parquet.ParquetFile(path) as file:
        schema, rows = file.schema_arrow, file.metadata.num_rows
        _check_columns(len(schema), limits)
        columns = tuple(Column(readable(field.name), str(field.type)[:300]) for field in schema)
    return Table("parquet", 1, rows, columns)


def _check_columns(count: int, limits: Limits) -> None:
    if count > limits.data_columns_max:
        raise ProvenanceError(f"more than {limits.data_columns_max} columns (data_columns_max)")


def _csv(path: Path, limits: Limits) -> Table:
    head = _head(path)
    if not head.strip():
        return Table("csv", 1, 0, ())
    delimiter = _delimiter(head, _DELIMITERS[_suffix(path.name)])
    first = next(row for row in csv.reader(head.splitlines(keepends=True), delimiter=delimiter) if row)
    _check_columns(len(first), limits)
    has_names = not any(map(_is_number, first))
    names = first if has_names else [f"f{i}" for i in range(len(first))]
    if has_names and "\n" not in head.strip() and "\r" not in head.strip():  # pyarrow needs a line end after names
        rows, types = 0, ["null"] * len(first)
    else:
        rows, types = _scan(path, delimiter, len(first), has_names=has_names)
    return Table("csv", 1, rows, tuple(Column(readable(name), kind) for name, kind in zip(names, types, strict=True)))


def _head(path: Path) -> str:
    with path.open("rb") as file:
        content = file.read(_HEAD_BYTES)
    return content.decode("utf-8-sig", "replace")


def _delimiter(head: str, candidates: str) -> str:
    """Return the candidate that cuts the first lines into most columns, of equal number; a comma if none does."""
    lines = head.splitlines(keepends=True)
    lines = lines[:-1] if len(lines) > 1 and not head.endswith(("\n", "\r")) else lines
    best, most = candidates[0], 1
    for candidate in candidates:
        rows = [row for row, _ in zip(filter(None, csv.reader(lines, delimiter=candidate)), range(20), strict=False)]
        width = len(rows[0]) if rows else 0
        if width > most and all(len(row) == width for row in rows):
            best, most = candidate, width
    return best


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return cell.strip().lower() not in {"nan", "inf", "infinity"}


def _scan(path: Path, delimiter: str, width: int, *, has_names: bool) -> tuple[int, list[str]]:
    """Read every row as text, and narrow down each column's type over all of them."""
    import pyarrow as pa  # noqa: PLC0415 - as above
    from pyarrow import csv as arrow  # noqa: PLC0415 - as above

    names = [f"f{i}" for i in range(width)]
    reader = arrow.open_csv(
        path,
        read_options=arrow.ReadOptions(
            column_names=names, skip_rows_after_names=int(has_names), block_size=_BLOCK_BYTES, use_threads=False
        ),
        parse_options=arrow.ParseOptions(delimiter=delimiter, newlines_in_values=True),
        convert_options=arrow.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()),
            strings_can_be_null=True,
            null_values=_WORDS_FOR_NOTHING,
        ),
    )
    rows = 0
    types = ["null"] * width
    with reader:
        for batch in reader:
            rows += batch.num_rows
            for i in range(width):
                types[i] = _narrowest(batch.column(i), types[i], pa)
    return rows, types


_WIDER = {
    "null": ("null", "bool", "int64", "double", "timestamp", "string"),
    "bool": ("bool", "string"),
    "int64": ("int64", "double", "string"),
    "double": ("double", "string"),
    "timestamp": ("timestamp", "string"),
    "string": ("string",),
}
"""What a column may still be, narrowest first, after what its rows so far were."""


def _narrowest(values: Any, so_far: str, pa: Any) -> str:
    kinds = {
        "bool": pa.bool_(),
        "int64": pa.int64(),
        "double": pa.float64(),
        "timestamp": pa.timestamp("us"),
    }
    if so_far == "string" or values.null_count == len(values):
        return so_far
    for kind in _WIDER[so_far]:
        if kind == "null" or (kind == "bool" and not _are_words(values)):
            continue
        if kind == "string" or _casts(values, kinds[kind], pa):
            return kind
    return "string"


def _are_words(values: Any) -> bool:
    """Say whether the first value is a word, since 0 and 1 are numbers here and not truth values."""
    first = next(chain(filter(None, (value.as_py() for value in values)), [""]))
    return not _is_number(first)


def _casts(values: Any, kind: Any, pa: Any) -> bool:
    try:
        values.cast(kind)
    except pa.ArrowInvalid:
        return False
    return True
