"""A disk in memory that can fail any operation, and be any disk that a power cut may leave.

It keeps a history of all that changes it. What a power cut leaves is what was synced, and of the rest whatever chance
takes: nothing, all, a part in order, or any sectors of 512 bytes, some of them with bits flipped; names that were not
synced with their folder may be there or not. Bytes that were synced stay, also where a later write shares their sector.
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, NamedTuple

from edgerun.disk import PIECE_BYTES
from edgerun.testing.power import Change, files_after_cut, folders_after_cut, names_after_cut

if TYPE_CHECKING:
    from collections.abc import Iterator
    from random import Random


class _Failure(NamedTuple):
    """An operation that is to fail: it passes so often before, and then raises, or writes half."""

    operation: str
    number: int | None
    passes: int
    times: int


class SimulatedDisk:
    """Stands in for the disk of a log or a store.

    Attributes:
        capacity: bytes that all files may have together; None for any number.
        is_read_only: whether every change is refused.
        history: what changed the disk, in order; see `after_power_cut`.
    """

    def __init__(self) -> None:
        self.capacity: int | None = None
        self.is_read_only = False
        self.history: list[Change] = []
        self._names: dict[str, int] = {}
        self._files: dict[int, bytearray] = {}
        self._folders = {"/"}
        self._open: dict[int, int | str] = {}
        self._locks: dict[int | str, set[int]] = {}
        self._shared: set[int | str] = set()
        self._written: dict[int, int] = {}
        self._failures: list[_Failure] = []
        self._first_folders = frozenset(self._folders)
        self._first_names: dict[str, int] = {}
        self._first_files: dict[int, bytes] = {}
        self._next = 1

    # What tests ask for.

    def fail(self, operation: str, number: int, *, after: int = 0, times: int = 1) -> None:
        """Let an operation, by the name of its method, raise the OSError of a number.

        Args:
            operation: the method.
            number: of errno.
            after: how often it is to pass before.
            times: how often it is to fail.
        """
        self._failures.append(_Failure(operation, number, after, times))

    def fall_short(self, *, after: int = 0, times: int = 1) -> None:
        """Let a write take half of its bytes."""
        self._failures.append(_Failure("write", None, after, times))

    def heal(self) -> None:
        """Let nothing fail any more."""
        self._failures.clear()
        self.capacity, self.is_read_only = None, False

    def kill(self) -> None:
        """Do what the system does when all processes die: close their files. What they wrote stays."""
        self._open.clear()
        self._locks.clear()
        self._shared.clear()

    def lose_folder(self, folder: str) -> None:
        """Remove a folder and all in it."""
        for path in [path for path in self._names if os.path.dirname(path) == folder]:
            self.remove(path)
        self._folders.discard(folder)

    def after_power_cut(self, changes: int, random: Random) -> SimulatedDisk:
        """Return what a power cut after so many changes may leave; chance decides between all that it may be."""
        disk = SimulatedDisk()
        history = self.history[:changes]
        files = files_after_cut(self._first_files, history, random)
        disk._names = names_after_cut(self._first_names, history, random)
        disk._files = {file: bytearray(files[file]) for file in set(disk._names.values())}
        disk._folders = folders_after_cut(self._first_folders, disk._names, history, random)
        disk._first_folders = frozenset(disk._folders)
        disk._first_names = dict(disk._names)
        disk._first_files = {file: bytes(content) for file, content in disk._files.items()}
        disk._next = self._next
        return disk

    def contents(self, folder: str) -> dict[str, bytes]:
        """Return every file of a folder."""
        return {os.path.basename(path): bytes(self._files[file]) for path, file in self._within(folder)}

    # What a log or a store asks for.

    def make_folder(self, folder: str) -> None:
        """See Disk."""
        self._may("make_folder", changes=folder not in self._folders)
        missing = []
        while folder not in self._folders:
            missing.append(folder)
            folder = os.path.dirname(folder)
        for path in reversed(missing):
            self._folders.add(path)
            self.history.append(Change("make folder", path))

    def sizes(self, folder: str) -> dict[str, int]:
        """See Disk."""
        self._may("sizes")
        self._need_folder(folder)
        return {os.path.basename(path): len(self._files[file]) for path, file in self._within(folder)}

    def create(self, path: str) -> int:
        """See Disk."""
        self._may("create", changes=True)
        self._need_folder(os.path.dirname(path))
        if path in self._names:
            raise FileExistsError(errno.EEXIST, "it is there already", path)
        file, handle = self._number(), self._number()
        self._names[path] = file
        self._files[file] = bytearray()
        self._open[handle], self._locks[file] = file, {handle}
        self.history.append(Change("create", path, file))
        return handle

    def claim(self, path: str) -> int | None:
        """See Disk."""
        self._may("claim", changes=True)
        file = self._found(path)
        return None if file is None or file in self._locks else self._lock(file)

    def hold(self, path: str) -> int:
        """See Disk. What another one holds is an error, for it would be waited for in vain."""
        self._may("hold", changes=True)
        self._need_found(path)
        file = self._found(path)
        if file is None or file in self._locks:
            raise OSError(errno.EDEADLK, "somebody holds it", path)
        return self._lock(file)

    def share(self, path: str) -> int:
        """See Disk, and `hold`."""
        self._may("share")
        self._need_found(path)
        file = self._found(path)
        if file is None or (file in self._locks and file not in self._shared):
            raise OSError(errno.EDEADLK, "somebody holds it", path)
        self._shared.add(file)
        return self._lock(file)

    def let_share(self, file: int) -> None:
        """See Disk."""
        self._may("let_share")
        self._shared.add(self._open[file])

    def release(self, file: int) -> None:
        """See Disk."""
        self.close(file)

    def is_linked(self, file: int, path: str) -> bool:
        """See Disk."""
        return self._names.get(path) == self._open[file]

    def write(self, file: int, offset: int, data: bytes) -> int:
        """See Disk."""
        failure = self._may("write", changes=True)
        count = len(data) // 2 if failure else len(data)
        content = self._files[self._opened(file)]
        if self.capacity is not None:
            room = self.capacity - self._used_bytes() + max(0, len(content) - offset)
            count = min(count, room)
            if count <= 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        content.extend(bytes(max(0, offset - len(content))))
        content[offset : offset + count] = data[:count]
        self.history.append(Change("write", "", self._opened(file), offset, data[:count]))
        self._written[self._opened(file)] = len(self.history)
        return count

    def truncate(self, file: int, size: int) -> None:
        """See Disk."""
        self._may("truncate", changes=True)
        del self._files[self._opened(file)][size:]
        self.history.append(Change("truncate", "", self._opened(file), size))

    def sync(self, file: int) -> None:
        """See Disk. What a failed sync was to write is never written by a later one."""
        try:
            self._may("sync", changes=True)
        except OSError:
            self.history.append(Change("sync failed", "", self._opened(file)))
            raise
        self.history.append(Change("sync", "", self._opened(file)))

    def close(self, file: int) -> None:
        """See Disk."""
        opened = self._open.pop(file)
        holders = self._locks.get(opened, set())
        holders.discard(file)
        if not holders:
            self._locks.pop(opened, None)
            self._shared.discard(opened)

    def sync_folder(self, folder: str) -> None:
        """See Disk."""
        self._may("sync_folder")
        self._need_folder(folder)
        self.history.append(Change("sync folder", folder))

    def replace(self, source: str, target: str) -> None:
        """See Disk."""
        self._may("replace", changes=True)
        self._need(source)
        self._names[target] = self._names.pop(source)
        self.history.append(Change("replace", source, self._names[target], target=target))

    def remove(self, path: str) -> None:
        """See Disk."""
        self._may("remove", changes=True)
        self._need(path)
        del self._names[path]
        self.history.append(Change("remove", path))

    def read(self, path: str, bytes_max: int = -1) -> bytes:
        """See Disk."""
        self._may("read")
        self._need(path)
        content = self._files[self._names[path]]
        return bytes(content if bytes_max < 0 else content[:bytes_max])

    def pieces(self, path: str) -> Iterator[bytes]:
        """See Disk."""
        content = self.read(path)
        for at in range(0, len(content), PIECE_BYTES):
            yield content[at : at + PIECE_BYTES]

    def ages(self, folder: str) -> dict[str, int]:
        """See Disk."""
        self._may("ages")
        self._need_folder(folder)
        return {os.path.basename(path): self._written.get(file, 0) for path, file in self._within(folder)}

    def free_bytes(self, folder: str) -> int:
        """See Disk."""
        self._may("free_bytes")
        self._need_folder(folder)
        return 2**50 if self.capacity is None else max(0, self.capacity - self._used_bytes())

    def folders(self, folder: str) -> list[str]:
        """See Disk."""
        self._may("folders")
        self._need_folder(folder)
        return sorted(os.path.basename(path) for path in self._folders if os.path.dirname(path) == folder != path)

    def remove_folder(self, folder: str) -> None:
        """See Disk."""
        self._may("remove_folder", changes=True)
        self._need_folder(folder)
        if self._within(folder) or self.folders(folder):
            raise OSError(errno.ENOTEMPTY, "it is not empty", folder)
        self._folders.discard(folder)
        self.history.append(Change("remove folder", folder))

    def _used_bytes(self) -> int:
        """Bytes of all files that have a name or are open."""
        opened = {file for file in self._open.values() if isinstance(file, int)}
        return sum(len(self._files[file]) for file in opened.union(self._names.values()))

    def _found(self, path: str) -> int | str | None:
        return path if path in self._folders else self._names.get(path)

    def _need_found(self, path: str) -> None:
        if path not in self._folders:
            self._need(path)

    def _lock(self, file: int | str) -> int:
        handle = self._number()
        self._open[handle] = file
        self._locks.setdefault(file, set()).add(handle)
        return handle

    def _opened(self, handle: int) -> int:
        file = self._open[handle]
        assert isinstance(file, int), "a folder is not written"
        return file

    def _may(self, operation: str, *, changes: bool = False) -> bool:
        """Raise what the operation is to raise; True where it is to fall short."""
        if changes and self.is_read_only:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        for i, failure in enumerate(self._failures):
            if failure.operation != operation:
                continue
            if failure.passes:
                self._failures[i] = failure._replace(passes=failure.passes - 1)
                continue
            self._failures[i] = failure._replace(times=failure.times - 1)
            if failure.times == 1:
                del self._failures[i]
            if failure.number is not None:
                raise OSError(failure.number, os.strerror(failure.number))
            return True
        return False

    def _number(self) -> int:
        self._next += 1
        return self._next

    def _need(self, path: str) -> None:
        if path not in self._names:
            raise FileNotFoundError(errno.ENOENT, "there is no such file", path)

    def _need_folder(self, folder: str) -> None:
        if folder not in self._folders:
            raise FileNotFoundError(errno.ENOENT, "there is no such folder", folder)

    def _within(self, folder: str) -> list[tuple[str, int]]:
        return [(path, file) for path, file in sorted(self._names.items()) if os.path.dirname(path) == folder]
