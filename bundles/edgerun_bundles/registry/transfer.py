"""Carrying a whole bundle to a registry and back. Its manifest goes last: readers see all or none."""

from __future__ import annotations

from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from edgerun.artifact import MANIFEST_TYPE, Descriptor, digest_of, hex_of, parse_manifest
from edgerun.errors import BundleError
from edgerun_bundles.errors import RegistryError
from edgerun_bundles.index import INDEX_FILE, MARKER, MARKER_FILE, index_of, read_small
from edgerun_bundles.layout import BLOBS, Layout, check_files, is_layout
from edgerun_bundles.limits import LIMITS
from edgerun_bundles.placing import folder_placed
from edgerun_bundles.referrers import Referrer, is_referrer, parse_referrer
from edgerun_bundles.registry.client import Registry
from edgerun_bundles.registry.reference import tag_of_version

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator, Mapping

    from edgerun_bundles.registry.reference import Reference
    from edgerun_bundles.registry.transport import Transport

    Progress = Callable[[int], AbstractContextManager[Callable[[int], None]]]


class Pushed(NamedTuple):
    """What a push did."""

    digest: str
    """The bundle's name for ever."""

    tag: str
    """The tag that leads to it now."""

    sent: Mapping[str, int]
    """Digest to size of the blobs that were sent."""

    known: Mapping[str, int]
    """Digest to size of those that were there already."""

    replaced: str | None
    """The digest that the tag led to before, where that was another."""


@contextmanager
def unseen(_: int) -> Iterator[Callable[[int], None]]:
    """Give a function that shows no progress."""
    yield lambda _: None


def push(layout: Layout, reference: Reference, transport: Transport, progress: Progress = unseen) -> Pushed:
    """Send a bundle and what refers to it.

    Args:
        layout: from `read_layout`, so that nothing broken is sent.
        reference: where to; without a tag, its tag is the bundle's version.
        transport: to that registry.
        progress: gives, for a number of bytes, a context manager of a function to call with bytes done.

    Raises:
        BundleError: a file became another while it was sent, or the reference has another digest than the bundle.
        RegistryError: the registry refuses or cannot be reached.
    """
    manifest = layout.manifest
    if reference.digest not in {None, manifest.digest}:
        raise BundleError(f"{reference} names another bundle than {manifest.digest}")
    registry, tag = Registry(transport, reference.name), reference.tag or tag_of_version(manifest.version)
    needed = {**manifest.blobs}
    for referrer in layout.referrers:
        needed |= referrer.blobs
    known = {digest: size for digest, size in needed.items() if registry.has_blob(digest, size)}
    missing = {digest: size for digest, size in needed.items() if digest not in known}
    with progress(sum(missing.values())) as advance:
        for digest, size in missing.items():
            registry.upload(layout.blob(digest), digest, size, advance)
    former = registry.manifest(tag)
    for referrer in layout.referrers:
        registry.put_referrer(referrer, _manifest_bytes(layout, referrer.digest, referrer.size))
    registry.put_manifest(tag, _manifest_bytes(layout, manifest.digest, manifest.size))
    replaced = None if former is None or digest_of(former) == manifest.digest else digest_of(former)
    return Pushed(manifest.digest, tag, missing, known, replaced)


def _manifest_bytes(layout: Layout, digest: str, size: int) -> bytes:
    raw = read_small(layout.blob(digest), size)
    if digest_of(raw) != digest:
        raise BundleError(f"{layout.blob(digest)} has other bytes than its digest says")
    return raw


def pull(
    reference: Reference, destination: str | os.PathLike[str], transport: Transport, progress: Progress = unseen
) -> Layout:
    """Get a bundle, without what refers to it, as a device would.

    Args:
        reference: where from, with a tag or a digest.
        destination: a new or empty folder, or one that holds a layout, which is replaced as a whole.
        transport: to that registry.
        progress: as in `push`.

    Raises:
        BundleError: anything that came is not what its digest promises, or it is no bundle.
        RegistryError: the registry does not have it, refuses or cannot be reached.
    """
    return _pull(reference, Path(destination), Registry(transport, reference.name), progress, lambda _: [])


def pull_with_provenance(
    reference: Reference, destination: str | os.PathLike[str], transport: Transport, progress: Progress = unseen
) -> Layout:
    """Get a bundle with all that tells where it came from; as `pull` else."""
    registry = Registry(transport, reference.name)
    return _pull(reference, Path(destination), registry, progress, lambda digest: _provenance(registry, digest))


def _pull(
    reference: Reference,
    target: Path,
    registry: Registry,
    progress: Progress,
    provenance: Callable[[str], list[bytes]],
) -> Layout:
    if reference.tag is None and reference.digest is None:
        raise BundleError(f"{reference} needs a tag or a digest, as in {reference}:1.0.0")
    with folder_placed(target, is_layout) as scratch:
        raw = registry.manifest(reference.digest or str(reference.tag))
        if raw is None:
            raise RegistryError(f"{reference} is not there", 404)
        manifest = parse_manifest(raw)
        attached = provenance(manifest.digest)
        layout = Layout(scratch, manifest, tuple(parse_referrer(found) for found in attached))
        (scratch / BLOBS).mkdir(parents=True)
        for content in (raw, *attached):
            layout.blob(digest_of(content)).write_bytes(content)
        _fetch_blobs(layout, registry, progress)
        check_files(layout)
        (scratch / INDEX_FILE).write_bytes(index_of(manifest, layout.referrers))
        (scratch / MARKER_FILE).write_bytes(MARKER)
    return layout._replace(folder=target)


def _fetch_blobs(layout: Layout, registry: Registry, progress: Progress) -> None:
    missing = {digest: size for digest, size in layout.blobs.items() if not layout.blob(digest).exists()}
    with progress(sum(missing.values())) as advance:
        for digest, size in missing.items():
            registry.download(Descriptor("", digest, size), layout.folder / BLOBS / hex_of(digest), advance)


def _provenance(registry: Registry, digest: str) -> list[bytes]:
    """The manifests of all provenance artifacts of a bundle; what else refers to it is left alone."""
    found = []
    for listed in registry.referrers(digest):
        raw = registry.manifest(listed.digest)
        if raw is None:
            raise RegistryError(f"the registry lists the referrer {listed.digest} and does not have it", 404)
        if listed.media_type == MANIFEST_TYPE and is_referrer(raw) and _subject(raw) == digest:
            found.append(raw)
        if len(found) > LIMITS.referrers_max:
            raise RegistryError(f"more than {LIMITS.referrers_max} artifacts refer to {digest}", 200)
    return found


def _subject(raw: bytes) -> str:
    referrer: Referrer = parse_referrer(raw)
    return referrer.subject
