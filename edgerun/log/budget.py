"""Which sealed segments go when a log's files take more than they may: measurements before the journal, old before new.

Deciding does no IO; the writer says what is lost, and then removes it.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from edgerun.errors import LogError
from edgerun.log.frame import HEADER_BYTES
from edgerun.log.segment import Damage, identify, parse_header, parse_name, scan

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from edgerun.disk import Disk


class Segment(NamedTuple):
    """A sealed segment: how it is ranked, and its size.

    Attributes:
        stream_class: 0 measurements, which go first; 1 journal.
        begun_us: when it was begun, by the clock.
        name: of the file.
        size: in bytes.
    """

    stream_class: int
    begun_us: int
    name: str
    size: int


def sealed_segments(disk: Disk, folder: str, sizes: Mapping[str, int]) -> list[Segment]:
    """Return the sealed segments among the files of a folder; one whose header is damaged counts as measurements.

    Raises:
        OSError: one cannot be read.
    """
    found = []
    for name, size in sizes.items():
        parsed = parse_name(name)
        if parsed is None or parsed.suffix != "log":
            continue
        rank = (0, 0)
        with suppress(LogError, FileNotFoundError):  # of the latter another process disposed
            header = parse_header(disk.read(f"{folder}/{name}", HEADER_BYTES))
            rank = (header.class_ or 0, header.begun_us)
        found.append(Segment(*rank, name, size))
    return found


def excess(segments: Iterable[Segment], over_bytes: int) -> list[Segment]:
    """Return the segments to be removed so that at least so many bytes go, if there are as many."""
    chosen = []
    for segment in sorted(segments):
        if over_bytes <= 0:
            break
        chosen.append(segment)
        over_bytes -= segment.size
    return chosen


def rows_by_kind(data: bytes, name: str) -> dict[int, int]:
    """Return how many rows of each kind a segment's bytes hold."""
    header, _ = identify(data, name)
    counts: dict[int, int] = {}
    for frame in scan(data, header) if header else ():
        if not isinstance(frame, Damage):
            for block in frame.blocks:
                counts[int(block.kind)] = counts.get(int(block.kind), 0) + block.n
    return counts
