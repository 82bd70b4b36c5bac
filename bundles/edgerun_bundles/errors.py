"""The errors that only the workstation raises. They hang from the one root of edgerun's errors."""

from __future__ import annotations

from edgerun.errors import EdgerunError


class ProvenanceError(EdgerunError):
    """Where a model came from cannot be captured, read or restored. The message says what and where."""
