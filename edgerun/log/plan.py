"""Rows to the frames they will stand in: which stream, and how many to a frame. Nothing here touches a disk."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from edgerun.errors import LogError
from edgerun.log.batches import of_batch, of_notes, readable
from edgerun.log.blocks import SOURCE, Block
from edgerun.log.frame import FRAME_ROWS_MAX, JOURNAL, MEASUREMENTS, PAYLOAD_BYTES_MAX
from edgerun.log.payload import pack
from edgerun.log.rows import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from edgerun.log.rows import Batch, Note

FRAME_BYTES_MAX = 2**20
"""Bytes of rows, as they come, that go into one frame: what is in memory at once."""
NOTE_BYTES_MAX = PAYLOAD_BYTES_MAX // 2
"""Bytes of one value in msgpack; a larger one is lost, and said to be."""
_ROW_BYTES = 40
"""What a row takes beside its numbers and texts, about."""


class Planned(NamedTuple):
    """A frame to be written: its number of rows, and they."""

    rows: int
    blocks: list[Block]

    def sources(self) -> set[int]:
        """The numbers of the sources that its rows quote."""
        return {
            number
            for block in self.blocks
            if SOURCE in block.columns
            for number in np.unique(block.columns[SOURCE]).tolist()
        }


def frames_of(batch: Batch | None, notes: Sequence[Note]) -> dict[int, list[Planned]]:
    """Return the frames of each class of stream that has rows: those of the batch, then the notes, in their order."""
    packed = [_packed(note) for note in notes]
    planned = {}
    for stream_class in (MEASUREMENTS, JOURNAL):
        rows = np.zeros(0, np.int64)
        if batch is not None:
            rows = np.flatnonzero((batch.kind >= Kind.LABEL) == (stream_class == JOURNAL))
        told = [note for note in packed if (note[0] >= Kind.LABEL) == (stream_class == JOURNAL)]
        frames = [*_frames(batch, rows, told)]
        if frames:
            planned[stream_class] = frames
    return planned


def _frames(batch: Batch | None, rows: NDArray[np.int64], notes: list[tuple[int, int, bytes]]) -> Iterator[Planned]:
    sizes = [len(value) + _ROW_BYTES for _, _, value in notes]
    if batch is not None and len(rows):
        weights = _weights(batch, rows)
        if len(rows) + len(notes) <= FRAME_ROWS_MAX and int(weights.sum()) + sum(sizes) <= FRAME_BYTES_MAX:
            yield Planned(len(rows) + len(notes), [*of_batch(batch, rows), *of_notes(notes, len(rows))])
            return
        for chosen in _parts(weights):
            yield Planned(chosen.stop - chosen.start, of_batch(batch, rows[chosen]))
    for chosen in _parts(np.array(sizes, np.int64)):
        yield Planned(chosen.stop - chosen.start, of_notes(notes[chosen], 0))


def _weights(batch: Batch, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    numbers = batch.numbers_at[rows + 1].astype(np.int64) - batch.numbers_at[rows]
    return batch.data_at[rows + 1].astype(np.int64) - batch.data_at[rows] + 8 * numbers + _ROW_BYTES


def _parts(weights: NDArray[np.int64]) -> Iterator[slice]:
    """Cut rows into parts of at most so many rows and bytes, but at least one row."""
    ends = np.cumsum(weights)
    first = 0
    while first < len(weights):
        before = int(ends[first - 1]) if first else 0
        fit = int(np.searchsorted(ends, before + FRAME_BYTES_MAX, side="right"))
        end = max(first + 1, min(fit, first + FRAME_ROWS_MAX))
        yield slice(first, end)
        first = end


def _packed(note: Note) -> tuple[int, int, bytes]:
    """A note in msgpack; one that has no such form, or is too large, becomes its loss: it must not block others."""
    try:
        value = pack(note.value)
        why = f"a value of {len(value)} bytes" if len(value) > NOTE_BYTES_MAX else ""
    except LogError as error:
        value, why = b"", str(error)
    if why:
        return Kind.LOSS, note.time_us, pack({"reason": "value", "events": {int(note.kind): 1}, "why": why[:200]})
    return note.kind, note.time_us, readable(value)
