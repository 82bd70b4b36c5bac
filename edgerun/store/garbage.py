"""Removing blobs that nothing needs, oldest first, until a store is within its budget."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection

    from edgerun.disk import Disk
    from edgerun.store.blobs import Blobs

_NAME = re.compile(r"[0-9a-f]{64}")


class Collected(NamedTuple):
    """What was removed."""

    blobs: int
    """How many blobs, and beginnings of such."""

    bytes: int
    """Their bytes."""


class _Old(NamedTuple):
    written: int
    folder: str
    name: str
    size: int


def used_bytes(disk: Disk, blobs: Blobs) -> int:
    """Return the bytes of all blobs, and of those that are being fetched.

    Raises:
        OSError: a folder cannot be listed.
    """
    return sum(sum(disk.sizes(folder).values()) for folder in (blobs.folder, blobs.partial_folder))


def collect(disk: Disk, blobs: Blobs, needed: Collection[str], budget_bytes: int) -> Collected:
    """Remove the oldest blobs that are not needed until the store is within a budget. Nobody else uses blobs meanwhile.

    Args:
        disk: the disk.
        blobs: the store's.
        needed: the names of those that stay: hexadecimal digits.
        budget_bytes: for all blobs together.

    Raises:
        OSError: the disk failed; what was removed until then is removed.
    """
    found = []
    used = 0
    for folder in (blobs.folder, blobs.partial_folder):
        ages = disk.ages(folder)
        for name, size in disk.sizes(folder).items():
            used += size
            if _NAME.fullmatch(name) and name not in needed:
                found.append(_Old(ages.get(name, 0), folder, name, size))
    removed = []
    for old in sorted(found):
        if used <= budget_bytes:
            break
        disk.remove(f"{old.folder}/{old.name}")
        used -= old.size
        removed.append(old)
    for folder in {old.folder for old in removed}:
        disk.sync_folder(folder)
    return Collected(len(removed), sum(old.size for old in removed))
