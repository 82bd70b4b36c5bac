"""What the process that commits tells the one that serves: a line of JSON for each thing that happened. Pure."""

from __future__ import annotations

import json
from typing import NamedTuple

from edgerun_sync.collector.batches import Aside
from edgerun_sync.collector.committing import Committed
from edgerun_sync.errors import CollectorError


class Compacted(NamedTuple):
    """What a round of compaction did, by table: files that were put together, and old ones that were removed."""

    compacted: dict[str, int]
    removed: dict[str, int]


class Waiting(NamedTuple):
    """Entries of a lane's inbox that no batch has yet."""

    lane: int
    segments: int


class Ready(NamedTuple):
    """The tables are open, and batches are committed from now on."""


class Unable(NamedTuple):
    """The tables cannot be opened; the process ends."""

    reason: str


Report = Committed | Compacted | Waiting | Ready | Unable
_KINDS: dict[str, type[Report]] = {kind.__name__: kind for kind in (Committed, Compacted, Waiting, Ready, Unable)}


def report_line(report: Report) -> bytes:
    """Return a report as a line."""
    return json.dumps([type(report).__name__, *report], separators=(",", ":")).encode() + b"\n"


def parse_report(line: bytes) -> Report:
    """Return the report that a line is.

    Raises:
        CollectorError: it is none.
    """
    try:
        name, *fields = json.loads(line)
        report = _KINDS[name](*fields)
        return _with_aside(report) if isinstance(report, Committed) else report
    except (ValueError, KeyError, TypeError) as error:
        raise CollectorError(f"the process that commits said what is no report: {line[:100]!r}") from error


def _with_aside(committed: Committed) -> Committed:
    return committed._replace(aside=tuple(Aside(*one) for one in committed.aside))
