"""The errors of the workstation that those of `edgerun.errors` do not cover."""

from __future__ import annotations

from edgerun.errors import EdgerunError


class RegistryError(EdgerunError):
    """A registry cannot be reached, refuses, or does not keep to the protocol. What was stored before stays as it was.

    Attributes:
        status: the HTTP status of its answer; None where there was none and trying again may help, 0 where it will not.
    """

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status
