"""Tables as pandas and Arrow have them. Neither is needed to read a log: they are imported for those who ask."""

from __future__ import annotations

import importlib
import json
from typing import TYPE_CHECKING, Any

import numpy as np

from edgerun.errors import LogError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgerun.log.columns import Array


def to_pandas(table: Mapping[str, Array]) -> Any:
    """Return columns as a pandas DataFrame.

    Raises:
        LogError: pandas is not installed.
    """
    pandas = _installed("pandas")
    return pandas.DataFrame({name: _pandas_column(pandas, column) for name, column in table.items()})


def to_arrow(table: Mapping[str, Array]) -> Any:
    """Return columns as a pyarrow Table.

    Raises:
        LogError: pyarrow is not installed.
    """
    pyarrow = _installed("pyarrow")
    return pyarrow.table({name: _arrow_column(pyarrow, column) for name, column in table.items()})


def _installed(library: str) -> Any:
    try:
        return importlib.import_module(library)
    except ImportError as error:
        raise LogError(f"{library} is not installed; try: pip install {library}") from error


def _pandas_column(pandas: Any, column: Array) -> Any:
    if not isinstance(column, np.ma.MaskedArray):
        return column
    data, lacking = np.asarray(column.data), np.ma.getmaskarray(column)
    if data.dtype.kind == "f":
        wide = data.astype(np.float32) if data.dtype == np.float16 else data
        return pandas.arrays.FloatingArray(wide, lacking)
    return (pandas.arrays.BooleanArray if data.dtype.kind == "b" else pandas.arrays.IntegerArray)(data, lacking)


def _arrow_column(pyarrow: Any, column: Array) -> Any:
    if isinstance(column, np.ma.MaskedArray):
        return pyarrow.array(np.asarray(column.data), mask=np.ma.getmaskarray(column))
    if column.dtype != object:
        return pyarrow.array(column)
    if all(value is None or type(value) is str for value in column):
        return pyarrow.array(column, pyarrow.string())
    try:
        return pyarrow.array(column.tolist())
    except (pyarrow.ArrowException, TypeError, ValueError, OverflowError):
        return pyarrow.array([None if value is None else _json(value) for value in column], pyarrow.string())


def _json(value: Any) -> str:
    def plain(other: Any) -> Any:
        return other.tolist() if isinstance(other, np.ndarray) else repr(other)

    return json.dumps(value, default=plain, skipkeys=True)
