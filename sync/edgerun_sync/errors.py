"""The errors of the fleet's side, each a child of edgerun's one root. It imports that root and nothing else."""

from __future__ import annotations

from edgerun.errors import EdgerunError


class StorageError(EdgerunError):
    """A bucket or folder did not do what was asked, or nobody knows whether it did. Try again: every step may be."""


class SegmentError(EdgerunError):
    """What a device sent is not the segment that it says it is; it will not be taken, however often it is sent.

    Attributes:
        status: the HTTP status that tells the device so.
        slug: the same for programs.
    """

    def __init__(self, message: str, status: int = 422, slug: str = "not-a-segment") -> None:
        super().__init__(message)
        self.status = status
        self.slug = slug


class CollectorError(EdgerunError):
    """The collector's data are not what they should be, or not yet made; the message says which and what to do."""


class TableError(CollectorError):
    """A table cannot be read or written. Nothing that was landed is lost: it is committed once the table can be."""


class ContentError(TableError):
    """What was sent cannot become rows, whoever tries how often. It is set aside, so that nobody else waits for it."""


class TelemetryError(CollectorError):
    """Metrics cannot be sent on: the message says why. Nothing else is the worse for it, and they are sent again."""


class OvertakenError(TableError):
    """Another committer has changed the table since it was read. Read it again and look what is still to be done."""


class QueryError(EdgerunError, ValueError):
    """A question cannot be answered: it names what is not there, would write, or its engine failed."""


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


class ExperimentError(EdgerunError, ValueError):
    """Numbers or a plan of an experiment cannot be right: the message has the name, the value and the remedy."""
