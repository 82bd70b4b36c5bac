"""What was set aside because it cannot become rows: its bytes, why, and how it is tried again after an upgrade.

The bytes are stored before the segment's tombstone is, and are themselves replaced by a tombstone once they were
committed after all, so nothing is lost and nothing is there twice, whoever repeats which step how late.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any, NamedTuple

from edgerun_sync.collector import keys
from edgerun_sync.errors import CollectorError
from edgerun_sync.times import now_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from edgerun_sync.collector.audit import Audit
    from edgerun_sync.collector.batches import Aside
    from edgerun_sync.collector.objects import Objects

WHO = "collector"


class Held(NamedTuple):
    """A segment or check-in in quarantine.

    Attributes:
        device: whose.
        segment: its name.
        at: when it was set aside, RFC 3339.
        why: in words.
        lane: of the device.
        batch: that left it out.
        digest: SHA-256 of its bytes.
        size: how many.
    """

    device: str
    segment: str
    at: str
    why: str
    lane: int
    batch: int
    digest: str
    size: int

    @property
    def landed(self) -> keys.Landed:
        """Its names alone."""
        return keys.Landed(self.device, self.segment)


def set_aside(objects: Objects, audit: Audit, found: Sequence[tuple[Aside, bytes]], lane: int, batch: int) -> None:
    """Keep the bytes of what a batch leaves out, with the reasons; the audit log says so, in one entry.

    Raises:
        StorageError: the storage failed; call it again.
        CollectorError: the audit log cannot be appended to; likewise.
    """
    fresh = []
    for aside, data in found:
        objects.put_new(keys.quarantine_key(aside.landed), data)
        if objects.get(keys.reason_key(aside.landed)) is None:
            digest = hashlib.sha256(data).hexdigest()
            fresh.append(Held(*aside.landed, now_text(), aside.why, lane, batch, digest, len(data)))
    if fresh:
        listed = [[held.device, held.segment, held.digest] for held in fresh]
        audit.append(WHO, "quarantine", f"batch {lane}/{batch}", {"segments": listed})
    for held in fresh:
        objects.put_new(keys.reason_key(held.landed), _reason(held))


def refuse_again(objects: Objects, landed: keys.Landed, why: str) -> None:
    """Note that another attempt failed too: what is held stays, with the latest reason.

    Raises:
        StorageError: the storage failed; call it again.
        CollectorError: the record is damaged.
    """
    held = _parsed(landed, objects.get(keys.reason_key(landed)))
    objects.replace(keys.reason_key(landed), _reason(held._replace(at=now_text(), why=why)))


def held(objects: Objects) -> Iterator[Held]:
    """Yield what is in quarantine, by device and name.

    Raises:
        StorageError: the storage failed.
        CollectorError: a record is damaged.
    """
    for key in objects.list(keys.quarantine_prefix()):
        if not key.endswith(".json"):
            landed = keys.Landed(*key.split("/")[1:])
            data = objects.get(key)
            if data is not None and keys.parse_tombstone(data) is None:
                yield _parsed(landed, objects.get(keys.reason_key(landed)))


def retry(objects: Objects, audit: Audit, found: Held, *, who: str) -> None:
    """Have what is held be tried again by whoever plans the next batch of its lane.

    A check-in that fails again is gone: it was said anew since.

    Args:
        objects: where it is.
        audit: where it is written down.
        found: what.
        who: asks for it, for the audit log.

    Raises:
        StorageError: the storage failed; call it again.
        CollectorError: the audit log cannot be appended to; likewise.
    """
    data = objects.get(keys.quarantine_key(found.landed))
    if not found.batch or data is None or keys.parse_tombstone(data) is not None:
        return
    audit.append(who, "quarantine.retry", "/".join(found.landed), {"digest": found.digest})
    if not keys.is_check_in(found.segment):
        objects.put_new(keys.inbox_key(found.lane, keys.Again(*found.landed)), b"")
        return
    objects.put_new(keys.check_in_key(found.lane, *found.landed), data)
    tombstone = keys.Tombstone(found.digest, found.size, found.batch)
    objects.replace(keys.quarantine_key(found.landed), keys.tombstone_bytes(tombstone))


def _said(found: Held) -> dict[str, Any]:
    return {name: value for name, value in found._asdict().items() if name not in {"device", "segment", "at"}}


def _reason(found: Held) -> bytes:
    return json.dumps({"at": found.at, **_said(found)}, sort_keys=True, separators=(",", ":")).encode()


def _parsed(landed: keys.Landed, data: bytes | None) -> Held:
    if data is None:  # its batch was cut short, and will be completed
        return Held(*landed, "", "it is being set aside", -1, 0, "", 0)
    try:
        return Held(*landed, **json.loads(data))
    except (ValueError, TypeError) as error:
        raise CollectorError(f"{keys.reason_key(landed)} is damaged: {data[:100]!r}; remove it") from error
