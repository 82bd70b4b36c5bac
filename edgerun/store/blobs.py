"""The blobs of a store: what lies in ``blobs/sha256`` was verified when it came, and is whole whatever happens.

A blob is fetched into ``partial``, hashed as it comes, synced, and only then gets its name.
"""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from edgerun.artifact import Descriptor, Digester, hex_of
from edgerun.disk import write_all
from edgerun.errors import BundleError, StoreError
from edgerun.store.faults import disk_errors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from edgerun.artifact import Layer
    from edgerun.disk import Disk
    from edgerun.store.source import BlobSource


class Blobs:
    """The blobs of one store."""

    def __init__(self, disk: Disk, folder: str) -> None:
        self._disk = disk
        self.folder = f"{folder}/blobs/sha256"
        self.partial_folder = f"{folder}/partial"

    def create(self) -> None:
        """Make the folders.

        Raises:
            OSError: the disk failed.
        """
        self._disk.make_folder(self.folder)
        self._disk.make_folder(self.partial_folder)

    def path(self, digest: str) -> str:
        """Return where a blob lies, or would."""
        return f"{self.folder}/{hex_of(digest)}"

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Keep others from removing blobs meanwhile.

        Raises:
            StoreError: the folder cannot be locked.
        """
        with disk_errors(f"{self.folder} cannot be locked"):
            lock = self._disk.share(self.folder)
        try:
            yield
        finally:
            with suppress(OSError):
                self._disk.release(lock)

    def read(self, digest: str, bytes_max: int) -> bytes:
        """Return a small blob; not verified.

        Raises:
            OSError: it is not there, or cannot be read.
        """
        return self._disk.read(self.path(digest), bytes_max + 1)

    def verify(self, expected: Descriptor | Layer) -> None:
        """Read a blob whole and compare it with what was promised.

        Raises:
            OSError: it is not there, or cannot be read.
            BundleError: its size or digest differ.
        """
        path = self.path(expected.digest)
        found = Digester()
        for piece in self._disk.pieces(path):
            found.update(piece)
            if found.size > expected.size:
                break
        found.check(expected, path)

    def is_whole(self, expected: Descriptor | Layer) -> bool:
        """Whether a blob is there, with every byte.

        Raises:
            OSError: it cannot be read.
        """
        try:
            self.verify(expected)
        except (FileNotFoundError, BundleError):
            return False
        return True

    def begun_bytes(self) -> dict[str, int]:
        """Return how much was fetched already of blobs that are not whole: bytes by hexadecimal digits.

        Raises:
            OSError: the folder cannot be listed.
        """
        return self._disk.sizes(self.partial_folder)

    def fetch(self, source: BlobSource, wanted: Descriptor | Layer, advance: Callable[[int], None]) -> None:
        """Fetch a blob, or the rest of it, and give it its name when all of it is right and on the disk.

        Args:
            source: where from.
            wanted: its digest and size.
            advance: told how many bytes are there, again and again.

        Raises:
            StoreError: the bytes are not those that were promised, the disk failed, or another process fetches it.
            UpdateError: the source failed; what came is kept.
        """
        partial = f"{self.partial_folder}/{hex_of(wanted.digest)}"
        with disk_errors(f"{wanted.digest} cannot be stored"):
            file = self._claimed(partial, wanted)
            try:
                self._complete(source, wanted, file, partial, advance)
                self._keep(file, partial, wanted)
            finally:
                self._disk.close(file)

    def _claimed(self, partial: str, wanted: Descriptor | Layer) -> int:
        file = self._disk.claim(partial)
        if file is not None:
            return file
        try:
            return self._disk.create(partial)
        except FileExistsError as error:
            raise StoreError(f"another process is fetching {wanted.digest}; wait for it") from error

    def _complete(
        self, source: BlobSource, wanted: Descriptor | Layer, file: int, partial: str, advance: Callable[[int], None]
    ) -> None:
        begun = Digester()
        for piece in self._disk.pieces(partial):
            begun.update(piece)
        if begun.size and self._is_completed(source, wanted, file, begun, advance):
            return
        self._disk.truncate(file, 0)
        if not self._is_completed(source, wanted, file, Digester(), advance):
            self._disk.remove(partial)
            raise StoreError(f"what came for {wanted.digest} has other bytes than were promised; fetch it elsewhere")

    def _is_completed(
        self,
        source: BlobSource,
        wanted: Descriptor | Layer,
        file: int,
        found: Digester,
        advance: Callable[[int], None],
    ) -> bool:
        """Whether the bytes that are there and those that come are what was promised."""
        advance(min(found.size, wanted.size))
        if found.size < wanted.size:
            with source.open(Descriptor(*wanted[-3:]), found.size) as pieces:
                for piece in pieces:
                    if found.size + len(piece) > wanted.size:
                        return False
                    write_all(self._disk, file, found.size, piece)
                    found.update(piece)
                    advance(found.size)
                    if found.size == wanted.size:
                        break
            if found.size < wanted.size:
                raise StoreError(f"only {found.size} of {wanted.size} bytes of {wanted.digest} came; fetch it again")
        try:
            found.check(wanted, wanted.digest)
        except BundleError:
            return False
        return True

    def _keep(self, file: int, partial: str, wanted: Descriptor | Layer) -> None:
        try:
            self._disk.sync(file)
        except OSError:
            with suppress(OSError):  # what it holds is unknown now, though it would be read back as it should be
                self._disk.remove(partial)
            raise
        self._disk.replace(partial, self.path(wanted.digest))
        self._disk.sync_folder(self.folder)
