"""What the last sync did, in a file beside the store, for whoever asks how the device is."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, NamedTuple

from edgerun_sync.agent.files import replace_file

if TYPE_CHECKING:
    from edgerun_sync.agent.agent import Synced

FILE = "sync.json"


class Status(NamedTuple):
    """What the last sync did."""

    time_s: float
    """When it ended, seconds since 1970 by the clock."""

    synced_s: float | None
    """When one ended without a problem last."""

    segments: int
    """That went up."""

    bytes: int
    """Of them."""

    refused: tuple[str, ...]
    """Segments that the service will never take."""

    bundle: str | None
    """What came down, in a few words."""

    flags: tuple[str, ...]
    """What the service finds odd about the device."""

    clock_offset_s: float | None
    """How far the device's clock is behind the service's."""

    problems: tuple[str, ...]
    """What went wrong."""

    @staticmethod
    def of(synced: Synced, time_s: float) -> Status:
        """Return the status after a sync."""
        sent = synced.uplink
        return Status(
            time_s=time_s,
            synced_s=None if synced.problems else time_s,
            segments=sent.segments,
            bytes=sent.bytes,
            refused=sent.refused,
            bundle=synced.bundle,
            flags=synced.flags,
            clock_offset_s=synced.clock_offset_s,
            problems=synced.problems,
        )


def write_status(store: str, status: Status) -> None:
    """Replace the status of a store.

    Raises:
        AgentError: it cannot be written.
    """
    if status.synced_s is None:
        former = read_status(store)
        status = status._replace(synced_s=former.synced_s if former else None)
    replace_file(os.path.join(store, FILE), json.dumps(status._asdict()).encode())


def read_status(store: str) -> Status | None:
    """Return what the last sync did; None where there was none, or its file is damaged."""
    try:
        with open(os.path.join(store, FILE), "rb") as file:
            fields = json.loads(file.read())
        tuples = {name: (*fields[name],) for name in ("refused", "flags", "problems")}
        return Status(**{**fields, **tuples})
    except (OSError, ValueError, TypeError, KeyError):
        return None
