"""The state of a store, and every way in which it may change; FORMAT.md, from fetched to current. Pure; no IO.

What is bad is neither current nor previous nor candidate; only the previous bundle may be the candidate too; there is
no previous without a current; floors never fall, but for those whose keys were all taken away.
"""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 - tools resolve the annotations of records
from types import MappingProxyType
from typing import NamedTuple

from edgerun.errors import StoreError
from edgerun.limits import LIMITS

STARTS = 3
"""How often a candidate may be started before it must have proven healthy."""

EVENTS = ("activated", "confirmed", "rejected", "rolled_back")
"""What the history tells of."""

NO_PROOF = f"{STARTS} starts without proof of health"


class Candidate(NamedTuple):
    """A bundle that is to prove healthy."""

    digest: str
    """Of its manifest."""

    starts_left: int
    """How often it may still be started."""


class Bad(NamedTuple):
    """A bundle that is not to be activated again."""

    digest: str
    """Of its manifest."""

    why: str
    """In a few words."""


class Happening(NamedTuple):
    """Something that happened to a bundle."""

    time_s: int
    """Seconds since 1970, as the clock said."""

    what: str
    """``activated``, ``confirmed``, ``rejected`` or ``rolled_back``."""

    digest: str
    """Of its manifest."""


class State(NamedTuple):
    """Everything that a store remembers. Digests are ``sha256:`` and 64 hexadecimal digits."""

    generation: int = 0
    """How often it was written."""

    current: str | None = None
    """The bundle that has proven healthy."""

    previous: str | None = None
    """The bundle before that."""

    candidate: Candidate | None = None
    """The bundle that is to prove healthy."""

    bad: tuple[Bad, ...] = ()
    """Those that are not to be activated, oldest first."""

    history: tuple[Happening, ...] = ()
    """What happened, oldest first."""

    metadata: int = 0
    """The number of the folder that holds the trusted metadata; 0 for none."""

    root: str | None = None
    """The SHA-256 of its root.json, 64 hexadecimal digits."""

    floors: Mapping[str, int] = MappingProxyType({})
    """TUF role to the highest version that was trusted."""

    seen_s: int = 0
    """When metadata was last found fresh, in seconds since 1970."""

    def why_bad(self, digest: str) -> str | None:
        """Return why a bundle is bad; None where it is not known to be."""
        return next((bad.why for bad in self.bad if bad.digest == digest), None)

    @property
    def bundles(self) -> tuple[str, ...]:
        """The digests that must be kept: the current, the previous and the candidate, where there are such."""
        candidate = self.candidate and self.candidate.digest
        return tuple(dict.fromkeys(found for found in (self.current, self.previous, candidate) if found is not None))


def activated(state: State, digest: str, now_s: int) -> State:
    """Make a bundle the candidate. The current one stays current: then there is no candidate any more.

    A candidate that is activated again gets no further starts.

    Raises:
        StoreError: it is known as bad.
    """
    why = state.why_bad(digest)
    if why is not None:
        raise StoreError(f"{digest} was found bad before ({why}); build another version")
    if digest == state.current:
        return state._replace(candidate=None)
    if state.candidate is not None and state.candidate.digest == digest:
        return state
    return _told(state._replace(candidate=Candidate(digest, STARTS)), "activated", digest, now_s)


def started(state: State, digest: str) -> State:
    """Count a start of the candidate down.

    Raises:
        StoreError: it is not the candidate, or has no starts left.
    """
    candidate = state.candidate
    if candidate is None or candidate.digest != digest or not candidate.starts_left:
        raise StoreError(f"{digest} cannot be started as a candidate; see what is current")
    return state._replace(candidate=Candidate(digest, candidate.starts_left - 1))


def confirmed(state: State, digest: str, now_s: int) -> State:
    """Make the candidate current, and what was current previous. What is current already stays so.

    Raises:
        StoreError: it is neither.
    """
    if digest == state.current:
        return state
    if state.candidate is None or state.candidate.digest != digest:
        raise StoreError(f"{digest} is no longer the candidate ({state.why_bad(digest) or 'another took its place'})")
    changed = state._replace(current=digest, previous=state.current, candidate=None)
    return _told(changed, "confirmed", digest, now_s)


def rejected(state: State, digest: str, why: str, now_s: int) -> State:
    """Remember a bundle that has not become current as bad. One that is bad already stays so.

    Raises:
        StoreError: it is current; it can be rolled back.
    """
    if digest == state.current:
        raise StoreError(f"{digest} is current and cannot be rejected; roll back")
    if state.why_bad(digest) is not None:
        return state
    is_candidate = state.candidate is not None and state.candidate.digest == digest
    changed = state._replace(
        candidate=None if is_candidate else state.candidate,
        previous=None if digest == state.previous else state.previous,
    )
    return _told(_remembered(changed, digest, why), "rejected", digest, now_s)


def rolled_back(state: State, why: str, now_s: int) -> State:
    """Make the previous bundle current again, and remember what was current as bad.

    Raises:
        StoreError: there is no previous bundle.
    """
    if state.current is None or state.previous is None:
        raise StoreError("there is no previous bundle to go back to; activate another one")
    is_candidate = state.candidate is not None and state.candidate.digest == state.previous
    changed = state._replace(current=state.previous, previous=None, candidate=None if is_candidate else state.candidate)
    return _told(_remembered(changed, state.current, why), "rolled_back", state.current, now_s)


def published(
    state: State,
    metadata: int,
    root_sha256: str,
    versions: Mapping[str, int],
    seen_s: int,
    given_up: Mapping[str, int] = MappingProxyType({}),
) -> State:
    """Trust newer metadata.

    Args:
        state: the state.
        metadata: the number of the folder that holds it.
        root_sha256: of its root.json, 64 hexadecimal digits.
        versions: TUF role to version.
        seen_s: when it was found fresh, in seconds since 1970.
        given_up: TUF role to the floor that holds no more, for a newer root took away every key that had set it.

    Raises:
        StoreError: a version is below its floor, or there are too many roles.
    """
    for role, version in versions.items():
        if len(role.encode()) > LIMITS.store_role_max_bytes:
            raise StoreError(f"the name of the role {role!r:.40} is longer than {LIMITS.store_role_max_bytes} bytes")
        floor = state.floors.get(role, 0)
        if version < floor and floor != given_up.get(role):
            raise StoreError(f"version {version} of {role} is older than version {floor}, which was trusted before")
    floors = {**state.floors, **versions}
    if len(floors) > LIMITS.store_floors_max:
        raise StoreError(f"the state would have to remember {len(floors)} roles; at most {LIMITS.store_floors_max}")
    trusted = state._replace(metadata=metadata, root=root_sha256, floors=MappingProxyType(floors))
    return seen(trusted, seen_s)


def seen(state: State, seen_s: int) -> State:
    """Remember when metadata was found fresh; that time never goes back."""
    return state._replace(seen_s=max(state.seen_s, seen_s))


def _remembered(state: State, digest: str, why: str) -> State:
    short = why.encode(errors="replace")[: LIMITS.store_why_max_bytes].decode(errors="ignore")
    return state._replace(bad=(*state.bad, Bad(digest, short))[-LIMITS.store_bad_max :])


def _told(state: State, what: str, digest: str, now_s: int) -> State:
    history = (*state.history, Happening(max(0, now_s), what, digest))
    return state._replace(history=history[-LIMITS.store_history_max :])
