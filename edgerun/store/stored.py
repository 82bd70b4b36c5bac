"""A bundle that a store holds: its manifest, which was verified, and where its blobs lie."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from edgerun.artifact import DESCRIPTION, MANIFEST_TYPE, Descriptor, Manifest, check_description, parse_manifest
from edgerun.errors import BundleError, StoreError
from edgerun.limits import LIMITS
from edgerun.requirements import Allowance, Requires, parse_allowance, parse_requires
from edgerun.store.faults import disk_errors

if TYPE_CHECKING:
    from edgerun.bundle import Bundle
    from edgerun.store.blobs import Blobs


class StoredBundle(NamedTuple):
    """A bundle of a store."""

    manifest: Manifest
    """What it consists of."""

    path: str
    """Of the manifest's blob, beside the others; `edgerun.bundle.read` takes it."""

    @property
    def digest(self) -> str:
        """Of the manifest: the bundle's name for ever."""
        return self.manifest.digest

    @property
    def name(self) -> str:
        """The bundle's name."""
        return self.manifest.name

    @property
    def version(self) -> str:
        """The bundle's version."""
        return self.manifest.version

    def read(self) -> Bundle:
        """Return the bundle, as `edgerun.bundle.read` does; its models are loaded from the store.

        Raises:
            BundleError: a blob is missing or malformed.
            GraphError: the routing graph is wrong.
        """
        from edgerun import bundle  # noqa: PLC0415 - whoever only fetches needs no graphs

        return bundle.read(self.path)


class Terms(NamedTuple):
    """What a bundle asks of a device."""

    requires: Requires
    """What it must have."""

    limits: Allowance
    """What the bundle may take there."""


def stored_bundle(blobs: Blobs, digest: str) -> StoredBundle | None:
    """Return a bundle by its digest; None where its manifest is missing or has other bytes than it had.

    Raises:
        StoreError: the manifest cannot be read.
    """
    path = blobs.path(digest)
    try:
        with disk_errors(f"{path} cannot be read"):
            manifest = parse_manifest(blobs.read(digest, LIMITS.manifest_max_bytes))
    except StoreError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            return None
        raise
    except BundleError:
        return None
    return StoredBundle(manifest, path) if manifest.digest == digest else None


def verified_terms(blobs: Blobs, found: StoredBundle) -> Terms:
    """Read every byte of a bundle from the disk again, and return what it asks of a device.

    Raises:
        OSError: a blob is missing or cannot be read.
        BundleError: a blob has other bytes than it had, or the files do not belong together.
    """
    manifest = found.manifest
    blobs.verify(Descriptor(MANIFEST_TYPE, manifest.digest, manifest.size))
    for layer in {layer.digest: layer for layer in manifest.layers}.values():
        blobs.verify(layer)
    (description,) = (layer for layer in manifest.layers if layer.path == DESCRIPTION)
    document = check_description(manifest, blobs.read(description.digest, LIMITS.bundle_json_max_bytes))
    where = f"{found.name}@{found.version}: {DESCRIPTION}"
    return Terms(
        parse_requires(document.get("requires", {}), where), parse_allowance(document.get("limits", {}), where)
    )
