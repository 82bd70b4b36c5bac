"""One stream as it is written: frames into an open segment, and back where they were when the disk fails."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from edgerun.disk import write_all
from edgerun.log.frame import (
    HEADER_BYTES,
    FrameHead,
    SegmentHead,
    frame_bytes,
    payload_pieces,
    source_map,
    stored,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgerun.disk import Disk
    from edgerun.log.clocks import Clocks
    from edgerun.log.plan import Planned
    from edgerun.log.rows import Source

DENSE_ROWS = 2048
"""Frames of so many rows, on average, are not worth being rewritten where there are many rows."""
MANY_ROWS = 65536
"""Up to so many, a segment is rewritten all the same: in a tenth of a second, its frames become one or few."""


class Position(NamedTuple):
    """How far a stream has come.

    Attributes:
        next_row: number of the row to be written next.
        size: bytes of the open segment; 0 where there is none.
        named: the sources that it has named.
        frames: how many it has.
    """

    next_row: int
    size: int = 0
    named: frozenset[int] = frozenset()
    frames: int = 0


class Retired(NamedTuple):
    """An open segment that is written no more: what it holds up to a size and a row is to be sealed.

    Attributes:
        name: of the segment.
        file: open, and locked.
        size: bytes that are trusted.
        end_row: the first row that belongs to the next segment.
    """

    name: str
    file: int
    size: int
    end_row: int


class Stream:
    """Appends frames to the stream's open segment, which it begins when there is a first row."""

    def __init__(self, disk: Disk, folder: str, clocks: Clocks, stream_class: int, epoch: int, ids: int) -> None:
        self.at = Position(0)
        self.begun_us = 0
        self.head: SegmentHead | None = None
        self._disk = disk
        self._folder = folder
        self._clocks = clocks
        self._identity = stream_class, epoch, ids
        self._file = -1
        self._is_torn = self._is_doubtful = self._is_synced = self._is_named = False

    def has_vanished(self) -> bool:
        """Whether somebody removed the open segment, or its folder."""
        return self.head is not None and not self._disk.is_linked(self._file, self._path())

    def append(self, planned: Planned, sources: Mapping[int, Source]) -> None:
        """Write one frame; not synced.

        Raises:
            OSError: it failed; `roll_back` is to be called before anything else.
        """
        head = self.head or self._begin()
        named = {
            number: source_map(sources[number]) for number in planned.sources() - self.at.named if number in sources
        }
        clocks = self._clocks.monotonic_us(), self._clocks.wall_us()
        frame = FrameHead(self.at.next_row, planned.rows, *clocks, named)
        data = frame_bytes(head, self.at.size, *stored(payload_pieces(frame, planned.blocks)))
        self._is_synced, self._is_torn = False, True
        write_all(self._disk, self._file, self.at.size, data)
        self._is_torn = False
        self.at = Position(
            self.at.next_row + planned.rows,
            self.at.size + len(data),
            self.at.named.union(named),
            self.at.frames + 1,
        )

    def sync(self) -> None:
        """Return when all frames would survive a power cut.

        Raises:
            OSError: it failed, and what the file holds is unknown; `roll_back` is to be called.
        """
        if self.head is None or self._is_synced:
            return
        self._is_doubtful = True
        self._disk.sync(self._file)
        if not self._is_named:
            self._disk.sync_folder(self._folder)
            self._is_named = True
        self._is_doubtful, self._is_synced = False, True

    def roll_back(self, to: Position) -> Retired | None:
        """Undo what was appended since a position; returns the segment where that cannot be done in its file."""
        if self.head is None or (self.at == to and not self._is_torn and not self._is_doubtful):
            return None
        if to.size == 0:
            path = self._path()
            self._disk.close(self._let_go(to.next_row))
            with suppress(OSError):  # else it is removed when the name is needed
                self._disk.remove(path)
            return None
        if not self._is_doubtful:
            try:
                self._disk.truncate(self._file, to.size)
            except OSError:
                return self.retire(to)
            self.at, self._is_synced, self._is_torn = to, False, False
            return None
        return self.retire(to)

    def retire(self, to: Position) -> Retired | None:
        """Write no more to the open segment; None where there is none."""
        if self.head is None:
            return None
        name = self.head.name()
        return Retired(name, self._let_go(to.next_row), to.size, to.next_row)

    def seal_as_it_is(self) -> bool:
        """Rename the open segment to a sealed one if its frames are large; returns whether it is sealed.

        Raises:
            OSError: the disk failed.
        """
        if self.head is None:
            return True
        if self.at.next_row - self.head.first_row < max(DENSE_ROWS * self.at.frames, MANY_ROWS):
            return False
        self.sync()
        path = self._path()
        self._disk.replace(path, f"{path.removesuffix('.open')}.log")
        self._disk.close(self._let_go(self.at.next_row))
        self._disk.sync_folder(self._folder)
        return True

    def _begin(self) -> SegmentHead:
        stream_class, epoch, ids = self._identity
        head = SegmentHead(stream_class, epoch, self.at.next_row, self._clocks.boot, ids, self._clocks.wall_us())
        path = os.path.join(self._folder, f"{head.name()}.open")
        try:
            self._file = self._disk.create(path)
        except FileNotFoundError:
            self._disk.make_folder(self._folder)
            self._file = self._disk.create(path)
        except FileExistsError:  # ours: one whose first frame failed
            self._disk.remove(path)
            self._file = self._disk.create(path)
        self.head, self.begun_us = head, self._clocks.monotonic_us()
        self._is_named, self._is_torn = False, True
        write_all(self._disk, self._file, 0, head.bytes())
        self.at = Position(head.first_row, HEADER_BYTES)
        return head

    def _let_go(self, next_row: int) -> int:
        file, self._file, self.head = self._file, -1, None
        self.at = Position(next_row)
        self._is_torn = self._is_doubtful = False
        return file

    def _path(self) -> str:
        assert self.head is not None
        return os.path.join(self._folder, f"{self.head.name()}.open")
