"""What a repository says, verified: TUF by python-tuf's Updater in a scratch folder. The one module that knows tuf.

Nothing is trusted for being there already: python-tuf verifies what it finds in the scratch folder as what it fetches.
It takes an old version, though, where the files that would tell are damaged (docs/decisions/0016), and judges expiry
by the system's clock alone. So whatever it found good is compared once more with the floors and with a clock that
never goes back, before anybody acts on it.
"""

from __future__ import annotations

import contextlib
import os
import re
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from tuf.api.exceptions import (
    DownloadError,
    DownloadHTTPError,
    ExpiredMetadataError,
    LengthOrHashMismatchError,
    UnsignedMetadataError,
)
from tuf.api.metadata import Metadata, Root, TargetFile, Targets
from tuf.ngclient import FetcherInterface, Updater, UpdaterConfig

from edgerun._shown import shown
from edgerun.artifact import Descriptor
from edgerun.errors import UpdateError
from edgerun.limits import LIMITS
from edgerun.update.clock import moment_of
from edgerun.update.source import metadata_path

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from edgerun.update.source import Source

TOP_ROLES = ("root", "timestamp", "snapshot", "targets")
"""The roles that every repository has."""

_SHA256 = re.compile(r"[0-9a-f]{64}")


class Known(NamedTuple):
    """What was trusted before."""

    root: bytes
    """The newest root that is certain to be whole."""

    files: Mapping[str, bytes] = MappingProxyType({})
    """TUF role to its file, without the root; empty where any of them is damaged."""

    floors: Mapping[str, int] = MappingProxyType({})
    """TUF role to the highest version that was trusted."""


class Trust:
    """One look at a repository.

    Args:
        source: where it lies.
        scratch: an empty folder, in which the metadata is afterwards: ``ROLE.json``.
        known: what was trusted before.
        time_s: the time that expiry is judged by.

    Raises:
        UpdateError: the root is none, or the folder cannot be written.
    """

    def __init__(self, source: Source, scratch: str, known: Known, time_s: int) -> None:
        self._source, self._scratch, self._known, self._time_s = source, scratch, known, time_s
        self.versions: dict[str, int] = {}
        """The version of each role that was found good."""

        self.given_up: dict[str, int] = {}
        """The floors that hold no more: a newer root took away every key that had set them, which is how an owner
        recovers from a thief who raised versions as far as they go."""

        with self._ours():
            for role, raw in known.files.items():
                with open(self._file(role), "wb") as file:
                    file.write(raw)
            self._before = _Keys(known) if known.files else None
            self._updater = Updater(
                scratch, metadata_path(""), fetcher=_Fetcher(source), config=_config(), bootstrap=known.root
            )

    def refresh(self) -> None:
        """Fetch what is newer of the roles that every repository has, and verify it.

        Raises:
            UpdateError: it cannot be reached, or is not to be trusted.
        """
        with self._ours():
            self._updater.refresh()
            root: Root = self._load("root").signed
            targets = cast("Targets", self._load("targets").signed)
        self._root, self._targets = root, targets
        for role in TOP_ROLES:
            self._accept(role, {*root.roles[role].keyids})

    def target(self, role: str, path: str) -> Descriptor | None:
        """Return the digest and size that a delegated role gives to a path; None where it does not name it.

        Raises:
            UpdateError: the role cannot be reached, is not to be trusted, or is not the one that this path has.
        """
        delegations = self._targets.delegations
        where = self._source.where
        if delegations is None or not delegations.roles or role not in delegations.roles:
            raise UpdateError(f"{where} has no role {role!r}; join with a bundle and a channel that it has")
        if [*delegations.get_roles_for_target(path)] != [(role, True)] or path in self._targets.targets:
            raise UpdateError(f"{where}: {path} must have the one role {role!r}; have the repository's owners mend it")
        with self._ours():
            self._updater.get_targetinfo(path)
            found = cast("Targets", self._load(role).signed)
        self._accept(role, {*delegations.roles[role].keyids})
        info = found.targets.get(path)
        return None if info is None else _descriptor(info, f"{where}: {path}")

    def _accept(self, role: str, keys: set[str]) -> None:
        """Take what python-tuf found good, unless it is older than what was trusted, or expired by the better clock."""
        with self._ours():
            signed = self._load(role).signed
        floor, where = self._known.floors.get(role, 0), self._source.where
        if signed.version > LIMITS.metadata_version_max:
            raise UpdateError(
                f"{where}: version {shown(signed.version)} of {role} is above {LIMITS.metadata_version_max}"
            )
        if signed.version < floor:
            if role == "root" or self._before is None or not keys.isdisjoint(self._before.of(role)):
                raise UpdateError(
                    f"{where}: version {signed.version} of {role} is older than version {floor}, which was trusted "
                    "before; look for an attack, or for a repository that was set back"
                )
            self.given_up[role] = floor
        if signed.is_expired(moment_of(self._time_s)):
            raise UpdateError(
                f"{where}: {role} expired at {signed.expires:%Y-%m-%dT%H:%MZ}, and here it is "
                f"{moment_of(self._time_s):%Y-%m-%dT%H:%MZ} at least; have the repository renewed"
            )
        self.versions[role] = signed.version

    def _load(self, role: str) -> Metadata[Any]:
        return Metadata.from_file(self._file(role))

    def _file(self, role: str) -> str:
        return os.path.join(self._scratch, f"{role}.json")

    @contextlib.contextmanager
    def _ours(self) -> Iterator[None]:
        """Make whatever a library makes of hostile bytes an error of ours."""
        try:
            yield
        except UpdateError:
            raise
        except Exception as error:
            raise UpdateError(f"{self._source.where}: {_told(error)}") from error


class _Keys:
    """The keys that signed what was trusted before."""

    def __init__(self, known: Known) -> None:
        root = Metadata[Root].from_bytes(known.root).signed
        self._of = {role: {*root.roles[role].keyids} for role in TOP_ROLES}
        if "targets" in known.files:
            targets = cast("Targets", Metadata.from_bytes(known.files["targets"]).signed)
            roles = targets.delegations.roles if targets.delegations is not None else None
            self._of |= {name: {*role.keyids} for name, role in (roles or {}).items() if name not in TOP_ROLES}

    def of(self, role: str) -> set[str]:
        return self._of.get(role, set())


class _Fetcher(FetcherInterface):
    """How python-tuf reaches a source; it counts the bytes against what it expects."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def _fetch(self, url: str) -> Iterator[bytes]:
        pieces = self._source.open(url)
        if pieces is None:
            raise DownloadHTTPError(f"{url} is missing", 404)
        return _at_most(pieces, f"{self._source.where}/{url}")


def _at_most(pieces: Iterator[bytes], where: str) -> Iterator[bytes]:
    """Stop what never ends; what metadata says of the length of other metadata may itself be an attack."""
    total = 0
    for piece in pieces:
        total += len(piece)
        if total > LIMITS.metadata_max_bytes:
            raise UpdateError(f"{where} is larger than {LIMITS.metadata_max_bytes} bytes")
        yield piece


def _config() -> UpdaterConfig:
    most = LIMITS.metadata_max_bytes
    return UpdaterConfig(
        max_root_rotations=LIMITS.root_rotations_max,
        root_max_length=most,
        timestamp_max_length=LIMITS.timestamp_max_bytes,
        snapshot_max_length=most,
        targets_max_length=most,
    )


def _descriptor(info: TargetFile, where: str) -> Descriptor:
    digest = info.hashes.get("sha256", "")
    if not _SHA256.fullmatch(digest):
        raise UpdateError(f"{where} has no SHA-256; have it published again")
    return Descriptor("", f"sha256:{digest}", info.length)


def _told(error: Exception) -> str:
    """Say what an error of a library means for whoever runs the device."""
    if isinstance(error, DownloadError) and isinstance(error.__cause__, UpdateError):
        return str(error.__cause__)
    if isinstance(error, DownloadHTTPError):
        return f"{error}; is this a whole repository?"
    if isinstance(error, DownloadError):
        return f"it sends more than it may: {error}"
    if isinstance(error, ExpiredMetadataError):
        return f"{error}; have the repository renewed, and the clock of this device set"
    if isinstance(error, UnsignedMetadataError):
        return f"{error}, which is not enough to trust it; nothing is taken from there"
    if isinstance(error, LengthOrHashMismatchError):
        return f"what it sends is not what was signed: {error}; try again, or look for an attack"
    if isinstance(error, OSError):
        return f"the metadata cannot be kept for a while: {error.strerror or error}"
    return f"it is not to be trusted: {str(error) or type(error).__name__}"


def is_metadata(raw: bytes) -> bool:
    """Return whether bytes are a file of TUF metadata, whoever signed it."""
    try:
        Metadata.from_bytes(raw)
    except Exception:  # noqa: BLE001 - whatever the library makes of damage, the answer is no
        return False
    return True


def check_root(raw: bytes) -> None:
    """Check that bytes are a root that signed itself, as one is that a device is given.

    Raises:
        UpdateError: they are not.
    """
    try:
        found = Metadata[Root].from_bytes(raw)
        found.verify_delegate("root", found)
    except Exception as error:
        raise UpdateError(f"that is no root of a repository: {error}") from error
