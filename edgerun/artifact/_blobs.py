"""Blobs: bytes that are believed for their digest and size. Read once, with little memory, and never past the size."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING, BinaryIO

from edgerun.errors import BundleError

if TYPE_CHECKING:
    from edgerun.artifact._parts import Descriptor, Layer

CHUNK_BYTES = 2**18
"""Read at a time: within the cache of a small CPU, and large enough that calls cost nothing beside hashing."""


class Digester:
    """The digest and the size of bytes that come in pieces, and whether they are those that were promised."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self.size = 0

    def update(self, piece: bytes | bytearray | memoryview) -> None:
        """Take the next piece."""
        self._hash.update(piece)
        self.size += len(piece)

    @property
    def digest(self) -> str:
        """The digest of all pieces so far."""
        return f"sha256:{self._hash.hexdigest()}"

    def check(self, expected: Descriptor | Layer, where: str) -> None:
        """Compare all pieces with what was promised.

        Raises:
            BundleError: size or digest differ; ``where`` names the blob.
        """
        if self.size != expected.size:
            raise BundleError(f"{where} has {self.size} bytes instead of {expected.size}; fetch it again")
        if self.digest != expected.digest:
            raise BundleError(f"{where} has the digest {self.digest} instead of {expected.digest}; fetch it again")


def digest_of(content: bytes) -> str:
    """Return the digest of bytes: ``sha256:`` and 64 hexadecimal digits."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def verify_blob(source: str | os.PathLike[str] | BinaryIO, expected: Descriptor | Layer) -> None:
    """Read a blob whole and compare it with what was promised.

    Args:
        source: a path, or a stream that stands at the blob's first byte.
        expected: its digest and size; at most one byte more than the size is read.

    Raises:
        BundleError: it cannot be read, or its size or digest differ.
    """
    if not isinstance(source, str | os.PathLike):
        _verify(source, expected, f"the blob {expected.digest}")
        return
    try:
        with open(source, "rb", buffering=0) as stream:
            _verify(stream, expected, os.fspath(source))
    except OSError as error:
        raise BundleError(f"{os.fspath(source)} cannot be read: {error.strerror or error}") from error


def _verify(stream: BinaryIO, expected: Descriptor | Layer, where: str) -> None:
    found = Digester()
    while found.size <= expected.size:
        piece = stream.read(min(CHUNK_BYTES, expected.size + 1 - found.size))
        if not piece:
            break
        found.update(piece)
    else:
        raise BundleError(f"{where} has more than {expected.size} bytes; fetch it again")
    found.check(expected, where)
