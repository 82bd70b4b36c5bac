"""Publishing: the last two of the four steps of bundles/REPOSITORY.md. Readers see the old or the new repository.

Everything is signed before anything is stored, so that a key that is missing costs nothing. Wherever this stops, what
was published before is what is published.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, Protocol

from tuf.api.metadata import Metadata, MetaFile, Root, Snapshot, Targets, Timestamp

from edgerun.artifact import hex_of
from edgerun.limits import LIMITS as DEVICE_LIMITS
from edgerun_bundles.errors import PublishedMeanwhileError, RepositoryError
from edgerun_bundles.limits import LIMITS
from edgerun_bundles.repository.metadata import (
    LONG_LIFE,
    ROOT,
    SHORT_LIFE,
    SNAPSHOT,
    TARGETS,
    TIMESTAMP,
    State,
    is_verified,
    max_bytes_of,
    meta_of,
    raw_of,
    sign,
)
from edgerun_bundles.repository.storage import TIMESTAMP_FILE, blob_name, metadata_name, nothing

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from datetime import datetime

    from securesystemslib.signer import CryptoSigner

    from edgerun_bundles.repository.drafting import Draft
    from edgerun_bundles.repository.storage import Storage


class Signers(Protocol):
    """Whoever can sign."""

    def signers(self, keyids: Collection[str]) -> list[CryptoSigner]:
        """Return the signers of those keys that are here."""


def publish(storage: Storage, draft: Draft, keys: Signers, now: datetime, last: Callable[[], None] = nothing) -> State:
    """Publish what a draft changes, with a new snapshot and timestamp.

    Args:
        storage: where the repository lies.
        draft: what becomes other.
        keys: who signs.
        now: the time, from which metadata holds its 365 or 14 days.
        last: a check right before the moment of publication.

    Returns:
        The repository as it is then.

    Raises:
        PublishedMeanwhileError: somebody else has published since the draft's state was read.
        RepositoryError: a key is missing, the root has expired, or something cannot be stored.
    """
    writer = _Writer(storage, draft, keys, now)
    writer.check()
    storage.check_writable()
    for digest, content in draft.blobs.items():
        storage.put_blob(blob_name(hex_of(digest)), iter([content]), len(content))
    if draft.root is not None and not writer.is_seamless:
        store_root(storage, draft.root)
    state = writer.store(last)
    if draft.root is not None and writer.is_seamless:
        store_root(storage, draft.root)
    return state


def check_signers(storage: Storage, draft: Draft, keys: Signers, now: datetime) -> None:
    """Check that a draft could be published as far as keys go, before anything costs time.

    Raises:
        RepositoryError: a key is missing, or the root has expired.
    """
    _Writer(storage, draft, keys, now).check()


def store_root(storage: Storage, root: Metadata[Root]) -> None:
    """Store a root under its version, once.

    Raises:
        PublishedMeanwhileError: another root has that version.
        RepositoryError: it cannot be stored.
    """
    if not _is_stored(storage, metadata_name(ROOT, root.signed.version), raw_of(root)):
        raise PublishedMeanwhileError(
            f"{storage.where}: another root {root.signed.version} is stored meanwhile; make the change again"
        )


def _is_stored(storage: Storage, name: str, content: bytes) -> bool:
    """Store a small file under a name of its own; True too where these very bytes are there."""
    if storage.create(name, content):
        return True
    found = storage.read(name, max(len(content), DEVICE_LIMITS.metadata_max_bytes))
    return found is not None and found.content == content


class _Writer:
    """One publication: what is signed by whom, and in which order it is stored."""

    def __init__(self, storage: Storage, draft: Draft, keys: Signers, now: datetime) -> None:
        self._storage, self._draft, self._keys = storage, draft, keys
        self._now = now.replace(microsecond=0)
        self._old = draft.state.root.signed
        self._root = draft.root.signed if draft.root is not None else self._old

    @property
    def is_seamless(self) -> bool:
        """Whether readers with the old root take what is about to be stored, as those with the new one do."""
        return all(
            is_verified(self._old, role, self._signed_top(role, payload))
            for role, payload in ((SNAPSHOT, self._snapshot({})), (TIMESTAMP, self._timestamp(b"", 1)))
        ) and is_verified(self._old, TARGETS, self._targets_now())

    def check(self) -> None:
        """Sign everything once and store nothing."""
        if self._root.expires <= self._now:
            raise RepositoryError(
                f"root expired on {self._root.expires:%Y-%m-%d}, and no device takes anything more; renew it: "
                "edgerun bundle repository renew --root"
            )
        for role in self._draft.changed:
            self._signed(role, copy.deepcopy(self._draft.changed[role]))
        is_expired = self._draft.state.expiries[TARGETS] <= self._now and TARGETS not in self._draft.changed
        if is_expired or not is_verified(self._root, TARGETS, self._targets_now()):
            self._draft.touch_targets()
            self._signed(TARGETS, self._draft.targets)
        for role, found in self._draft.state.roles.items():
            if role not in self._draft.changed and not is_verified(self._draft.targets, role, found):
                self._signed(role, self._draft.role(role))
        self._signed_top(SNAPSHOT, self._snapshot({}))
        self._signed_top(TIMESTAMP, self._timestamp(b"", 1))

    def store(self, last: Callable[[], None]) -> State:
        """Store the roles, the snapshot and, as the moment of publication, the timestamp."""
        state, changed = self._draft.state, dict[str, Metadata[Targets]]()
        for role, payload in sorted(self._draft.changed.items(), key=lambda item: item[0] == TARGETS):
            changed[role], _ = self._store(role, payload, state.versions.get(role, 0))
        versions = {f"{role}.json": found.signed.version for role, found in changed.items()}
        snapshot, raw = self._store(SNAPSHOT, self._snapshot(versions), state.versions[SNAPSHOT])
        timestamp = self._signed_top(TIMESTAMP, self._timestamp(raw, snapshot.signed.version))
        token = self._replace(raw_of(timestamp), last)
        targets = changed.pop(TARGETS, state.targets)
        root = self._draft.root or state.root
        return State(root, timestamp, snapshot, targets, {**state.roles, **changed}, token)

    def _store(self, role: str, payload: Any, former: int) -> tuple[Metadata[Any], bytes]:
        """Store metadata under the first version whose name is not taken."""
        for version in range(former + 1, former + 1 + LIMITS.versions_tried_max):
            payload.version = version
            metadata = self._signed(role, payload)
            raw = raw_of(metadata)
            if len(raw) > (most := max_bytes_of(role)):
                raise RepositoryError(f"{role} would have {len(raw)} bytes; at most {most}: withdraw old versions")
            if _is_stored(self._storage, metadata_name(role, version), raw):
                return metadata, raw
        raise RepositoryError(
            f"{self._storage.where}: {LIMITS.versions_tried_max} versions of {role} after {former} are taken by "
            "publications that died; remove them: edgerun bundle repository clean"
        )

    def _replace(self, raw: bytes, last: Callable[[], None]) -> str:
        if not self._storage.replace(TIMESTAMP_FILE, raw, self._draft.state.token, last):
            found = self._storage.read(TIMESTAMP_FILE, DEVICE_LIMITS.timestamp_max_bytes)
            if found is None or found.content != raw:  # ours may have arrived although its answer did not
                raise PublishedMeanwhileError(
                    f"{self._storage.where}: somebody else has published meanwhile, and nothing of theirs or yours is "
                    "lost; do it again, blobs are not sent twice"
                )
        found = self._storage.read(TIMESTAMP_FILE, DEVICE_LIMITS.timestamp_max_bytes)
        return found.token if found is not None and found.content == raw else ""

    def _targets_now(self) -> Metadata[Targets]:
        """The role that delegates, as readers will find it."""
        if TARGETS not in self._draft.changed:
            return self._draft.state.targets
        return self._signed(TARGETS, copy.deepcopy(self._draft.changed[TARGETS]))

    def _signed(self, role: str, payload: Any) -> Metadata[Any]:
        if role == SNAPSHOT:
            return self._signed_top(role, payload)
        payload.expires = max(payload.expires, self._now + LONG_LIFE)
        if role == TARGETS:
            return self._signed_top(role, payload)
        delegation = self._draft.delegation(role)
        metadata = sign(payload, self._keys.signers(delegation.keyids))
        self._need(delegation.threshold, len(metadata.signatures), role)
        return metadata

    def _signed_top(self, role: str, payload: Any) -> Metadata[Any]:
        """Sign with the keys of the old root and of the new one, so that readers with either take it."""
        keyids = {*self._root.roles[role].keyids}
        metadata = sign(payload, self._keys.signers(keyids | {*self._old.roles[role].keyids}))
        self._need(self._root.roles[role].threshold, len(keyids & metadata.signatures.keys()), role)
        return metadata

    def _need(self, threshold: int, found: int, role: str) -> None:
        if found < threshold:
            raise RepositoryError(
                f"{role} needs {threshold} signature{'s' if threshold > 1 else ''}, and {found} of its keys are here; "
                "give the folder that has them with --keys, or be admitted: edgerun bundle keys add"
            )

    def _snapshot(self, versions: dict[str, int]) -> Snapshot:
        former = self._draft.state.snapshot.signed
        meta = {name: copy.copy(found) for name, found in former.meta.items()}
        for name, version in versions.items():
            meta[name] = MetaFile(version)  # a role's keys vouch for its bytes, and devices fetch this often
        return Snapshot(former.version + 1, expires=self._now + SHORT_LIFE, meta=meta)

    def _timestamp(self, snapshot: bytes, version: int) -> Timestamp:
        former = self._draft.state.timestamp.signed.version
        return Timestamp(former + 1, expires=self._now + SHORT_LIFE, snapshot_meta=meta_of(snapshot, version))
