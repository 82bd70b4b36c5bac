"""What a reading found missing: damaged bytes by file, and the rows that went with them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edgerun.log.files import LogFile
    from edgerun.log.spans import Spans


class Gap(NamedTuple):
    """Rows of a stream that are not there.

    Attributes:
        epoch: of the stream.
        first_row: number of the first one.
        rows: how many.
        file: the damaged segment that they were in; None where whole segments are gone, because they were sent, or
            dropped to keep to the budget.
    """

    epoch: int
    first_row: int
    rows: int
    file: str | None


class DamagedBytes(NamedTuple):
    """Bytes of a file that are no valid frame.

    Attributes:
        file: its name.
        offset: of the first byte.
        length: how many.
        why: in words.
    """

    file: str
    offset: int
    length: int
    why: str


class Recovery(NamedTuple):
    """What was lost of the files of a log.

    What a cut end or a lost first segment held is not among the rows, for nobody knows how many they were.

    Attributes:
        events: rows that damage has cost.
        bytes_dropped: bytes that no row could be read from.
        gaps: the rows that are missing, by stream.
        damage: the bytes, by file.
    """

    events: int
    bytes_dropped: int
    gaps: tuple[Gap, ...]
    damage: tuple[DamagedBytes, ...]


def lost_of(files: Sequence[LogFile], rows: Mapping[int, Spans]) -> Recovery:
    """Return what was lost, of the files that were read and the rows of each stream that were seen."""
    damage = {file: file.damage() for file in files}
    bytes_ = tuple(DamagedBytes(file.name, *found) for file, listed in damage.items() for found in listed)
    gaps = tuple(
        gap
        for epoch, seen in sorted(rows.items())
        for gap in _gaps(epoch, [file for file in files if file.header and file.header.epoch == epoch], damage, seen)
    )
    lost = sum(gap.rows for gap in gaps if gap.file is not None)
    return Recovery(lost, sum(found.length for found in bytes_), gaps, bytes_)


def _gaps(epoch: int, files: Sequence[LogFile], damage: Mapping[LogFile, object], seen: Spans) -> list[Gap]:
    claims: dict[int, list[LogFile]] = {}
    for file in files:
        claims.setdefault(file.header.first_row if file.header else 0, []).append(file)
    found = []
    begins = sorted(claims)
    ends = [*begins[1:], max(seen.end(), begins[-1])] if begins else []
    for begin, end in zip(begins, ends, strict=True):
        for first, behind in seen.missing(begin, end):
            guilty = (file.name for file in claims[begin] if damage[file] or file.end_row >= behind)
            found.append(Gap(epoch, first, behind - first, next(guilty, None)))
    return found
