"""What a device asks of a repository beside metadata: channel documents, and blobs for the store."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from edgerun.artifact import digest_of
from edgerun.errors import UpdateError
from edgerun.limits import LIMITS
from edgerun.update.source import blob_path

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgerun.artifact import Descriptor
    from edgerun.update.source import Source


class RepositoryBlobs:
    """The blobs of a repository, as a store fetches them. A connection that breaks off is taken up again.

    Attributes:
        received_bytes: how many bytes came.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self.received_bytes = 0

    @contextmanager
    def open(self, descriptor: Descriptor, offset: int) -> Iterator[Iterator[bytes]]:
        """Give the bytes of a blob from an offset on.

        Raises:
            UpdateError: now or while they are read: they cannot be had, after all attempts.
        """
        yield self._pieces(blob_path(descriptor.digest), descriptor.size, offset)

    def _pieces(self, path: str, size: int, offset: int) -> Iterator[bytes]:
        for attempt in range(LIMITS.fetch_attempts_max):
            try:
                for piece in _opened(self._source, path, offset):
                    offset += len(piece)
                    self.received_bytes += len(piece)
                    yield piece
            except UpdateError:
                if attempt == LIMITS.fetch_attempts_max - 1:
                    raise
            if offset >= size:
                return


def fetch_document(source: Source, wanted: Descriptor) -> bytes:
    """Fetch a small blob and verify it.

    Raises:
        UpdateError: it cannot be had, or has other bytes than were promised.
    """
    path, found = blob_path(wanted.digest), b""
    for piece in _opened(source, path, 0):
        found += piece
        if len(found) > wanted.size:
            break
    if len(found) != wanted.size or digest_of(found) != wanted.digest:
        raise UpdateError(f"{source.where}/{path} has other bytes than were signed; try again, or look for an attack")
    return found


def _opened(source: Source, path: str, offset: int) -> Iterator[bytes]:
    pieces = source.open(path, offset)
    if pieces is None:
        raise UpdateError(f"{source.where}/{path} is missing; is this a whole repository?")
    return pieces
