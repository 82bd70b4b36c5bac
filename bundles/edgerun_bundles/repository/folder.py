"""A repository in a folder: files appear whole, by a link or a rename of a synced draft, and stay after a power cut.

Two writers are kept apart by a lock on ``metadata/.lock``; it goes when its process does.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import stat
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from edgerun_bundles.errors import RepositoryError
from edgerun_bundles.placing import SCRATCH
from edgerun_bundles.repository.storage import LOCK_FILE, Found, Listed, nothing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PIECE_BYTES = 2**20
FILE_MODE = 0o644
_NO_LINKS = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK})


class FolderStorage:
    """See Storage.

    Args:
        folder: the repository; it is made when something is written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.where = str(folder)

    def read(self, name: str, max_bytes: int) -> Found | None:
        """See Storage."""
        with self._mapped(name):
            try:
                with self._opened(name) as fd:
                    content = _read(fd, max_bytes + 1)
            except (FileNotFoundError, NotADirectoryError):
                return None
        if len(content) > max_bytes:
            raise RepositoryError(f"{self.where}: {name} is larger than {max_bytes} bytes")
        return Found(content, hashlib.sha256(content).hexdigest())

    def pieces(self, name: str, offset: int = 0) -> Iterator[bytes]:
        """See Storage."""
        with self._mapped(name), self._opened(name) as fd:
            os.lseek(fd, offset, os.SEEK_SET)
            while piece := os.read(fd, PIECE_BYTES):
                yield piece

    def size_of(self, name: str) -> int | None:
        """See Storage."""
        with self._mapped(name):
            try:
                return (self.folder / name).stat().st_size
            except (FileNotFoundError, NotADirectoryError):
                return None

    def create(self, name: str, content: bytes) -> bool:
        """See Storage. A link fails where the name is taken; a rename would not."""
        with self._mapped(name), self._draft(name, content) as draft:
            try:
                os.link(draft, self.folder / name)
            except FileExistsError:
                return False
            except OSError as error:
                if error.errno not in _NO_LINKS:
                    raise
                return self._create_locked(name, draft)
            _sync_folder((self.folder / name).parent)
            return True

    def _create_locked(self, name: str, draft: Path) -> bool:
        """Create a file where there are no links, as on most sticks: whoever else writes there takes the same lock."""
        with self.locked():
            if (self.folder / name).exists():
                return False
            draft.replace(self.folder / name)
            _sync_folder((self.folder / name).parent)
            return True

    def put_blob(self, name: str, pieces: Iterator[bytes], size: int) -> None:  # noqa: ARG002 - others need the size
        """See Storage."""
        with self._mapped(name), self._draft(name) as draft:
            with draft.open("wb") as file:
                for piece in pieces:
                    file.write(piece)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(self.folder / name)
            _sync_folder((self.folder / name).parent)

    def replace(self, name: str, content: bytes, token: str | None, last: Callable[[], None] = nothing) -> bool:
        """See Storage."""
        with self.locked():
            last()
            found = self.read(name, max(PIECE_BYTES, len(content)))
            if (found.token if found else None) != token:
                return False
            with self._mapped(name), self._draft(name, content) as draft:
                draft.replace(self.folder / name)
                _sync_folder((self.folder / name).parent)
            return True

    def names(self, folder: str) -> Iterator[Listed]:
        """See Storage."""
        with self._mapped(folder):
            try:
                entries = sorted(os.scandir(self.folder / folder), key=lambda entry: entry.name)
            except FileNotFoundError:
                return
            for entry in entries:
                with contextlib.suppress(FileNotFoundError):
                    status = entry.stat(follow_symlinks=False)
                    if stat.S_ISREG(status.st_mode):
                        yield Listed(f"{folder}/{entry.name}", status.st_size, status.st_mtime)

    def remove(self, name: str) -> None:
        """See Storage."""
        with self._mapped(name):
            (self.folder / name).unlink(missing_ok=True)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """See Storage. Within one process the lock may be taken again only after it was given back."""
        with self._mapped(LOCK_FILE):
            place = self.folder / LOCK_FILE
            _make_folders(place.parent)
            fd = os.open(place, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
        try:
            with self._mapped(LOCK_FILE):
                fcntl.flock(fd, fcntl.LOCK_EX)
            yield
        finally:
            os.close(fd)

    def check_writable(self) -> None:
        """See Storage. What a folder of a local disk promises is known; one that cannot be written says so here."""
        with self._mapped(""):
            _make_folders(self.folder / "metadata")
            with self._draft("metadata/any", b""):
                pass

    @contextlib.contextmanager
    def _opened(self, name: str) -> Iterator[int]:
        fd = os.open(self.folder / name, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise RepositoryError(f"{self.where}: {name} is no regular file")
            yield fd
        finally:
            os.close(fd)

    @contextlib.contextmanager
    def _draft(self, name: str, content: bytes | None = None) -> Iterator[Path]:
        """Give a file beside a place, with a content that is synced, and remove what is left of it."""
        parent = (self.folder / name).parent
        _make_folders(parent)
        fd, path = tempfile.mkstemp(prefix=SCRATCH, dir=parent)
        draft = Path(path)
        try:
            os.fchmod(fd, FILE_MODE)
            if content is not None:
                with open(fd, "wb", closefd=False) as file:
                    file.write(content)
                os.fsync(fd)
        except BaseException:  # Ctrl-C too
            draft.unlink(missing_ok=True)
            raise
        finally:
            os.close(fd)
        try:
            yield draft
        finally:
            draft.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _mapped(self, name: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise RepositoryError(f"{self.where}: {name or 'the folder'}: {error.strerror or error}") from error


def _read(fd: int, max_bytes: int) -> bytes:
    content = bytearray()
    while len(content) < max_bytes and (piece := os.read(fd, min(PIECE_BYTES, max_bytes - len(content)))):
        content += piece
    return bytes(content)


def _make_folders(folder: Path) -> None:
    """Make a folder and those above it, each synced into the one above."""
    if folder.is_dir():
        return
    _make_folders(folder.parent)
    folder.mkdir(exist_ok=True)
    _sync_folder(folder.parent)


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
