"""Sending a bundle to a repository: its missing blobs, then a line of its publishers'. A version never changes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from tuf.api.metadata import TargetFile

from edgerun.artifact import Digester, Layer, hex_of
from edgerun.update.channel import bundle_role, bundle_target
from edgerun_bundles.errors import RepositoryError
from edgerun_bundles.repository.metadata import WITHDRAWN
from edgerun_bundles.repository.storage import blob_name, unseen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from tuf.api.metadata import Targets

    from edgerun.artifact import Manifest
    from edgerun_bundles.layout import Layout
    from edgerun_bundles.referrers import Referrer
    from edgerun_bundles.repository.drafting import Draft
    from edgerun_bundles.repository.storage import Advance, Progress, Storage

PIECE_BYTES = 2**20
KEPT_DIGITS = 16
"""Of the digest of a withdrawn version: enough to tell it from a mistake."""


class Sent(NamedTuple):
    """What became of a bundle's blobs."""

    sent: Mapping[str, int]
    """Digest to size of those that were sent."""

    known: Mapping[str, int]
    """Digest to size of those that were there already."""


def send_blobs(storage: Storage, layout: Layout, progress: Progress = unseen) -> Sent:
    """Store what a repository lacks of a bundle and its provenance; nobody sees it yet.

    Args:
        storage: where the repository lies.
        layout: from `read_layout`, so that nothing broken is sent.
        progress: gives, for a number of bytes, a context manager of a function to call with bytes done.

    Raises:
        BundleError: a file became another while it was sent.
        RepositoryError: something cannot be stored.
    """
    known = {
        digest: size for digest, size in layout.blobs.items() if storage.size_of(blob_name(hex_of(digest))) == size
    }
    missing = {digest: size for digest, size in layout.blobs.items() if digest not in known}
    with progress(sum(missing.values())) as advance:
        for digest, size in missing.items():
            pieces = _verified(layout, digest, size, advance)
            storage.put_blob(blob_name(hex_of(digest)), pieces, size)
    return Sent(missing, known)


def _verified(layout: Layout, digest: str, size: int, advance: Advance) -> Iterator[bytes]:
    """Yield a blob; before its last piece is yielded, all of it was found to be what its digest says."""
    path, digester, held = layout.blob(digest), Digester(), b""
    try:
        with path.open("rb", buffering=0) as stream:
            while piece := stream.read(PIECE_BYTES):
                digester.update(piece)
                if held:
                    yield held
                    advance(len(held))
                held = piece
    except OSError as error:
        raise RepositoryError(f"{path} cannot be read: {error.strerror or error}") from error
    digester.check(Layer(digest, "", digest, size), str(path))
    yield held
    advance(len(held))


def check_blobs(storage: Storage, blobs: Mapping[str, int]) -> Callable[[], None]:
    """Return a check that blobs are still there, for the moment of publication.

    Raises:
        RepositoryError: by the check: one is not.
    """

    def check() -> None:
        for digest, size in blobs.items():
            if storage.size_of(blob_name(hex_of(digest))) != size:
                raise RepositoryError(f"{storage.where}: {digest} was removed meanwhile; push again")

    return check


def add_version(draft: Draft, manifest: Manifest, referrers: tuple[Referrer, ...], now: datetime) -> bool:
    """Publish a version with the next publication.

    Args:
        draft: what changes.
        manifest: the bundle's.
        referrers: its provenance, which joins what is known of it already.
        now: when.

    Returns:
        Whether that changes anything.

    Raises:
        RepositoryError: the version has other bytes already, or once had.
    """
    role, path = bundle_role(manifest.name), bundle_target(manifest.name, manifest.version)
    found = draft.peek(role)
    former = found.targets.get(path) if found is not None else None
    if former is not None and former.hashes["sha256"] != hex_of(manifest.digest):
        raise RepositoryError(
            f"{manifest.name} {manifest.version} is published with other bytes, and a version never changes; "
            "build it with another version"
        )
    kept = withdrawn_of(found).get(manifest.version) if found is not None else None
    if kept is not None and kept != hex_of(manifest.digest)[:KEPT_DIGITS]:
        raise RepositoryError(
            f"{manifest.name} {manifest.version} was published with other bytes and withdrawn, and a version never "
            "changes; build it with another version"
        )
    custom = _custom_of(former)
    provenance = {entry["digest"]: entry for entry in custom.get("provenance", [])}
    provenance |= {referrer.digest: {"digest": referrer.digest, "size": referrer.size} for referrer in referrers}
    if former is not None and len(provenance) == len(custom.get("provenance", [])):
        return False
    published = custom.get("published", f"{now.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}")
    more = {"custom": {"provenance": [provenance[digest] for digest in sorted(provenance)], "published": published}}
    targets = draft.role(role)
    targets.targets[path] = TargetFile(manifest.size, {"sha256": hex_of(manifest.digest)}, path, more)
    withdrawn_of(targets).pop(manifest.version, None)
    return True


def withdraw_version(draft: Draft, name: str, version: str) -> None:
    """Take a version out of a bundle's list; its name stays taken by its bytes.

    Raises:
        RepositoryError: it is not published.
    """
    role, path = bundle_role(name), bundle_target(name, version)
    found = draft.peek(role)
    if found is None or path not in found.targets:
        raise RepositoryError(f"{name} {version} is not published")
    targets = draft.role(role)
    removed = targets.targets.pop(path)
    targets.unrecognized_fields.setdefault(WITHDRAWN, {})[version] = removed.hashes["sha256"][:KEPT_DIGITS]


def withdrawn_of(targets: Targets) -> dict[str, str]:
    """Return the withdrawn versions of a bundle: version to the first digits of its digest."""
    found = targets.unrecognized_fields.get(WITHDRAWN, {})
    return found if isinstance(found, dict) else {}


def _custom_of(target: TargetFile | None) -> dict[str, Any]:
    return dict(target.custom or {}) if target is not None else {}


def utc_now() -> datetime:
    """Return the time that metadata is judged by."""
    return datetime.now(UTC)
