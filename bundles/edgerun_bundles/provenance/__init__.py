"""Where a model comes from. Here: the code that trained it, captured from a folder and given back in a new one."""

from __future__ import annotations

from edgerun_bundles.provenance.code import capture_code
from edgerun_bundles.provenance.restore import restore_code
from edgerun_bundles.provenance.secret_names import SECRET_NAMES
from edgerun_bundles.provenance.snapshot import (
    CodeSnapshot,
    LeftOut,
    NestedSnapshot,
    Remote,
    RestoredCode,
    UnpushedCommit,
)

__all__ = [
    "SECRET_NAMES",
    "CodeSnapshot",
    "LeftOut",
    "NestedSnapshot",
    "Remote",
    "RestoredCode",
    "UnpushedCommit",
    "capture_code",
    "restore_code",
]
