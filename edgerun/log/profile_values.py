"""Profiles as the values of rows of kind 5, and read from such; FORMAT.md, Profiles.

What a value says is not believed: from_value() raises a LogError on whatever the format does not allow.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edgerun._core import profile as core
from edgerun.errors import LogError
from edgerun.limits import LIMITS
from edgerun.log.columns import DTYPES, FLOAT64, TEXT, elements, integers
from edgerun.log.packing import encode
from edgerun.log.payload import unpack
from edgerun.log.profiles import COUNT_MAX, Numbers, PortProfile, Profile, Texts

if TYPE_CHECKING:
    from numpy.typing import NDArray

CELL_FIRST, CELL_END = 64, 255 * 64
"""Cells of the positive numbers that are neither zero nor subnormal float32."""
RANK_MAX = 55
"""Of a register: all of a hash's 54 bits are zero."""
_FREQUENT_MAX_CHARACTERS = 4 * 64

_NAMES = ("bundle", "version", "model", "arm", "node")
_COUNTS = {"count": "finite", "missing": "missing", "infinite": "infinite", "zero": "zero", "unsketched": "unsketched"}
"""Keys of the format, and what Numbers calls them."""
_FLOATS = ("min", "max", "mean", "m2")


def as_value(profile: Profile) -> dict[str, Any]:
    """Return the value of a row of kind 5."""
    return {**profile._asdict(), "ports": [_port_value(port) for port in profile.ports]}


def _port_value(port: PortProfile) -> dict[str, Any]:
    head = {key: value for key, value in port._asdict().items() if key != "what"}
    what = port.what
    if isinstance(what, Texts):
        weights = [weight for found in what.frequent for weight in found.values()]
        return head | {
            "count": _column(what.total),
            "empty": _column(what.empty),
            "registers": what.registers.tobytes(),
            "texts": [list(found) for found in what.frequent],
            "weights": _column(np.array(weights, np.uint64)),
            "error": _column(what.error),
        }
    counts = {key: _column(getattr(what, name)) for key, name in _COUNTS.items()}
    floats = {name: _column(_ordered(getattr(what, name))) for name in _FLOATS}
    sketch = {"cells": _column(what.cells), "cell": _column(what.cell), "weight": _column(what.weight)}
    return head | counts | floats | sketch


def _column(values: NDArray[np.int64] | NDArray[np.uint64]) -> Any:
    return unpack(b"".join(encode(values))) if len(values) else 0


def _ordered(floats: NDArray[np.float64]) -> NDArray[np.uint64]:
    bits, sign = floats.view(np.uint64), np.uint64(2**63)
    return np.where(bits & sign, ~bits, bits | sign)


def from_value(value: Any) -> Profile:
    """Return the profile that the value of a row of kind 5 stands for.

    Raises:
        LogError: it holds what the format does not allow.
    """
    if type(value) is not dict:
        raise LogError("a profile is no map")
    names: dict[str, Any] = {key: value.get(key) for key in _NAMES}
    if not all(name is None or type(name) is str for name in names.values()):
        raise LogError("a profile's name is no text")
    ports = value.get("ports")
    if type(ports) is not list or len(ports) > 2 * LIMITS.ports_max:
        raise LogError("a profile has no list of ports, or too many")
    begin, end = (_whole(value.get(key), -(2**63), 2**63, key) for key in ("begin", "end"))
    found = tuple(_port(port) for port in ports)
    if len({(port.is_output, port.name) for port in found}) < len(found):
        raise LogError("a profile has two ports of one name")
    return Profile(**names, begin=begin, end=end, ports=found)


def _whole(value: Any, low: int, high: int, what: str) -> int:
    if type(value) is not int or not low <= value < high:
        raise LogError(f"a profile's {what} is no integer from {low} to {high - 1}")
    return value


def _port(value: Any) -> PortProfile:
    if type(value) is not dict:
        raise LogError("a profile's port is no map")
    name, is_output = value.get("name"), value.get("is_output")
    if type(name) is not str or type(is_output) is not bool:
        raise LogError("a profile's port has no name, or is neither input nor output")
    type_ = value.get("type")
    if type(type_) is not int or type_ not in DTYPES:
        raise LogError(f"a profile's port is of the unknown type {type_!r}")
    columns = _whole(value.get("columns"), 1, core.COLUMNS_MAX + 1, "number of columns")
    seen, unlike = (_whole(value.get(key, 0), 0, COUNT_MAX, key) for key in ("seen", "unlike"))
    what = (_read_texts if type_ == TEXT else _read_numbers)(value, columns)
    return PortProfile(name, is_output, type_, columns, seen, unlike, what)


def _read_numbers(value: dict[str, Any], n: int) -> Numbers:
    cells = _counts(value, "cells", n)
    _require(bool((cells <= core.CELLS_MAX).all()), "a column has more cells than there are")
    total = int(cells.sum())
    cell = integers(value.get("cell"), total, signed=True)
    _require(total <= n or cell.strides != (0,), "cells do not ascend")
    counts: dict[str, Any] = {name: _counts(value, key, n) for key, name in _COUNTS.items()}
    floats = {key: np.array(elements(value.get(key), n, FLOAT64)) for key in _FLOATS}
    found = Numbers(**counts, **floats, cells=cells, cell=np.array(cell), weight=_counts(value, "weight", total))
    _check_floats(found)
    _check_cells(found)
    return found


def _check_floats(found: Numbers) -> None:
    none = found.finite == 0
    _require(bool((found.m2 >= 0).all()), "a sum of squares is negative")
    extremes = np.isfinite(found.min) & np.isfinite(found.max) & (found.min <= found.max)
    _require(bool((none | extremes).all()), "a least or greatest number is none, or they are the wrong way round")
    _require(bool(np.isfinite(found.mean).all()), "a mean is not finite")
    empty = (found.min == np.inf) & (found.max == -np.inf) & (found.mean == 0) & (found.m2 == 0)
    _require(bool((~none | empty).all()), "a column of no numbers has a mean or extremes")
    _require(bool((found.zero <= found.finite).all()), "more zeros than numbers")


def _check_cells(found: Numbers) -> None:
    place = np.where(found.cell < 0, -1 - found.cell, found.cell)
    _require(bool(((place >= CELL_FIRST) & (place < CELL_END)).all()), "a cell is not there")
    _require(bool((found.weight > 0).all()), "a cell is empty")
    column = np.repeat(np.arange(len(found.cells)), found.cells.astype(np.int64))
    _require(bool(((np.diff(found.cell) > 0) | (np.diff(column) > 0)).all()), "cells do not ascend")
    inside = np.zeros(len(found.cells), np.float64)  # no sum of these overflows; rounding is forgiven
    np.add.at(inside, column, found.weight.astype(np.float64))
    total = inside + found.unsketched.astype(np.float64)
    _require(bool((total <= found.finite.astype(np.float64) * (1 + 1e-9)).all()), "cells hold more than there was")


def _read_texts(value: dict[str, Any], n: int) -> Texts:
    registers, texts = value.get("registers"), value.get("texts")
    if type(registers) is not bytes or len(registers) != n * core.REGISTERS:
        raise LogError(f"a profile has no {core.REGISTERS} registers for each column")
    table = np.frombuffer(registers, np.uint8).reshape(n, core.REGISTERS)
    _require(bool((table <= RANK_MAX).all()), f"a register is above {RANK_MAX}")
    if type(texts) is not list or len(texts) != n or not all(map(_are_frequent, texts)):
        raise LogError("a profile's frequent texts are no lists of texts, or too many or too long")
    weights = iter(_counts(value, "weights", sum(map(len, texts))).tolist())
    frequent = tuple({text: next(weights) for text in found} for found in texts)
    _require(all(len(a) == len(b) for a, b in zip(frequent, texts, strict=True)), "a text is twice in a list")
    count, empty = _counts(value, "count", n), _counts(value, "empty", n)
    _require(bool((empty <= count).all()), "more empty texts than texts")
    _require(
        all(least > 0 for found in frequent for least in found.values())
        and all(sum(found.values()) <= int(most) for found, most in zip(frequent, count, strict=True)),
        "a text has no weight, or more than there was",
    )
    return Texts(count, empty, table, frequent, _counts(value, "error", n))


def _are_frequent(texts: Any) -> bool:
    return (
        type(texts) is list
        and len(texts) <= core.FREQUENT_MAX
        and all(type(text) is str and len(text) <= _FREQUENT_MAX_CHARACTERS for text in texts)
    )


def _counts(value: dict[str, Any], key: str, n: int) -> NDArray[np.uint64]:
    """A column of counts. One that all share stays as small as it came."""
    found = integers(value.get(key), n)
    _require(not n or int(found.max()) < COUNT_MAX, f"{key} is larger than any count")
    return found


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise LogError(f"a profile is wrong: {otherwise}")
