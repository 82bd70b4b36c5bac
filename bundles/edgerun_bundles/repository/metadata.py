"""TUF metadata: parsing, verifying, making and signing it. Pure; no IO, no clock.

Every failure of the TUF library becomes a RepositoryError that names the role.
"""

from __future__ import annotations

import contextlib
import hashlib
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from tuf.api.exceptions import RepositoryError as TufError
from tuf.api.metadata import (
    DelegatedRole,
    Delegations,
    Metadata,
    MetaFile,
    Role,
    Root,
    Snapshot,
    Targets,
    Timestamp,
)
from tuf.api.serialization import DeserializationError, SerializationError
from tuf.api.serialization.json import JSONSerializer

from edgerun.limits import LIMITS
from edgerun.update.channel import bundle_role, channel_role
from edgerun_bundles.errors import RepositoryError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from securesystemslib.signer import CryptoSigner, Key

ROOT, TARGETS, SNAPSHOT, TIMESTAMP = "root", "targets", "snapshot", "timestamp"
TOP_ROLES = (ROOT, TARGETS, SNAPSHOT, TIMESTAMP)

LONG_LIFE = timedelta(days=365)
"""How long root, targets and delegations hold unless told otherwise."""
SHORT_LIFE = timedelta(days=14)
"""How long snapshot and timestamp do."""

WITHDRAWN = "x-edgerun-withdrawn"
"""The field of a bundle's role that keeps the digests of versions that were withdrawn: they never get other bytes."""

BUNDLE_PREFIX = bundle_role("")
CHANNEL_PREFIX = channel_role("")

_Some = TypeVar("_Some", Root, Timestamp, Snapshot, Targets)


RootMetadata = Metadata[Root]


class RoleKeys(NamedTuple):
    """Who signs for a role."""

    keys: tuple[Key, ...]
    """The public keys, any of which count."""

    threshold: int = 1
    """How many of them must sign."""


class State(NamedTuple):
    """A repository as it was read, with every signature verified; expiry is judged by whoever uses it."""

    root: Metadata[Root]
    timestamp: Metadata[Timestamp]
    snapshot: Metadata[Snapshot]
    targets: Metadata[Targets]
    roles: Mapping[str, Metadata[Targets]]
    """The delegated roles, by name."""

    token: str
    """Of ``timestamp.json``, for replacing it."""

    def delegation(self, role: str) -> DelegatedRole | None:
        """Return who signs for a delegated role; None where there is no such role."""
        delegations = self.targets.signed.delegations
        return delegations.roles.get(role) if delegations and delegations.roles else None

    @property
    def all(self) -> dict[str, Metadata[Any]]:
        """The metadata of every role, by its name."""
        top: dict[str, Metadata[Any]] = {
            ROOT: self.root,
            TIMESTAMP: self.timestamp,
            SNAPSHOT: self.snapshot,
            TARGETS: self.targets,
        }
        return {**top, **self.roles}

    @property
    def versions(self) -> dict[str, int]:
        """The version of every role's metadata."""
        return {role: found.signed.version for role, found in self.all.items()}

    @property
    def expiries(self) -> dict[str, datetime]:
        """When every role's metadata expires."""
        return {role: found.signed.expires for role, found in self.all.items()}


def max_bytes_of(role: str) -> int:
    """Return how many bytes a role's metadata may have: what a device takes."""
    return LIMITS.timestamp_max_bytes if role == TIMESTAMP else LIMITS.metadata_max_bytes


def parse(raw: bytes, kind: type[_Some], where: str) -> Metadata[_Some]:
    """Read metadata of a kind; nothing of it is verified.

    Raises:
        RepositoryError: it is none.
    """
    with mapped(where):
        found: Metadata[_Some] = Metadata[_Some].from_bytes(raw)
    if not isinstance(found.signed, kind):
        raise RepositoryError(f"{where} is metadata of another kind: {found.signed.type}")
    return found


def raw_of(metadata: Metadata[_Some]) -> bytes:
    """Return the bytes of metadata, as they are stored."""
    with mapped(metadata.signed.type):
        return metadata.to_bytes(JSONSerializer(compact=True))


def verify(delegator: Root | Targets, role: str, metadata: Metadata[_Some], where: str) -> None:
    """Check that enough keys of a role have signed.

    Raises:
        RepositoryError: they have not.
    """
    with mapped(where):
        delegator.verify_delegate(role, metadata.signed_bytes, metadata.signatures)


def is_verified(delegator: Root | Targets, role: str, metadata: Metadata[_Some]) -> bool:
    """Whether enough keys of a role have signed."""
    with mapped(role):
        return delegator.get_verification_result(role, metadata.signed_bytes, metadata.signatures).verified


def sign(payload: _Some, signers: Collection[CryptoSigner]) -> Metadata[_Some]:
    """Return signed metadata."""
    metadata = Metadata(payload)
    for signer in signers:
        metadata.sign(signer, append=True)
    return metadata


def meta_of(raw: bytes, version: int) -> MetaFile:
    """Return how other metadata refers to a file of metadata, by version, length and hash."""
    return MetaFile(version, len(raw), {"sha256": hashlib.sha256(raw).hexdigest()})


def new_root(keys: Mapping[str, RoleKeys], expires: datetime) -> Root:
    """Return the first root.

    Args:
        keys: who signs for each of the four roles.
        expires: when it expires.

    Raises:
        RepositoryError: a threshold is more than there are keys, or less than one.
    """
    root = Root(1, expires=expires, roles={role: Role([], 1) for role in TOP_ROLES}, consistent_snapshot=True)
    for role, found in keys.items():
        for key in found.keys:
            root.add_key(key, role)
        root.roles[role].threshold = checked_threshold(role, found.threshold, len(root.roles[role].keyids))
    return root


def checked_threshold(role: str, threshold: int, keys: int) -> int:
    """Return a threshold.

    Raises:
        RepositoryError: so many keys can never sign.
    """
    if not 1 <= threshold <= keys:
        raise RepositoryError(f"{role} would have {keys} keys and need {threshold} of them")
    return threshold


def new_targets(expires: datetime) -> Targets:
    """Return targets that admit nobody yet."""
    return Targets(1, expires=expires, targets={}, delegations=Delegations({}, {}))


def delegation_of(role: str, keyids: list[str], threshold: int) -> DelegatedRole:
    """Return the delegation of a bundle's or a channel's role: its paths and no others, and no role after it."""
    return DelegatedRole(role, keyids, threshold, terminating=True, paths=[paths_of(role)])


def paths_of(role: str) -> str:
    """Return the pattern of the target paths that a delegated role has.

    Raises:
        RepositoryError: it is neither that of a bundle nor that of a channel.
    """
    for prefix, folder in ((BUNDLE_PREFIX, "bundles"), (CHANNEL_PREFIX, "channels")):
        if role.startswith(prefix) and role != prefix:
            return f"{folder}/{role.removeprefix(prefix)}/*"
    raise RepositoryError(
        f"{role!r} is no role: there are {', '.join(TOP_ROLES)}, {BUNDLE_PREFIX}NAME and {CHANNEL_PREFIX}NAME"
    )


@contextlib.contextmanager
def mapped(where: str) -> Iterator[None]:
    """Turn what the TUF library raises into errors of ours."""
    try:
        yield
    except (TufError, DeserializationError, SerializationError, ValueError, KeyError, TypeError) as error:
        raise RepositoryError(f"{where}: {error}") from error
