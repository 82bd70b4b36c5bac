"""Where blobs come from: anything that can give the bytes of one from an offset on. None of them is believed."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from edgerun.artifact import hex_of
from edgerun.errors import UpdateError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from edgerun.artifact import Descriptor

_PIECE_BYTES = 2**18


class BlobSource(Protocol):
    """Where a store fetches blobs from."""

    def open(self, descriptor: Descriptor, offset: int) -> AbstractContextManager[Iterator[bytes]]:
        """Return the bytes of a blob from an offset on, in pieces; the store reads no more than the blob has.

        Raises:
            UpdateError: they cannot be had, now or while they are read.
        """


class FolderSource:
    """Blobs of a folder that has them in ``blobs/sha256``: an OCI image layout, a repository, another store.

    Args:
        folder: the folder.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self._folder = os.fspath(folder)

    @contextmanager
    def open(self, descriptor: Descriptor, offset: int) -> Iterator[Iterator[bytes]]:
        """See BlobSource.

        Raises:
            UpdateError: the file is missing or cannot be read.
        """
        path = f"{self._folder}/blobs/sha256/{hex_of(descriptor.digest)}"
        try:
            file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise UpdateError(f"{path} cannot be read: {error.strerror or error}") from error
        try:
            yield _pieces(file, path, offset)
        finally:
            os.close(file)


def _pieces(file: int, path: str, offset: int) -> Iterator[bytes]:
    while True:
        try:
            piece = os.pread(file, _PIECE_BYTES, offset)
        except OSError as error:
            raise UpdateError(f"{path} cannot be read: {error.strerror or error}") from error
        if not piece:
            return
        yield piece
        offset += len(piece)
