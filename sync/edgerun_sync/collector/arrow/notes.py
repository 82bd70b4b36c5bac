"""Rows that carry a value each (errors, labels, outcomes, losses, what happened, profiles, captures) as columns.

They are few beside calls, and their values are dicts: each is looked at. Whatever a value holds becomes something.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from edgerun.errors import LogError
from edgerun.log.captured import captured_arrays
from edgerun.log.payload import pack
from edgerun_sync.collector.arrow.schemas import MOMENT, TIME_MAX_US, TIME_MIN_US

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgerun_sync.collector.arrow.columns import Slice

_UNIT_MAX = 2**64
_OF_A_LABEL = {"id", "unit", "name", "value"}
_TIME_MAX_US = 2**62
_EMPTY_ROWS_MAX = 1024
"""An array without elements that has more rows than this is told by its shape alone."""


def values_of(part: Slice) -> list[dict[Any, Any]]:
    """Return the value of each row."""
    return [value for chunk in part.chunks for value in chunk.columns["values"]]


def text(value: object) -> str | None:
    """Return a value as text: itself where it is one, nothing for None, else JSON."""
    return value if value is None or type(value) is str else as_json(value)


def texts(values: Sequence[dict[Any, Any]], name: str) -> Any:
    """Return a field of each value as text."""
    return pa.array([text(value.get(name)) for value in values], pa.string())


def label_columns(values: Sequence[dict[Any, Any]]) -> dict[str, Any]:
    """Return the columns of labels and outcomes."""
    given = [value.get("value") for value in values]
    return {
        "id": texts(values, "id"),
        "unit": pa.array([_unit(value.get("unit")) for value in values], pa.int64()),
        "name": texts(values, "name"),
        "value": pa.array([_number(value) for value in given], pa.float64()),
        "text": pa.array([None if _number(value) is not None else text(value) for value in given], pa.string()),
        "details": pa.array([_details(value) for value in values], pa.string()),
    }


def profile_columns(part: Slice, values: Sequence[dict[Any, Any]]) -> dict[str, Any]:
    """Return the columns of profiles."""
    names = {name: texts(values, name) for name in ("bundle", "version", "model", "arm", "node")}
    moments = {name: _moments(part, [value.get(name) for value in values]) for name in ("begin", "end")}
    return {**names, **moments, "profile": pa.array([_packed(value) for value in values], pa.binary())}


def lifecycle_columns(values: Sequence[dict[Any, Any]], *, event: str | None) -> dict[str, Any]:
    """Return the columns of what happened; ``event`` where the values do not say which it is."""
    names = texts(values, "event") if event is None else pa.array([event] * len(values), pa.string())
    return {"event": names, "details": pa.array([as_json(value) for value in values], pa.string())}


def capture_columns(values: Sequence[dict[Any, Any]]) -> dict[str, Any]:
    """Return the columns of captured inputs, but for what a source says."""
    inputs = [as_json(captured_arrays(value.get("inputs"))) for value in values]
    return {
        "probability": pa.array([_number(value.get("probability")) for value in values], pa.float64()),
        "inputs": pa.array(inputs, pa.string()),
    }


def as_json(value: object) -> str:
    """Return any value that a log can hold as JSON, its keys as texts; NaN and infinities are the texts of them."""
    try:
        return json.dumps(_plain(value), ensure_ascii=False, separators=(",", ":"))
    except RecursionError:  # a device may nest a thousand deep
        return _deep_json(value)


def _deep_json(value: Any) -> str:
    """The same text, of a value however deep."""
    out, waiting = list[str](), [(value, "")]
    while waiting:
        item, text = waiting.pop()
        out.append(text)
        match item:
            case _Text():
                continue
            case dict():
                entries = {key if type(key) is str else str(key): inner for key, inner in item.items()}
                parts = [(inner, f"{json.dumps(key, ensure_ascii=False)}:") for key, inner in entries.items()]
                opening, closing = "{", "}"
            case list() | tuple():
                parts, opening, closing = [(inner, "") for inner in item], "[", "]"
            case _:
                out.append(json.dumps(_plain(item), ensure_ascii=False, separators=(",", ":")))
                continue
        out.append(opening)
        waiting.append((_Text(), closing))
        waiting += [(inner, f"{',' * (place > 0)}{name}") for place, (inner, name) in reversed([*enumerate(parts)])]
    return "".join(out)


class _Text:
    """Nothing but the text beside it."""


def _plain(value: Any) -> Any:
    match value:
        case dict():
            return {key if type(key) is str else str(key): _plain(item) for key, item in value.items()}
        case list() | tuple():
            return [_plain(item) for item in value]
        case np.ndarray() if not value.size and math.prod(value.shape[: value.shape.index(0)]) > _EMPTY_ROWS_MAX:
            return {"shape": [*value.shape], "data": []}
        case np.ndarray() if value.dtype.kind in "biu" or (value.dtype.kind == "f" and np.isfinite(value).all()):
            return value.tolist()
        case np.ndarray() | np.generic():
            return _plain(value.tolist())
        case float() if not math.isfinite(value):
            return str(value)
        case bytes():
            return value.hex()
    return value


def _details(value: dict[Any, Any]) -> str | None:
    further = {name: item for name, item in value.items() if name not in _OF_A_LABEL}
    return as_json(further) if further else None


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None


def _unit(value: object) -> int | None:
    """A unit as calls have it: the signed view of 64 bits."""
    if type(value) is not int or not 0 <= value < _UNIT_MAX:
        return None
    return value - _UNIT_MAX if value >= _UNIT_MAX // 2 else value


def _moments(part: Slice, values: Sequence[object]) -> Any:
    """Times of the monotonic clock as moments."""
    known = np.array([type(value) is int and abs(value) < _TIME_MAX_US for value in values], np.bool_)
    times = np.array([value if ok else 0 for value, ok in zip(values, known, strict=True)], np.int64)
    wall, position = np.empty(part.n, np.int64), 0
    for chunk in part.chunks:
        stream = part.rows.streams[int(chunk.columns["boot"][0])]
        of_chunk = slice(position, position + chunk.n)
        wall[of_chunk] = stream.timeline.wall_us(times[of_chunk])
        position += chunk.n
    return pa.array(np.clip(wall, TIME_MIN_US, TIME_MAX_US), mask=~known).view(MOMENT)


def _packed(value: dict[Any, Any]) -> bytes | None:
    try:
        return pack(value)
    except LogError:
        return None
