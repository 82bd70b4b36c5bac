"""The first state of a repository: four roles and no bundle."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tuf.api.metadata import MetaFile, Root, Snapshot, Timestamp

from edgerun_bundles.errors import RepositoryError
from edgerun_bundles.repository.metadata import (
    LONG_LIFE,
    ROOT,
    SHORT_LIFE,
    SNAPSHOT,
    TARGETS,
    TIMESTAMP,
    RoleKeys,
    is_verified,
    meta_of,
    new_root,
    new_targets,
    raw_of,
    sign,
    verify,
)
from edgerun_bundles.repository.publishing import store_root
from edgerun_bundles.repository.storage import TIMESTAMP_FILE, metadata_name

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from tuf.api.metadata import Metadata

    from edgerun_bundles.repository.publishing import Signers
    from edgerun_bundles.repository.storage import Storage


def first_root(roles: Mapping[str, RoleKeys], keys: Signers, now: datetime) -> Metadata[Root]:
    """Return the first root, signed by those of its keys that are here; more signatures may have to follow."""
    root = new_root(roles, now.replace(microsecond=0) + LONG_LIFE)
    return sign(root, keys.signers(root.roles[ROOT].keyids))


def found(storage: Storage, root: Metadata[Root], keys: Signers, now: datetime) -> None:
    """Make a repository.

    Args:
        storage: where; nothing of a repository may be there.
        root: the first root, signed by as many as it asks for.
        keys: those of targets, snapshot and timestamp.
        now: the time.

    Raises:
        RepositoryError: there is one already, a signature is missing, or something cannot be stored.
    """
    now = now.replace(microsecond=0)
    if root.signed.version != 1:
        raise RepositoryError(f"a repository begins with root 1, not {root.signed.version}")
    verify(root.signed, ROOT, root, "the first root")
    targets = new_targets(now + LONG_LIFE)
    snapshot = Snapshot(1, expires=now + SHORT_LIFE, meta={f"{TARGETS}.json": MetaFile(1)})
    signed: dict[str, Metadata[Any]] = {}
    for role, payload in ((TARGETS, targets), (SNAPSHOT, snapshot)):
        signed[role] = _signed(root, role, payload, keys)
    meta = meta_of(raw_of(signed[SNAPSHOT]), 1)
    timestamp = _signed(root, TIMESTAMP, Timestamp(1, expires=now + SHORT_LIFE, snapshot_meta=meta), keys)
    storage.check_writable()
    if storage.read(TIMESTAMP_FILE, 2**20) is not None:
        raise RepositoryError(f"{storage.where} is a repository already; choose another place")
    store_root(storage, root)
    for role, metadata in signed.items():
        name, raw = metadata_name(role, 1), raw_of(metadata)
        if not storage.create(name, raw):  # left by an attempt that died, for there is no timestamp
            there = storage.read(name, len(raw))
            if there is None or not storage.replace(name, raw, there.token):
                raise RepositoryError(f"{storage.where}: {name} is there already; choose another place")
    if not storage.replace(TIMESTAMP_FILE, raw_of(timestamp), None):
        raise RepositoryError(f"{storage.where}: somebody else has made a repository there meanwhile")


def _signed(root: Metadata[Root], role: str, payload: Any, keys: Signers) -> Metadata[Any]:
    metadata = sign(payload, keys.signers(root.signed.roles[role].keyids))
    if not is_verified(root.signed, role, metadata):
        raise RepositoryError(f"{role} needs {root.signed.roles[role].threshold} signatures of keys that are here")
    return metadata
