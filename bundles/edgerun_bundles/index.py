"""The two small files of an OCI image layout: its marker, and the index that lists its manifests."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING, Any

from edgerun.artifact import (
    ARTIFACT_TYPE,
    MANIFEST_TYPE,
    Descriptor,
    Manifest,
    canonical_json,
    parse_descriptor,
    parse_json,
)
from edgerun.errors import BundleError
from edgerun_bundles.limits import LIMITS
from edgerun_bundles.referrers import Referrer, descriptor_object, subject_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

INDEX_TYPE = "application/vnd.oci.image.index.v1+json"
INDEX_FILE = "index.json"
MARKER_FILE = "oci-layout"
LAYOUT_VERSION = "1.0.0"
MARKER = canonical_json({"imageLayoutVersion": LAYOUT_VERSION})
MARKER_MAX_BYTES = 1024
REF_NAME = "org.opencontainers.image.ref.name"


def index_of(manifest: Manifest, referrers: Sequence[Referrer]) -> bytes:
    """Return the index.json of a layout that holds one bundle and what refers to it."""
    listed = [
        {
            **descriptor_object(subject_of(manifest)),
            "artifactType": ARTIFACT_TYPE,
            "annotations": {REF_NAME: manifest.version},
        },
        *(listed_object(referrer) for referrer in referrers),
    ]
    return canonical_json({"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": listed})


def listed_object(referrer: Referrer) -> dict[str, Any]:
    """Return how an index lists what refers to a bundle."""
    described = descriptor_object(Descriptor(MANIFEST_TYPE, referrer.digest, referrer.size))
    return {**described, "artifactType": referrer.artifact_type}


def parse_index(raw: bytes, where: str) -> list[Descriptor]:
    """Return the manifests that an index lists; indexes within it are not followed.

    Raises:
        BundleError: it is no index, or lists too much.
    """
    document = parse_json(raw, where, LIMITS.index_max_bytes)
    manifests = document.get("manifests") if isinstance(document, dict) else None
    if not isinstance(manifests, list) or not all(isinstance(listed, dict) for listed in manifests):
        raise BundleError(f"{where}: 'manifests' must be a list of objects")
    if len(manifests) > LIMITS.index_manifests_max:
        raise BundleError(f"{where} lists {len(manifests)} manifests; at most {LIMITS.index_manifests_max}")
    found = [parse_descriptor(listed, f"{where}: manifest {index}") for index, listed in enumerate(manifests)]
    return [listed for listed in found if listed.media_type == MANIFEST_TYPE]


def read_index(folder: Path) -> list[Descriptor]:
    """Return the manifests that a layout lists.

    Raises:
        BundleError: its index cannot be read, or as `parse_index`.
    """
    return parse_index(read_small(folder / INDEX_FILE, LIMITS.index_max_bytes), str(folder / INDEX_FILE))


def check_marker(folder: Path) -> None:
    """Check that a folder is an OCI image layout of the version that is read here.

    Raises:
        BundleError: it is not.
    """
    file = folder / MARKER_FILE
    document = parse_json(read_small(file, MARKER_MAX_BYTES), str(file), MARKER_MAX_BYTES)
    if not isinstance(document, dict) or document.get("imageLayoutVersion") != LAYOUT_VERSION:
        raise BundleError(f"{file} is not that of an OCI image layout of version {LAYOUT_VERSION}")


def read_small(path: Path, max_bytes: int) -> bytes:
    """Read a file whole.

    Raises:
        BundleError: it is no regular file, cannot be read, or is too large.
    """
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise BundleError(f"{path} is no regular file")
        with path.open("rb") as file:
            content = file.read(min(status.st_size, max_bytes) + 1)  # to ask for more would take the memory for it
    except OSError as error:
        raise BundleError(f"{path} cannot be read: {error.strerror or error}") from error
    if len(content) > max_bytes:
        raise BundleError(f"{path} is larger than {max_bytes} bytes")
    return content
