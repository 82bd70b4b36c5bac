"""A segment's frames to the fewest that hold the same rows: what sealing and recovery do to an open file.

Never more than a few frames are in memory. The open file stays until whoever asked removes it.
"""

from __future__ import annotations

import heapq
import os
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from edgerun.disk import write_all
from edgerun.log.blocks import merge, of_contents, take
from edgerun.log.frame import (
    FRAME_ROWS_MAX,
    HEADER_BYTES,
    JOURNAL,
    MEASUREMENTS,
    PAYLOAD_BYTES_MAX,
    FrameHead,
    SegmentHead,
    frame_bytes,
    payload_pieces,
    source_map,
    stored,
)
from edgerun.log.payload import compress_densely
from edgerun.log.rows import Kind
from edgerun.log.segment import Damage, identify, scan

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from edgerun.disk import Disk
    from edgerun.log.blocks import Block
    from edgerun.log.rows import Source
    from edgerun.log.segment import Frame, Header

MERGED_BYTES_MAX = 2**20
"""Stored bytes of frames that become one; with their rows, what is in memory at once."""
DRIFT_US = 100_000
"""Frames between which the wall clock moved by more, seen from the other clock, are not merged: a time would change."""


class Contents(NamedTuple):
    """What was found in a segment.

    Attributes:
        rows: how many.
        end_row: one past the last.
        bytes_dropped: bytes that were no valid frame.
        gaps: (first, how many) of rows that are missing between or before others.
    """

    rows: int
    end_row: int
    bytes_dropped: int
    gaps: tuple[tuple[int, int], ...]


class _Part(NamedTuple):
    """Rows that follow each other, of one frame; the places in its blocks count from the row ``origin``."""

    first_row: int
    origin: int
    rows: int
    clocks: tuple[int, int]
    sources: dict[int, Source]
    blocks: list[Block]
    size: int


class _Total(NamedTuple):
    """What parts take together: rows, bytes, and the least and greatest difference of their clocks."""

    rows: int
    size: int
    least_us: int
    most_us: int

    @staticmethod
    def of(part: _Part) -> _Total:
        monotonic_us, wall_us = part.clocks
        return _Total(part.rows, part.size, wall_us - monotonic_us, wall_us - monotonic_us)

    def plus(self, more: _Total) -> _Total:
        least_us, most_us = min(self.least_us, more.least_us), max(self.most_us, more.most_us)
        return _Total(self.rows + more.rows, self.size + more.size, least_us, most_us)

    def is_a_frame(self) -> bool:
        return (
            self.rows <= FRAME_ROWS_MAX and self.size <= MERGED_BYTES_MAX and self.most_us - self.least_us <= DRIFT_US
        )


class _Count:
    """What a reading has come across so far."""

    def __init__(self, first_row: int) -> None:
        self.bytes_dropped = 0
        self._rows = 0
        self._next_row = first_row
        self._gaps: list[tuple[int, int]] = []

    def take(self, frame: Frame, end_row: int) -> tuple[int, int]:
        """Count the rows of a frame that no frame before it had, and return them: from first up to end."""
        first, end = max(frame.first_row, self._next_row), min(frame.first_row + frame.rows, end_row)
        if first < end:
            if first > self._next_row:
                self._gaps.append((self._next_row, first - self._next_row))
            self._rows += end - first
            self._next_row = end
        return first, end

    def contents(self) -> Contents:
        return Contents(self._rows, self._next_row, self.bytes_dropped, tuple(self._gaps))


def rewrite(disk: Disk, folder: str, name: str, copies: Sequence[bytes], end_row: int) -> Contents:
    """Write the rows of a segment that are below a row into its sealed file, durably; no rows, no file.

    Args:
        disk: where.
        folder: of the log.
        name: of the segment, without the ending.
        copies: the bytes of its open file, or of each of its files.
        end_row: the first row that belongs to another segment.

    Raises:
        OSError: the disk failed. There is no sealed file, or a whole one that might not survive a power cut.
    """
    header, damage = identify(copies[0], f"{name}.open")
    count = _Count(header.first_row if header else 0)
    count.bytes_dropped = damage.length if damage else 0
    if header is None:
        return count.contents()
    frames = heapq.merge(*(_frames_of(copy, header, count) for copy in copies), key=lambda frame: frame.first_row)
    parts = _parts(frames, end_row, count)
    first = next(parts, None)
    if first is not None:
        _write(disk, folder, name, _head(header, first), _groups(first, parts))
    return count.contents()


def covers(sealed: bytes, data: bytes, name: str, end_row: int) -> Contents | None:
    """Return what an open file's bytes hold below a row, if a sealed file's bytes hold all of its rows; else None."""
    whole, rows = _rows_of(sealed, f"{name}.log", end_row), _rows_of(data, f"{name}.open", end_row)
    if rows.rows == 0 or (whole.end_row >= rows.end_row and set(whole.gaps) <= set(rows.gaps)):
        return rows
    return None


def _rows_of(data: bytes, name: str, end_row: int) -> Contents:
    """What a segment's bytes hold below a row; no row is decoded."""
    header, damage = identify(data, name)
    count = _Count(header.first_row if header else 0)
    count.bytes_dropped = damage.length if damage else 0
    for frame in _frames_of(data, header, count, kinds=()) if header else ():
        count.take(frame, end_row)
    return count.contents()


def _write(disk: Disk, folder: str, name: str, head: SegmentHead, groups: Iterable[list[_Part]]) -> None:
    path = os.path.join(folder, name)
    file = _create(disk, f"{path}.tmp")
    try:
        size, named = HEADER_BYTES, set[int]()
        write_all(disk, file, 0, head.bytes())
        for group in groups:
            for frame in _frames(head, size, named, group):
                write_all(disk, file, size, frame)
                size += len(frame)
        disk.sync(file)
        disk.replace(f"{path}.tmp", f"{path}.log")
    except BaseException:
        with suppress(OSError):  # without a living writer it is nothing
            disk.remove(f"{path}.tmp")
        raise
    finally:
        disk.close(file)
    disk.sync_folder(folder)


def _frames_of(data: bytes, header: Header, count: _Count, kinds: tuple[int, ...] | None = None) -> Iterator[Frame]:
    for found in scan(data, header, kinds=kinds):
        if isinstance(found, Damage):
            count.bytes_dropped += found.length
        else:
            yield found


def _parts(frames: Iterable[Frame], end_row: int, count: _Count) -> Iterator[_Part]:
    for frame in frames:
        first, end = count.take(frame, end_row)
        if first >= end:
            continue
        blocks = [of_contents(block) for block in frame.blocks]
        if end - first < frame.rows:
            cut = [take(block, first - frame.first_row, end - frame.first_row) for block in blocks]
            blocks = [block for block in cut if len(block.place)]
        clocks = frame.monotonic_us, frame.wall_us
        yield _Part(first, frame.first_row, end - first, clocks, frame.sources, blocks, frame.end - frame.offset)


def _groups(first: _Part, parts: Iterator[_Part]) -> Iterator[list[_Part]]:
    """Parts that can be one frame: rows follow each other, and so do the clocks."""
    group, total = [first], _Total.of(first)
    for part in parts:
        together = total.plus(_Total.of(part))
        follows = group[-1].first_row + group[-1].rows == part.first_row
        if follows and together.is_a_frame():
            group.append(part)
            total = together
        else:
            yield group
            group, total = [part], _Total.of(part)
    yield group


def _frames(head: SegmentHead, offset: int, named: set[int], group: list[_Part]) -> Iterator[bytes]:
    """The frame of a group, or two where it would be too large."""
    first_row, rows = group[0].first_row, sum(part.rows for part in group)
    sources = {number: source for part in group for number, source in part.sources.items() if number not in named}
    blocks = merge(
        block._replace(place=block.place + (part.origin - first_row)) for part in group for block in part.blocks
    )
    documents = {number: source_map(source) for number, source in sources.items()}
    pieces = payload_pieces(FrameHead(first_row, rows, *group[-1].clocks, documents), blocks)
    if sum(map(len, pieces)) > PAYLOAD_BYTES_MAX and len(group) > 1:
        half = len(group) // 2
        for part in (group[:half], group[half:]):
            for frame in _frames(head, offset, named, part):
                yield frame
                offset += len(frame)
        return
    named.update(sources)
    yield frame_bytes(head, offset, *stored(pieces, compress_densely))


def _head(header: Header, first: _Part) -> SegmentHead:
    """The header of the sealed segment; where the open one's was lost, what the rows say of it."""
    if header.class_ is not None:
        return SegmentHead(header.class_, header.epoch, header.first_row, header.boot, header.ids, header.begun_us)
    is_journal = any(block.kind >= Kind.LABEL for block in first.blocks)
    ids = 0 if is_journal else header.epoch
    stream_class = JOURNAL if is_journal else MEASUREMENTS
    return SegmentHead(stream_class, header.epoch, header.first_row, header.boot, ids, first.clocks[1])


def _create(disk: Disk, path: str) -> int:
    try:
        return disk.create(path)
    except FileExistsError:  # a dead writer's: whoever seals holds the lock of the open file
        disk.remove(path)
        return disk.create(path)
