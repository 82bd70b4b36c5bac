"""Changing who signs: keys of the four top roles by a new root, keys of bundles and channels by their delegation.

A new root needs a threshold of the old and of the new keys. Where not all of them are on one machine it is a file that
people hand on and sign; nothing of the repository changes before the last of them has.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, NamedTuple

from tuf.api.metadata import Metadata, Root

from edgerun_bundles.errors import PublishedMeanwhileError, RepositoryError
from edgerun_bundles.repository.drafting import Draft
from edgerun_bundles.repository.metadata import (
    LONG_LIFE,
    ROOT,
    SNAPSHOT,
    TARGETS,
    TIMESTAMP,
    TOP_ROLES,
    State,
    checked_threshold,
    is_verified,
    parse,
    sign,
    verify,
)
from edgerun_bundles.repository.publishing import Signers, publish, store_root
from edgerun_bundles.repository.reading import read_below, read_roots

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from securesystemslib.signer import Key

    from edgerun_bundles.repository.storage import Source, Storage


class Change(NamedTuple):
    """Who is to sign for a role."""

    added: tuple[Key, ...] = ()
    """Public keys that come."""

    removed: frozenset[str] = frozenset()
    """Ids of keys that go."""

    threshold: int | None = None
    """How many must sign; None leaves it."""


def changed_root(state: State, changes: Mapping[str, Change], now: datetime) -> Root:
    """Return the root that follows, unsigned.

    Args:
        state: the repository.
        changes: by top role; none only renews it.
        now: the time.

    Raises:
        RepositoryError: a role would have fewer keys than must sign, or a key that goes is not there.
    """
    root = copy.deepcopy(state.root.signed)
    root.version += 1
    root.expires = now.replace(microsecond=0) + LONG_LIFE
    for role, change in changes.items():
        for keyid in change.removed:
            if keyid not in root.roles[role].keyids:
                raise RepositoryError(f"{role} has no key {keyid}")
            root.revoke_key(keyid, role)
        for key in change.added:
            root.add_key(key, role)
        keyids = root.roles[role].keyids
        threshold = root.roles[role].threshold if change.threshold is None else change.threshold
        root.roles[role].threshold = checked_threshold(role, threshold, len(keyids))
    return root


def sign_root(state: State, root: Metadata[Root], keys: Signers) -> Metadata[Root]:
    """Return a root with the signatures of those of its and its predecessor's keys that are here.

    Raises:
        RepositoryError: it does not follow the repository's root.
    """
    if root.signed.version != state.root.signed.version + 1:
        raise RepositoryError(
            f"root {root.signed.version} does not follow root {state.root.signed.version} of the repository; make the "
            "change again"
        )
    keyids = {*root.signed.roles[ROOT].keyids, *state.root.signed.roles[ROOT].keyids}
    signed = Metadata(root.signed, dict(root.signatures))
    for signer in keys.signers(keyids):
        signed.sign(signer, append=True)
    return signed


def missing_signatures(state: State, root: Metadata[Root]) -> dict[str, int]:
    """Return how many signatures a root still needs: of the keys before it, and of its own; nothing if complete."""
    missing = {}
    for which, delegator in (("old", state.root.signed), ("new", root.signed)):
        result = delegator.get_verification_result(ROOT, root.signed_bytes, root.signatures)
        if not result.verified:
            missing[which] = result.threshold - len(result.signed)
    return missing


def store(storage: Storage, state: State, root: Metadata[Root], keys: Signers, now: datetime) -> State | None:
    """Make a complete root the repository's, and sign again what its keys no longer vouch for.

    Returns:
        The repository as it is then; None where nothing but the root changed.

    Raises:
        PublishedMeanwhileError: somebody else has published since the state was read.
        RepositoryError: a signature is missing, of the root or of what must be signed again.
    """
    verify(state.root.signed, ROOT, root, f"root {root.signed.version}, by the keys before it")
    verify(root.signed, ROOT, root, f"root {root.signed.version}")
    if all(is_verified(root.signed, role, state.all[role]) for role in (TIMESTAMP, SNAPSHOT, TARGETS)):
        storage.check_writable()
        store_root(storage, root)
        return None
    draft = Draft(state)
    draft.root = root
    return publish(storage, draft, keys, now)


def read_before(source: Source, trusted_root: bytes, root: Metadata[Root]) -> State:
    """Read a repository as it is for the root before one that is to be stored.

    Where storing it broke off, it is there, and what it no longer vouches for is not signed again yet.

    Raises:
        PublishedMeanwhileError: another root has its version.
        RepositoryError: as `read_state`.
    """
    roots = [*read_roots(source, trusted_root)]
    if roots[-1].signed.version == root.signed.version and len(roots) > 1:
        if roots[-1].signed_bytes != root.signed_bytes:
            raise PublishedMeanwhileError(
                f"{source.where} has root {root.signed.version} already, and another one; make the change again"
            )
        roots.pop()
    return read_below(source, roots[-1])


def read_pending(raw: bytes, where: str) -> Metadata[Root]:
    """Return a root that was handed on.

    Raises:
        RepositoryError: it is none.
    """
    return parse(raw, Root, where)


def missing_own(root: Metadata[Root]) -> int:
    """Return how many signatures a first root still needs."""
    result = root.signed.get_verification_result(ROOT, root.signed_bytes, root.signatures)
    return max(0, result.threshold - len(result.signed))


def sign_own(root: Metadata[Root], keys: Signers) -> Metadata[Root]:
    """Return a first root with the signatures of those of its keys that are here."""
    signed = Metadata(root.signed, dict(root.signatures))
    for signer in keys.signers(root.signed.roles[ROOT].keyids):
        signed.sign(signer, append=True)
    return signed


def unsigned(root: Root) -> Metadata[Root]:
    """Return a root that nobody has signed."""
    return sign(root, [])


def change_role(draft: Draft, role: str, change: Change) -> None:
    """Change who signs for a bundle or a channel.

    A role that is not there is admitted with the keys of `targets` besides, which sign it while it is empty.

    Raises:
        RepositoryError: the role would have fewer keys than must sign, or a key that goes is not there.
    """
    if draft.peek(role) is None:
        if change.removed:
            raise RepositoryError(f"the repository has no role {role}")
        draft.role(role)
    delegation, delegations = draft.delegation(role), draft.targets.delegations
    assert delegations is not None
    for keyid in change.removed - {*delegation.keyids}:
        raise RepositoryError(f"{role} has no key {keyid}")
    kept = [delegations.keys[keyid] for keyid in delegation.keyids if keyid not in change.removed]
    keys = {key.keyid: key for key in (*kept, *change.added)}
    threshold = delegation.threshold if change.threshold is None else change.threshold
    draft.delegate(role, [*keys.values()], threshold)


def roles_of_key(state: State, keyid: str) -> list[str]:
    """Return every role that a key signs for."""
    top = [role for role in TOP_ROLES if keyid in state.root.signed.roles[role].keyids]
    delegations = state.targets.signed.delegations
    below = delegations.roles if delegations and delegations.roles else {}
    return [*top, *(name for name, role in below.items() if keyid in role.keyids)]


def keys_of(state: State) -> dict[str, Key]:
    """Return every public key of a repository, by its id."""
    delegations = state.targets.signed.delegations
    return {**(delegations.keys if delegations else {}), **state.root.signed.keys}


def role_keys(state: State) -> dict[str, tuple[list[str], int]]:
    """Return the ids of the keys of every role, and how many of them must sign."""
    delegations = state.targets.signed.delegations
    below = delegations.roles if delegations and delegations.roles else {}
    found: dict[str, tuple[list[str], int]] = {}
    for name, role in {**state.root.signed.roles, **below}.items():
        found[name] = (list(role.keyids), role.threshold)
    return found
