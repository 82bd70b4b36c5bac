"""The errors of the workstation that those of `edgerun.errors` do not cover."""

from edgerun.errors import EdgerunError


class RegistryError(EdgerunError):
    """A registry cannot be reached, refuses, or does not keep to the protocol. Nothing half-done is left behind."""
