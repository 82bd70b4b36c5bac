"""The rows of a batch as files, before anything is written, and which of its segments no file can be made of.

That nothing is read or written here tells the two kinds of failures apart: whatever fails here is of the bytes that a
device sent, and would fail for ever; whatever fails elsewhere is of the store, and is tried again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

from edgerun.errors import EdgerunError
from edgerun_sync.collector.batches import Aside
from edgerun_sync.collector.check_ins import CheckedIn, parse_check_in
from edgerun_sync.collector.expanding import check_expanded
from edgerun_sync.collector.rows import Decoded, Rows, decode, rows_of
from edgerun_sync.errors import CollectorError, ContentError, TableError
from edgerun_sync.limits import LIMITS, Limits

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from edgerun_sync.collector.arrow.parquet import DayFile
    from edgerun_sync.collector.keys import Landed

WHY_CHARACTERS_MAX = 500


class Making(Protocol):
    """What makes files of rows."""

    def files_of(self, rows: Rows) -> Mapping[str, Sequence[DayFile]]:
        """Return rows as the files of each table that has some; nothing is written."""


class Unit(NamedTuple):
    """What one device sent at once: the frames of a segment, or a check-in."""

    landed: Landed
    content: Decoded | CheckedIn


class Built(NamedTuple):
    """A batch as files, by table; and bytes of its segments that no row could be read from."""

    files: Mapping[str, Sequence[DayFile]]
    damaged: int


class Gathering:
    """Collects what a batch is to consist of.

    Attributes:
        units: of which rows can be made, as far as is known.
        aside: of which none can.
    """

    def __init__(self, limits: Limits = LIMITS) -> None:
        self._limits = limits
        self.units: list[Unit] = []
        self.aside: list[Aside] = []

    def add_segment(self, landed: Landed, data: bytes) -> tuple[int, int]:
        """Add a segment, and return its rows and the bytes of its frames, decompressed."""
        try:
            decoded = decode(landed, data)
            check_expanded(decoded.frames, self._limits)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is of these bytes
            self.aside.append(Aside(*landed, _said(error)))
            return 0, len(data)
        self.units.append(Unit(landed, decoded))
        return decoded.rows, decoded.plain

    def add_check_in(self, landed: Landed, data: bytes) -> None:
        """Add a check-in."""
        try:
            self.units.append(Unit(landed, parse_check_in(data)))
        except CollectorError as error:
            self.aside.append(Aside(*landed, _said(error)))

    def build(self, making: Making, at_us: int) -> Built:
        """Return the rows of all of it as files.

        Raises:
            ContentError: of some of it there can be none.
            TableError: there is no memory for them; another time there may be.
        """
        if self.aside:
            raise ContentError(f"{'/'.join(self.aside[0].landed)}: {self.aside[0].why}")
        return build(making, at_us, self.units)

    def build_sound(self, making: Making, at_us: int) -> tuple[Built, tuple[Aside, ...]]:
        """Return the rows of all of which there can be some as files, and the rest.

        Raises:
            TableError: there is no memory for them; another time there may be.
        """
        built, further = build_sound(making, at_us, self.units)
        return built, (*self.aside, *further)


def build(making: Making, at_us: int, units: Sequence[Unit]) -> Built:
    """Return the rows of a batch as files.

    Raises:
        ContentError: rows of some of the units cannot become files.
        TableError: there is no memory for them; another time there may be.
    """
    if not units:
        return Built({}, 0)
    try:
        segments = [unit.content for unit in units if isinstance(unit.content, Decoded)]
        check_ins = [unit.content for unit in units if isinstance(unit.content, CheckedIn)]
        rows = rows_of(at_us, segments, check_ins)
        return Built(making.files_of(rows), rows.damaged)
    except MemoryError as error:
        raise TableError(f"there is no memory for the rows of {len(units)} segments: {error}") from error
    except Exception as error:
        raise ContentError(_said(error)) from error


def build_sound(making: Making, at_us: int, units: Sequence[Unit]) -> tuple[Built, tuple[Aside, ...]]:
    """Return the rows of a batch as files, but for those of units that no file can be made of, and these.

    Each is tried alone; where all that can be built alone cannot be together, those that come first are.

    Raises:
        TableError: there is no memory for all of them together; another time there may be.
    """
    try:
        return build(making, at_us, units), ()
    except TableError:  # of some of them, or of all of them together
        pass
    aside, sound = [], []
    for unit in units:
        why = _why_not(making, at_us, [unit])
        if why is None:
            sound.append(unit)
        else:
            aside.append(Aside(*unit.landed, why))
    fitting = _fitting([], sound, lambda tried: _why_not(making, at_us, tried))
    kept = {unit.landed for unit in fitting}
    aside += [Aside(*unit.landed, "it cannot be written with the others") for unit in sound if unit.landed not in kept]
    return build(making, at_us, fitting), tuple(aside)


def _fitting(
    kept: Sequence[Unit], further: Sequence[Unit], why_not: Callable[[Sequence[Unit]], str | None]
) -> Sequence[Unit]:
    """The units of some further ones that go together with those that are kept, and these."""
    if not further or why_not([*kept, *further]) is None:
        return [*kept, *further]
    if len(further) == 1:
        return kept
    middle = len(further) // 2
    return _fitting(_fitting(kept, further[:middle], why_not), further[middle:], why_not)


def _why_not(making: Making, at_us: int, units: Sequence[Unit]) -> str | None:
    """Why no file can be made of some units; None where it can."""
    try:
        build(making, at_us, units)
    except ContentError as error:
        return str(error)
    except TableError as error:  # no memory: for one unit there never will be
        if len(units) > 1:
            raise
        return str(error)
    return None


def _said(error: Exception) -> str:
    said = str(error) if isinstance(error, EdgerunError) else f"{type(error).__name__}: {error}"
    return " ".join(said.split())[:WHY_CHARACTERS_MAX]
