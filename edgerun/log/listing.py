"""Looking a log through without keeping its rows: what each segment holds, and whether everything can be read."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from edgerun.log.reading import Log, Reader
from edgerun.log.rows import Kind

if TYPE_CHECKING:
    import os

    from edgerun.log.chunks import Chunk
    from edgerun.log.files import LogFile
    from edgerun.log.repair import Timeline

_CLASSES = ("measurements", "journal")


class Segment(NamedTuple):
    """What is known of one segment.

    Attributes:
        file: its name.
        content: "measurements" or "journal"; None where the header is lost.
        epoch: of its stream; None where nothing can be read.
        rows: how many can be read.
        size: bytes of the file.
        first: the earliest time of a row, datetime64[us], UTC; NaT where there is none.
        last: the latest.
        is_open: whether it is not sealed.
        bytes_dropped: bytes that no row can be read from.
    """

    file: str
    content: str | None
    epoch: int | None
    rows: int
    size: int
    first: np.datetime64
    last: np.datetime64
    is_open: bool
    bytes_dropped: int


def list_segments(path: str | os.PathLike[str]) -> list[Segment]:
    """Return what is known of each segment of a log, in the order of streams and rows.

    Raises:
        LogError: the path is no log, or cannot be read.
    """
    return _Lister(path).segments()


def verify(path: str | os.PathLike[str]) -> Log:
    """Decode every row of a log, and keep only those that tell of losses.

    Raises:
        LogError: the path is no log, or cannot be read.
    """
    return _Verifier(path).poll()


class _Lister(Reader):
    """Decodes only times."""

    _decodes = False

    def segments(self) -> list[Segment]:
        self.poll()
        return [self._segment(file) for file in self.files()]

    def _segment(self, file: LogFile) -> Segment:
        first = last = np.datetime64("NaT", "us")
        if file.origin is not None and file.times is not None:
            reading = self._timelines()[file.origin.boot]
            first, last = reading.wall_us(np.array(file.times, np.int64)).view("datetime64[us]")
        class_ = file.header.class_ if file.header else None
        return Segment(
            file.name,
            None if class_ is None else _CLASSES[class_],
            file.header.epoch if file.header else None,
            file.rows,
            file.size,
            first,
            last,
            file.is_open,
            sum(found.length for found in file.damage()),
        )


class _Verifier(Reader):
    """Decodes all rows."""

    def _keep(self, kind: Kind, chunk: Chunk, timelines: list[Timeline] | None) -> None:
        if kind == Kind.LOSS:
            super()._keep(kind, chunk, timelines)
