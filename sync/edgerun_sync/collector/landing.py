"""Landing: a segment's bytes durably into storage, once, and only then a yes.

It has no memory of its own, so any number of collectors may land in one storage; what a crash leaves, wherever it
comes, is completed by the device's next attempt.
"""

from __future__ import annotations

import hashlib
from enum import Enum
from typing import TYPE_CHECKING

from edgerun_sync.collector import keys

if TYPE_CHECKING:
    from edgerun_sync.collector.objects import Objects


class Landing(Enum):
    """What became of a segment: HTTP's 201, 200 and 409."""

    STORED = 201
    """It was not there before, and is now."""
    KNOWN = 200
    """The same bytes were stored before, and may be committed already."""
    CONFLICT = 409
    """Other bytes were stored under its name before; they stay."""


def land(objects: Objects, lanes: int, landed: keys.Landed, body: bytes, digest: str) -> Landing:
    """Store a segment, unless it is there.

    An inbox entry stands before the segment does, and goes only after it is a tombstone: no segment is overlooked.

    Args:
        objects: the storage.
        lanes: how many lanes it has.
        landed: the names of the device and the segment.
        body: the segment, checked by `segments.check`.
        digest: SHA-256 of the body, lower-case hexadecimal digits.

    Raises:
        StorageError: nobody knows whether it was stored; the device is to send it again.
        CollectorError: what is stored under its name is damaged.
    """
    found = objects.get(landed.key)
    if found is None:
        objects.put_new(keys.inbox_key(keys.lane_of(landed.device, lanes), landed), b"")
        if objects.put_new(landed.key, body):
            return Landing.STORED
        found = objects.get(landed.key)
    if found is None or keys.parse_tombstone(found) is None:
        objects.put_new(landed.key, body)  # makes sure that whatever is there is durable, before anybody relies on it
        found = objects.get(landed.key) or body
    return Landing.KNOWN if _digest(found) == digest else Landing.CONFLICT


def _digest(found: bytes) -> str:
    tombstone = keys.parse_tombstone(found)
    return hashlib.sha256(found).hexdigest() if tombstone is None else tombstone.digest
