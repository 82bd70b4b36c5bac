"""Where the keys of an Arrow array lie in memory. pyarrow is optional: nothing here imports it.

An Arrow array can only be here if its caller imported pyarrow, so the module is taken from ``sys.modules``.
The layouts are those of the Arrow columnar format, "Variable-size Binary Layout" and "Fixed-Size Primitive
Layout".
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np

from edgerun.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Integers(NamedTuple):
    """The keys are the integers of `values`."""

    values: NDArray[Any]


class Fixed(NamedTuple):
    """The keys are `width` bytes each, one after the other in `data`."""

    data: memoryview
    width: int


class Offsets(NamedTuple):
    """Key i is ``data[offsets[i]:offsets[i + 1]]``; n keys have n + 1 int32 or int64 offsets."""

    data: memoryview
    offsets: NDArray[Any]


Layout: TypeAlias = Integers | Fixed | Offsets


def is_arrow(keys: object) -> bool:
    """Tell whether `keys` is a ``pyarrow.Array`` or ``pyarrow.ChunkedArray``."""
    pyarrow = sys.modules.get("pyarrow")
    return pyarrow is not None and isinstance(keys, pyarrow.Array | pyarrow.ChunkedArray)


def chunks(keys: Any) -> list[Any]:
    """Return the plain arrays that an Arrow array consists of.

    Raises:
        InputError: a key is null.
    """
    if keys.null_count:
        raise InputError(
            f"keys[{keys.is_null().index(True)}] is null, as {keys.null_count} of {len(keys)} are; "
            "a missing key has no arm: leave it out with keys.drop_null()"
        )
    return list(keys.chunks) if isinstance(keys, sys.modules["pyarrow"].ChunkedArray) else [keys]


def layout(array: Any) -> Layout | None:
    """Return where the keys of a ``pyarrow.Array`` without nulls lie; None for a type that holds no keys."""
    types = sys.modules["pyarrow"].types
    if types.is_dictionary(array.type):
        decoded = array.dictionary_decode()
        return layout(chunks(decoded)[0])
    if types.is_integer(array.type):
        return Integers(array.to_numpy())
    if types.is_fixed_size_binary(array.type):
        return _fixed(array, array.type.byte_width)
    if types.is_string(array.type) or types.is_binary(array.type):
        return _offsets(array, np.int32)
    if types.is_large_string(array.type) or types.is_large_binary(array.type):
        return _offsets(array, np.int64)
    return None


def _fixed(array: Any, width: int) -> Fixed:
    _, data = array.buffers()
    return Fixed(memoryview(data or b"")[array.offset * width : (array.offset + len(array)) * width], width)


def _offsets(array: Any, dtype: type[np.int32 | np.int64]) -> Offsets:
    _, offsets, data = array.buffers()
    if len(array) == 0:  # whose offsets buffer may be absent
        return Offsets(memoryview(b""), np.zeros(1, dtype))
    first = array.offset * np.dtype(dtype).itemsize
    return Offsets(memoryview(data), np.frombuffer(offsets, dtype, len(array) + 1, first))
