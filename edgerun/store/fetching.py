"""Fetching a bundle into a store, and making room for it."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from edgerun.artifact import hex_of
from edgerun.errors import StoreError
from edgerun.store.faults import disk_errors
from edgerun.store.garbage import Collected, collect, used_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from edgerun.artifact import Descriptor, Layer
    from edgerun.store.holdings import Holdings
    from edgerun.store.source import BlobSource
    from edgerun.store.stored import StoredBundle

RESERVE_BYTES = 2**20
"""What a fetch leaves free on the disk, for the state and the metadata."""


def fetch_missing(
    holdings: Holdings,
    source: BlobSource,
    wanted: Collection[Descriptor | Layer],
    needed: Collection[str],
    budget_bytes: int,
    progress: Callable[[int, int], None],
) -> list[Descriptor | Layer]:
    """Fetch those blobs that are not there whole; returns them.

    Args:
        holdings: of the store.
        source: where from.
        wanted: the blobs.
        needed: names of blobs that are not removed to make room, besides those of bundles that are kept.
        budget_bytes: for all blobs of the store.
        progress: told how many bytes of how many are there.

    Raises:
        StoreError: there is no room, the bytes are not those that were promised, or the disk failed.
        UpdateError: the source failed.
    """
    blobs = holdings.blobs
    with disk_errors(f"the blobs of {holdings.path} cannot be read"):
        missing = [blob for blob in wanted if not blobs.is_whole(blob)]
        begun = blobs.begun_bytes()
    total = sum(blob.size for blob in missing)
    if missing:
        begun_bytes = sum(min(blob.size, begun.get(hex_of(blob.digest), 0)) for blob in missing)
        _make_room(holdings, total - begun_bytes, needed, budget_bytes)
    done = 0
    with blobs.kept():
        for blob in missing:
            blobs.fetch(source, blob, _from(done, total, progress))
            done += blob.size
    return missing


def _from(done: int, total: int, progress: Callable[[int, int], None]) -> Callable[[int], None]:
    return lambda size: progress(done + size, total)


def _make_room(holdings: Holdings, wanted_bytes: int, needed: Collection[str], budget_bytes: int) -> None:
    blobs, disk = holdings.blobs, holdings.disk
    with disk_errors(f"{holdings.path} cannot be listed"):
        used = used_bytes(disk, blobs)
        short = wanted_bytes + RESERVE_BYTES - disk.free_bytes(blobs.folder)
        room = min(budget_bytes - wanted_bytes, used - short)
        if used > room:
            with suppress(StoreError):  # then it may be too little room, or not
                collect_garbage(holdings, needed, max(0, room))
        free = disk.free_bytes(blobs.folder)
    if free < wanted_bytes + RESERVE_BYTES:
        raise StoreError(f"{holdings.path}: {wanted_bytes} bytes are to be fetched, and {free} are free; make room")


def collect_garbage(holdings: Holdings, needed: Collection[str], budget_bytes: int) -> Collected:
    """Remove what neither a bundle that is kept nor anybody else needs, oldest first, until within a budget.

    Raises:
        StoreError: the disk failed, or a manifest is damaged, so that nobody knows what is needed.
    """
    with disk_errors(f"garbage of {holdings.path} cannot be removed"):
        lock = holdings.disk.claim(holdings.blobs.folder)
        if lock is None:  # somebody fetches or activates
            return Collected(0, 0)
        try:
            kept = [holdings.bundle(digest) for digest in holdings.state.read().bundles]
            names = {*needed, *(name for found in kept for name in names_of(found))}
            removed = collect(holdings.disk, holdings.blobs, names, budget_bytes)
        finally:
            with suppress(OSError):
                holdings.disk.release(lock)
    if removed.blobs:
        holdings.say("garbage_removed", **removed._asdict())
    return removed


def names_of(found: StoredBundle) -> set[str]:
    """Return the names of the blobs that a bundle needs: hexadecimal digits."""
    return {hex_of(digest) for digest in (found.digest, *found.manifest.blobs)}
