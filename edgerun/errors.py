"""Every error that edgerun raises. This module imports nothing, so that anything may import it."""


class EdgerunError(Exception):
    """The root of every error of edgerun."""


class InputError(EdgerunError, ValueError):
    """An argument of a call is wrong: its name, type, rank, dimension, dtype or value. Fix the caller."""


class SplitError(EdgerunError, ValueError):
    """A split cannot be made: bad weights, arms, ranges or salt. Fix its definition."""


class GraphError(EdgerunError, ValueError):
    """A routing graph is wrong; the message starts with the node's name. Fix the bundle."""


class BundleError(EdgerunError):
    """A bundle folder is missing, malformed or inconsistent. Rebuild or fetch it again."""


class ModelError(EdgerunError):
    """A model cannot be loaded, or failed while it ran. The runtime's own message is kept as the text."""


class DeadlineError(EdgerunError, TimeoutError):
    """No answer was ready by the deadline, and the caller gave no fallback."""


class ClosedError(EdgerunError):
    """A runner was closed. Open the bundle again."""

    def __init__(self, message: str = "this runner is closed; open the bundle again") -> None:
        super().__init__(message)


class CoreError(EdgerunError):
    """The C core reported a failure that no more specific error describes."""


class LogError(EdgerunError):
    """A log cannot be written or read: the folder, the disk, or what is in a file."""


class StoreError(EdgerunError):
    """A device's store cannot be read or written, or does not hold what is asked of it."""


class UpdateError(EdgerunError):
    """A repository cannot be reached, or what it says is not to be trusted. What is active goes on serving."""
