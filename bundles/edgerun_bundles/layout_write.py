"""Laying out a bundle: its folder becomes an OCI image layout, whole or not at all.

The layout is a function of the bundle's files: the same files have the same digest, whoever lays them out.
"""

from __future__ import annotations

import stat
from pathlib import Path
from typing import TYPE_CHECKING

from edgerun import bundle
from edgerun.artifact import (
    DESCRIPTION,
    Descriptor,
    Digester,
    Layer,
    Manifest,
    check_path,
    config_of,
    digest_of,
    hex_of,
    manifest_of,
    media_type_of,
    parse_manifest,
)
from edgerun.errors import BundleError
from edgerun_bundles.index import INDEX_FILE, MARKER, MARKER_FILE, index_of
from edgerun_bundles.layout import BLOBS, Layout, check_files, is_layout
from edgerun_bundles.placing import folder_placed
from edgerun_bundles.referrers import EMPTY, Attachment, Referrer, parse_referrer, referrer_of, subject_of

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Sequence

_COPY_BYTES = 2**20


def write_layout(
    source: str | os.PathLike[str], destination: str | os.PathLike[str], provenance: Sequence[Attachment] = ()
) -> Layout:
    """Lay out a bundle's folder.

    Args:
        source: a bundle's folder, as `EdgeRunner.open` takes it.
        destination: a new or empty folder, or one that holds a layout, which is replaced as a whole.
        provenance: files that tell where the bundle came from, the in-toto statement first.

    Raises:
        BundleError: the bundle is wrong, or the layout cannot be written.
        GraphError: the bundle's graph is wrong.
    """
    found, target = bundle.read(source), Path(destination)
    with folder_placed(target, is_layout) as scratch:
        (scratch / BLOBS).mkdir(parents=True)
        layers = [_store_file(scratch, Path(source), path) for path in files_of(found)]
        raw = manifest_of(found.name, found.version, layers)
        manifest = parse_manifest(raw)
        for content in (raw, config_of(found.name, found.version, layers)):
            _store(scratch, content)
        laid = Layout(scratch, manifest, ())
        check_files(laid)
        laid = laid._replace(referrers=_store_provenance(scratch, manifest, provenance))
        (scratch / INDEX_FILE).write_bytes(index_of(manifest, laid.referrers))
        (scratch / MARKER_FILE).write_bytes(MARKER)
    return laid._replace(folder=target)


def files_of(found: bundle.Bundle) -> list[str]:
    """Return the paths of a bundle's files, sorted."""
    document = bundle.read_json(found.folder / DESCRIPTION)
    single = [document.get("golden"), document.get("profile")]
    paths = [DESCRIPTION, *document["models"].values(), *(path for path in single if path is not None)]
    for path in paths:
        media_type_of(check_path(path))
    return sorted({*paths})


def manifest_of_folder(source: str | os.PathLike[str]) -> Manifest:
    """Return the manifest that a bundle's folder would have, without laying it out.

    Raises:
        BundleError: the bundle is wrong.
        GraphError: the bundle's graph is wrong.
    """
    found = bundle.read(source)
    layers = []
    for path in files_of(found):
        digester = Digester()
        for piece in _pieces(found.folder / path):
            digester.update(piece)
        layers.append(Layer(path, media_type_of(path), digester.digest, digester.size))
    return parse_manifest(manifest_of(found.name, found.version, layers))


def _store_file(scratch: Path, folder: Path, path: str) -> Layer:
    stored = _store_stream(scratch, media_type_of(path), folder / path)
    return Layer(path, *stored)


def _store_stream(scratch: Path, media_type: str, source: Path) -> Descriptor:
    """Copy a file to where its digest says; what is hashed is what is copied."""
    draft, digester = scratch / BLOBS / "draft", Digester()
    with draft.open("wb") as target:
        for piece in _pieces(source):
            digester.update(piece)
            target.write(piece)
    draft.replace(scratch / BLOBS / hex_of(digester.digest))
    return Descriptor(media_type, digester.digest, digester.size)


def _pieces(source: Path) -> Iterator[bytes]:
    try:
        if not stat.S_ISREG(source.stat().st_mode):
            raise BundleError(f"{source} is no regular file")
        with source.open("rb", buffering=0) as stream:
            while piece := stream.read(_COPY_BYTES):
                yield piece
    except OSError as error:
        raise BundleError(f"{source} cannot be read: {error.strerror or error}") from error


def _store(scratch: Path, content: bytes) -> None:
    (scratch / BLOBS / hex_of(digest_of(content))).write_bytes(content)


def _store_provenance(scratch: Path, manifest: Manifest, provenance: Sequence[Attachment]) -> tuple[Referrer, ...]:
    if not provenance:
        return ()
    layers = [_store_stream(scratch, media_type, path) for media_type, path in provenance]
    raw = referrer_of(subject_of(manifest), layers)
    for content in (EMPTY, raw):
        _store(scratch, content)
    return (parse_referrer(raw),)
