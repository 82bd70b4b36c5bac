"""The metrics log: everything that was served, measured and kept through power cuts. FORMAT.md is its specification.

`read` gives the rows of a log as tables of numpy columns, each row once, and what was lost. Whoever serves and logs
imports none of the modules that read.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from edgerun.log.policy import DEFAULT_LOG_POLICY, Capture, LogPolicy
from edgerun.log.rows import Kind, Source

if TYPE_CHECKING:
    from edgerun.log.lost import DamagedBytes, Gap, Recovery
    from edgerun.log.moments import Moment
    from edgerun.log.reading import Log, Reader, read
    from edgerun.log.tables import Table

__all__ = [
    "DEFAULT_LOG_POLICY",
    "Capture",
    "DamagedBytes",
    "Gap",
    "Kind",
    "Log",
    "LogPolicy",
    "Moment",
    "Reader",
    "Recovery",
    "Source",
    "Table",
    "read",
]

_HOMES = {
    "DamagedBytes": "lost",
    "Gap": "lost",
    "Log": "reading",
    "Moment": "moments",
    "Reader": "reading",
    "Recovery": "lost",
    "Table": "tables",
    "read": "reading",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
