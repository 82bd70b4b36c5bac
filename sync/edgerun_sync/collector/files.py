"""Objects as the files of a folder, which survive a power cut once they are acknowledged.

No other process is trusted to sync what it wrote: whoever finds an object syncs the folder that names it.
"""

from __future__ import annotations

import itertools
import os
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from edgerun_sync.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_DRAFTS = ".drafts"
"""Where files are written before they get their names; what a dead process left there is nothing."""
_FORBIDDEN = {"", ".", "..", _DRAFTS}
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
_LOCKS = 1024
"""That folders share; two folders with one lock are not synced at once."""


class Files:
    """Objects below a folder, which is made if it is not there.

    Args:
        folder: where.
        sync: of a file's descriptor; a stand-in lets tests see the order.

    Raises:
        StorageError: the folder cannot be made.
    """

    def __init__(self, folder: str | os.PathLike[str], *, sync: Callable[[int], None] = os.fsync) -> None:
        self._folder = Path(folder).absolute()
        self._sync = sync
        self._together = _Together(self._sync_folder_now)
        self._numbers = itertools.count()
        self._draft = self._folder / _DRAFTS / f"{os.getpid()}-{os.urandom(8).hex()}"
        try:
            self._make_folder(self._draft.parent)
        except OSError as error:
            raise _refused(str(self._folder), error) from error

    def put_new(self, key: str, data: bytes) -> bool:
        """See Objects."""
        path = self._path(key)
        try:
            is_new = not path.exists() and (self._place(path, data, os.link) if data else self._name(path))
            self._sync_folder(path.parent)
        except OSError as error:
            raise _refused(key, error) from error
        return is_new

    def replace(self, key: str, data: bytes) -> None:
        """See Objects."""
        path = self._path(key)
        try:
            self._place(path, data, os.replace)
            self._sync_folder(path.parent)
        except OSError as error:
            raise _refused(key, error) from error

    def get(self, key: str) -> bytes | None:
        """See Objects."""
        try:
            return self._path(key).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise _refused(key, error) from error

    def list(self, prefix: str) -> Iterator[str]:
        """See Objects."""
        try:
            found = sorted(self._walk(self._path(prefix.rstrip("/")), prefix))
        except OSError as error:
            raise _refused(prefix, error) from error
        yield from found

    def delete(self, key: str) -> None:
        """See Objects."""
        try:
            self._path(key).unlink(missing_ok=True)
        except OSError as error:
            raise _refused(key, error) from error

    def _path(self, key: str) -> Path:
        parts = key.split("/")
        if _FORBIDDEN & {*parts} or "\0" in key:
            raise StorageError(f"{key!r} is no key of an object")
        return self._folder.joinpath(*parts)

    def _place(self, path: Path, data: bytes, name: Callable[[Path, Path], None]) -> bool:
        """Write a file durably, and then give it its name; False where another one has it."""
        draft = self._draft.with_name(f"{self._draft.name}-{next(self._numbers)}")
        file = os.open(draft, _NEW, 0o644)
        try:
            try:
                _write(file, data)
                self._sync(file)
            finally:
                os.close(file)
            try:
                name(draft, path)
            except FileNotFoundError:
                self._make_folder(path.parent)
                name(draft, path)
        except FileExistsError:
            return False
        finally:
            draft.unlink(missing_ok=True)  # it is gone where it was renamed
        return True

    def _name(self, path: Path) -> bool:
        """Make an empty file, which is whole as soon as its folder names it; False where there is one."""
        with suppress(FileExistsError):
            try:
                file = os.open(path, _NEW, 0o644)
            except FileNotFoundError:
                self._make_folder(path.parent)
                file = os.open(path, _NEW, 0o644)
            os.close(file)
            return True
        return False

    def _make_folder(self, folder: Path) -> None:
        """Make a folder and those above it, durably."""
        if not folder.is_dir():
            self._make_folder(folder.parent)
            with suppress(FileExistsError):
                folder.mkdir()
            self._sync_folder(folder.parent)

    def _sync_folder(self, folder: Path) -> None:
        self._together(folder)

    def _sync_folder_now(self, folder: Path) -> None:
        file = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            self._sync(file)
        finally:
            os.close(file)

    def _walk(self, folder: str | Path, prefix: str) -> Iterator[str]:
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        yield from self._walk(entry.path, f"{prefix}{entry.name}/")
                    else:
                        yield prefix + entry.name
        except FileNotFoundError:
            return


class _Together:
    """Syncs of a folder that several threads want at once: one counts for all who wanted it before it began.

    Args:
        sync: of one folder.
    """

    def __init__(self, sync: Callable[[Path], None]) -> None:
        self._sync = sync
        self._lock = threading.Lock()
        self._next: dict[Path, _Turn] = {}
        self._under_way = [threading.Lock() for _ in range(_LOCKS)]

    def __call__(self, folder: Path) -> None:
        """Return when all that the folder names now would survive a power cut."""
        while True:
            with self._lock:
                turn = self._next.get(folder)
                if is_first := turn is None:
                    turn = self._next[folder] = _Turn()
            if is_first:
                self._take(folder, turn)
                return
            turn.ended.wait()
            if turn.is_synced:  # else whoever did it for all could not, and tells its own caller why
                return

    def _take(self, folder: Path, turn: _Turn) -> None:
        try:
            with self._under_way[hash(folder) % _LOCKS]:
                with self._lock:
                    del self._next[folder]
                self._sync(folder)
                turn.is_synced = True
        finally:
            turn.ended.set()


class _Turn:
    """One sync of a folder, and those who wait for it."""

    def __init__(self) -> None:
        self.ended = threading.Event()
        self.is_synced = False


def _write(file: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(file, view) :]


def _refused(what: str, error: OSError) -> StorageError:
    return StorageError(f"{what} cannot be read or written: {error.strerror or error}")
