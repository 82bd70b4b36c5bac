"""Signing again what will expire: snapshot and timestamp always, the others in the second half of their lives."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from edgerun_bundles.repository.drafting import Draft
from edgerun_bundles.repository.metadata import LONG_LIFE, SNAPSHOT, TARGETS, TIMESTAMP
from edgerun_bundles.repository.publishing import publish

if TYPE_CHECKING:
    from datetime import datetime

    from edgerun_bundles.repository.metadata import State
    from edgerun_bundles.repository.publishing import Signers
    from edgerun_bundles.repository.storage import Storage


class Renewed(NamedTuple):
    """What was signed again, and what could not be."""

    state: State
    """The repository as it is now."""

    signed: tuple[str, ...]
    """The roles."""

    left: tuple[str, ...]
    """The roles that are in the second half of their lives and whose keys are not here."""


def renew(storage: Storage, state: State, keys: Signers, now: datetime) -> Renewed:
    """Sign again snapshot, timestamp, and what has lived for half of its time, as far as keys are here.

    Raises:
        PublishedMeanwhileError: somebody else has published since the state was read.
        RepositoryError: the keys of snapshot and timestamp are not here, or something cannot be stored.
    """
    draft, left = Draft(state), []
    for role in (TARGETS, *sorted(state.roles)):
        if state.expiries[role] - now > LONG_LIFE / 2:
            continue
        if _can_sign(state, role, keys):
            draft.expire(role, now.replace(microsecond=0) + LONG_LIFE)
        else:
            left.append(role)
    after = publish(storage, draft, keys, now)
    return Renewed(after, (*sorted(draft.changed), SNAPSHOT, TIMESTAMP), tuple(left))


def _can_sign(state: State, role: str, keys: Signers) -> bool:
    found = state.delegation(role) or state.root.signed.roles[role]
    return len(keys.signers(found.keyids)) >= found.threshold
