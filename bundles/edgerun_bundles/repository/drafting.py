"""What the next state of a repository is to be: roles are copied as they are touched, and delegations made. No IO."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

from tuf.api.metadata import Targets

from edgerun.artifact import digest_of
from edgerun_bundles.errors import RepositoryError
from edgerun_bundles.repository.metadata import TARGETS, checked_threshold, delegation_of, paths_of

if TYPE_CHECKING:
    from datetime import datetime

    from securesystemslib.signer import Key
    from tuf.api.metadata import DelegatedRole, Metadata, Root

    from edgerun_bundles.repository.metadata import State


class Draft:
    """Changes to a repository that are published together.

    Attributes:
        state: what was read.
        changed: the roles that become others, by name.
        blobs: small documents to store before, by digest.
        root: the root that follows, where keys of the top roles change.
    """

    def __init__(self, state: State) -> None:
        self.state = state
        self.changed: dict[str, Targets] = {}
        self.blobs: dict[str, bytes] = {}
        self.root: Metadata[Root] | None = None

    def blob(self, content: bytes) -> str:
        """Store a small document with the rest, and return its digest."""
        digest = digest_of(content)
        self.blobs[digest] = content
        return digest

    @property
    def targets(self) -> Targets:
        """The role that delegates, as it will be."""
        return self.changed.get(TARGETS, self.state.targets.signed)

    def peek(self, role: str) -> Targets | None:
        """Return a delegated role as it will be, for reading; None where there is none."""
        if role in self.changed:
            return self.changed[role]
        return self.state.roles[role].signed if role in self.state.roles else None

    def role(self, role: str) -> Targets:
        """Return a delegated role to change; one that is not there is admitted with the keys of `targets`."""
        if role not in self.changed:
            found = self.state.roles.get(role)
            if found is None:
                own = self.state.root.signed.roles[TARGETS]
                self.delegate(role, [self.state.root.signed.keys[keyid] for keyid in own.keyids], own.threshold)
                self.changed[role] = Targets(1, expires=self.state.targets.signed.expires, targets={})
            else:
                self.changed[role] = copy.deepcopy(found.signed)
        return self.changed[role]

    def touch_targets(self) -> Targets:
        """Return the role that delegates, to change."""
        if TARGETS not in self.changed:
            self.changed[TARGETS] = copy.deepcopy(self.state.targets.signed)
        return self.changed[TARGETS]

    def delegate(self, role: str, keys: list[Key], threshold: int) -> None:
        """Say who signs for a role from now on.

        Raises:
            RepositoryError: so many keys can never sign, or there can be no such role.
        """
        paths_of(role)
        keyids = [key.keyid for key in keys]
        delegations = self.touch_targets().delegations
        if delegations is None or delegations.roles is None:
            raise RepositoryError("targets delegates in a way that is not known here")
        delegations.roles[role] = delegation_of(role, keyids, checked_threshold(role, threshold, len(keyids)))
        delegations.keys.update({key.keyid: key for key in keys})
        used = {keyid for found in delegations.roles.values() for keyid in found.keyids}
        for keyid in delegations.keys.keys() - used:
            del delegations.keys[keyid]

    def delegation(self, role: str) -> DelegatedRole:
        """Return who will sign for a delegated role.

        Raises:
            RepositoryError: there is no such role.
        """
        delegations = self.targets.delegations
        found = delegations.roles.get(role) if delegations and delegations.roles else None
        if found is None:
            raise RepositoryError(f"the repository has no role {role}")
        return found

    def expire(self, role: str, expires: datetime) -> None:
        """Sign a role again, until another day."""
        payload = self.touch_targets() if role == TARGETS else self.role(role)
        payload.expires = expires
