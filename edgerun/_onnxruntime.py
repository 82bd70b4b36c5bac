"""Find onnxruntime's shared library and see to it that it stays silent. Its Python module is never imported.

The wheel of onnxruntime ships the library beside its Python module. A run through its C API costs less than half of one
through the module, and loading it costs less too; see docs/decisions/0001-onnxruntime-c-api.md.
"""

from __future__ import annotations

import os
import sys
from fnmatch import filter as matching
from importlib.util import find_spec

from edgerun.errors import ModelError

_PATTERNS = {"darwin": "libonnxruntime*.dylib", "win32": "onnxruntime.dll"}


def library_path() -> str:
    """Return the path of onnxruntime's shared library, with its telemetry switched off for this process.

    Raises:
        ModelError: onnxruntime is not installed, or its wheel ships no shared library.
    """
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    spec = find_spec("onnxruntime")
    if spec is None or spec.origin is None:
        raise ModelError("onnxruntime is not installed; install it with: pip install onnxruntime")
    folder = os.path.join(os.path.dirname(spec.origin), "capi")
    pattern = _PATTERNS.get(sys.platform, "libonnxruntime.so*")
    found = matching(sorted(os.listdir(folder)), pattern)
    if not found:
        raise ModelError(f"{folder} holds no {pattern}; edgerun needs onnxruntime 1.24 or later")
    return os.path.join(folder, found[0])
