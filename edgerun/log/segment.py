"""A segment's bytes as frames: every one that is valid, and the damage between them. FORMAT.md is the specification.

Nothing here trusts a byte that it has not checked, keeps more than one frame at a time, or looks at a byte more than a
fixed number of times, whatever the file says. Reading a segment does no IO.
"""

from __future__ import annotations

import re
import struct
from typing import TYPE_CHECKING, Any, NamedTuple

from edgerun._core.pack import crc32c
from edgerun.errors import LogError
from edgerun.limits import LIMITS
from edgerun.log import payload
from edgerun.log.contents import Block, parse_blocks, parse_source, whole

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from edgerun.log.columns import Array
    from edgerun.log.rows import Source

MAGIC = bytes.fromhex("89 45 52 4C 4F 47 0D 0A")
VERSION = 1
HEADER = struct.Struct("<8sBBHIQQ16sQQ")
FRAME = struct.Struct("<2sBBII")
MARKER = bytes.fromhex("E5 46")
STORED, ZSTD = 0, 1

_HEADER_CRC_AT = 12
_PLACE = struct.Struct("<QQQ")
_BEGINS = re.compile(re.escape(MARKER) + rb"[\x00\x01]\x00")
_NAME = re.compile(r"([0-9a-f]{16})-([0-9a-f]{16})\.(log|open|tmp)", re.ASCII)
_TIME_MAX = 2**62
_SEARCH_FACTOR = 8
"""A search for valid frames gives up after checking this many times the bytes of the file, in vain: only a file made to
keep a reader busy needs more."""


class Name(NamedTuple):
    """What a file's name says: its stream, its first row, and "log", "open" or "tmp"."""

    epoch: int
    first_row: int
    suffix: str


class Header(NamedTuple):
    """The header of a segment.

    Attributes:
        class_: 0 measurements, 1 journal; None where the header is lost.
        epoch: of the stream.
        first_row: number of the segment's first row.
        boot: the 16 bytes of the boot id; zeros where unknown.
        ids: the epoch of the process's event ids.
        begun_us: when the segment was begun, microseconds since 1970 by the clock.
    """

    class_: int | None
    epoch: int
    first_row: int
    boot: bytes = bytes(16)
    ids: int = 0
    begun_us: int = 0


class Frame(NamedTuple):
    """One valid frame.

    Attributes:
        offset: of its first byte in the file.
        end: of the first byte behind it.
        first_row: number of its first row in the stream.
        rows: how many it has.
        monotonic_us: the monotonic clock when it was written, microseconds.
        wall_us: the wall clock then, microseconds since 1970.
        sources: those that it names, by number.
        blocks: its rows, by kind and shape; only those of the kinds that were asked for.
        size: bytes of its payload, decompressed.
    """

    offset: int
    end: int
    first_row: int
    rows: int
    monotonic_us: int
    wall_us: int
    sources: dict[int, Source]
    blocks: list[Block]
    size: int


class Damage(NamedTuple):
    """Bytes of a file that are no valid frame.

    Attributes:
        offset: of the first one.
        length: how many.
        why: in words; CUT where the file ends within a frame.
    """

    offset: int
    length: int
    why: str


CUT = "the file ends within a frame"
CUT_HEADER = "the file ends within its header"


def parse_name(name: str) -> Name | None:
    """Return what the name of a file of a log says; None where it is no such name."""
    found = _NAME.fullmatch(name)
    return Name(int(found[1], 16), int(found[2], 16), found[3]) if found else None


def parse_header(data: bytes) -> Header:
    """Return the header at the start of a segment.

    Raises:
        LogError: it is cut, damaged, or of another version.
    """
    why = _wrong_with_header(data)
    if why:
        raise LogError(why)
    _, _, class_, _, _, epoch, first_row, boot, ids, begun_us = HEADER.unpack_from(data)
    return Header(class_, epoch, first_row, boot, ids, begun_us)


def identify(data: bytes, name: str) -> tuple[Header | None, Damage | None]:
    """Return a segment's header, and what is damaged of it.

    Where the header is lost, the file's name says enough to check its frames. None for a header means that no frame
    can be read.
    """
    why = _wrong_with_header(data)
    if not why:
        return parse_header(data), None
    known = None if _is_of_another_version(data) else parse_name(name)
    if known is None:
        return None, Damage(0, len(data), why) if data else None
    header = Header(None, known.epoch, known.first_row)
    return header, Damage(0, min(HEADER.size, len(data)), why) if data else None


def _wrong_with_header(data: bytes) -> str:
    """Say what is wrong with a header; nothing where it is right."""
    if len(data) < HEADER.size:
        return CUT_HEADER
    magic, version, class_, zero, crc, *_ = HEADER.unpack_from(data)
    if magic != MAGIC or crc != _header_crc(data):
        return "the header is damaged, or the file is no segment of a log"
    if version != VERSION:
        return f"the segment has version {version} of the format, and this edgerun reads {VERSION}: update it"
    return "" if class_ <= 1 and not zero else f"the header has the unknown class {class_}, or bytes that should be 0"


def _is_of_another_version(data: bytes) -> bool:
    if len(data) < HEADER.size:
        return False
    magic, version, _, _, crc, *_ = HEADER.unpack_from(data)
    return bool(magic == MAGIC and version != VERSION and crc == _header_crc(data))


def _header_crc(data: bytes) -> int:
    head = bytes(data[: HEADER.size])
    return crc32c(head[_HEADER_CRC_AT + 4 :], crc32c(head[:_HEADER_CRC_AT]))


def scan(
    data: bytes,
    header: Header,
    *,
    start: int = HEADER.size,
    kinds: Collection[int] | None = None,
    wants: Callable[[Array], bool] | None = None,
) -> Iterator[Frame | Damage]:
    """Yield every valid frame of a segment, and between them the damage, in the order of the file.

    Args:
        data: the whole file.
        header: the segment's.
        start: where to begin: behind the header, or behind a frame.
        kinds: the kinds of rows to decode; None for all. The columns of others are not looked into.
        wants: says of the times of a block, int64 in microseconds of the monotonic clock, whether the rest of it is to
            be decoded; None for always.
    """
    position, lost_from, why = start, None, ""
    budget = _SEARCH_FACTOR * len(data) + 4 * LIMITS.log_frame_max_bytes
    while 0 <= position < len(data):
        found = _frame_at(data, position, header, kinds, wants)
        if isinstance(found, Frame):
            if lost_from is not None:
                # What seemed to reach past the end did not: a frame stands behind it.
                yield Damage(lost_from, position - lost_from, "a frame's length is damaged" if why == CUT else why)
                lost_from = None
            yield found
            position = found.end
            continue
        if lost_from is None:
            lost_from, why = position, found.why
        budget -= found.checked
        if budget < 0:
            why = f"{why}; the search for more was given up at byte {position}"
            break
        following = _BEGINS.search(data, position + 1)
        position = following.start() if following else -1
    if lost_from is not None:
        yield Damage(lost_from, len(data) - lost_from, why)


class _Invalid(NamedTuple):
    """There is no valid frame at a place; ``checked`` bytes were looked at to find that out."""

    why: str
    checked: int = 0


def _frame_at(
    data: bytes,
    offset: int,
    header: Header,
    kinds: Collection[int] | None,
    wants: Callable[[Array], bool] | None,
) -> Frame | _Invalid:
    if len(data) - offset < FRAME.size:
        return _Invalid(CUT)
    marker, stored, zero, length, crc = FRAME.unpack_from(data, offset)
    if marker != MARKER or stored > ZSTD or zero:
        return _Invalid("no frame begins here")
    if length > LIMITS.log_frame_max_bytes:
        return _Invalid(f"a frame of {length} bytes: at most {LIMITS.log_frame_max_bytes} are allowed")
    end = offset + FRAME.size + length
    if end > len(data):
        return _Invalid(CUT)
    raw = memoryview(data)[offset + FRAME.size : end]
    seed = _PLACE.pack(header.epoch, header.first_row, offset) + data[offset + 2 : offset + 8]
    if crc32c(raw, crc32c(seed)) != crc:
        return _Invalid("a checksum does not hold", length)
    size = length
    try:
        plain = bytes(raw) if stored == STORED else payload.decompress(bytes(raw), LIMITS.log_frame_max_bytes)
        size += len(plain)
        return _parse(payload.unpack(plain), (offset, end, len(plain)), header.first_row, kinds, wants)
    except LogError as error:
        return _Invalid(str(error), size)


def _parse(
    document: Any,
    span: tuple[int, int, int],
    row_min: int,
    kinds: Collection[int] | None,
    wants: Callable[[Array], bool] | None,
) -> Frame:
    if type(document) is not dict:
        raise LogError("a payload is no map")
    first_row = whole(document.get(0), row_min, 2**64 - LIMITS.log_frame_rows_max, "first row")
    rows = whole(document.get(1), 0, LIMITS.log_frame_rows_max + 1, "number of rows")
    clocks, sources = document.get(2), document.get(3, {})
    if type(clocks) is not list or len(clocks) != 2:
        raise LogError("a frame without its two clocks")
    monotonic_us, wall_us = (whole(clock, -_TIME_MAX, _TIME_MAX, "clock") for clock in clocks)
    if type(sources) is not dict:
        raise LogError("the sources are no map")
    named = {whole(number, 0, 2**32, "source"): parse_source(source) for number, source in sources.items()}
    blocks = parse_blocks(document.get(4), rows, kinds, wants)
    offset, end, size = span
    return Frame(offset, end, first_row, rows, monotonic_us, wall_us, named, blocks, size)
