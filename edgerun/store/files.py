"""Small files of a store: written whole and durably, or not at all."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

from edgerun.disk import write_all

if TYPE_CHECKING:
    from edgerun.disk import Disk

_UNFINISHED = ".new"


def write_new(disk: Disk, path: str, content: bytes) -> None:
    """Make a file that is not there yet; one that is stays as it is. Several processes may do so at once.

    Raises:
        OSError: the disk failed; the file is there whole, or not at all.
    """
    folder, name = os.path.split(path)
    unfinished = f"{path}{_UNFINISHED}"
    while name not in disk.sizes(folder):
        file = _unfinished(disk, unfinished)
        try:
            if not disk.is_linked(file, unfinished):  # whoever had it before has finished it
                continue
            if name in disk.sizes(folder):
                disk.remove(unfinished)
            else:
                _finish(disk, file, path, content)
        finally:
            disk.close(file)


def write_whole(disk: Disk, path: str, content: bytes) -> None:
    """Write a file in place of what was there. Who calls it keeps others from doing so at once.

    Raises:
        OSError: the disk failed; the file is the former or the new one.
    """
    file = _unfinished(disk, f"{path}{_UNFINISHED}")
    try:
        _finish(disk, file, path, content)
    finally:
        disk.close(file)


def _unfinished(disk: Disk, path: str) -> int:
    """A new file, or one that somebody left; its lock is held."""
    while True:
        with suppress(FileExistsError):
            return disk.create(path)
        with suppress(FileNotFoundError):  # it was finished in between
            return disk.hold(path)


def _finish(disk: Disk, file: int, path: str, content: bytes) -> None:
    disk.truncate(file, 0)
    write_all(disk, file, 0, content)
    disk.sync(file)
    disk.replace(f"{path}{_UNFINISHED}", path)
    disk.sync_folder(os.path.dirname(path))
