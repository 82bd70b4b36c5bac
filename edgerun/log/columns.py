"""Columns as arrays: the inverse of what a writer packs; FORMAT.md, Columns.

What a column says is not believed: one of another length, type or depth is a LogError, and no array is longer than
the rows that were asked for or the bytes that the column holds.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

from edgerun._core.pack import unpack_u64
from edgerun.errors import LogError
from edgerun.limits import LIMITS

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]

DTYPES: dict[int, np.dtype[Any]] = {
    1: np.dtype(np.float32),
    2: np.dtype(np.uint8),
    3: np.dtype(np.int8),
    4: np.dtype(np.uint16),
    5: np.dtype(np.int16),
    6: np.dtype(np.int32),
    7: np.dtype(np.int64),
    8: np.dtype(object),
    9: np.dtype(np.bool_),
    10: np.dtype(np.float16),
    11: np.dtype(np.float64),
    12: np.dtype(np.uint32),
    13: np.dtype(np.uint64),
}
"""numpy's dtype of each number of ONNX; 8 are texts. ONNX fixes them, so a log needs no core to be read."""

TEXT, FLOAT64 = 8, 11

_MODULUS = 2**64
_CHOICE, _TEXTS, _VALUES, _SHIFTED = 5, 6, 7, 8
_PACKED = {0: 4, 1: 4, 2: 4, 3: 4, 4: 5}
"""Codes that end with lengths and bits, and their number of items."""


def decode(column: Any, n: int, *, signed: bool = False) -> Array:
    """Return a column's values, [n].

    They are uint64, or int64 where ``signed``; float64 for a float that all rows share; object for nil, texts and
    values. The array may be a read-only view.

    Raises:
        LogError: it is no column of n values.
    """
    dtype = np.dtype(np.int64 if signed else np.uint64)
    return _decode(column, n, dtype, 0)


def integers(column: Any, n: int, *, signed: bool = False) -> Array:
    """Return the values of a column of integers; see decode()."""
    found = decode(column, n, signed=signed)
    if found.dtype.kind not in "iu":
        raise LogError("a column of integers holds something else")
    return found


def texts(column: Any, n: int) -> Array:
    """Return the values of a column of texts, [n] of object."""
    found = decode(column, n)
    if found.dtype != object or not all(type(text) is str for text in _distinct(found)):
        raise LogError("a column of texts holds something else")
    return found


def values(column: Any, n: int) -> Array:
    """Return the values of a column of msgpack values, [n] of object."""
    found = decode(column, n)
    return found if found.dtype == object else found.astype(object)


def elements(column: Any, n: int, type_: int) -> Array:
    """Return the values of a column of an element type of ONNX, [n] of numpy's dtype for it.

    Raises:
        LogError: as decode(); or the type is unknown, or a value is not one of it.
    """
    dtype = DTYPES.get(type_)
    if dtype is None:
        raise LogError(f"the element type {type_!r} is unknown")
    if type_ == TEXT:
        return texts(column, n)
    found = decode(column, n, signed=dtype.kind == "i")
    distinct = _distinct(found)
    narrow = _floats(distinct, dtype) if dtype.kind == "f" else _narrowed(distinct, dtype)
    return narrow if len(narrow) == n else shared(narrow, n)


def _narrowed(found: Array, dtype: np.dtype[Any]) -> Array:
    if found.dtype.kind not in "iu":
        raise LogError(f"a column of {dtype} holds something else")
    narrow = found.astype(dtype)
    if not np.array_equal(narrow.astype(found.dtype), found):
        raise LogError(f"a column of {dtype} holds a larger number")
    return narrow


def shared(one: Array, n: int) -> Array:
    """Return an array of [n] whose values are all the one of an array of [1], in the memory of that one."""
    return one if n == 1 else np.broadcast_to(one, n)


def _distinct(found: Array) -> Array:
    """A column's values, or the one where it says that all rows share it."""
    return found[:1] if found.strides == (0,) else found


def _floats(found: Array, dtype: np.dtype[Any]) -> Array:
    if found.dtype == np.float64:
        with np.errstate(over="ignore"):
            return found.astype(dtype)
    if found.dtype != np.uint64:
        raise LogError(f"a column of {dtype} holds something else")
    width = 8 * dtype.itemsize
    if width < 64 and bool((found >> np.uint64(width)).any()):
        raise LogError(f"a column of {dtype} holds more than {width} bits")
    whole = np.dtype(f"u{dtype.itemsize}")
    bits, sign = found.astype(whole), whole.type(1 << (width - 1))
    return np.where(bits & sign, bits ^ sign, ~bits).view(dtype)


def _decode(column: Any, n: int, dtype: np.dtype[Any], depth: int) -> Array:
    if type(column) is int:
        return shared(_whole(column).view(dtype), n)
    if type(column) is float:
        return shared(np.array([column], np.float64), n)
    if column is None:
        return shared(np.array([None], object), n)
    if type(column) is not list or not column or type(column[0]) is not int:
        raise LogError("a column is neither a number, nil, nor a list that begins with a code")
    code, rest = column[0], column[1:]
    if code in _PACKED and len(column) == _PACKED[code]:
        return _packed(code, rest, n).view(dtype)
    if code in {_CHOICE, _TEXTS} and len(rest) == 2:
        return _picked(code, rest[0], rest[1], n, dtype, depth + 1)
    if code == _SHIFTED and len(rest) == 2:
        return _shifted(rest[0], rest[1], n, depth + 1).view(dtype)
    if code == _VALUES and len(rest) == 1 and type(rest[0]) is list and len(rest[0]) == n:
        return _objects(rest[0])
    raise LogError(f"a column of code {code} has {len(column)} items, or other ones than it should")


def _packed(code: int, items: list[Any], n: int | None) -> Array:
    """Values of the codes 0 to 4, uint64 [n]; as many as there are lengths where n is None."""
    lengths, bits = items[-2:]
    if type(lengths) is not bytes or type(bits) is not bytes:
        raise LogError("a column's lengths or bits are no bytes")
    if n is not None and len(lengths) != n:
        raise LogError(f"a column has {len(lengths)} values, not {n}")
    u, base = unpack_u64(lengths, bits), _whole(items[0])
    if code == 0:
        return base + u
    if code == 1:
        return base - u
    zigzag = (u >> np.uint64(1)) ^ (np.uint64(0) - (u & np.uint64(1)))
    if code == 2:
        return base + zigzag
    if code == 3:
        return base + np.cumsum(zigzag, dtype=np.uint64)
    i = np.arange(len(u), dtype=np.uint64)
    coarse, fine = divmod(_integer(items[1], -(2**63), 2**63), 65536)  # so that no product exceeds 64 bits
    return base + i * _whole(coarse) + (i * np.uint64(fine) >> np.uint64(16)) + zigzag


def _picked(code: int, source: Any, index: Any, n: int, dtype: np.dtype[Any], depth: int) -> Array:
    """Values of the codes 5 and 6: ``source[index]``."""
    _check_depth(depth)
    if type(source) is not list:
        raise LogError(f"a column of code {code} has no list to choose from")
    if code == _TEXTS:
        choice = _objects(source)
        if not all(type(text) is str for text in source):
            raise LogError("a list of texts holds something else")
    elif source and type(source[0]) is int and _PACKED.get(source[0]) == len(source):
        choice = _packed(source[0], source[1:], None).view(dtype)
    else:
        raise LogError("the values to choose from are not of the codes 0 to 4")
    at = _decode(index, n, np.dtype(np.uint64), depth)
    chosen = _distinct(at)
    if at.dtype != np.uint64 or (n > 0 and not int(chosen.max()) < len(choice)):
        raise LogError(f"a column chooses from {len(choice)} values one that is not there")
    picked = choice[chosen.astype(np.int64)]
    return picked if len(picked) == n else shared(picked, n)


def _shifted(shift: Any, column: Any, n: int, depth: int) -> Array:
    """Values of the code 8: ``column * 2^shift``."""
    _check_depth(depth)
    if type(shift) is not int or not 0 < shift < 64:
        raise LogError("a column is shifted by no number of bits from 1 to 63")
    if type(column) is not list or not column or type(column[0]) is not int or not 0 <= column[0] <= _CHOICE:
        raise LogError("what is shifted is no column of the codes 0 to 5")
    found = _decode(column, n, np.dtype(np.uint64), depth)
    values = _distinct(found) << np.uint64(shift)
    return values if len(values) == n else shared(values, n)


def _check_depth(depth: int) -> None:
    if depth > LIMITS.log_column_depth_max:
        raise LogError(f"a column nests deeper than {LIMITS.log_column_depth_max}")


def _objects(items: list[Any]) -> Array:
    return np.fromiter(items, object, len(items))


def _integer(value: Any, low: int, high: int) -> int:
    if type(value) is not int or not low <= value < high:
        raise LogError("a column's base or step is no integer of 64 bits")
    return value


def _whole(value: Any) -> np.ndarray[Any, np.dtype[np.uint64]]:
    """An integer modulo 2^64, as a numpy array: its arithmetic wraps without a warning."""
    return np.array([_integer(value, -(2**63), _MODULUS) % _MODULUS], np.uint64)
