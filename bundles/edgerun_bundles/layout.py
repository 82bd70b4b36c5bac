"""A bundle as an OCI image layout on disk, which registries, ``skopeo`` and other tools can carry: reading it.

What is read is believed for its digests alone. A layout may hold other images too; they are left alone.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from edgerun.artifact import (
    ARTIFACT_TYPE,
    DESCRIPTION,
    Digester,
    Layer,
    Manifest,
    check_description,
    digest_of,
    hex_of,
    parse_json,
    parse_manifest,
    verify_blob,
)
from edgerun.errors import BundleError
from edgerun.limits import LIMITS
from edgerun_bundles.index import MARKER_FILE, check_marker, read_index, read_small
from edgerun_bundles.placing import folder_placed
from edgerun_bundles.referrers import Referrer, is_referrer, parse_referrer

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

BLOBS = Path("blobs") / "sha256"
_COPY_BYTES = 2**20


class Layout(NamedTuple):
    """A layout that was read: its manifests are verified, its other blobs only once `verify_layout` took them."""

    folder: Path
    """Where it lies."""

    manifest: Manifest
    """The bundle's."""

    referrers: tuple[Referrer, ...]
    """Those that refer to it, such as its provenance."""

    def blob(self, digest: str) -> Path:
        """Return where a blob lies."""
        return self.folder / BLOBS / hex_of(digest)

    @property
    def blobs(self) -> dict[str, int]:
        """Every blob, once, manifests included: digest to size."""
        found = {self.manifest.digest: self.manifest.size, **self.manifest.blobs}
        for referrer in self.referrers:
            found |= {referrer.digest: referrer.size, **referrer.blobs}
        return found


def is_layout(folder: Path) -> bool:
    """Whether a folder is an OCI image layout, of whatever."""
    return (folder / MARKER_FILE).is_file()


def read_layout(folder: str | os.PathLike[str], version: str | None = None) -> Layout:
    """Read a layout and verify every blob of its bundle.

    Raises:
        BundleError: as `open_layout`, or a blob is missing or has other bytes than its digest says.
    """
    layout = open_layout(folder, version)
    for blob in _blobs(layout):
        verify_blob(layout.blob(blob.digest), blob)
    return layout


def open_layout(folder: str | os.PathLike[str], version: str | None = None) -> Layout:
    """Read a layout's manifests, and check that the bundle's description is theirs; other blobs are not read yet.

    Args:
        folder: the layout.
        version: which bundle, where the layout holds several.

    Raises:
        BundleError: it is no layout of a bundle, or something in it is not what it should be.
    """
    path = Path(folder)
    check_marker(path)
    manifests, referrers = {}, {}
    for listed in read_index(path):
        raw = read_small(path / BLOBS / hex_of(listed.digest), LIMITS.manifest_max_bytes)
        if digest_of(raw) != listed.digest or len(raw) != listed.size:
            raise BundleError(f"{path}: the manifest {listed.digest} has other bytes than its digest or size says")
        if is_referrer(raw):
            referrers[listed.digest] = parse_referrer(raw)
        elif _is_bundle(raw):
            manifests[listed.digest] = parse_manifest(raw)
    manifest = _choose(path, [*manifests.values()], version)
    layout = Layout(path, manifest, tuple(found for found in referrers.values() if found.subject == manifest.digest))
    check_files(layout)
    return layout


def _is_bundle(raw: bytes) -> bool:
    document = parse_json(raw, "a manifest", LIMITS.manifest_max_bytes)
    return isinstance(document, dict) and document.get("artifactType") == ARTIFACT_TYPE


def _choose(path: Path, manifests: Sequence[Manifest], version: str | None) -> Manifest:
    found = [manifest for manifest in manifests if version in {None, manifest.version}]
    if len(found) == 1:
        return found[0]
    there = ", ".join(f"{manifest.name} {manifest.version}" for manifest in manifests) or "none"
    raise BundleError(f"{path} must hold one bundle{f' of version {version}' if version else ''}; it holds: {there}")


def check_files(layout: Layout) -> None:
    """Check that a layout's bundle.json is that of its manifest.

    Raises:
        BundleError: it is missing, has other bytes than its digest says, or describes another bundle.
    """
    (layer,) = (layer for layer in layout.manifest.layers if layer.path == DESCRIPTION)
    raw = read_small(layout.blob(layer.digest), LIMITS.bundle_json_max_bytes)
    digester = Digester()
    digester.update(raw)
    digester.check(layer, f"{layout.folder}: {DESCRIPTION}")
    check_description(layout.manifest, raw)


def _blobs(layout: Layout) -> list[Layer]:
    """Every blob of a layout, its digest for a path."""
    return [Layer(digest, "", digest, size) for digest, size in layout.blobs.items()]


def unpack(layout: Layout, destination: str | os.PathLike[str]) -> Path:
    """Write the bundle's folder that a layout holds; every file is verified as it is copied.

    Args:
        layout: from `open_layout`.
        destination: a new or empty folder.

    Raises:
        BundleError: a blob is missing or has other bytes than its digest says, or the folder cannot be written.
    """
    target = Path(destination)
    with folder_placed(target, lambda _: False) as scratch:
        for layer in layout.manifest.layers:
            place = scratch / layer.path
            place.parent.mkdir(parents=True, exist_ok=True)
            _copy(layout.blob(layer.digest), place, layer)
    return target


def _copy(source: Path, target: Path, layer: Layer) -> None:
    digester = Digester()
    try:
        with source.open("rb", buffering=0) as blob, target.open("xb") as file:
            while piece := blob.read(min(_COPY_BYTES, layer.size + 1 - digester.size)):
                digester.update(piece)
                file.write(piece)
    except OSError as error:
        raise BundleError(f"{layer.path} cannot be copied from {source}: {error.strerror or error}") from error
    digester.check(layer, str(source))
