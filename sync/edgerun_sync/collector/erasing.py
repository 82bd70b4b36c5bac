"""Erasure: the rows of a device, or of a unit and its calls, out of the tables and out of what these are rebuilt from.

First everything that was landed is committed, so that there is one place fewer to look at. Archives are rewritten
before the tables: as long as a table has a row, a further attempt finds its archive. Events go last: they say which
calls were a unit's. What a device sends afterwards is not erased; a device that is erased is revoked.
"""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING, Any, NamedTuple

from edgerun_sync.collector import keys
from edgerun_sync.collector.archives import without
from edgerun_sync.collector.arrow.erasing import Gone, found_in
from edgerun_sync.collector.arrow.schemas import SCHEMAS
from edgerun_sync.collector.audit import Audit
from edgerun_sync.collector.batches import batch_bytes, parse_batch
from edgerun_sync.collector.committing import Committer
from edgerun_sync.collector.credentials import Credentials

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgerun_sync.collector.batches import Batch
    from edgerun_sync.collector.data import Data


class Erased(NamedTuple):
    """What an erasure did.

    Attributes:
        rows: that went, by table.
        segments: of a device, landed ones that went.
        archives: key, SHA-256 before and SHA-256 after of each that was rewritten.
        files: of tables, that were removed at once.
        entry: of the audit log, that says so.
    """

    rows: dict[str, int]
    segments: int
    archives: tuple[tuple[str, str, str], ...]
    files: int
    entry: int


def erase_device(
    data: Data, device: str, *, who: str, at_once: bool = False, tell: Callable[[str], object] = lambda _: None
) -> Erased:
    """Erase a device: its credential, all that it ever sent, and what is known of it. Its name may be used again.

    Args:
        data: of the fleet.
        device: its name.
        who: asks for it, for the audit log.
        at_once: remove files of tables that older versions still have, too; whoever reads those fails.
        tell: is told of each step.

    Raises:
        StorageError: the storage failed; the same call goes on where it was.
        TableError: a table failed; likewise.
        CollectorError: an object is damaged.
        WireError: the name is none of a device's.
    """
    Credentials(data.objects).revoke_device(device)
    _commit_all(data, tell)
    gone = Gone(device=device)
    archives = _rewrite_archives(data, gone, lambda _, batch: _has(batch, device), tell)
    segments = 0
    lane = keys.lane_of(device, data.lanes)
    own = (f"segments/{device}/", keys.quarantine_prefix(device))
    for prefix in (*own, f"{keys.inbox_prefix(lane)}", keys.check_in_prefix(lane)):
        for key in [*data.objects.list(prefix)]:
            if prefix in own or key.rpartition("/")[2].partition("~")[0] == device:
                data.objects.delete(key)
                segments += prefix.startswith("segments/")
    data.objects.delete(f"devices/{device}.json")
    return _finish(data, gone, archives, segments, who, device, at_once, tell)


def erase_unit(
    data: Data, unit: int, *, who: str, at_once: bool = False, tell: Callable[[str], object] = lambda _: None
) -> Erased:
    """Erase a unit: its calls, their shadows, errors and captures, and the labels and outcomes of either.

    Profiles stay: they are sums over many units.

    Args:
        data: of the fleet.
        unit: its key's hash as the tables have it, signed; or as the log has it, unsigned.
        who: asks for it, for the audit log.
        at_once: remove files of tables that older versions still have, too; whoever reads those fails.
        tell: is told of each step.

    Raises:
        StorageError: the storage failed; the same call goes on where it was.
        TableError: a table failed; likewise.
        CollectorError: an object is damaged.
    """
    unit = unit - 2**64 if unit >= 2**63 else unit
    _commit_all(data, tell)
    ids, _ = _found(data, Gone(unit=unit))
    gone = Gone(unit=unit, ids=ids)
    _, places = _found(data, gone)
    wanted = {(keys.lane_of(device, data.lanes), at_us) for device, at_us in places}
    archives = _rewrite_archives(data, gone, lambda lane, batch: (lane, batch.at_us) in wanted, tell)
    subject = f"unit:{hashlib.sha256(str(unit).encode()).hexdigest()}"
    return _finish(data, gone, archives, 0, who, subject, at_once, tell)


def _commit_all(data: Data, tell: Callable[[str], object]) -> None:
    tell("committing what was landed")
    for lane in range(data.lanes):
        committer = Committer(data.objects, data.tables, lane)
        while committer.step() is not None:
            pass


def _found(data: Data, gone: Gone) -> tuple[frozenset[str], set[tuple[str, int]]]:
    """Ids and batches of the rows that are to go; ids of labels that name a unit are of its calls, too."""
    ids, places = set(gone.ids), set[tuple[str, int]]()
    for name in SCHEMAS:
        for _, file in data.tables.files(name):
            found = found_in(file, gone)
            ids |= found.ids
            places |= found.batches
    return frozenset(ids), places


def _has(batch: Batch, device: str) -> bool:
    return any(member.device == device for member in (*batch.members, *batch.check_ins))


def _rewrite_archives(
    data: Data, gone: Gone, has: Callable[[int, Batch], bool], tell: Callable[[str], object]
) -> list[tuple[str, str, str]]:
    rewritten = []
    lanes = range(data.lanes) if gone.device is None else [keys.lane_of(gone.device, data.lanes)]
    for lane in lanes:
        for key in data.objects.list(keys.batch_prefix(lane)):
            raw, place = data.objects.get(key), keys.archive_key(lane, keys.number_of(key))
            batch = parse_batch(raw or b"")
            archive = data.objects.get(place) if has(lane, batch) else None
            if archive is None:
                continue
            left = without(batch.at_us, archive, gone)
            if left != archive:
                data.objects.replace(place, left)
                rewritten.append((place, hashlib.sha256(archive).hexdigest(), hashlib.sha256(left).hexdigest()))
                tell(f"rewrote {place}")
            if gone.device is not None:
                data.objects.replace(key, batch_bytes(_without(batch, gone.device)))
    return rewritten


def _without(batch: Batch, device: str) -> Batch:
    members = tuple(member for member in batch.members if member.device != device)
    check_ins = tuple(member for member in batch.check_ins if member.device != device)
    aside = tuple(one for one in batch.aside if one.device != device)
    return batch._replace(members=members, check_ins=check_ins, aside=aside)


def _finish(
    data: Data,
    gone: Gone,
    archives: list[tuple[str, str, str]],
    segments: int,
    who: str,
    subject: str,
    at_once: bool,
    tell: Callable[[str], object],
) -> Erased:
    rows, files = dict[str, int](), 0
    for name in reversed(SCHEMAS):  # the events last: which rows of other tables go is found by them
        tell(f"rewriting the table {name}")
        rows[name] = data.tables.erase(name, gone)
        files += data.tables.clear(name) if at_once else 0
    details: dict[str, Any] = {
        "rows": rows,
        "segments": segments,
        "archives": [list(entry) for entry in archives],
        "at_once": at_once,
    }
    os.sync()  # what was removed from a local disk stays so when the power fails
    entry = Audit(data.objects).append(who, "erase", subject, details)
    return Erased(rows, segments, tuple(archives), files, entry)
