"""The manifest of a bundle: writing it, and believing one that came from elsewhere. Pure; no IO.

A manifest is a function of the bundle's name, version and files, so that the same files have the same digest.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from edgerun._names import NAME, VERSION
from edgerun._shown import shown
from edgerun.artifact._blobs import digest_of
from edgerun.artifact._canonical import canonical_json, parse_json
from edgerun.artifact._parts import (
    Descriptor,
    Layer,
    check_annotations,
    check_path,
    kind_of,
    parse_descriptor,
    take_object,
)
from edgerun.errors import BundleError
from edgerun.limits import LIMITS, Limits

if TYPE_CHECKING:
    import re

MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
ARTIFACT_TYPE = "application/vnd.cncf.model.manifest.v1+json"
CONFIG_TYPE = "application/vnd.cncf.model.config.v1+json"
DESCRIPTION = "bundle.json"

_TITLE = "org.opencontainers.image.title"
_VERSION = "org.opencontainers.image.version"
_FILEPATH = "org.cncf.model.filepath"


class Manifest(NamedTuple):
    """A manifest that was verified."""

    digest: str
    """The bundle's name for ever."""

    size: int
    """Bytes of the manifest itself."""

    name: str
    """The bundle's name, as bundle.json has it."""

    version: str
    """The bundle's version, as bundle.json has it."""

    config: Descriptor
    """The blob that describes the model to other tools; a device does not need it."""

    layers: tuple[Layer, ...]
    """The files, in the order of their paths."""

    @property
    def blobs(self) -> dict[str, int]:
        """Every blob that the manifest refers to, once: digest to size."""
        return {self.config.digest: self.config.size, **{layer.digest: layer.size for layer in self.layers}}

    @property
    def content_bytes(self) -> int:
        """Bytes of all files together."""
        return sum(layer.size for layer in self.layers)


def config_of(name: str, version: str, layers: Iterable[Layer]) -> bytes:
    """Return the config of a bundle of these files, in canonical JSON."""
    document = {
        "descriptor": {"name": name, "version": version},
        "modelfs": {"type": "layers", "diffIds": [layer.digest for layer in _sorted(layers)]},
        "config": {"format": "onnx"},
    }
    return canonical_json(document)


def manifest_of(name: str, version: str, layers: Iterable[Layer]) -> bytes:
    """Return the manifest of a bundle of these files, in canonical JSON."""
    ordered = _sorted(layers)
    config = config_of(name, version, ordered)
    document = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "artifactType": ARTIFACT_TYPE,
        "config": {"mediaType": CONFIG_TYPE, "digest": digest_of(config), "size": len(config)},
        "layers": [
            {
                "mediaType": layer.media_type,
                "digest": layer.digest,
                "size": layer.size,
                "annotations": {_FILEPATH: layer.path},
            }
            for layer in ordered
        ],
        "annotations": {_TITLE: name, _VERSION: version},
    }
    return canonical_json(document)


def _sorted(layers: Iterable[Layer]) -> list[Layer]:
    return sorted(layers, key=lambda layer: layer.path)


def parse_manifest(raw: bytes, limits: Limits = LIMITS) -> Manifest:
    """Verify everything that the bytes of a manifest tell by themselves.

    Raises:
        BundleError: it is no valid manifest of a bundle; the field and the reason are named.
    """
    document = parse_json(raw, "the manifest", limits.manifest_max_bytes)
    fields = ("schemaVersion", "mediaType", "artifactType", "config", "layers", "annotations")
    take_object(document, "the manifest", fields)
    if canonical_json(document) != raw:
        raise BundleError("the manifest is not in canonical JSON; build the bundle again")
    for field, expected in (("schemaVersion", 2), ("mediaType", MANIFEST_TYPE), ("artifactType", ARTIFACT_TYPE)):
        if document[field] != expected or isinstance(document[field], bool):
            raise BundleError(f"the manifest: {field!r} must be {expected!r}, got {shown(document[field])}")
    annotations = check_annotations(document["annotations"], "the manifest: 'annotations'")
    name, version = check_name(annotations.get(_TITLE)), check_version(annotations.get(_VERSION))
    layers = _parse_layers(document["layers"], limits)
    config = _parse_config(document["config"], name, version, layers, limits)
    return Manifest(digest_of(raw), len(raw), name, version, config, layers)


def _parse_layers(value: Any, limits: Limits) -> tuple[Layer, ...]:
    if not isinstance(value, list) or not value:
        raise BundleError(f"the manifest: 'layers' must be a list of at least one file, got {shown(value)}")
    if len(value) > limits.layers_max:
        raise BundleError(f"the manifest has {len(value)} layers; at most {limits.layers_max}")
    layers = tuple(_parse_layer(index, layer, limits) for index, layer in enumerate(value))
    paths = [layer.path for layer in layers]
    if len({path.lower() for path in paths}) < len(paths):
        raise BundleError("the manifest: two layers have the same path, or paths that differ only in case")
    if paths != sorted(paths):
        raise BundleError("the manifest: the layers must stand in the order of their paths")
    if DESCRIPTION not in paths:
        raise BundleError(f"the manifest has no layer of {DESCRIPTION}")
    sizes: dict[str, int] = {}
    for layer in layers:
        if sizes.setdefault(layer.digest, layer.size) != layer.size:
            raise BundleError(f"the manifest: {layer.path} says another size of {layer.digest} than another layer")
    total = sum(layer.size for layer in layers)
    if total > limits.bundle_max_bytes:
        raise BundleError(f"the bundle has {total} bytes; at most {limits.bundle_max_bytes}")
    return layers


def _parse_layer(index: int, value: Any, limits: Limits) -> Layer:
    where = f"the manifest: layer {index}"
    take_object(value, where, ("mediaType", "digest", "size", "annotations"))
    path = check_path(check_annotations(value["annotations"], f"{where}: 'annotations'").get(_FILEPATH), limits)
    found = parse_descriptor(value, where, limits)
    kind = kind_of(path)
    if found.media_type != kind.media_type:
        raise BundleError(f"{where}: {path} must have the media type {kind.media_type!r}")
    most = None if kind.limit is None else getattr(limits, kind.limit)
    if most is not None and found.size > most:
        raise BundleError(f"{where}: {path} is larger than {most} bytes")
    return Layer(path, *found)


def _parse_config(value: Any, name: str, version: str, layers: tuple[Layer, ...], limits: Limits) -> Descriptor:
    where = "the manifest: 'config'"
    take_object(value, where, ("mediaType", "digest", "size"))
    found, config = parse_descriptor(value, where, limits), config_of(name, version, layers)
    if found != Descriptor(CONFIG_TYPE, digest_of(config), len(config)):
        raise BundleError(f"{where} is not that of a bundle with this name, version and files")
    return found


def check_name(value: Any) -> str:
    """Return the name of a bundle.

    Raises:
        BundleError: it is no such name.
    """
    return _check_text("name", value, NAME)


def check_version(value: Any) -> str:
    """Return the version of a bundle.

    Raises:
        BundleError: it is no such version.
    """
    return _check_text("version", value, VERSION)


def _check_text(field: str, value: Any, pattern: re.Pattern[str]) -> str:
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise BundleError(f"a bundle's {field} must match {pattern.pattern}, got {shown(value)}")
    return value


def check_description(manifest: Manifest, raw: bytes, limits: Limits = LIMITS) -> Mapping[str, Any]:
    """Return a bundle.json if it is that of a manifest: the same name and version, and exactly these files.

    Raises:
        BundleError: they do not belong together.
    """
    document = parse_json(raw, DESCRIPTION, limits.bundle_json_max_bytes)
    if not isinstance(document, Mapping):
        raise BundleError(f"{DESCRIPTION} must hold one object")
    for field, expected in (("name", manifest.name), ("version", manifest.version)):
        if document.get(field) != expected:
            raise BundleError(f"{DESCRIPTION} has the {field} {shown(document.get(field))}, its manifest {expected!r}")
    models, single = document.get("models"), [document.get("golden"), document.get("profile")]
    if not isinstance(models, Mapping):
        raise BundleError(f"{DESCRIPTION}: 'models' must be an object")
    named = {DESCRIPTION, *map(check_path, models.values()), *(check_path(path) for path in single if path is not None)}
    held = {layer.path for layer in manifest.layers}
    for path in sorted(named ^ held):
        raise BundleError(f"{path} is {'in no layer' if path in named else f'named nowhere in {DESCRIPTION}'}")
    return document
