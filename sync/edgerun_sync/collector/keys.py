"""The keys of PROTOCOL.md section 4, and what stands where a committed segment stood. Pure: nothing is read here."""

from __future__ import annotations

import json
import re
import zlib
from typing import TYPE_CHECKING, NamedTuple

from edgerun_sync.errors import CollectorError
from edgerun_sync.names import is_device, is_segment

if TYPE_CHECKING:
    from collections.abc import Callable

CONFIG = "config.json"
TABLES = "tables"
_CHECK_IN = re.compile(r"[0-9a-f]{16}-[0-9a-f]{16}-[0-9a-f]{16}", re.ASCII)
_BETWEEN = "~"
"""Between device and segment in an inbox, for one folder lists faster than thousands; no name has it."""
_AGAIN = f"{_BETWEEN}again"
_DONE = b"ERDONE1\n"


class Landed(NamedTuple):
    """A segment by its names: the device's, and its own."""

    device: str
    segment: str

    @property
    def key(self) -> str:
        """Where its bytes are, or its tombstone."""
        return f"segments/{self.device}/{self.segment}"


class Again(Landed):
    """A segment that was set aside, and is to be tried again; its bytes are in quarantine."""

    __slots__ = ()

    @property
    def key(self) -> str:
        """Where its bytes are, or, once it was committed, its tombstone."""
        return quarantine_key(self)


class Tombstone(NamedTuple):
    """What is left of a committed segment: SHA-256 and size of its bytes, and the number of the batch that has it."""

    digest: str
    size: int
    batch: int


def is_check_in(name: str) -> bool:
    """Whether a text can be the name of a check-in: INSTANCE-COUNT-DIGEST."""
    return _CHECK_IN.fullmatch(name) is not None


def lane_of(device: str, lanes: int) -> int:
    """Return the lane of a device's segments."""
    return zlib.crc32(device.encode()) % lanes


def inbox_prefix(lane: int) -> str:
    """Return what the keys of a lane's inbox begin with."""
    return f"inbox/{lane}/"


def inbox_key(lane: int, landed: Landed) -> str:
    """Return the key that says that a segment may have to be committed."""
    return f"{inbox_prefix(lane)}{landed.device}{_BETWEEN}{landed.segment}{_AGAIN * isinstance(landed, Again)}"


def from_inbox(key: str) -> Landed:
    """Return the segment that a key of an inbox speaks of.

    Raises:
        CollectorError: it is no such key.
    """
    found = _parsed(key.removesuffix(_AGAIN), is_segment, "entry of an inbox")
    return Again(*found) if key.endswith(_AGAIN) else found


def quarantine_prefix(device: str | None = None) -> str:
    """Return what the keys of everything that was set aside begin with, or of what a device sent of that."""
    return "quarantine/" if device is None else f"quarantine/{device}/"


def quarantine_key(landed: Landed) -> str:
    """Return the key of a segment or check-in that was set aside."""
    return f"{quarantine_prefix(landed.device)}{landed.segment}"


def reason_key(landed: Landed) -> str:
    """Return the key of what says why it was."""
    return f"{quarantine_key(landed)}.json"


def check_in_prefix(lane: int) -> str:
    """Return what the keys of a lane's check-ins begin with."""
    return f"checkins/{lane}/"


def check_in_key(lane: int, device: str, name: str) -> str:
    """Return the key of a check-in that waits to be committed."""
    return f"{check_in_prefix(lane)}{device}{_BETWEEN}{name}"


def from_check_in(key: str) -> Landed:
    """Return the device and the name that a key of a check-in speaks of.

    Raises:
        CollectorError: it is no such key.
    """
    return _parsed(key, is_check_in, "check-in")


def _parsed(key: str, is_name: Callable[[str], bool], what: str) -> Landed:
    device, between, name = key.rpartition("/")[2].partition(_BETWEEN)
    if not between or not is_device(device) or not is_name(name):
        raise CollectorError(f"{key} is no {what}; who put it there? Remove it")
    return Landed(device, name)


def batch_prefix(lane: int) -> str:
    """Return what the keys of a lane's batches begin with."""
    return f"batches/{lane}/"


def batch_key(lane: int, number: int) -> str:
    """Return the key of what says which segments a batch has. Numbers sort as texts."""
    return f"{batch_prefix(lane)}{number:012}.json"


def archive_key(lane: int, number: int) -> str:
    """Return the key of a batch's raw segments."""
    return f"archive/{lane}/{number:012}"


def number_of(key: str) -> int:
    """Return the number of the batch that a key of a batch or an archive is of."""
    return int(key.rpartition("/")[2].partition(".")[0])


def tombstone_bytes(tombstone: Tombstone) -> bytes:
    """Return a tombstone as it is stored."""
    return _DONE + json.dumps(tombstone._asdict(), sort_keys=True, separators=(",", ":")).encode()


def parse_tombstone(data: bytes) -> Tombstone | None:
    """Return the tombstone that an object is; None where it is a segment.

    Raises:
        CollectorError: it begins as one, and is none.
    """
    if not data.startswith(_DONE):
        return None
    try:
        document = json.loads(data[len(_DONE) :])
        return Tombstone(str(document["digest"]), int(document["size"]), int(document["batch"]))
    except (ValueError, KeyError, TypeError) as error:
        raise CollectorError(f"a tombstone is damaged: {data[:100]!r}") from error
