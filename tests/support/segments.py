"""Segments made on the spot, and what is found in them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgerun.log.segment import Damage, Frame, parse_header, scan
from vectors.log import log_reference as reference

if TYPE_CHECKING:
    from pathlib import Path

    from vectors.log.log_reference import Segment

NOON = 1_700_000_000_000_000
"""A moment of 2023, in microseconds since 1970."""


def labels(count, first=0):
    """A block of labels, whose values are numbers from the first."""
    values = [{"id": "a-1", "value": first + i} for i in range(count)]
    return reference.notes(reference.LABEL, list(range(count)), values)


def labels_of(segment, count, *, wall=NOON, step=1000, **arguments):
    """Append a frame of labels, whose values are the numbers of their rows."""
    rows = range(segment.row, segment.row + count)
    times = [row * step for row in rows]
    clocks = (times[-1] + 1, wall + times[-1] + 1)
    values = [{"id": "a-1", "value": row} for row in rows]
    return segment.frame([reference.notes(reference.LABEL, times, values)], clocks=clocks, **arguments)


def write_log(folder: Path, *segments: Segment, suffix: str = "log") -> Path:
    """Write segments into a log's folder, and return it."""
    for segment in segments:
        (folder / f"{segment.name}.{suffix}").write_bytes(segment.data)
    return folder


def scanned(data, **arguments):
    """All frames of a segment, and the damage between them."""
    return [*scan(bytes(data), parse_header(bytes(data)), **arguments)]


def rows_of(found):
    """The values of the labels in what was scanned."""
    return [value["value"] for frame in found if isinstance(frame, Frame) for value in frame.blocks[0].values]


def damage_of(found):
    """The damage in what was scanned."""
    return [item for item in found if isinstance(item, Damage)]


def check_cover(data, found):
    """Frames and damage cover the file without a gap, in order."""
    position = 64
    for item in found:
        assert item.offset == position
        position = item.end if isinstance(item, Frame) else item.offset + item.length
    assert position == max(64, len(data))
