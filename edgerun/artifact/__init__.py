"""A bundle as a content-addressed artifact: its manifest, its blobs and their digests; bundles/FORMAT.md specifies it.

Nothing here does any IO but `verify_blob`, which reads. A manifest is believed only after `parse_manifest` took it, a
file only after `verify_blob` did, and the two belong together only after `check_description` said so.
"""

from edgerun.artifact._blobs import Digester, digest_of, verify_blob
from edgerun.artifact._canonical import canonical_json, parse_json
from edgerun.artifact._manifest import (
    ARTIFACT_TYPE,
    CONFIG_TYPE,
    DESCRIPTION,
    MANIFEST_TYPE,
    Manifest,
    check_description,
    check_name,
    check_version,
    config_of,
    manifest_of,
    parse_manifest,
)
from edgerun.artifact._parts import (
    Descriptor,
    Layer,
    check_digest,
    check_path,
    hex_of,
    media_type_of,
    parse_descriptor,
    take_object,
)

__all__ = [
    "ARTIFACT_TYPE",
    "CONFIG_TYPE",
    "DESCRIPTION",
    "MANIFEST_TYPE",
    "Descriptor",
    "Digester",
    "Layer",
    "Manifest",
    "canonical_json",
    "check_description",
    "check_digest",
    "check_name",
    "check_path",
    "check_version",
    "config_of",
    "digest_of",
    "hex_of",
    "manifest_of",
    "media_type_of",
    "parse_descriptor",
    "parse_json",
    "parse_manifest",
    "take_object",
    "verify_blob",
]

for _public in (Descriptor, Digester, Layer, Manifest):
    _public.__module__ = __name__
