"""From what a caller gives to the arrays that a model takes: every mismatch is found before onnxruntime runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from edgerun._core.runtime import STRING, Array, Port
from edgerun.errors import InputError

if TYPE_CHECKING:
    from edgerun.signature import Signature


def check_cast(cast: str | None) -> None:
    """Raise InputError unless ``cast`` is None or "safe"."""
    if cast not in {None, "safe"}:
        raise InputError(f'cast must be None or "safe", got {cast!r}')


def check_inputs(signature: Signature, inputs: Any, cast: str | None) -> tuple[Array, ...]:
    """Return one C-contiguous array per input, in the signature's order.

    Args:
        signature: what the models take.
        inputs: a mapping of input name to array or nested list, or the array or list itself where there is one
            input.
        cast: "safe" lets numpy's safe casts happen (int32 to float64, never float64 to float32); None lets none.
            Python numbers in lists have no dtype of their own and become the input's, where they fit it.

    Raises:
        InputError: a name, rank, fixed dimension or dtype is wrong; it names the input, what was expected and
            what came.
    """
    check_cast(cast)
    ports = signature.inputs
    if not isinstance(inputs, Mapping):
        if len(ports) != 1:
            raise InputError(f"the model has {len(ports)} inputs ({_names(ports)}); give a dict of them")
        inputs = {ports[0].name: inputs}
    missing = [port.name for port in ports if port.name not in inputs]
    unknown = [name for name in inputs if name not in {port.name for port in ports}]
    if missing or unknown:
        problem = f"input {missing[0]!r} is missing" if missing else f"input {unknown[0]!r} is unknown"
        raise InputError(f"{problem}: expected {_names(ports)}; got {', '.join(map(repr, inputs)) or 'none'}")
    return tuple(_check_input(port, inputs[port.name], cast) for port in ports)


def _names(ports: tuple[Port, ...]) -> str:
    return ", ".join(repr(port.name) for port in ports) or "no inputs"


def _check_input(port: Port, given: Any, cast: str | None) -> Array:
    assert port.dtype is not None  # a tensor's, by Signature.of
    if isinstance(given, np.ndarray):
        array = _check_array(port, port.dtype, given, cast)
    else:
        array = _convert_list(port, port.dtype, given)
    _check_shape(port, array.shape)
    return np.ascontiguousarray(array).reshape(array.shape)  # ascontiguousarray makes a 0-d array 1-d


def _wrong(port: Port, got: str) -> InputError:
    return InputError(f"input {port.name!r}: expected {str(port).partition(': ')[2]}, got {got}")


def _check_array(port: Port, dtype: np.dtype[Any], given: Array, cast: str | None) -> Array:
    if dtype == STRING:
        return _check_texts(port, given)
    if given.dtype == dtype:
        return given.astype(dtype, copy=False)  # to native byte order
    if cast == "safe" and np.can_cast(given.dtype, dtype, "safe"):
        return given.astype(dtype)
    hint = "" if cast else ' (cast="safe" allows casts that lose nothing)'
    raise _wrong(port, f"dtype {given.dtype}{hint}")


def _convert_list(port: Port, dtype: np.dtype[Any], given: Any) -> Array:
    try:
        array = np.array(given, dtype=object if dtype == STRING else None)
    except (ValueError, TypeError, OverflowError) as error:
        raise _wrong(port, f"a {type(given).__name__} that is no array: {error}") from error
    if dtype == STRING:
        return _check_texts(port, array)
    if isinstance(given, np.generic) or hasattr(given, "__array__"):
        return _check_array(port, dtype, array, None)
    allowed = {"b": "b", "i": "iuf", "u": "iuf", "f": "f"}.get(array.dtype.kind, "")
    if array.size and dtype.kind not in allowed:
        raise _wrong(port, f"{_element_name(array)} in a {type(given).__name__}")
    if array.size and dtype.kind in "iu" and not _fits(array, dtype):
        raise _wrong(port, f"a number outside {dtype}: {array.min()} to {array.max()}")
    return array.astype(dtype)


def _fits(array: Array, dtype: np.dtype[Any]) -> bool:
    bounds = np.iinfo(dtype)
    return bool(int(array.min()) >= bounds.min and int(array.max()) <= bounds.max)


def _element_name(array: Array) -> str:
    names = {
        "b": "booleans",
        "i": "integers",
        "u": "integers",
        "f": "floats",
        "c": "complex numbers",
        "U": "strings",
    }
    return names.get(array.dtype.kind, f"objects of {array.dtype}")


def _check_texts(port: Port, given: Array) -> Array:
    array = given.astype(object) if given.dtype.kind in "UT" else given
    if array.dtype != STRING:
        raise _wrong(port, f"dtype {given.dtype}")
    for text in array.ravel():
        if not isinstance(text, str):
            raise _wrong(port, f"an element of type {type(text).__name__}")
        if "\0" in text:
            raise _wrong(port, "a string with a NUL character, which onnxruntime would cut short")
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise _wrong(port, f"a string that is not valid Unicode: {error.reason}") from error
    return array


def _check_shape(port: Port, shape: tuple[int, ...]) -> None:
    if port.dims is None:
        return
    if len(shape) != len(port.dims):
        raise _wrong(port, f"rank {len(shape)}, shape {list(shape)}")
    for axis, (expected, size) in enumerate(zip(port.dims, shape, strict=True)):
        if isinstance(expected, int) and size != expected:
            raise _wrong(port, f"shape {list(shape)}: axis {axis} is {size}, not {expected}")
        if size == 0:
            raise _wrong(port, f"shape {list(shape)}: axis {axis} is empty")
