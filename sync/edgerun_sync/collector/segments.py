"""A body as the segment that its sender says it is: checked before it is stored, frame by frame, in bounded memory."""

from __future__ import annotations

import hashlib
from typing import NamedTuple

from edgerun.errors import LogError
from edgerun.log.segment import Damage, Frame, parse_header, scan
from edgerun_sync.errors import SegmentError
from edgerun_sync.limits import LIMITS


class Checked(NamedTuple):
    """A segment that can be landed.

    Attributes:
        digest: SHA-256 of its bytes, hexadecimal digits.
        rows: how many its valid frames say that they have.
        class_: 0 measurements, 1 journal.
        damaged: bytes that are no valid frame; they are landed all the same.
    """

    digest: str
    rows: int
    class_: int
    damaged: int


def check(name: str, body: bytes, digest: str | None = None) -> Checked:
    """Return what a body is, if it is the segment of a name.

    Columns are not looked into: a frame whose columns are wrong is found to be damage when it is committed.

    Args:
        name: the segment's, as in PROTOCOL.md.
        body: its bytes.
        digest: SHA-256 that its sender gave, hexadecimal digits; None for none.

    Raises:
        SegmentError: it is too large, not what its digest or its name says, or no segment.
    """
    if len(body) > LIMITS.segment_max_bytes:
        raise SegmentError(
            f"a segment of {len(body)} bytes: at most {LIMITS.segment_max_bytes} are taken", 413, "too-large"
        )
    found = hashlib.sha256(body).hexdigest()
    if digest is not None and digest != found:
        raise SegmentError(f"the body of {name} has SHA-256 {found}, not {digest}", 422, "wrong-digest")
    try:
        header = parse_header(body)
    except LogError as error:
        raise SegmentError(f"{name}: {error}") from error
    own = f"{header.epoch:016x}-{header.first_row:016x}"
    if own != name or header.class_ is None:
        raise SegmentError(f"{name} was sent as the name of the segment {own}", 422, "wrong-name")
    rows, plain, damaged, is_framed = 0, 0, 0, False
    for part in scan(body, header, kinds=()):
        match part:
            case Frame():
                rows, plain, is_framed = rows + part.rows, plain + part.size, True
            case Damage():
                damaged += part.length
        if rows > LIMITS.segment_rows_max:
            raise SegmentError(f"{name} has more than {LIMITS.segment_rows_max} rows", 413, "too-many-rows")
        if plain > LIMITS.segment_plain_max_bytes:
            raise SegmentError(
                f"{name} holds more than {LIMITS.segment_plain_max_bytes} bytes, decompressed", 413, "too-large"
            )
    if not is_framed:
        raise SegmentError(f"{name} has no valid frame")
    return Checked(found, rows, header.class_, damaged)
