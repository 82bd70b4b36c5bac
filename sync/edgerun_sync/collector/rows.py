"""The segments of a batch as rows: decoded once, each row of a stream once, in times that were repaired.

Times are repaired from the clocks of what the batch has of a boot, and of nothing else: so a batch that is committed
again, or rebuilt from its archive years later, gives the same rows. What this costs: calls that were recorded before
the clock was first set, and sent in an earlier batch than the first frame after it, keep the time that the clock said.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from edgerun.errors import LogError
from edgerun.log.chunks import Chunk, Origin, Sources, chunks_of
from edgerun.log.repair import timeline
from edgerun.log.rows import Kind
from edgerun.log.segment import Damage, Frame, parse_header, scan
from edgerun.log.spans import Spans

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from edgerun.log.repair import Timeline
    from edgerun.log.rows import Source
    from edgerun.log.segment import Header
    from edgerun_sync.collector.check_ins import CheckedIn
    from edgerun_sync.collector.keys import Landed

_NO_END = 2**64 - 1


class Decoded(NamedTuple):
    """One segment as its frames. Nothing is known of its stream yet.

    Attributes:
        landed: its names.
        header: None where it can not be read; then it has no frame.
        frames: those that are valid.
        rows: of all frames.
        plain: bytes of all frames, decompressed.
        damaged: bytes that are no valid frame.
    """

    landed: Landed
    header: Header | None
    frames: tuple[Frame, ...]
    rows: int
    plain: int
    damaged: int


class Stream(NamedTuple):
    """Where rows are from.

    Attributes:
        device: its name.
        epoch: of the stream.
        boot: its id, zeros where unknown.
        timeline: how its times are read.
    """

    device: str
    epoch: int
    boot: bytes
    timeline: Timeline


class Rows(NamedTuple):
    """What a batch holds.

    Attributes:
        at_us: when it was planned.
        chunks: by kind; the column "boot" of a chunk numbers its stream.
        streams: by that number.
        sources: by the numbers in the column "source".
        damaged: bytes of its segments that no row could be read from.
        check_ins: what devices said of themselves.
    """

    at_us: int
    chunks: dict[Kind, list[Chunk]]
    streams: Sequence[Stream]
    sources: Sequence[Source | None]
    damaged: int
    check_ins: Sequence[CheckedIn] = ()

    def count(self, *kinds: Kind) -> int:
        """Return how many rows there are of some kinds, or of all."""
        return sum(chunk.n for kind in kinds or Kind for chunk in self.chunks.get(kind, ()))


def decode(landed: Landed, data: bytes) -> Decoded:
    """Return a segment's frames, every one that is valid."""
    try:
        header = parse_header(data)
    except LogError:
        return Decoded(landed, None, (), 0, 0, len(data))
    frames, damaged = [], 0
    for part in scan(data, header):
        if isinstance(part, Damage):
            damaged += part.length
        else:
            frames.append(part)
    rows, plain = sum(frame.rows for frame in frames), sum(frame.size for frame in frames)
    return Decoded(landed, header, tuple(frames), rows, plain, damaged)


def rows_of(at_us: int, segments: Iterable[Decoded], check_ins: Sequence[CheckedIn] = ()) -> Rows:
    """Return the rows of a batch, each once: where segments of a stream overlap, a row is of the later one."""
    listed = sorted((segment for segment in segments if segment.rows), key=lambda segment: segment.landed)
    streams, chunks, sources = _streams(listed), {kind: list[Chunk]() for kind in Kind}, Sources()
    numbers = {(stream.device, stream.epoch): number for number, stream in enumerate(streams)}
    seen = [Spans() for _ in streams]
    for place, segment in enumerate(listed):
        assert segment.header is not None
        number = numbers[segment.landed.device, segment.header.epoch]
        end_row = _end_row(segment, listed[place + 1] if place + 1 < len(listed) else None)
        origin = Origin(segment.header.epoch, number, {})
        for frame in segment.frames:
            origin.codes.update({code: sources.code(source) for code, source in frame.sources.items()})
            for first, end in seen[number].add(frame.first_row, min(frame.first_row + frame.rows, end_row)):
                for block in frame.blocks:
                    chunks[block.kind] += chunks_of(block, frame, first, end, origin, sources)
    damaged = sum(segment.damaged for segment in listed)
    return Rows(at_us, chunks, streams, sources.listed, damaged, check_ins)


def times_us(rows: Rows, chunk: Chunk) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Return when the rows of a chunk were recorded, repaired, microseconds since 1970."""
    stream = rows.streams[int(chunk.columns["boot"][0])]
    found: np.ndarray[tuple[int], np.dtype[np.int64]] = stream.timeline.wall_us(chunk.columns["monotonic_us"])
    return found


def _end_row(segment: Decoded, following: Decoded | None) -> int:
    """The first row that the stream's next segment claims."""
    if following is None or following.header is None or segment.header is None:
        return _NO_END
    same = following.landed.device == segment.landed.device and following.header.epoch == segment.header.epoch
    return following.header.first_row if same else _NO_END


def _streams(segments: Sequence[Decoded]) -> list[Stream]:
    """The streams of segments, each with the clocks of its boot."""
    found: dict[tuple[str, int], bytes] = {}
    clocks: dict[tuple[str, bytes | int], list[tuple[int, int]]] = {}
    for segment in segments:
        if segment.header is not None:
            device, epoch = segment.landed.device, segment.header.epoch
            boot = found.setdefault((device, epoch), segment.header.boot)
            own = clocks.setdefault((device, boot if any(boot) else epoch), [])
            own += [(frame.monotonic_us, frame.wall_us) for frame in segment.frames]
    timelines = {key: timeline(*np.array(pairs, np.int64).reshape(-1, 2).T) for key, pairs in clocks.items()}
    return [
        Stream(device, epoch, boot, timelines[device, boot if any(boot) else epoch])
        for (device, epoch), boot in found.items()
    ]
