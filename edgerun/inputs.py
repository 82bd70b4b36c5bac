"""From what a caller gives to the arrays that a model takes: every mismatch is found before onnxruntime runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from edgerun._core.runtime import STRING, Array, Port
from edgerun._shown import shown
from edgerun.errors import InputError
from edgerun.limits import LIMITS

if TYPE_CHECKING:
    from edgerun.signature import Signature


def check_cast(cast: str | None) -> None:
    """Raise InputError unless ``cast`` is None or "safe"."""
    if cast is not None and cast != "safe":
        raise InputError(f'cast must be None or "safe", got {shown(cast)}')


def check_inputs(signature: Signature, inputs: Any, cast: str | None) -> tuple[Array, ...]:
    """Return one C-contiguous array per input, in the signature's order.

    Args:
        signature: what the models take.
        inputs: a mapping of input name to array or nested list, or the array or list itself where there is one
            input.
        cast: "safe" lets numpy's safe casts happen (int32 to float64, never float64 to float32); None lets none.
            Python numbers and lists have no dtype of their own and become the input's, where they fit it: whole
            numbers any number's, floats a float's, truth values bool.

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


_PLAIN = (list, tuple, range, str, int, float)
"""What holds Python values, which have no dtype of their own. Everything else answers for its dtype."""


def _check_input(port: Port, given: Any, cast: str | None) -> Array:
    assert port.dtype is not None  # a tensor's, by Signature.of
    array = _as_array(port, given)
    if port.dtype == STRING:
        array = _check_texts(port, array)
    elif isinstance(given, _PLAIN) and not isinstance(given, np.generic):
        array = _convert_numbers(port, port.dtype, given, array)
    else:
        array = _check_array(port, port.dtype, array, cast)
    _check_shape(port, array.shape)
    array = np.ascontiguousarray(array).reshape(array.shape)  # ascontiguousarray makes a 0-d array 1-d
    return array if array.flags.aligned else array.copy()


def _wrong(port: Port, got: str) -> InputError:
    return InputError(f"input {port.name!r}: expected {str(port).partition(': ')[2]}, got {got}")


def _as_array(port: Port, given: Any) -> Array:
    if isinstance(given, np.ndarray):
        if np.any(getattr(given, "mask", False)):
            raise _wrong(port, "a masked array with missing values; fill them first")
        return np.asarray(given)
    try:
        array = np.asarray(given, dtype=object if port.dtype == STRING else None)
    except (ValueError, TypeError, OverflowError, RuntimeError) as error:  # what __array__ of others raises, too
        raise _wrong(port, f"a {type(given).__name__} that is no array: {error}") from error
    if array.dtype == object and array.ndim == 0 and not isinstance(given, str | int):
        raise _wrong(port, f"a {type(given).__name__}")
    return array


def _check_array(port: Port, dtype: np.dtype[Any], given: Array, cast: str | None) -> Array:
    if np.can_cast(given.dtype, dtype, "equiv"):  # the same but for the byte order
        return given.astype(dtype, copy=False)
    castable = np.can_cast(given.dtype, dtype, "safe")
    if cast == "safe" and castable:
        return given.astype(dtype)
    raise _wrong(port, f"dtype {given.dtype}" + (' (cast="safe" would convert it)' if castable else ""))


def _convert_numbers(port: Port, dtype: np.dtype[Any], given: Any, array: Array) -> Array:
    """Give Python numbers the input's dtype: whole ones fit floats, others fit their own kind alone."""
    if not array.size:
        return np.empty(array.shape, dtype)
    kind = array.dtype.kind
    if kind == "O" or (kind == "f" and dtype.kind in "iu"):  # integers that fit no one type of numpy's end up there
        objects = np.asarray(given, dtype=object)
        if all(type(number) is int for number in objects.ravel()):
            array, kind = objects, "i"
    if kind not in {"b": "b", "i": "iu", "u": "iu", "f": "iuf"}[dtype.kind]:
        raise _wrong(port, f"{_element_name(array)} in a {type(given).__name__}")
    converted = _converted(array, dtype)
    if converted is None:
        numbers = array.ravel().tolist()
        raise _wrong(port, f"a number outside {dtype}: {shown(min(numbers))} to {shown(max(numbers))}")
    return converted


def _converted(array: Array, dtype: np.dtype[Any]) -> Array | None:
    """Return numbers in another dtype; None where one does not fit it: a finite one must not become infinite."""
    try:
        with np.errstate(over="ignore"):
            converted = array.astype(dtype)
    except OverflowError:  # of Python's integers
        return None
    if dtype.kind == "f":
        finite = np.isfinite(array) if array.dtype.kind == "f" else True
        return converted if np.all(np.isfinite(converted) == finite) else None
    return converted if np.array_equal(array, converted) else None


def _element_name(array: Array) -> str:
    names = {
        "b": "booleans",
        "i": "integers",
        "u": "integers",
        "f": "floats",
        "c": "complex numbers",
        "U": "strings",
    }
    if array.dtype.kind != "O":
        return names.get(array.dtype.kind, f"{array.dtype} elements")
    return f"elements of type {', '.join(sorted({type(element).__name__ for element in array.ravel()}))}"


def _check_texts(port: Port, given: Array) -> Array:
    array = given.astype(object) if given.dtype.kind in "UT" else given
    if array.dtype != STRING:
        raise _wrong(port, f"dtype {given.dtype}")
    return np.array([_check_text(port, text) for text in array.ravel()], dtype=object).reshape(array.shape)


def _check_text(port: Port, text: Any) -> str:
    if not isinstance(text, str):
        raise _wrong(port, f"an element of type {type(text).__name__}")
    if "\0" in text:
        raise _wrong(port, "a string with a NUL character, which onnxruntime would cut short")
    try:
        str.encode(text)
    except UnicodeEncodeError as error:
        raise _wrong(port, f"a string that is not valid Unicode: {error.reason}") from error
    return str.__str__(text)  # an enum that is a str is the text it holds, whatever it prints


def _check_shape(port: Port, shape: tuple[int, ...]) -> None:
    if len(shape) > LIMITS.rank_max:
        raise _wrong(port, f"rank {len(shape)}, which is more than {LIMITS.rank_max}")
    if port.dims is None:
        return
    if len(shape) != len(port.dims):
        raise _wrong(port, f"rank {len(shape)}, shape {list(shape)}")
    for axis, (expected, size) in enumerate(zip(port.dims, shape, strict=True)):
        if isinstance(expected, int) and size != expected:
            raise _wrong(port, f"shape {list(shape)}: axis {axis} is {size}, not {expected}")
