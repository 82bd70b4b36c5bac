"""Rows of all tables of a log, one after the other, as what JSON holds; what a row does not have is left out."""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING, Any

import numpy as np

from edgerun.cli.output import json_value

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgerun.log import Log, Table

_SLICE = 1024
"""Rows that are turned into Python's values at once."""
_NOT_SHOWN = frozenset({"monotonic_us", "clock", "epoch", "sequence"})
_HEXADECIMAL = frozenset({"unit"})
"""Hashes have 64 bits, more than many readers of JSON keep."""

Record = dict[str, Any]


def records(log: Log) -> Iterator[Record]:
    """Yield every row of a log, boot by boot, in the order of the clock that never steps."""
    tables = [_of_table(number, table) for number, table in enumerate(log.tables.values()) if table.rows]
    for _, record in heapq.merge(*tables, key=lambda found: found[0]):
        yield record


def _of_table(number: int, table: Table) -> Iterator[tuple[tuple[int, ...], Record]]:
    kind = table.kind.name.lower()
    ranks, times = table.boot_rank, table["monotonic_us"]
    for begin in range(0, table.rows, _SLICE):
        part = slice(begin, begin + _SLICE)
        columns = [(*_place(name), _values(name, table[name][part])) for name in table if name not in _NOT_SHOWN]
        keys = zip(ranks[part].tolist(), times[part].tolist(), strict=True)
        for i, (rank, time) in enumerate(keys):
            record: Record = {"kind": kind}
            for output, name, values in columns:
                value = values[i]
                if value is None:
                    continue
                if output is None:
                    record[name] = value
                else:
                    record.setdefault("outputs", {}).setdefault(output, {})[name] = value
            yield (rank, time, number, begin + i), record


def _place(name: str) -> tuple[str | None, str]:
    """The output that a column is of, and the column's name in a record."""
    output, separator, part = name.rpartition(".")
    return (output, part) if separator else (None, name)


def _values(name: str, column: Any) -> list[Any]:
    """A column as JSON's values, None where there is none."""
    if column.dtype.kind == "M":
        return [None if text == "NaT" else f"{text}Z" for text in np.datetime_as_string(column).tolist()]
    values: list[Any]
    lacking = np.ma.getmaskarray(column) if isinstance(column, np.ma.MaskedArray) else None
    plain = np.asarray(column)
    if name in _HEXADECIMAL and plain.dtype.kind == "u":
        values = [f"{unit:016x}" for unit in plain.tolist()]
    elif plain.dtype == object:
        values = [value if value is None or type(value) is str else jsonable(value) for value in plain.tolist()]
    else:
        values = json_value(plain)
    return values if lacking is None else [None if gone else v for v, gone in zip(values, lacking, strict=True)]


def jsonable(value: Any) -> Any:
    """Return a value of a log as JSON holds it: bytes in hexadecimal, numbers as by json_value()."""
    if isinstance(value, dict):
        return {str(key): jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [jsonable(item) for item in value]
    if isinstance(value, np.ndarray):
        return jsonable(value.tolist()) if value.dtype == object else json_value(value)
    if isinstance(value, bytes):
        return value.hex()
    return json_value(value) if value is None or isinstance(value, str | int | float) else str(value)
