"""The files of a log as a reader finds them: which there are, what was read of each, and what was damaged."""

from __future__ import annotations

import fcntl
import os
from typing import TYPE_CHECKING

from edgerun.errors import LogError
from edgerun.log.segment import HEADER, Damage, identify, parse_name

if TYPE_CHECKING:
    from edgerun.log.chunks import Origin
    from edgerun.log.columns import Array
    from edgerun.log.segment import Header

_KINDS = ("log", "open")
"""A sealed segment before the open one that it was made of."""


class LogFile:
    """One segment's file, and how far it was read.

    Attributes:
        header: None before it was read, and where nothing in the file can be.
        origin: likewise.
        offset: where the next frame would begin.
        size: of the file, when it was read.
        rows: how many its frames had so far.
        end_row: one past the last of them.
        clocks_to: the offset up to which the clocks of its frames are known.
        times: the least and the greatest time of the rows that were asked for, microseconds of the monotonic clock.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.name = os.path.basename(path)
        self.header: Header | None = None
        self.origin: Origin | None = None
        self.offset = HEADER.size
        self.size = -1
        self.rows = self.end_row = self.clocks_to = 0
        self.times: tuple[int, int] | None = None
        self._damage: list[Damage] = []
        self._tail: Damage | None = None

    def read(self) -> bytes | None:
        """Return the file's bytes; None where it is gone, as when it was sealed meanwhile.

        Raises:
            LogError: it cannot be read.
        """
        try:
            with open(self.path, "rb") as file:
                data = file.read()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise LogError(f"{self.path} cannot be read: {error.strerror or error}") from error
        self._tail = None
        self.size = len(data)
        if self.header is None or self.offset > len(data):  # or the writer took back what a full disk had cut
            self._damage = []
            self.offset = HEADER.size
            self.header, damage = identify(data, self.name)
            if damage is not None:
                self.take(damage)
        return data

    def note(self, times: Array) -> None:
        """Note the times of some rows."""
        first, last = self.times or (2**63 - 1, -(2**63))
        self.times = min(first, int(times.min())), max(last, int(times.max()))

    def take(self, damage: Damage) -> None:
        """Keep what is damaged; at the end of the file, only until there is more of it."""
        if damage.offset + damage.length == self.size:
            self._tail = damage
        else:
            self._damage.append(damage)

    @property
    def is_open(self) -> bool:
        """Whether the segment is not sealed."""
        return self.name.endswith(".open")

    def damage(self) -> list[Damage]:
        """Return what is damaged; the end of a file that is just being written is not."""
        if self._tail is None or (self.is_open and is_held(self.path)):
            return self._damage
        return [*self._damage, self._tail]


def is_held(path: str) -> bool:
    """Whether a living writer holds a file's lock; a missing file is held, for its writer has just sealed it."""
    try:
        with open(path, "rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except (FileNotFoundError, BlockingIOError):
        return True
    except OSError:
        return False
    return False


def list_files(path: str) -> dict[str, int]:
    """Return the paths of a log's segments, and their sizes, in the order of streams and rows.

    Args:
        path: a log's folder, or one segment of any name.

    Raises:
        LogError: there is no such folder or file, or it cannot be listed.
    """
    try:
        if not os.path.isdir(path):
            return {path: os.stat(path).st_size}
        found = {}
        with os.scandir(path) as entries:
            for entry in entries:
                name = parse_name(entry.name)
                if name is not None and name.suffix in _KINDS and entry.is_file(follow_symlinks=False):
                    try:
                        found[entry.name] = entry.stat(follow_symlinks=False).st_size
                    except FileNotFoundError:  # sealed or dropped meanwhile
                        continue
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise LogError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}; is it a log?") from error
    return {os.path.join(path, name): found[name] for name in sorted(found)}
