"""The errors of the fleet's side, each a child of edgerun's one root. It imports that root and nothing else."""

from __future__ import annotations

from edgerun.errors import EdgerunError


class ExperimentError(EdgerunError, ValueError):
    """Numbers or a plan of an experiment cannot be right: the message has the name, the value and the remedy."""
