"""The arms of many keys at once: each layout in which keys lie in memory goes to the C function made for it.

It must never differ from assigning the keys one by one, and never skip one: a batch with one bad key is
refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from edgerun._core import CData
from edgerun._core import split as _core
from edgerun.errors import InputError
from edgerun.split import _arrow
from edgerun.split._keys import KEY_MAX_BYTES, Key, key_bytes

if TYPE_CHECKING:
    from numpy.typing import NDArray

Keys: TypeAlias = "Sequence[Key] | NDArray[Any] | Any"
"""A sequence, a numpy array, an Arrow array, or whatever converts to a numpy array (``__array__``)."""

LIST_CHUNK_KEYS = 2048
"""How many keys of a list are joined at once: few enough for their text to stay in the second-level cache.
Measured: 1024 to 8192 do equally well, all at once half as well."""

_INT64_MAX = np.iinfo(np.int64).max


def arms_of_keys(split: CData, keys: Keys) -> NDArray[np.int32]:
    """Return the arm index of every key, int32 of shape ``(len(keys),)``.

    Raises:
        InputError: keys of a kind, shape or dtype that is not supported, or a bad key, named with its index.
    """
    if isinstance(keys, list | tuple):
        return _arms_of_list(split, keys)
    if isinstance(keys, np.ndarray):
        return _arms_of_array(split, keys)
    if _arrow.is_arrow(keys):
        return _arms_of_arrow(split, keys)
    if isinstance(keys, str | bytes | bytearray | memoryview):
        raise InputError(f"keys are one {type(keys).__qualname__}, not many keys; for one key call assign()")
    if hasattr(keys, "__array__"):
        return _arms_of_array(split, np.asarray(keys))
    if isinstance(keys, Sequence):
        return _arms_of_list(split, list(keys))
    raise InputError(
        f"keys are a list or another sequence, a numpy array or an Arrow array, not {type(keys).__qualname__}"
    )


def _arms_of_list(split: CData, keys: Sequence[Key]) -> NDArray[np.int32]:
    arms = np.empty(len(keys), np.int32)
    for first in range(0, len(keys), LIST_CHUNK_KEYS):
        chunk = keys[first : first + LIST_CHUNK_KEYS]
        chunk_arms = arms[first : first + LIST_CHUNK_KEYS]
        if not _assign_joined(split, chunk, chunk_arms):
            _assign_each(split, chunk, first, chunk_arms)
    return arms


def _assign_joined(split: CData, keys: Sequence[Any], arms: NDArray[np.int32]) -> bool:
    """Assign keys that are all text, or all small integers; return False where they are not."""
    try:
        joined = "\0".join(keys).encode()
    except TypeError:
        return _assign_integers(split, keys, arms)
    except UnicodeEncodeError:
        return False
    return len(joined) <= KEY_MAX_BYTES and _core.split_assign_separated(split, joined, arms)


def _assign_integers(split: CData, keys: Sequence[Any], arms: NDArray[np.int32]) -> bool:
    if set(map(type, keys)) != {int}:
        return False
    try:
        integers = np.array(keys, np.int64)
    except OverflowError:
        return False
    _core.split_assign_int64(split, integers, arms)
    return True


def _assign_each(split: CData, keys: Sequence[Key], first: int, arms: NDArray[np.int32]) -> None:
    """Assign keys of any mixture; `first` is the index of the first of them in the caller's batch."""
    texts = []
    for index, key in enumerate(keys, first):
        try:
            texts.append(key_bytes(key))
        except InputError as error:
            raise InputError(f"keys[{index}]: {error}") from error
    offsets = np.fromiter(accumulate(map(len, texts), initial=0), np.int64, len(texts) + 1)
    _core.split_assign_offsets(split, b"".join(texts), offsets, arms)


def _arms_of_array(split: CData, keys: NDArray[Any]) -> NDArray[np.int32]:
    if keys.ndim != 1:
        raise InputError(f"an array of keys has one dimension, but its shape is {keys.shape}")
    if isinstance(keys, np.ma.MaskedArray) and np.ma.is_masked(keys):
        raise InputError("a masked array has missing keys; assign keys.compressed() and leave the others out")
    kind = keys.dtype.kind
    if kind == "i" or (kind == "u" and (keys.itemsize < 8 or np.all(keys <= _INT64_MAX))):
        return _arms_of_integers(split, keys)
    if kind in "uUTO":
        return _arms_of_list(split, keys.tolist())
    if kind == "V" and keys.dtype.names is None:
        return _arms_of_fixed(split, np.ascontiguousarray(keys).view(np.uint8).data, keys.itemsize, len(keys))
    advice = {
        "S": "numpy drops the NUL bytes at the end of such keys: use keys.tolist() for texts, and "
        f"keys.view('V{keys.itemsize}') for digests of {keys.itemsize} bytes",
        "f": "convert them to the integers or texts that name the units everywhere",
    }.get(kind, "keys are integers, texts or fixed-width bytes (dtype V)")
    raise InputError(f"an array of dtype {keys.dtype} holds no keys; {advice}")


def _arms_of_integers(split: CData, keys: NDArray[Any]) -> NDArray[np.int32]:
    arms = np.empty(len(keys), np.int32)
    _core.split_assign_int64(split, np.ascontiguousarray(keys, np.int64), arms)
    return arms


def _arms_of_fixed(split: CData, data: memoryview, width: int, count: int) -> NDArray[np.int32]:
    _check_longest(width)
    arms = np.empty(count, np.int32)
    _core.split_assign_fixed(split, data, width, arms)
    return arms


def _arms_of_offsets(split: CData, data: memoryview, offsets: NDArray[Any]) -> NDArray[np.int32]:
    widths = np.diff(offsets)
    longest = int(widths.max(initial=0))
    _check_longest(longest)
    if longest == widths.min(initial=longest):  # as in UUIDs and digests: hashed faster without offsets
        return _arms_of_fixed(split, data[offsets[0] : offsets[-1]], longest, len(widths))
    arms = np.empty(len(widths), np.int32)
    _core.split_assign_offsets(split, data, offsets, arms)
    return arms


def _arms_of_arrow(split: CData, keys: Any) -> NDArray[np.int32]:
    chunks = [_arms_of_arrow_chunk(split, chunk) for chunk in _arrow.chunks(keys)]
    return chunks[0] if len(chunks) == 1 else np.concatenate([np.empty(0, np.int32), *chunks])


def _arms_of_arrow_chunk(split: CData, chunk: Any) -> NDArray[np.int32]:
    match _arrow.layout(chunk):
        case _arrow.Integers(values):
            return _arms_of_array(split, values)
        case _arrow.Fixed(data, width):
            return _arms_of_fixed(split, data, width, len(chunk))
        case _arrow.Offsets(data, offsets):
            return _arms_of_offsets(split, data, offsets)
    raise InputError(f"an Arrow array of type {chunk.type} holds no keys; cast it to string, binary or int64")


def _check_longest(size: int) -> None:
    if size > KEY_MAX_BYTES:
        raise InputError(f"a key has at most {KEY_MAX_BYTES} bytes, but the longest of the batch has {size}")
