"""What a service that serves a repository takes from those who publish there. It trusts no token for metadata.

A top role's file is verified by the newest root as it comes. Who signs for a bundle's or a channel's role may change in
the same publication, so its file is verified at the moment of publication, with all that readers would read from then
on: nothing becomes the repository that does not verify from its first root, and no version falls.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from tuf.api.metadata import Root, Snapshot, Targets, Timestamp

from edgerun.artifact import hex_of, parse_manifest
from edgerun.errors import BundleError
from edgerun.limits import LIMITS as DEVICE_LIMITS
from edgerun_bundles.errors import RepositoryError
from edgerun_bundles.limits import LIMITS
from edgerun_bundles.repository.metadata import (
    BUNDLE_PREFIX,
    CHANNEL_PREFIX,
    ROOT,
    SNAPSHOT,
    TARGETS,
    TIMESTAMP,
    is_verified,
    max_bytes_of,
    parse,
    raw_of,
    verify,
)
from edgerun_bundles.repository.reading import follow, read_below, read_roots
from edgerun_bundles.repository.storage import TIMESTAMP_FILE, Found, blob_name, metadata_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from tuf.api.metadata import Metadata

    from edgerun_bundles.repository.metadata import State
    from edgerun_bundles.repository.storage import Source

_FILE = re.compile(
    rf"([1-9][0-9]{{0,9}})\.({ROOT}|{TARGETS}|{SNAPSHOT}|(?:{BUNDLE_PREFIX}|{CHANNEL_PREFIX})"
    r"[a-z0-9][a-z0-9._-]{0,63})\.json"
)


class File(NamedTuple):
    """A file of metadata that is made once."""

    version: int
    """Of the role."""

    role: str
    """Whose."""

    @property
    def name(self) -> str:
        """Where it lies."""
        return metadata_name(self.role, self.version)


class Publication(NamedTuple):
    """What a publication changes."""

    state: State
    """The repository as it would be."""

    versions: Mapping[str, int]
    """Role to version of those that become others, the timestamp's and the snapshot's among them."""

    targets: tuple[str, ...]
    """The paths that are new, or get other bytes."""

    withdrawn: tuple[str, ...]
    """The paths that go."""


def parse_file(text: str) -> File | None:
    """Return what the name of a metadata file says; None where it is none, or the timestamp's."""
    found = _FILE.fullmatch(text)
    return None if found is None else File(int(found[1]), found[2])


def newest_root(source: Source) -> Metadata[Root] | None:
    """Return the newest root, verified from the first one on; None where there is none.

    Raises:
        RepositoryError: a root is not what it should be.
    """
    first = source.read(metadata_name(ROOT, 1), max_bytes_of(ROOT))
    if first is None:
        return None
    *_, root = read_roots(source, first.content)
    return root


def newest_root_bytes(source: Source) -> bytes | None:
    """Return the newest root as it is handed to devices; None where no repository is published.

    Raises:
        RepositoryError: a root is not what it should be.
    """
    if source.read(TIMESTAMP_FILE, max_bytes_of(TIMESTAMP)) is None:
        return None
    root = newest_root(source)
    return None if root is None else raw_of(root)


def read_published(source: Source) -> State | None:
    """Return a repository as its readers see it, whether it has expired or not; None where none is published.

    Raises:
        RepositoryError: it is not what it should be.
    """
    root = newest_root(source)
    if root is None or source.read(TIMESTAMP_FILE, max_bytes_of(TIMESTAMP)) is None:
        return None
    return read_below(source, root)


def check_file(source: Source, file: File, raw: bytes) -> None:
    """Check a file of metadata that is to be made; it is not published by that.

    Args:
        source: the repository.
        file: which.
        raw: its bytes.

    Raises:
        RepositoryError: it is none of that role and version, it is not signed, or there is no root yet.
    """
    root, where = newest_root(source), f"{file.version}.{file.role}.json"
    if file.role == ROOT:
        if root is not None:
            follow(root, raw, where)
            return
        first = parse(raw, Root, where)
        _check_version(file.version, 1, where)
        _check_version(first.signed.version, 1, where)
        verify(first.signed, ROOT, first, where)
        return
    if root is None:
        raise RepositoryError(f"{where}: there is no root here yet; make a repository: edgerun bundle repository init")
    metadata: Metadata[Any] = parse(raw, Snapshot, where) if file.role == SNAPSHOT else parse(raw, Targets, where)
    _check_version(metadata.signed.version, file.version, where)
    if file.role in {SNAPSHOT, TARGETS}:
        verify(root.signed, file.role, metadata, where)
    elif not metadata.signatures:
        raise RepositoryError(f"{where} is not signed")
    _check_near(source, root, file, where)


def _check_version(found: int, wanted: int, where: str) -> None:
    if found != wanted:
        raise RepositoryError(f"{where} has the version {found} instead of {wanted}")


def _check_near(source: Source, root: Metadata[Root], file: File, where: str) -> None:
    """Check that a version is one that comes next, so that nobody takes all the names there are."""
    published = _published_before(source, root)
    former = published.versions.get(file.role, 0) if published is not None else 0
    if published is not None and not former < file.version <= former + LIMITS.versions_tried_max:
        raise RepositoryError(f"{where} does not follow version {former}, which is published")


def _published_before(source: Source, root: Metadata[Root]) -> State | None:
    """What is published; None where nothing is, or where only a root before verifies it."""
    found = source.read(TIMESTAMP_FILE, max_bytes_of(TIMESTAMP))
    if found is None or not is_verified(root.signed, TIMESTAMP, parse(found.content, Timestamp, TIMESTAMP_FILE)):
        return None
    try:
        return read_below(source, root)
    except RepositoryError:  # a root that took keys away goes first where they are gone: docs/decisions/0017
        return None


def check_publication(source: Source, raw: bytes, now: datetime) -> Publication:
    """Check what would be published by a timestamp.

    Args:
        source: the repository, with all that the timestamp leads to.
        raw: the timestamp's bytes.
        now: the time.

    Raises:
        RepositoryError: something is missing, wrongly signed, older than what is published, or has expired.
    """
    root = newest_root(source)
    if root is None:
        raise RepositoryError("there is no root here yet; make a repository: edgerun bundle repository init")
    former = _published_before(source, root)
    state = read_below(_Proposed(source, raw), root, former.versions if former else None)
    if former is not None and state.versions[TIMESTAMP] <= former.versions[TIMESTAMP]:
        raise RepositoryError(f"timestamp.json has version {state.versions[TIMESTAMP]}, which is published already")
    for role in (TIMESTAMP, SNAPSHOT):
        if state.expiries[role] <= now:
            raise RepositoryError(f"{role} expired on {state.expiries[role]:%Y-%m-%d}; is the clock right?")
    before, after = _targets(former), _targets(state)
    changed = tuple(sorted(path for path, found in after.items() if before.get(path) != found))
    for path in changed:
        _check_blobs(source, path, *after[path])
    known = former.versions if former is not None else {}
    versions = {role: version for role, version in state.versions.items() if known.get(role) != version}
    return Publication(state, versions, changed, tuple(sorted(before.keys() - after.keys())))


def _targets(state: State | None) -> dict[str, tuple[str, int]]:
    """Every target's digest and size."""
    roles = state.roles.values() if state is not None else ()
    return {
        path: (found.hashes["sha256"], found.length) for role in roles for path, found in role.signed.targets.items()
    }


def _check_blobs(source: Source, path: str, hexadecimal: str, size: int) -> None:
    """Check that what a target names is there; of a bundle, all its files."""
    _check_blob(source, path, hexadecimal, size)
    if not path.startswith("bundles/"):
        return
    found = source.read(blob_name(hexadecimal), DEVICE_LIMITS.manifest_max_bytes)
    try:
        manifest = parse_manifest(found.content if found is not None else b"")
    except BundleError as error:
        raise RepositoryError(f"{path}: {error}") from error
    for layer in manifest.layers:
        _check_blob(source, path, hex_of(layer.digest), layer.size)


def _check_blob(source: Source, path: str, hexadecimal: str, size: int) -> None:
    if source.size_of(blob_name(hexadecimal)) != size:
        raise RepositoryError(f"{path}: the blob {hexadecimal} is not here; push again")


class _Proposed:
    """A repository as it would be with another timestamp."""

    def __init__(self, source: Source, raw: bytes) -> None:
        self.where = source.where
        self._source, self._raw = source, raw

    def read(self, name: str, max_bytes: int) -> Found | None:
        """See Source."""
        return Found(self._raw, "") if name == TIMESTAMP_FILE else self._source.read(name, max_bytes)

    def pieces(self, name: str, offset: int = 0) -> Iterator[bytes]:
        """See Source."""
        return self._source.pieces(name, offset)

    def size_of(self, name: str) -> int | None:
        """See Source."""
        return self._source.size_of(name)
