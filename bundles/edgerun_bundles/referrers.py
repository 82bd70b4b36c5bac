"""Artifacts that refer to a bundle, such as its provenance: their manifests, written and verified. Pure; no IO."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from edgerun.artifact import (
    MANIFEST_TYPE,
    Descriptor,
    Manifest,
    canonical_json,
    digest_of,
    parse_descriptor,
    parse_json,
    take_object,
)
from edgerun.errors import BundleError
from edgerun.limits import LIMITS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

PROVENANCE_TYPE = "application/vnd.in-toto+json"
EMPTY_TYPE = "application/vnd.oci.empty.v1+json"
EMPTY = b"{}"
"""The config of an artifact that has none."""


class Attachment(NamedTuple):
    """A file that goes into a provenance artifact."""

    media_type: str
    """What it is; that of the first is `PROVENANCE_TYPE`."""

    path: Path
    """Where it lies now."""


class Referrer(NamedTuple):
    """A manifest that refers to a bundle's, verified."""

    digest: str
    """Of the manifest itself."""

    size: int
    """Bytes of the manifest itself."""

    artifact_type: str
    """What the artifact is."""

    subject: str
    """The digest of the manifest that it refers to."""

    config: Descriptor
    """The empty object."""

    layers: tuple[Descriptor, ...]
    """The in-toto statement, then what it names."""

    @property
    def blobs(self) -> dict[str, int]:
        """Every blob that the manifest refers to, once: digest to size."""
        return {blob.digest: blob.size for blob in (self.config, *self.layers)}


def subject_of(manifest: Manifest) -> Descriptor:
    """Return how others refer to a bundle's manifest."""
    return Descriptor(MANIFEST_TYPE, manifest.digest, manifest.size)


def descriptor_object(descriptor: Descriptor) -> dict[str, Any]:
    """Return a descriptor as JSON has it."""
    return {"mediaType": descriptor.media_type, "digest": descriptor.digest, "size": descriptor.size}


def referrer_of(subject: Descriptor, layers: Sequence[Descriptor]) -> bytes:
    """Return the manifest of a provenance artifact: canonical JSON."""
    document = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "artifactType": PROVENANCE_TYPE,
        "config": descriptor_object(Descriptor(EMPTY_TYPE, digest_of(EMPTY), len(EMPTY))),
        "layers": [descriptor_object(layer) for layer in layers],
        "subject": descriptor_object(subject),
    }
    return canonical_json(document)


def is_referrer(raw: bytes) -> bool:
    """Whether the bytes of a manifest say that it is a provenance artifact; nothing else is checked."""
    document = parse_json(raw, "a manifest", LIMITS.manifest_max_bytes)
    return isinstance(document, dict) and document.get("artifactType") == PROVENANCE_TYPE


def parse_referrer(raw: bytes) -> Referrer:
    """Verify everything that the bytes of a provenance artifact's manifest tell by themselves.

    Raises:
        BundleError: it is something else; the field and the reason are named.
    """
    where = "the provenance manifest"
    document = parse_json(raw, where, LIMITS.manifest_max_bytes)
    fields = ("schemaVersion", "mediaType", "artifactType", "config", "layers", "subject")
    take_object(document, where, fields, ("annotations",))
    for field, expected in (("schemaVersion", 2), ("mediaType", MANIFEST_TYPE), ("artifactType", PROVENANCE_TYPE)):
        if document[field] != expected:
            raise BundleError(f"{where}: {field!r} must be {expected!r}")
    config = _descriptor(document["config"], f"{where}: 'config'")
    if config != Descriptor(EMPTY_TYPE, digest_of(EMPTY), len(EMPTY)):
        raise BundleError(f"{where}: 'config' must be the empty object")
    layers = document["layers"]
    if not isinstance(layers, list) or not 1 <= len(layers) <= LIMITS.layers_max:
        raise BundleError(f"{where}: 'layers' must be a list of 1 to {LIMITS.layers_max} blobs")
    found = tuple(_descriptor(layer, f"{where}: layer {index}") for index, layer in enumerate(layers))
    if found[0].media_type != PROVENANCE_TYPE:
        raise BundleError(f"{where}: layer 0 must have the media type {PROVENANCE_TYPE!r}")
    subject = _descriptor(document["subject"], f"{where}: 'subject'")
    return Referrer(digest_of(raw), len(raw), PROVENANCE_TYPE, subject.digest, config, found)


def _descriptor(value: Any, where: str) -> Descriptor:
    return parse_descriptor(take_object(value, where, ("mediaType", "digest", "size"), ("annotations",)), where)
