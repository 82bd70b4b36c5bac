"""Golden examples: inputs, and what each model of a bundle answered to them on the workstation.

A device runs them before it trusts a bundle. They are made with onnxruntime's Python package, never with
edgerun's own runner, so that they also catch edgerun's mistakes. Only finite tensors can be golden.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np

from edgerun.errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import onnxruntime


def example(
    models: Mapping[str, Path], inputs: Mapping[str, np.ndarray[Any, Any]], *, tolerance: float
) -> dict[str, Any]:
    """Return one golden example, ready for JSON.

    Args:
        models: the ONNX file of each model, by its name in the bundle.
        inputs: an array per input, of the dtype and rank that every model declares.
        tolerance: the largest absolute difference of a floating-point output that a device may see.

    Returns:
        ``inputs`` (nested lists by name), ``outputs`` (by model, then nested lists by name), ``tolerance``.

    Raises:
        BundleError: an output is not a tensor, or holds NaN or an infinity.
    """
    return {
        "inputs": {name: nested(array) for name, array in inputs.items()},
        "outputs": {name: answers(path, inputs) for name, path in models.items()},
        "tolerance": tolerance,
    }


def answers(model: Path, inputs: Mapping[str, np.ndarray[Any, Any]]) -> dict[str, Any]:
    """Return every output of one model, as nested lists.

    Raises:
        BundleError: an output is not a tensor, or holds NaN or an infinity.
    """
    session = _session(model)
    names = [output.name for output in session.get_outputs()]
    found = dict(zip(names, session.run(names, dict(inputs)), strict=True))
    for name, value in found.items():
        if not isinstance(value, np.ndarray):
            raise BundleError(
                f"{model}: output {name!r} is a {type(value).__name__}; only tensors can be golden"
            )
        if value.dtype.kind == "f" and not np.isfinite(value).all():
            raise BundleError(f"{model}: output {name!r} is not finite; choose another input")
    return {name: nested(value) for name, value in found.items()}


def nested(array: np.ndarray[Any, Any]) -> Any:
    """Return an array as nested lists; each float is the shortest number that reads back the same."""
    if array.dtype.kind == "f" and array.itemsize < np.dtype(float).itemsize:
        return array.astype(str).astype(float).tolist()
    return array.tolist()


def _session(model: Path) -> onnxruntime.InferenceSession:
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime  # noqa: PLC0415 - it sends telemetry unless the variable is set before

    return onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
