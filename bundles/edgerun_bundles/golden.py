"""Golden examples: inputs, and what each model of a bundle answered to them on the workstation.

A device runs them before it trusts a bundle. They are made with onnxruntime's Python package, never with
edgerun's own runner, so that they also catch edgerun's mistakes. Only finite outputs can be golden.
"""

from __future__ import annotations

import math
import os
from typing import TYPE_CHECKING, Any

import numpy as np

from edgerun.errors import BundleError, ModelError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def example(
    models: Mapping[str, Path], inputs: Mapping[str, np.ndarray[Any, Any]], *, tolerance: float
) -> dict[str, Any]:
    """Return one golden example, ready for JSON.

    Args:
        models: the ONNX file of each model, by its name in the bundle.
        inputs: an array per input, of the dtype and rank that every model declares.
        tolerance: how far a floating-point output may lie from this one on a device, absolute and relative.

    Returns:
        ``inputs`` (nested lists by name), ``outputs`` (by model, then nested lists by name), ``tolerance``.

    Raises:
        BundleError: an output holds NaN or an infinity, or is neither a tensor nor a sequence nor a map.
        ModelError: a model cannot be loaded, or does not take the inputs.
    """
    return {
        "inputs": {name: nested(array) for name, array in inputs.items()},
        "outputs": {name: answers(path, inputs) for name, path in models.items()},
        "tolerance": tolerance,
    }


def answers(model: Path, inputs: Mapping[str, np.ndarray[Any, Any]]) -> dict[str, Any]:
    """Return every output of one model, as nested lists; a map has its keys as text, as JSON wants it.

    Raises:
        BundleError: an output holds NaN or an infinity, or is neither a tensor nor a sequence nor a map.
        ModelError: the model cannot be loaded, or does not take the inputs.
    """
    found = _run(model, inputs)
    try:
        return {name: nested(value) for name, value in found.items()}
    except ValueError as error:
        outputs = ", ".join(repr(name) for name in found)
        raise BundleError(f"{model}: an output ({outputs}) cannot be golden: it holds {error}") from error


def nested(value: Any) -> Any:
    """Return an array, or a sequence or map of them, as JSON holds it.

    Each float is the shortest number that reads back the same.

    Raises:
        ValueError: something is not finite, or of another kind.
    """
    if isinstance(value, np.ndarray | np.generic):
        if value.dtype.kind == "f" and not np.isfinite(value).all():
            raise ValueError("NaN or an infinity")
        is_narrow = value.dtype.kind == "f" and value.itemsize < np.dtype(float).itemsize
        return (value.astype(str).astype(float) if is_narrow else value).tolist()
    if isinstance(value, dict):
        return {str(key): nested(item) for key, item in value.items()}
    if isinstance(value, list):
        return [nested(item) for item in value]
    if isinstance(value, str | int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    raise ValueError(f"a {type(value).__name__}" if not isinstance(value, float) else "NaN or an infinity")


def _run(model: Path, inputs: Mapping[str, np.ndarray[Any, Any]]) -> dict[str, Any]:
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime  # noqa: PLC0415 - it sends telemetry unless the variable is set before

    try:
        session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
        names = [output.name for output in session.get_outputs()]
        return dict(zip(names, session.run(names, dict(inputs)), strict=True))
    except Exception as error:
        raise ModelError(f"{model}: {error}") from error
