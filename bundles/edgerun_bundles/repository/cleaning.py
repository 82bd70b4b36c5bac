"""Removing what nothing refers to: blobs and metadata of publications that died, and versions that were withdrawn."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from edgerun.artifact import Descriptor, hex_of, parse_manifest
from edgerun.errors import BundleError
from edgerun.update.channel import channel_role
from edgerun_bundles.errors import PublishedMeanwhileError, RepositoryError
from edgerun_bundles.referrers import parse_referrer
from edgerun_bundles.repository import catalogue
from edgerun_bundles.repository.metadata import ROOT, SNAPSHOT, TARGETS
from edgerun_bundles.repository.storage import BLOBS, METADATA, TIMESTAMP_FILE, blob_name, metadata_name

if TYPE_CHECKING:
    from collections.abc import Collection

    from edgerun_bundles.repository.metadata import State
    from edgerun_bundles.repository.storage import Listed, Source, Storage

_BLOB = re.compile(rf"{BLOBS}/([0-9a-f]{{64}}|\.new-.*)")
_METADATA = re.compile(rf"{METADATA}/(\d+\.[A-Za-z0-9._-]+\.json|\.new-.*|\.probe-.*)")
_ROOT = re.compile(rf"{METADATA}/\d+\.{ROOT}\.json")

AGE_S = 24 * 3600.0
"""How old a file must be: no publication takes so long."""


class Cleaned(NamedTuple):
    """What was removed."""

    removed: tuple[Listed, ...]
    """The files."""

    @property
    def size(self) -> int:
        """Bytes of all of them."""
        return sum(found.size for found in self.removed)


def clean(storage: Storage, state: State, now_s: float, age_s: float = AGE_S) -> Cleaned:
    """Remove files that nothing refers to and that are older than a day; roots and files of other names stay.

    Args:
        storage: where the repository lies.
        state: of the repository, verified.
        now_s: the time, in seconds since 1970.
        age_s: how old a file must be.

    Raises:
        PublishedMeanwhileError: somebody has published since the state was read; nothing is removed.
        RepositoryError: something cannot be read or removed.
    """
    needed = {blob_name(hex_of(digest)) for digest in referred(storage, state)} | kept_metadata(state)
    with storage.locked():
        found = storage.read(TIMESTAMP_FILE, 2**20)
        if found is None or found.token != state.token:
            raise PublishedMeanwhileError(f"{storage.where}: somebody has published meanwhile; clean again")
        doomed = [
            listed
            for folder, pattern in ((BLOBS, _BLOB), (METADATA, _METADATA))
            for listed in storage.names(folder)
            if _is_doomed(listed, pattern, needed) and listed.changed_s + age_s <= now_s
        ]
        for listed in doomed:
            storage.remove(listed.name)
    return Cleaned(tuple(doomed))


def _is_doomed(listed: Listed, pattern: re.Pattern[str], needed: Collection[str]) -> bool:
    return bool(pattern.fullmatch(listed.name)) and listed.name not in needed and not _ROOT.fullmatch(listed.name)


def kept_metadata(state: State) -> set[str]:
    """Return the names of the metadata that a repository is made of, without its roots."""
    kept = {TIMESTAMP_FILE, metadata_name(SNAPSHOT, state.versions[SNAPSHOT])}
    return kept | {metadata_name(role, state.versions[role]) for role in (TARGETS, *state.roles)}


def referred(storage: Source, state: State, pins: Collection[tuple[str, str]] | None = None) -> dict[str, int]:
    """Return every blob that a repository refers to: digest to size.

    Args:
        storage: where it lies.
        state: of the repository, verified.
        pins: names and versions of the bundles that matter, with the channels of these names; None is all.

    Raises:
        RepositoryError: a manifest is missing, or is not what its digest promises.
    """
    found: dict[str, int] = {}
    for name in catalogue.names(state):
        for version in catalogue.versions(state, name):
            if pins is None or (name, version.version) in pins:
                found |= _of_version(storage, state, version)
    for role, metadata in state.roles.items():
        if role.startswith(channel_role("")):
            for path, target in metadata.signed.targets.items():
                if pins is None or path.rpartition("/")[2] in {name for name, _ in pins}:
                    found[f"sha256:{target.hashes['sha256']}"] = target.length
    return found


def _of_version(storage: Source, state: State, version: catalogue.Version) -> dict[str, int]:
    target = catalogue.target_of(state, version.name, version.version)
    try:
        manifest = parse_manifest(catalogue.read_blob(storage, Descriptor("", version.digest, target.length)))
        found = {version.digest: target.length, **manifest.blobs}
        for listed in version.provenance:
            found |= {listed.digest: listed.size}
            found |= parse_referrer(catalogue.read_blob(storage, listed)).blobs
    except BundleError as error:
        raise RepositoryError(f"{storage.where}: {version.name} {version.version}: {error}") from error
    return found
