"""Stand-ins for what a device depends on, for tests of edgerun and of what is built on it."""

from edgerun.testing.disk import SimulatedDisk

__all__ = ["SimulatedDisk"]

SimulatedDisk.__module__ = __name__
