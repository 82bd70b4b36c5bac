"""What dead processes left in a folder: open segments are sealed with every row that is still valid.

A process holds the lock of the segment that it writes; who gets the lock knows that the writer is dead, and recovers
it while others leave it alone. The open file goes last, when what was found has been written down.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from edgerun.log.seal import Contents, covers, rewrite
from edgerun.log.segment import parse_name

if TYPE_CHECKING:
    from edgerun.disk import Disk

_NO_END = 2**64


class Recovered(NamedTuple):
    """A dead process's segment that was sealed.

    Attributes:
        name: of the segment.
        file: the open file, whose lock is held until it is removed.
        contents: what was found in it.
    """

    name: str
    file: int
    contents: Contents

    def has_news(self) -> bool:
        """Whether anything was in the file, valid or not."""
        return self.contents.rows > 0 or self.contents.bytes_dropped > 0

    def event(self) -> dict[str, object]:
        """The value of the row that tells of it."""
        return {
            "event": "recovered",
            "segment": self.name,
            "rows": self.contents.rows,
            "bytes_dropped": self.contents.bytes_dropped,
            "gaps": [list(gap) for gap in self.contents.gaps],
        }


def recover(disk: Disk, folder: str) -> list[Recovered]:
    """Seal what dead processes left, and remove what is nothing.

    A segment that cannot be recovered now stays as it is, for another time.

    Raises:
        OSError: the folder cannot be listed.
    """
    sizes = disk.sizes(folder)
    opened: dict[int, list[int]] = {}
    for name in sizes:
        parsed = parse_name(name)
        if parsed is None:
            continue
        if parsed.suffix == "open":
            opened.setdefault(parsed.epoch, []).append(parsed.first_row)
        elif parsed.suffix == "tmp" and f"{name[:-4]}.open" not in sizes:
            with suppress(OSError):  # it does no harm
                disk.remove(os.path.join(folder, name))
    recovered: list[Recovered] = []
    for epoch, first_rows in opened.items():
        recovered += _recover_stream(disk, folder, epoch, first_rows, sizes)
    return recovered


def _recover_stream(
    disk: Disk, folder: str, epoch: int, first_rows: list[int], sizes: dict[str, int]
) -> list[Recovered]:
    """The last segment first: rows that it has do not belong to one before it."""
    recovered = []
    end_row = _NO_END
    for first_row in sorted(first_rows, reverse=True):
        name = f"{epoch:016x}-{first_row:016x}"
        try:
            file = disk.claim(os.path.join(folder, f"{name}.open"))
        except OSError:
            end_row = first_row
            continue
        if file is None:
            end_row = first_row
            continue
        try:
            contents = _seal(disk, folder, name, min(end_row, _next_sealed(sizes, epoch, first_row)))
        except BaseException as error:
            disk.close(file)
            if not isinstance(error, OSError):
                raise
            end_row = first_row
            continue
        recovered.append(Recovered(name, file, contents))
        if contents.rows:
            end_row = first_row
    return recovered


def _seal(disk: Disk, folder: str, name: str, end_row: int) -> Contents:
    path = os.path.join(folder, name)
    data = disk.read(f"{path}.open")
    try:
        sealed = disk.read(f"{path}.log")
    except FileNotFoundError:
        return rewrite(disk, folder, name, (data,), end_row)
    contents = covers(sealed, data, name, end_row)
    if contents is None:
        return rewrite(disk, folder, name, (data, sealed), end_row)
    disk.sync_folder(folder)  # its process died before it could remove the open file
    return contents


def _next_sealed(sizes: dict[str, int], epoch: int, first_row: int) -> int:
    """The first row of the stream's next sealed segment."""
    parsed = [found for found in map(parse_name, sizes) if found and found.epoch == epoch and found.suffix == "log"]
    return min((found.first_row for found in parsed if found.first_row > first_row), default=_NO_END)
