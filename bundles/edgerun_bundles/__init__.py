"""The workstation: building, describing, signing and publishing model bundles."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgerun_bundles.provenance.capture import DataSource
    from edgerun_bundles.provenance.metrics import ConfusionMatrix
    from edgerun_bundles.provenance.run import Run, current_run
    from edgerun_bundles.provenance.run_history import runs
    from edgerun_bundles.provenance.tracking import track

__all__ = ["ConfusionMatrix", "DataSource", "Run", "current_run", "runs", "track"]

_HOMES = {
    "ConfusionMatrix": "metrics",
    "DataSource": "capture",
    "Run": "run",
    "current_run": "run",
    "runs": "run_history",
    "track": "tracking",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for: ``edgerun demo`` needs none of them."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib  # noqa: PLC0415 - as above

    return getattr(importlib.import_module(f"edgerun_bundles.provenance.{_HOMES[name]}"), name)
