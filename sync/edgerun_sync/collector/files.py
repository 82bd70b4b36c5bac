"""Objects as the files of a folder, which survive a power cut once they are acknowledged.

No other process is trusted to sync what it wrote: whoever finds an object syncs the folder that names it.
"""

from __future__ import annotations

import itertools
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from edgerun_sync.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

T = TypeVar("T")

_DRAFTS = ".drafts"
"""Where files are written before they get their names; what a dead process left there is nothing."""
_FORBIDDEN = {"", ".", "..", _DRAFTS}
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
_LOCKS = 1024
"""That folders share; two folders with one lock are not synced at once."""
SYNCS_AT_ONCE = 8
"""Of files that are replaced together: a disk syncs those of some threads in about the time of one."""


class _Draft(NamedTuple):
    """A file that is to replace another one, or to become it: where it is written, its name, its bytes."""

    draft: str
    path: str
    data: bytes


class Files:
    """Objects below a folder, which is made if it is not there.

    Args:
        folder: where.
        sync: of a file's descriptor; a stand-in lets tests see the order.

    Raises:
        StorageError: the folder cannot be made.
    """

    at_once = 16
    """More wait no less for the disk, and more for each other: for the interpreter's lock."""

    def __init__(self, folder: str | os.PathLike[str], *, sync: Callable[[int], None] = os.fsync) -> None:
        self._folder = os.path.abspath(folder)  # noqa: PTH100 - resolve() would follow links
        self._sync = sync
        self._together = _Together(self._sync_folder_now)
        self._numbers = itertools.count()
        self._draft = f"{self._folder}/{_DRAFTS}/{os.getpid()}-{os.urandom(8).hex()}"
        try:
            self._make_folder(_parent(self._draft))
        except OSError as error:
            raise _refused(self._folder, error) from error

    def put_new(self, key: str, data: bytes) -> bool:
        """See Objects."""
        path = self._path(key)
        try:
            is_new = self._make(path, data) if data else self._name(path)
            self._sync_folder(_parent(path))
        except OSError as error:
            raise _refused(key, error) from error
        return is_new

    def replace(self, key: str, data: bytes) -> None:
        """See Objects."""
        self.replace_all([(key, data)])

    def replace_all(self, objects: Sequence[tuple[str, bytes]]) -> None:
        """See Objects."""
        drafts = [_Draft(self._new_draft(), self._path(key), data) for key, data in objects]
        try:
            _at_once(self._write, drafts)
            for draft in drafts:
                self._rename(os.replace, draft)
            _at_once(self._sync_folder, [*{_parent(draft.path) for draft in drafts}])
        except OSError as error:
            raise _refused(objects[0][0], error) from error
        finally:
            for draft in drafts:
                _remove(draft.draft)  # it is gone where it was renamed

    def get(self, key: str) -> bytes | None:
        """See Objects."""
        try:
            return _bytes_of(self._path(key))
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
        self.delete_all([key])

    def delete_all(self, keys: Sequence[str]) -> None:
        """See Objects."""
        for key in keys:
            try:
                _remove(self._path(key))
            except OSError as error:
                raise _refused(key, error) from error

    def _path(self, key: str) -> str:
        if not _FORBIDDEN.isdisjoint(key.split("/")) or "\0" in key:
            raise StorageError(f"{key!r} is no key of an object")
        return f"{self._folder}/{key}"

    def _new_draft(self) -> str:
        return f"{self._draft}-{next(self._numbers)}"

    def _make(self, path: str, data: bytes) -> bool:
        """Write a file durably, and then give it its name; False where another one has it."""
        if os.path.exists(path):  # noqa: PTH110 - a Path costs more than the look
            return False
        draft = _Draft(self._new_draft(), path, data)
        try:
            self._write(draft)
            self._rename(os.link, draft)
        except FileExistsError:
            return False
        finally:
            _remove(draft.draft)
        return True

    def _write(self, draft: _Draft) -> None:
        """Write a file durably, that has no name yet."""
        file = os.open(draft.draft, _NEW, 0o644)
        try:
            view = memoryview(draft.data)
            while view:
                view = view[os.write(file, view) :]
            self._sync(file)
        finally:
            os.close(file)

    def _rename(self, rename: Callable[[str, str], None], draft: _Draft) -> None:
        """Give a file its name, and make the folder that it is to be in."""
        try:
            rename(draft.draft, draft.path)
        except FileNotFoundError:
            self._make_folder(_parent(draft.path))
            rename(draft.draft, draft.path)

    def _name(self, path: str) -> bool:
        """Make an empty file, which is whole as soon as its folder names it; False where there is one."""
        with suppress(FileExistsError):
            try:
                file = os.open(path, _NEW, 0o644)
            except FileNotFoundError:
                self._make_folder(_parent(path))
                file = os.open(path, _NEW, 0o644)
            os.close(file)
            return True
        return False

    def _make_folder(self, folder: str) -> None:
        """Make a folder and those above it, durably."""
        if not os.path.isdir(folder):  # noqa: PTH112 - a Path costs more than the look
            self._make_folder(_parent(folder))
            with suppress(FileExistsError):
                os.mkdir(folder)  # noqa: PTH102 - likewise
            self._sync_folder(_parent(folder))

    def _sync_folder(self, folder: str) -> None:
        self._together(folder)

    def _sync_folder_now(self, folder: str) -> None:
        file = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            self._sync(file)
        finally:
            os.close(file)

    def _walk(self, folder: str, prefix: str) -> Iterator[str]:
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

    def __init__(self, sync: Callable[[str], None]) -> None:
        self._sync = sync
        self._lock = threading.Lock()
        self._next: dict[str, _Turn] = {}
        self._under_way = [threading.Lock() for _ in range(_LOCKS)]

    def __call__(self, folder: str) -> None:
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

    def _take(self, folder: str, turn: _Turn) -> None:
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


def _at_once(function: Callable[[T], object], items: Sequence[T]) -> None:
    """Call a function for each item, some at once."""
    if len(items) < 2:
        for item in items:
            function(item)
        return
    with ThreadPoolExecutor(SYNCS_AT_ONCE, thread_name_prefix="edgerun-sync") as threads:
        for _ in threads.map(function, items):
            pass


def _bytes_of(path: str) -> bytes:
    with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - a Path costs more than the call
        return file.readall()


def _parent(path: str) -> str:
    return path.rpartition("/")[0]


def _remove(path: str) -> None:
    with suppress(FileNotFoundError):
        os.unlink(path)  # noqa: PTH108 - a Path costs more than the call


def _refused(what: str, error: OSError) -> StorageError:
    return StorageError(f"{what} cannot be read or written: {error.strerror or error}")
