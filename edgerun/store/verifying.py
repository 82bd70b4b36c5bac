"""Reading every byte of what a store keeps, and telling what is not as it was. It changes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from edgerun.artifact import MANIFEST_TYPE, Descriptor, Layer
from edgerun.errors import BundleError
from edgerun.store.faults import disk_errors
from edgerun.store.stored import stored_bundle

if TYPE_CHECKING:
    from edgerun.store.holdings import Holdings


class Verification(NamedTuple):
    """What a store was found to hold."""

    blobs: int
    """How many blobs were read and hashed."""

    bytes: int
    """Their bytes."""

    damaged: tuple[str, ...]
    """A sentence for everything that is missing or has other bytes than it had."""


def verify(holdings: Holdings) -> Verification:
    """Read and hash every byte of the bundles that are kept, and of the metadata.

    Raises:
        StoreError: the state is damaged or cannot be read, or a manifest or the metadata cannot be read.
    """
    state = holdings.state.read()
    damaged, blobs = [], dict[str, Descriptor | Layer]()
    for digest in state.bundles:
        found = stored_bundle(holdings.blobs, digest)
        if found is None:
            damaged.append(f"{holdings.blobs.path(digest)}: the manifest of a bundle is missing or damaged")
        else:
            blobs[digest] = Descriptor(MANIFEST_TYPE, digest, found.manifest.size)
            blobs |= {layer.digest: layer for layer in found.manifest.layers}
    for blob in blobs.values():
        try:
            holdings.blobs.verify(blob)
        except (OSError, BundleError) as error:
            damaged.append(f"{holdings.blobs.path(blob.digest)}: {error}")
    with disk_errors(f"the metadata of {holdings.path} cannot be read"):
        if state.metadata and holdings.metadata.trusted(state) is None:
            damaged.append(f"{holdings.metadata.path(state.metadata)}: the metadata is missing or damaged")
    return Verification(len(blobs), sum(blob.size for blob in blobs.values()), tuple(damaged))
