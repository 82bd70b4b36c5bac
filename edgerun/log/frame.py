"""Headers and frames to bytes; FORMAT.md, segment. Reading them is another module's job, from the same page."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

from edgerun._core.pack import crc32c
from edgerun.log.blocks import encode_block
from edgerun.log.payload import compress, pack
from edgerun.log.splice import list_head, map_head

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from edgerun.log.blocks import Block
    from edgerun.log.rows import Source

MAGIC = bytes.fromhex("89 45 52 4C 4F 47 0D 0A")
VERSION = 1
MEASUREMENTS, JOURNAL = 0, 1
"""Classes of streams."""
HEADER_BYTES = 64
FRAME_HEAD_BYTES = 12
FRAME_ROWS_MAX = 16_384
"""Rows of the frames that are written; a reader takes any number."""
PAYLOAD_BYTES_MAX = 16 * 2**20
BLOCK_BYTES_MIN = 512
"""A piece of fewer bytes shares its zstd block with the next one: a block of its own costs about 20."""
_MARKER = b"\xe5\x46"
_STORED_PLAIN, _STORED_ZSTD = 0, 1
_PLAIN_BYTES_MAX = 128
"""Payloads up to this size are not worth an attempt to compress."""


class SegmentHead(NamedTuple):
    """What the header of a segment says; FORMAT.md, segment."""

    stream_class: int
    epoch: int
    first_row: int
    boot: bytes
    ids: int
    begun_us: int

    def name(self) -> str:
        """The name of the segment's files, without the ending."""
        return f"{self.epoch:016x}-{self.first_row:016x}"

    def bytes(self) -> bytes:
        """The header."""
        head = struct.pack("<8sBBH", MAGIC, VERSION, self.stream_class, 0)
        tail = struct.pack("<QQ16sQQ", self.epoch, self.first_row, self.boot, self.ids, self.begun_us)
        return head + struct.pack("<I", crc32c(tail, crc32c(head))) + tail


class FrameHead(NamedTuple):
    """What a frame says of its rows as a whole."""

    first_row: int
    rows: int
    monotonic_us: int
    wall_us: int
    sources: Mapping[int, Mapping[str, object]]


def payload_pieces(head: FrameHead, blocks: Sequence[Block]) -> list[bytes]:
    """Return a frame's payload in pieces of unlike statistics."""
    lead = [
        map_head(5),
        pack(0) + pack(head.first_row),
        pack(1) + pack(head.rows),
        pack(2) + pack([head.monotonic_us, head.wall_us]),
        pack(3) + pack(dict(head.sources)),
        pack(4) + list_head(len(blocks)),
    ]
    return [b"".join(lead), *(piece for block in blocks for piece in encode_block(block, head.rows))]


def stored(pieces: Sequence[bytes], compression: Callable[[Sequence[bytes]], bytes] = compress) -> tuple[int, bytes]:
    """Return how a payload is best stored, and the bytes."""
    plain = b"".join(pieces)
    if len(plain) > _PLAIN_BYTES_MAX:
        compressed = compression(list(_groups(pieces)))
        if len(compressed) < len(plain):
            return _STORED_ZSTD, compressed
    return _STORED_PLAIN, plain


def frame_bytes(segment: SegmentHead, offset: int, how: int, payload: bytes) -> bytes:
    """Return the frame that stands at an offset of a segment."""
    described = struct.pack("<BBI", how, 0, len(payload))
    place = struct.pack("<QQQ", segment.epoch, segment.first_row, offset)
    checksum = crc32c(payload, crc32c(place + described))
    return b"".join((_MARKER, described, struct.pack("<I", checksum), payload))


def source_map(source: Source) -> dict[str, object]:
    """Return a source as a frame names it."""
    return {name: list(value) if isinstance(value, tuple) else value for name, value in source._asdict().items()}


def _groups(pieces: Iterable[bytes]) -> Iterable[bytes]:
    """Small pieces go with the large one after them."""
    waiting: list[bytes] = []
    size = 0
    for piece in pieces:
        if len(piece) >= BLOCK_BYTES_MIN and size >= BLOCK_BYTES_MIN:
            yield b"".join(waiting)
            waiting, size = [], 0
        waiting.append(piece)
        size += len(piece)
        if len(piece) >= BLOCK_BYTES_MIN:
            yield b"".join(waiting)
            waiting, size = [], 0
    if waiting:
        yield b"".join(waiting)
