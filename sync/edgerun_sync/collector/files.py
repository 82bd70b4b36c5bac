"""Objects as the files of a folder, which survive a power cut once they are acknowledged.

No other process is trusted to sync what it wrote: whoever finds an object syncs the folder that names it.
"""

from __future__ import annotations

import itertools
import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from edgerun_sync.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_DRAFTS = ".drafts"
"""Where files are written before they get their names; what a dead process left there is nothing."""
_FORBIDDEN = {"", ".", "..", _DRAFTS}


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
            is_new = not path.exists() and self._place(path, data, os.link)
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
        file = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
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

    def _make_folder(self, folder: Path) -> None:
        """Make a folder and those above it, durably."""
        if not folder.is_dir():
            self._make_folder(folder.parent)
            with suppress(FileExistsError):
                folder.mkdir()
            self._sync_folder(folder.parent)

    def _sync_folder(self, folder: Path) -> None:
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


def _write(file: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(file, view) :]


def _refused(what: str, error: OSError) -> StorageError:
    return StorageError(f"{what} cannot be read or written: {error.strerror or error}")
