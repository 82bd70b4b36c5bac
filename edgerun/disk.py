"""The disk as the log and the store use it: few operations, each of which a power cut or an error may hit.

`edgerun.testing.SimulatedDisk` stands in for it, and can fail or lose any of them.
"""

from __future__ import annotations

import fcntl
import os
import stat
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator

PIECE_BYTES = 2**18
"""Read at a time: within the cache of a small CPU, and large enough that calls cost nothing beside hashing."""


class Disk(Protocol):
    """What a log or a store needs of a disk. Files are numbers; every method may raise an OSError."""

    def make_folder(self, folder: str) -> None:
        """Make a folder and those above it, durably; one that is there already is fine."""

    def sizes(self, folder: str) -> dict[str, int]:
        """Return the bytes of every regular file in a folder, by name."""

    def create(self, path: str) -> int:
        """Make a file that was not there, hold its lock, and return it."""

    def claim(self, path: str) -> int | None:
        """Open a file and take its lock; None where somebody holds it or the file is gone."""

    def hold(self, path: str) -> int:
        """Open a file or folder and wait for its exclusive lock."""

    def share(self, path: str) -> int:
        """Open a file or folder and wait until nobody holds its exclusive lock; others may share it too."""

    def let_share(self, file: int) -> None:
        """Let others share what was claimed."""

    def release(self, file: int) -> None:
        """Let a lock go, also where a forked child has it, and close the file."""

    def is_linked(self, file: int, path: str) -> bool:
        """Whether a file still has the name that it was opened by."""

    def write(self, file: int, offset: int, data: bytes) -> int:
        """Write at an offset; returns how many bytes were written, which may be fewer."""

    def truncate(self, file: int, size: int) -> None:
        """Cut a file off."""

    def sync(self, file: int) -> None:
        """Return when all that was written to a file, and its size, would survive a power cut."""

    def close(self, file: int) -> None:
        """Close a file, and let its lock go unless a forked child holds it too."""

    def sync_folder(self, folder: str) -> None:
        """Return when the names in a folder would survive a power cut."""

    def replace(self, source: str, target: str) -> None:
        """Rename a file, over another one if need be."""

    def remove(self, path: str) -> None:
        """Remove a file."""

    def read(self, path: str, bytes_max: int = -1) -> bytes:
        """Return the beginning of a file, or all of it."""

    def pieces(self, path: str) -> Iterator[bytes]:
        """Return a file in pieces."""

    def ages(self, folder: str) -> dict[str, int]:
        """Return when every regular file in a folder was last written, by name: a number that grows with time."""

    def free_bytes(self, folder: str) -> int:
        """Return how much may still be written where a folder lies."""

    def folders(self, folder: str) -> list[str]:
        """Return the names of the folders in a folder."""

    def remove_folder(self, folder: str) -> None:
        """Remove an empty folder."""


class RealDisk:
    """The disk of the operating system."""

    def make_folder(self, folder: str) -> None:
        """See Disk."""
        missing = []
        while not os.path.isdir(folder):
            missing.append(folder)
            folder = os.path.dirname(os.path.abspath(folder))
        for path in reversed(missing):
            try:
                os.mkdir(path)
            except FileExistsError:
                if not os.path.isdir(path):
                    raise
            self.sync_folder(os.path.dirname(os.path.abspath(path)))

    def sizes(self, folder: str) -> dict[str, int]:
        """See Disk."""
        return {name: status.st_size for name, status in _files(folder)}

    def create(self, path: str) -> int:
        """See Disk."""
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)  # whoever took it for a dead process's file lets it go soon
            if self.is_linked(file, path):
                return file
        except BaseException:
            os.close(file)
            raise
        os.close(file)
        return self.create(path)  # and had removed it, empty as it was

    def claim(self, path: str) -> int | None:
        """See Disk."""
        try:
            file = _opened(path)
        except FileNotFoundError:
            return None
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if self.is_linked(file, path):
                return file
        except BlockingIOError:
            pass
        except BaseException:
            os.close(file)
            raise
        os.close(file)
        return None

    def hold(self, path: str) -> int:
        """See Disk."""
        return _locked(_opened(path), fcntl.LOCK_EX)

    def share(self, path: str) -> int:
        """See Disk."""
        return _locked(os.open(path, os.O_RDONLY | os.O_CLOEXEC), fcntl.LOCK_SH)

    def let_share(self, file: int) -> None:
        """See Disk."""
        fcntl.flock(file, fcntl.LOCK_SH)

    def release(self, file: int) -> None:
        """See Disk."""
        try:
            fcntl.flock(file, fcntl.LOCK_UN)
        finally:
            os.close(file)

    def is_linked(self, file: int, path: str) -> bool:
        """See Disk."""
        try:
            return os.path.samestat(os.fstat(file), os.stat(path))
        except FileNotFoundError:
            return False

    def write(self, file: int, offset: int, data: bytes) -> int:
        """See Disk."""
        return os.pwrite(file, data, offset)

    def truncate(self, file: int, size: int) -> None:
        """See Disk."""
        os.ftruncate(file, size)

    def sync(self, file: int) -> None:
        """See Disk."""
        getattr(os, "fdatasync", os.fsync)(file)

    def close(self, file: int) -> None:
        """See Disk."""
        os.close(file)

    def sync_folder(self, folder: str) -> None:
        """See Disk."""
        file = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(file)
        finally:
            os.close(file)

    def replace(self, source: str, target: str) -> None:
        """See Disk."""
        os.replace(source, target)

    def remove(self, path: str) -> None:
        """See Disk."""
        os.unlink(path)

    def read(self, path: str, bytes_max: int = -1) -> bytes:
        """See Disk."""
        with open(path, "rb") as file:
            return file.read(bytes_max)

    def pieces(self, path: str) -> Iterator[bytes]:
        """See Disk."""
        with open(path, "rb", buffering=0) as file:
            while piece := file.read(PIECE_BYTES):
                yield piece

    def ages(self, folder: str) -> dict[str, int]:
        """See Disk."""
        return {name: status.st_mtime_ns for name, status in _files(folder)}

    def free_bytes(self, folder: str) -> int:
        """See Disk."""
        found = os.statvfs(folder)
        return found.f_bavail * found.f_frsize

    def folders(self, folder: str) -> list[str]:
        """See Disk."""
        with os.scandir(folder) as entries:
            return [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]

    def remove_folder(self, folder: str) -> None:
        """See Disk."""
        os.rmdir(folder)


def _files(folder: str) -> Iterator[tuple[str, os.stat_result]]:
    with os.scandir(folder) as entries:
        for entry in entries:
            try:
                status = entry.stat(follow_symlinks=False)
            except FileNotFoundError:  # another process was quicker
                continue
            if stat.S_ISREG(status.st_mode):
                yield entry.name, status


def _opened(path: str) -> int:
    """A file that can be written, or a folder."""
    try:
        return os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except IsADirectoryError:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)


def _locked(file: int, lock: int) -> int:
    try:
        fcntl.flock(file, lock)
    except BaseException:
        os.close(file)
        raise
    return file


def write_all(disk: Disk, file: int, offset: int, data: bytes) -> None:
    """Write all of the bytes.

    Raises:
        OSError: it failed; what stands from the offset on is unknown.
    """
    view = memoryview(data)
    while view:
        count = disk.write(file, offset, bytes(view) if len(view) < len(data) else data)
        if count <= 0:
            raise OSError("the disk took no byte of a write")
        view, offset = view[count:], offset + count
