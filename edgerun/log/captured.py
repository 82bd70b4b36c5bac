"""Captured inputs as the arrays that they were; FORMAT.md, capture."""

from __future__ import annotations

from typing import Any

import numpy as np

_ITEM_MAX_BYTES = 8
"""No type of ONNX is longer; numpy's longer floats are not the same on every machine."""


def captured_arrays(inputs: Any) -> Any:
    """Return the inputs of a capture as arrays by name; what cannot be one stays what it is."""
    if type(inputs) is not dict:
        return inputs
    return {name: _tensor(value) if type(value) is dict else value for name, value in inputs.items()}


def _tensor(value: dict[Any, Any]) -> Any:
    name, shape, data = value.get("dtype"), value.get("shape"), value.get("data")
    try:
        if type(data) is bytes:
            dtype = np.dtype(str(name))
            is_plain = dtype.kind in "biuf" and dtype.itemsize <= _ITEM_MAX_BYTES
            return np.frombuffer(data, dtype if is_plain else np.uint8).reshape(shape)
        return np.fromiter(data, object, len(data)).reshape(shape) if type(data) is list else value
    except (ValueError, TypeError, ArithmeticError, SyntaxError):  # numpy parses names of types as Python
        return value
