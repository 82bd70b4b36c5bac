"""A repository as one tar, for where no network goes: written alike by everybody, read with suspicion.

What comes in is a repository like any other: nothing is taken before its signatures, from a root that is trusted here,
its versions and every byte of its blobs were checked. Nothing is written outside the scratch folder until then.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from tuf.api.metadata import Timestamp

from edgerun.artifact import Descriptor, Digester, hex_of
from edgerun.errors import BundleError
from edgerun.limits import LIMITS as DEVICE_LIMITS
from edgerun_bundles.errors import PublishedMeanwhileError, RepositoryError
from edgerun_bundles.placing import SCRATCH, file_placed
from edgerun_bundles.repository import catalogue
from edgerun_bundles.repository.cleaning import kept_metadata, referred
from edgerun_bundles.repository.folder import FolderStorage
from edgerun_bundles.repository.metadata import ROOT, TIMESTAMP, max_bytes_of, parse, raw_of
from edgerun_bundles.repository.reading import read_roots, read_state
from edgerun_bundles.repository.storage import BLOBS, METADATA, TIMESTAMP_FILE, blob_name, metadata_name, unseen
from edgerun_bundles.tarball import end_of, file_header, folder_header, padding_of, read_bounded

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import BinaryIO

    from edgerun_bundles.repository.metadata import State
    from edgerun_bundles.repository.storage import Progress, Source
    from edgerun_bundles.tarball import Entry

_FOLDERS = ("blobs", BLOBS, METADATA)
_BLOB = re.compile(rf"{BLOBS}/([0-9a-f]{{64}})")
_METADATA = re.compile(rf"{METADATA}/(?:timestamp|[1-9][0-9]{{0,8}}\.([A-Za-z0-9][A-Za-z0-9._-]{{0,80}}))\.json")
_ROOT = re.compile(rf"{METADATA}/[1-9][0-9]*\.{ROOT}\.json")


class Imported(NamedTuple):
    """What an import added."""

    blobs: int
    """How many blobs were not there."""

    size: int
    """Bytes of those."""

    is_newer: bool
    """Whether the metadata that came was newer than what was there."""


def write_stick(
    storage: Source,
    state: State,
    trusted_root: bytes,
    pins: Iterable[tuple[str, str]],
    destination: Path,
    progress: Progress = unseen,
) -> Path:
    """Write a repository as a tar: all its metadata and roots, and the blobs of some bundles.

    Args:
        storage: where it lies.
        state: of the repository, verified.
        trusted_root: the root that this workstation trusts; older ones go along as far as they are there.
        pins: names and versions.
        destination: the tar; a file that stands there is replaced.
        progress: gives, for a number of bytes, a context manager of a function to call with bytes done.

    Raises:
        BundleError: a blob has other bytes than its digest says, or the tar cannot be written.
        RepositoryError: a bundle is not published, or something cannot be read.
    """
    chosen = [(name, catalogue.version_of(state, name, version).version) for name, version in pins]
    blobs = referred(storage, state, chosen)
    entries: dict[str, bytes] = {name: _metadata(storage, name) for name in kept_metadata(state)}
    entries |= _roots(storage, trusted_root)
    with file_placed(destination) as draft, draft.open("wb") as tar:
        for folder in _FOLDERS[:2]:
            tar.write(folder_header(folder))
        with progress(sum(blobs.values())) as advance:
            for digest, size in sorted(blobs.items()):
                tar.write(file_header(blob_name(hex_of(digest)), size))
                for piece in _verified(storage, Descriptor("", digest, size)):
                    tar.write(piece)
                    advance(len(piece))
                tar.write(padding_of(size))
        tar.write(folder_header(METADATA))
        for name, content in sorted(entries.items()):
            tar.write(file_header(name, len(content)) + content + padding_of(len(content)))
        tar.write(end_of(tar.tell()))
    return destination


def _roots(storage: Source, trusted_root: bytes) -> dict[str, bytes]:
    """Every root: those before the trusted one as they lie there, those after it verified."""
    roots = {metadata_name(ROOT, root.signed.version): raw_of(root) for root in read_roots(storage, trusted_root)}
    first = min(int(name.removeprefix(f"{METADATA}/").partition(".")[0]) for name in roots)
    for version in range(first - 1, 0, -1):
        found = storage.read(metadata_name(ROOT, version), max_bytes_of(ROOT))
        if found is None:
            break
        roots[metadata_name(ROOT, version)] = found.content
    return roots


def _metadata(storage: Source, name: str) -> bytes:
    found = storage.read(name, DEVICE_LIMITS.metadata_max_bytes)
    if found is None:
        raise RepositoryError(f"{storage.where}: {name} is gone; somebody has published meanwhile, export again")
    return found.content


def _verified(storage: Source, blob: Descriptor) -> Iterator[bytes]:
    digester = Digester()
    for piece in storage.pieces(blob_name(hex_of(blob.digest))):
        digester.update(piece)
        if digester.size > blob.size:
            break
        yield piece
    digester.check(blob, f"{storage.where}: {blob.digest}")


def read_stick(source: Path, target: FolderStorage, trusted_root: bytes) -> Imported:
    """Add a tar of a repository to a folder that holds the same one, or nothing yet.

    Args:
        source: the tar.
        target: the folder.
        trusted_root: a root that is trusted, of this version of the repository or an older one.

    Raises:
        BundleError: the tar is not as it should be; the entry is named, and nothing is added.
        RepositoryError: it is no repository of that root, is older than what is there, or cannot be added.
    """
    try:
        size = source.stat().st_size if source.is_file() else -1
        target.folder.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(target.folder).free
    except OSError as error:
        raise RepositoryError(f"{target.where} cannot be written: {error.strerror or error}") from error
    if size < 0:
        raise BundleError(f"{source} is no file")
    if size > free:
        raise RepositoryError(f"{source} has {size:,} bytes, and {target.where} has room for {free:,}")
    with _scratch(target.folder) as scratch, source.open("rb", buffering=0) as stream:
        for folder in _FOLDERS:
            (scratch / folder).mkdir(parents=True, exist_ok=True)
        names = {*_take_all(scratch, stream, str(source))}
        held = FolderStorage(scratch)
        held.where = str(source)
        state = read_state(held, trusted_root)
        _check_whole(held, state, names)
        return _add(held, state, names, target, trusted_root)


@contextlib.contextmanager
def _scratch(folder: Path) -> Iterator[Path]:
    try:
        with tempfile.TemporaryDirectory(prefix=SCRATCH, dir=folder) as place:
            yield Path(place)
    except OSError as error:
        raise RepositoryError(f"{folder} cannot be written: {error}") from error


def _take_all(scratch: Path, stream: BinaryIO, where: str) -> Iterator[str]:
    for entry in read_bounded(stream, where):
        if entry.is_folder and entry.name in _FOLDERS:
            continue
        _take(scratch, entry, where)
        yield entry.name


def _take(scratch: Path, entry: Entry, where: str) -> None:
    blob, metadata = _BLOB.fullmatch(entry.name), _METADATA.fullmatch(entry.name)
    if entry.is_folder or (blob is None and metadata is None):
        raise BundleError(f"{where}: {entry.name[:200]!r} is no part of a repository")
    if metadata is not None and entry.size > (most := max_bytes_of(metadata[1] or "timestamp")):
        raise BundleError(f"{where}: {entry.name} is larger than {most} bytes")
    digester = Digester()
    with (scratch / entry.name).open("xb") as file:
        for piece in entry.pieces:
            digester.update(piece)
            file.write(piece)
    if blob is not None and hex_of(digester.digest) != blob[1]:
        raise BundleError(f"{where}: {entry.name} has other bytes than its name says")


def _check_whole(held: FolderStorage, state: State, names: set[str]) -> None:
    """Check that nothing is there that the repository does not refer to, and that no bundle is there by half."""
    present = {
        (version.name, version.version)
        for name in catalogue.names(state)
        for version in catalogue.versions(state, name)
        if blob_name(hex_of(version.digest)) in names
    }
    needed = {blob_name(hex_of(digest)): size for digest, size in referred(held, state, present).items()}
    for name, size in needed.items():
        if name not in names:
            raise BundleError(f"{held.where}: {name} is missing")
        if held.size_of(name) != size:
            raise BundleError(f"{held.where}: {name} has another size than its manifest says")
    roots = {*filter(_ROOT.fullmatch, names)}
    for name in sorted(names - needed.keys() - kept_metadata(state) - roots):
        raise BundleError(f"{held.where}: nothing refers to {name}")


def _add(held: FolderStorage, state: State, names: set[str], target: FolderStorage, trusted_root: bytes) -> Imported:
    """Add what was verified: blobs, then metadata, then the timestamp, and the roots last.

    Where that broke off between the last two, what is there may not be valid by the roots that are; doing it again
    mends it.
    """
    former = target.read(TIMESTAMP_FILE, max_bytes_of(TIMESTAMP))
    is_newer = (
        former is None
        or state.timestamp.signed.version
        > parse(former.content, Timestamp, f"{target.where}: {TIMESTAMP_FILE}").signed.version
    )
    if former is not None and is_newer:
        _check_not_older(held, state, target, trusted_root)
    added = size = 0
    for name in sorted(name for name in names if name.startswith(f"{BLOBS}/")):
        length = held.size_of(name) or 0
        if target.size_of(name) != length:
            target.put_blob(name, held.pieces(name), length)
            added, size = added + 1, size + length
    if is_newer:
        for name in sorted(kept_metadata(state) - {TIMESTAMP_FILE}):
            _add_metadata(held, target, name)
        if not target.replace(TIMESTAMP_FILE, _metadata(held, TIMESTAMP_FILE), former.token if former else None):
            raise PublishedMeanwhileError(f"{target.where}: somebody has published there meanwhile; import again")
    for name in sorted(filter(_ROOT.fullmatch, names)):
        _add_metadata(held, target, name)
    return Imported(added, size, is_newer)


def _check_not_older(held: FolderStorage, state: State, target: FolderStorage, trusted_root: bytes) -> None:
    try:
        former = read_state(target, trusted_root)
    except RepositoryError:
        return  # what is not valid is replaced by what is
    for role, version in state.versions.items():
        if version < former.versions.get(role, 0):
            raise RepositoryError(f"{held.where}: {role} has version {version}, {former.versions[role]} is there")


def _add_metadata(held: FolderStorage, target: FolderStorage, name: str) -> None:
    content = _metadata(held, name)
    if target.create(name, content):
        return
    found = target.read(name, max(len(content), DEVICE_LIMITS.metadata_max_bytes))
    if found is None or found.content != content:
        raise RepositoryError(
            f"{target.where}: {name} is there with other bytes, left by a publication that died; remove it: "
            "edgerun bundle repository clean"
        )
