"""Bundles in any OCI registry: only missing blobs are sent, and every byte that comes back is verified."""

from edgerun_bundles.registry.client import Registry
from edgerun_bundles.registry.credentials import Credentials, find_credentials
from edgerun_bundles.registry.reference import Reference, parse_reference
from edgerun_bundles.registry.transfer import Pushed, pull, pull_with_provenance, push
from edgerun_bundles.registry.transport import Transport

__all__ = [
    "Credentials",
    "Pushed",
    "Reference",
    "Registry",
    "Transport",
    "find_credentials",
    "parse_reference",
    "pull",
    "pull_with_provenance",
    "push",
]
