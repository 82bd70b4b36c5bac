"""The files of a log as whoever hands them over sees them: sealed or not, of which stream, how old.

Only headers are read.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from edgerun.errors import LogError
from edgerun.log.files import list_files
from edgerun.log.frame import HEADER_BYTES, JOURNAL
from edgerun.log.segment import identify, parse_name

if TYPE_CHECKING:
    from collections.abc import Iterator


class SegmentFile(NamedTuple):
    """One file of a log.

    Attributes:
        name: of the file.
        size: in bytes.
        is_sealed: whether it is never written again.
        epoch: of its stream.
        first_row: that it holds.
        is_journal: whether it is of labels, outcomes and what happened to the device.
        begun_us: when it was begun, microseconds since 1970 by the clock; 0 where its header is damaged.
    """

    name: str
    size: int
    is_sealed: bool
    epoch: int
    first_row: int
    is_journal: bool
    begun_us: int


def segment_files(folder: str) -> list[SegmentFile]:
    """Return the files of a log; none where nothing was logged yet.

    Raises:
        LogError: the folder or one of its files cannot be read.
    """
    return [*_files(folder)] if os.path.isdir(folder) else []


def _files(folder: str) -> Iterator[SegmentFile]:
    for path, size in list_files(folder).items():
        name = os.path.basename(path)
        parsed = parse_name(name)
        if parsed is None:
            continue
        try:
            with open(path, "rb") as file:
                header, _ = identify(file.read(HEADER_BYTES), name)
        except FileNotFoundError:  # sealed or dropped meanwhile
            continue
        except OSError as error:
            raise LogError(f"{path} cannot be read: {error.strerror or error}") from error
        is_journal = header is not None and header.class_ == JOURNAL
        begun_us = header.begun_us if header else 0
        yield SegmentFile(name, size, parsed.suffix == "log", parsed.epoch, parsed.first_row, is_journal, begun_us)
