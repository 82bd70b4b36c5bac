"""What onnxruntime's own Python package says of a model: the answers that edgerun's are held against."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import onnxruntime

FATAL_ONLY = 4


def session(model: bytes | Path) -> onnxruntime.InferenceSession:
    """Load a model with one thread and no messages."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = FATAL_ONLY
    source = model if isinstance(model, bytes) else str(model)
    return onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])


def run(model: bytes | Path, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Return every output of a model by name."""
    loaded = session(model)
    names = [output.name for output in loaded.get_outputs()]
    return dict(zip(names, loaded.run(names, dict(inputs)), strict=True))


def signature(model: bytes | Path) -> tuple[list[tuple[str, str, list]], list[tuple[str, str, list]]]:
    """Return the inputs and the outputs of a model, each as name, type and shape."""
    loaded = session(model)
    return (
        [(end.name, end.type, end.shape) for end in loaded.get_inputs()],
        [(end.name, end.type, end.shape) for end in loaded.get_outputs()],
    )
