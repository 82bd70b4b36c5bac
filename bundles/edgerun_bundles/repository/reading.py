"""Reading a repository from a root that is trusted, with every signature and version verified. It never writes.

Expiry is not judged here: whoever renews a repository must be able to read one that has expired. See `check_fresh`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from tuf.api.metadata import Root, Snapshot, Targets, Timestamp

from edgerun_bundles.errors import RepositoryError
from edgerun_bundles.limits import LIMITS
from edgerun_bundles.repository.metadata import (
    ROOT,
    SNAPSHOT,
    TARGETS,
    TIMESTAMP,
    State,
    mapped,
    max_bytes_of,
    parse,
    paths_of,
    verify,
)
from edgerun_bundles.repository.storage import TIMESTAMP_FILE, metadata_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from tuf.api.metadata import Metadata, MetaFile

    from edgerun_bundles.repository.storage import Source

_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+_-]{0,63}")
"""A version, or the name of a bundle."""
_HEX = re.compile(r"[0-9a-f]{64}")


def read_state(storage: Source, trusted_root: bytes, floors: Mapping[str, int] | None = None) -> State:
    """Read a repository.

    Args:
        storage: where it lies.
        trusted_root: a root that is trusted, of this version of the repository or an older one.
        floors: versions that were seen before, by role; none may be lower.

    Raises:
        RepositoryError: something is missing, wrongly signed, or older than it once was; its place is named.
    """
    *_, root = read_roots(storage, trusted_root)
    return read_below(storage, root, floors)


def read_below(storage: Source, root: Metadata[Root], floors: Mapping[str, int] | None = None) -> State:
    """Read all that a root stands for; as `read_state` else."""
    found = storage.read(TIMESTAMP_FILE, max_bytes_of(TIMESTAMP))
    if found is None:
        raise RepositoryError(f"{storage.where} is no repository: it has no {TIMESTAMP_FILE}")
    timestamp = parse(found.content, Timestamp, _place(storage, TIMESTAMP_FILE))
    verify(root.signed, TIMESTAMP, timestamp, _place(storage, TIMESTAMP_FILE))
    snapshot = _read(storage, SNAPSHOT, timestamp.signed.snapshot_meta, Snapshot)
    verify(root.signed, SNAPSHOT, snapshot, f"{storage.where}: snapshot")
    targets = _read(storage, TARGETS, _listed(storage, snapshot, TARGETS), Targets)
    verify(root.signed, TARGETS, targets, f"{storage.where}: targets")
    state = State(root, timestamp, snapshot, targets, _read_roles(storage, snapshot, targets), found.token)
    for role, floor in (floors or {}).items():
        if state.versions.get(role, floor) < floor:
            raise RepositoryError(
                f"{storage.where}: {role} has version {state.versions[role]}, and {floor} was seen before: an old copy "
                "was put back; if that is right, trust it again: edgerun bundle repository trust"
            )
    return state


def read_roots(storage: Source, trusted_root: bytes) -> Iterator[Metadata[Root]]:
    """Yield the trusted root and every newer one, each signed by the one before and by itself.

    Raises:
        RepositoryError: one is not, or there are too many.
    """
    root = parse(trusted_root, Root, "the trusted root")
    verify(root.signed, ROOT, root, "the trusted root")
    yield root
    for followed in range(LIMITS.roots_max + 1):
        name = metadata_name(ROOT, root.signed.version + 1)
        found = storage.read(name, max_bytes_of(ROOT))
        if found is None:
            return
        if followed == LIMITS.roots_max:
            raise RepositoryError(
                f"{storage.where} has more than {LIMITS.roots_max} roots after the trusted one; trust a newer one"
            )
        root = follow(root, found.content, _place(storage, name))
        yield root


def follow(root: Metadata[Root], raw: bytes, where: str) -> Metadata[Root]:
    """Return the root that follows another.

    Raises:
        RepositoryError: it does not: its version or its signatures are wrong.
    """
    new = parse(raw, Root, where)
    if new.signed.version != root.signed.version + 1:
        raise RepositoryError(f"{where} has version {new.signed.version} instead of {root.signed.version + 1}")
    verify(root.signed, ROOT, new, f"{where}, by the keys of root {root.signed.version}")
    verify(new.signed, ROOT, new, where)
    return new


def _read(storage: Source, role: str, meta: MetaFile, kind: type[Any]) -> Metadata[Any]:
    name = metadata_name(role, meta.version)
    found = storage.read(name, max_bytes_of(role))
    if found is None:
        raise RepositoryError(f"{storage.where}: {name} is missing")
    with mapped(_place(storage, name)):
        meta.verify_length_and_hashes(found.content)
    metadata: Metadata[Any] = parse(found.content, kind, _place(storage, name))
    if metadata.signed.version != meta.version:
        raise RepositoryError(f"{_place(storage, name)} has the version {metadata.signed.version}")
    return metadata


def _listed(storage: Source, snapshot: Metadata[Snapshot], role: str) -> MetaFile:
    try:
        return snapshot.signed.meta[f"{role}.json"]
    except KeyError as error:
        raise RepositoryError(f"{storage.where}: the snapshot does not list {role}") from error


def _read_roles(
    storage: Source, snapshot: Metadata[Snapshot], targets: Metadata[Targets]
) -> dict[str, Metadata[Targets]]:
    delegations = targets.signed.delegations
    found = {}
    for name, role in ((delegations.roles if delegations else None) or {}).items():
        if role.paths != [paths_of(name)] or not role.terminating:
            raise RepositoryError(f"{storage.where}: the delegation of {name} is not as bundles/REPOSITORY.md has it")
        found[name] = _read(storage, name, _listed(storage, snapshot, name), Targets)
        verify(targets.signed, name, found[name], f"{storage.where}: {name}")
        _check_targets(found[name].signed, role.paths[0], f"{storage.where}: {name}")
    return found


def _check_targets(role: Targets, pattern: str, where: str) -> None:
    """Check what the signature of a publisher does not vouch for: that paths and digests are what others build upon."""
    prefix = pattern.removesuffix("*")
    for path, target in role.targets.items():
        if not path.startswith(prefix) or not _VERSION.fullmatch(path.removeprefix(prefix)):
            raise RepositoryError(f"{where}: {path[:200]!r} is not one of its paths: {pattern}")
        if not _HEX.fullmatch(target.hashes.get("sha256", "")):
            raise RepositoryError(f"{where}: {path} has no SHA-256")


def check_fresh(state: State, now: datetime, roles: tuple[str, ...] = ()) -> None:
    """Check that what a reader needs has not expired: the four top roles, and some delegated ones.

    Raises:
        RepositoryError: one has; it says how to renew it.
    """
    for role, expires in state.expiries.items():
        if (role in {ROOT, TIMESTAMP, SNAPSHOT, TARGETS} or role in roles) and expires <= now:
            raise RepositoryError(
                f"{role} expired on {expires:%Y-%m-%d}; whoever has its key renews it: edgerun bundle repository renew"
            )


def _place(storage: Source, name: str) -> str:
    return f"{storage.where}: {name}"
