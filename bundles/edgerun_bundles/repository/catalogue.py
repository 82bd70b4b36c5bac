"""What a repository offers: names, versions, when; and getting one of them as a layout, every byte of it verified."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from edgerun.artifact import (
    MANIFEST_TYPE,
    Descriptor,
    Digester,
    Manifest,
    hex_of,
    parse_descriptor,
    parse_manifest,
)
from edgerun.errors import BundleError
from edgerun.limits import LIMITS as DEVICE_LIMITS
from edgerun.update.channel import bundle_role, bundle_target
from edgerun_bundles.errors import RepositoryError
from edgerun_bundles.index import INDEX_FILE, MARKER, MARKER_FILE, index_of
from edgerun_bundles.layout import BLOBS, Layout, check_files, is_layout
from edgerun_bundles.placing import folder_placed
from edgerun_bundles.referrers import Referrer, parse_referrer
from edgerun_bundles.repository.storage import blob_name, unseen

if TYPE_CHECKING:
    import os

    from tuf.api.metadata import TargetFile

    from edgerun_bundles.repository.metadata import State
    from edgerun_bundles.repository.storage import Advance, Progress, Source


class Version(NamedTuple):
    """A published version of a bundle."""

    name: str
    """Of the bundle."""

    version: str
    """Of the bundle."""

    digest: str
    """Of its manifest: its name for ever."""

    published: str
    """When, in RFC 3339 UTC; empty where the publisher did not say."""

    provenance: tuple[Descriptor, ...]
    """The manifests of its provenance; digest and size."""


def names(state: State) -> list[str]:
    """Return the names of all bundles, sorted."""
    prefix = bundle_role("")
    return sorted(role.removeprefix(prefix) for role in state.roles if role.startswith(prefix))


def versions(state: State, name: str) -> list[Version]:
    """Return the versions of a bundle, the newest last.

    Raises:
        RepositoryError: there is no such bundle.
    """
    found = state.roles.get(bundle_role(name))
    if found is None:
        there = ", ".join(names(state)) or "none"
        raise RepositoryError(f"the repository has no bundle {name!r}; it has: {there}")
    listed = [_version(name, path, target) for path, target in found.signed.targets.items()]
    return sorted(listed, key=lambda version: (version.published, version.version))


def version_of(state: State, name: str, version: str) -> Version:
    """Return one version.

    Raises:
        RepositoryError: there is none.
    """
    listed = {found.version: found for found in versions(state, name)}
    if version not in listed:
        last = ", ".join([*listed][-5:]) or "none"
        raise RepositoryError(f"{name} {version} is not published; the last versions are: {last}")
    return listed[version]


def target_of(state: State, name: str, version: str) -> TargetFile:
    """Return what the publishers' metadata says of a version.

    Raises:
        RepositoryError: it is not published.
    """
    version_of(state, name, version)
    found: TargetFile = state.roles[bundle_role(name)].signed.targets[bundle_target(name, version)]
    return found


def fetch(
    storage: Source,
    state: State,
    name: str,
    version: str,
    destination: str | os.PathLike[str],
    progress: Progress = unseen,
    *,
    with_provenance: bool = True,
) -> Layout:
    """Get a version into a layout.

    Args:
        storage: where the repository lies.
        state: of the repository, verified.
        name: of the bundle.
        version: of the bundle.
        destination: a new or empty folder, or one that holds a layout, which is replaced as a whole.
        progress: gives, for a number of bytes, a context manager of a function to call with bytes done.
        with_provenance: whether what tells where it came from is wanted, too.

    Raises:
        BundleError: what came is not what its digest promises, or the folder cannot be written.
        RepositoryError: it is not published, or a blob cannot be had.
    """
    found = version_of(state, name, version)
    manifest = manifest_of(storage, target_of(state, name, version), name, version)
    referrers = tuple(_referrer(storage, listed, manifest) for listed in found.provenance if with_provenance)
    with folder_placed(Path(destination), is_layout) as scratch:
        (scratch / BLOBS).mkdir(parents=True)
        layout = Layout(scratch, manifest, referrers)
        with progress(sum(layout.blobs.values())) as advance:
            for digest, size in layout.blobs.items():
                fetch_blob(storage, Descriptor("", digest, size), layout.blob(digest), advance)
        check_files(layout)
        (scratch / INDEX_FILE).write_bytes(index_of(manifest, referrers))
        (scratch / MARKER_FILE).write_bytes(MARKER)
    return layout._replace(folder=Path(destination))


def manifest_of(storage: Source, target: TargetFile, name: str, version: str) -> Manifest:
    """Return the manifest that a target names.

    Raises:
        RepositoryError: it is missing, or is that of another bundle.
    """
    digest = f"sha256:{target.hashes['sha256']}"
    try:
        manifest = parse_manifest(read_blob(storage, Descriptor("", digest, target.length)))
    except BundleError as error:
        raise RepositoryError(f"{storage.where}: {name} {version}: {error}") from error
    if (manifest.name, manifest.version) != (name, version):
        raise RepositoryError(f"{storage.where}: {name} {version} is {manifest.name} {manifest.version} inside")
    return manifest


def read_blob(storage: Source, blob: Descriptor) -> bytes:
    """Return a small blob, verified.

    Raises:
        RepositoryError: it is missing, too large, or has other bytes than its digest says.
    """
    if blob.size > DEVICE_LIMITS.manifest_max_bytes:
        raise RepositoryError(f"{storage.where}: {blob.digest} has {blob.size} bytes; too many for a document")
    found = storage.read(blob_name(hex_of(blob.digest)), blob.size)
    if found is None:
        raise RepositoryError(f"{storage.where}: the blob {blob.digest} is missing; push the bundle again")
    digester = Digester()
    digester.update(found.content)
    try:
        digester.check(blob, f"{storage.where}: {blob.digest}")
    except BundleError as error:
        raise RepositoryError(str(error)) from error
    return found.content


def fetch_blob(storage: Source, blob: Descriptor, target: Path, advance: Advance) -> None:
    """Get a blob into a new file, verified; a connection that breaks off goes on from where it was.

    Raises:
        BundleError: its bytes are not those that its digest promises.
        RepositoryError: it cannot be had.
    """
    digester = Digester()
    try:
        with target.open("xb") as file:
            while True:
                before = digester.size
                try:
                    for piece in storage.pieces(blob_name(hex_of(blob.digest)), digester.size):
                        digester.update(piece)
                        if digester.size > blob.size:
                            raise BundleError(f"{storage.where}: {blob.digest} has more than {blob.size} bytes")
                        file.write(piece)
                        advance(len(piece))
                    break
                except RepositoryError:
                    if digester.size == before:  # the storage has tried again and again by itself
                        raise
    except OSError as error:
        raise BundleError(f"{target} cannot be written: {error.strerror or error}") from error
    digester.check(blob, f"{storage.where}: the blob {blob.digest}")


def _referrer(storage: Source, listed: Descriptor, manifest: Manifest) -> Referrer:
    try:
        found = parse_referrer(read_blob(storage, listed))
    except BundleError as error:
        raise RepositoryError(f"{storage.where}: {error}") from error
    if found.subject != manifest.digest:
        raise RepositoryError(f"{storage.where}: the provenance {listed.digest} is that of another bundle")
    return found


def _version(name: str, path: str, target: TargetFile) -> Version:
    custom = target.custom if isinstance(target.custom, dict) else {}
    listed = custom.get("provenance", [])
    if not isinstance(listed, list) or not all(isinstance(entry, dict) for entry in listed):
        raise RepositoryError(f"{path}: 'provenance' must be a list of objects")
    try:
        provenance = tuple(parse_descriptor({**entry, "mediaType": MANIFEST_TYPE}, path) for entry in listed)
    except BundleError as error:
        raise RepositoryError(f"{path}: {error}") from error
    digest = f"sha256:{target.hashes['sha256']}"
    return Version(name, path.rpartition("/")[2], digest, str(custom.get("published", "")), provenance)
