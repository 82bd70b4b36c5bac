"""The errors of the workstation's side, each a child of edgerun's one root. It imports that root and nothing else."""

from __future__ import annotations

from edgerun.errors import EdgerunError


class ProvenanceError(EdgerunError):
    """What a model was made from cannot be captured or given back; the message says what, where and why."""


class RegistryError(EdgerunError):
    """A registry cannot be reached, refuses, or does not keep to the protocol. What was stored before stays as it was.

    Attributes:
        status: the HTTP status of its answer; None where there was none and trying again may help, 0 where it will not.
    """

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class RepositoryError(EdgerunError):
    """A repository cannot be read, written or trusted; what was published before stays as it was."""


class PublishedMeanwhileError(RepositoryError):
    """Somebody else has published since the repository was read. Nothing of theirs is lost; do it again."""
