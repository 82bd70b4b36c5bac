"""The errors of the workstation's side, each a child of edgerun's one root. It imports that root and nothing else."""

from __future__ import annotations

from edgerun.errors import EdgerunError


class ProvenanceError(EdgerunError):
    """What a model was made from cannot be captured or given back; the message says what, where and why."""
