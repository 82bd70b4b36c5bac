"""A bundle's layout as one tar, for a USB stick or an attachment: written alike by everybody, read with suspicion.

Nothing is written outside the scratch folder, and nothing appears at the destination before all of it is verified.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from edgerun.artifact import Digester, Layer, hex_of
from edgerun.errors import BundleError
from edgerun_bundles.index import INDEX_FILE, MARKER, MARKER_FILE, MARKER_MAX_BYTES, index_of
from edgerun_bundles.layout import BLOBS, Layout, is_layout, open_layout
from edgerun_bundles.limits import LIMITS
from edgerun_bundles.placing import file_placed, folder_placed
from edgerun_bundles.tarball import PIECE_BYTES, Entry, end_of, file_header, folder_header, padding_of, read_bounded

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator
    from typing import BinaryIO

_FOLDERS = ("blobs", "blobs/sha256")
_SMALL = {INDEX_FILE: LIMITS.index_max_bytes, MARKER_FILE: MARKER_MAX_BYTES}
_BLOB = re.compile(r"blobs/sha256/([0-9a-f]{64})")


def write_archive(layout: Layout, destination: str | os.PathLike[str]) -> Path:
    """Write a layout as a tar; every blob is verified as it is written. A file that stands there is replaced.

    Raises:
        BundleError: a blob is missing or has other bytes than its digest says, or the tar cannot be written.
    """
    target = Path(destination)
    with file_placed(target) as draft, draft.open("wb") as tar:
        for folder in _FOLDERS:
            tar.write(folder_header(folder))
        for digest, size in sorted(layout.blobs.items()):
            _write_blob(tar, layout.blob(digest), Layer(f"blobs/sha256/{hex_of(digest)}", "", digest, size))
        for name, content in ((INDEX_FILE, index_of(layout.manifest, layout.referrers)), (MARKER_FILE, MARKER)):
            tar.write(file_header(name, len(content)) + content + padding_of(len(content)))
        tar.write(end_of(tar.tell()))
    return target


def _write_blob(tar: BinaryIO, path: Path, blob: Layer) -> None:
    """Write a blob as one entry; what is hashed is what is written."""
    digester = Digester()
    tar.write(file_header(blob.path, blob.size))
    try:
        with path.open("rb", buffering=0) as stream:
            while piece := stream.read(min(PIECE_BYTES, blob.size + 1 - digester.size)):
                digester.update(piece)
                tar.write(piece)
    except OSError as error:
        raise BundleError(f"{path} cannot be copied: {error.strerror or error}") from error
    digester.check(blob, str(path))
    tar.write(padding_of(blob.size))


def read_archive(source: str | os.PathLike[str], destination: str | os.PathLike[str]) -> Layout:
    """Read a tar that came from anywhere into a layout, with every blob verified.

    Args:
        source: an uncompressed tar of an OCI image layout that holds one bundle, what refers to it, and nothing else.
        destination: a new or empty folder, or one that holds a layout, which is replaced as a whole.

    Raises:
        BundleError: anything about it is not as it should be; the entry is named, and nothing is left behind.
    """
    path, target = Path(source), Path(destination)
    if not path.is_file():
        raise BundleError(f"{path} is no file")
    with folder_placed(target, is_layout) as scratch:
        (scratch / BLOBS).mkdir(parents=True)
        with path.open("rb", buffering=0) as stream:
            names = set(_take_all(scratch, stream, str(path)))
        layout = open_layout(scratch)
        _check_whole(layout, names, path)
    return layout._replace(folder=target)


def _take_all(scratch: Path, stream: BinaryIO, where: str) -> Iterator[str]:
    """Write every entry to the scratch folder and yield its name."""
    for entry in read_bounded(stream, where):
        _take(scratch, entry, where)
        yield entry.name


def _take(scratch: Path, entry: Entry, where: str) -> None:
    if entry.is_folder and entry.name in _FOLDERS:
        return
    blob = _BLOB.fullmatch(entry.name)
    if entry.is_folder or (entry.name not in _SMALL and blob is None):
        raise BundleError(f"{where}: {entry.name[:200]!r} is no part of a bundle's layout")
    if entry.size > _SMALL.get(entry.name, entry.size):
        raise BundleError(f"{where}: {entry.name} is larger than {_SMALL[entry.name]} bytes")
    digester = Digester()
    with (scratch / entry.name).open("xb") as file:
        for piece in entry.pieces:
            digester.update(piece)
            file.write(piece)
    if blob is not None and hex_of(digester.digest) != blob[1]:
        raise BundleError(f"{where}: {entry.name} has other bytes than its name says")


def _check_whole(layout: Layout, names: set[str], where: Path) -> None:
    """Check that every blob is there at its size, and nothing besides; their digests were checked on the way."""
    needed = {f"blobs/sha256/{hex_of(digest)}": size for digest, size in layout.blobs.items()}
    for name, size in needed.items():
        if name not in names:
            raise BundleError(f"{where}: {name} is missing")
        if (layout.folder / name).stat().st_size != size:
            raise BundleError(f"{where}: {name} has another size than its manifest says")
    for name in sorted(names - needed.keys() - {*_FOLDERS, *_SMALL}):
        raise BundleError(f"{where}: nothing refers to {name}")
