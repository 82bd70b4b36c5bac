"""The errors of the fleet's side, each a child of edgerun's one root. It imports that root and nothing else."""

from __future__ import annotations

from edgerun.errors import EdgerunError


class CollectorError(EdgerunError):
    """The collector's store cannot be used, or does not hold what it should."""


class WireError(EdgerunError, ValueError):
    """What one end of the wire sent is not what the protocol says."""


class RefusedError(EdgerunError):
    """A request that the collector refuses.

    Attributes:
        status: of HTTP.
        slug: a word for programs.
        retry_after_s: when to try again, where that may help.
    """

    def __init__(self, status: int, slug: str, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.slug = slug
        self.retry_after_s = retry_after_s


class UnreachableError(EdgerunError):
    """The service does not answer. What was to be handed over stays where it is."""


class AgentError(EdgerunError):
    """The device cannot sync as it stands: it is not enrolled, its files cannot be used, or the service refuses it."""
