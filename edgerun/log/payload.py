"""msgpack and zstd, the two libraries that a frame's payload is made with. Nothing else of the package imports zstd."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import zstandard

from edgerun._msgpack import packed, unpacked
from edgerun.errors import LogError
from edgerun.limits import LIMITS

if TYPE_CHECKING:
    from collections.abc import Sequence

WINDOW_LOG = 18
"""The window is as large as nearly every payload; compressing then takes less than 1 MB."""
_QUICK = zstandard.ZstdCompressionParameters(
    compression_level=1, strategy=zstandard.STRATEGY_FAST, min_match=7, window_log=WINDOW_LOG
)
"""No short matches: in lengths of a few bits each they are chance, and cost more than the symbols."""
_DENSE = zstandard.ZstdCompressionParameters(
    compression_level=16,
    strategy=zstandard.STRATEGY_BTOPT,
    min_match=6,
    search_log=1,
    hash_log=14,
    chain_log=14,
    window_log=WINDOW_LOG,
)


class _Decompressing(threading.local):
    """A thread's decompressor: to make one, with its memory, takes half as long as to use it."""

    def __init__(self) -> None:
        self._bytes_max = 0
        self._found: zstandard.ZstdDecompressor | None = None

    def upto(self, bytes_max: int) -> zstandard.ZstdDecompressor:
        """Return one for payloads of so many bytes."""
        if self._found is None or self._bytes_max != bytes_max:
            self._found = zstandard.ZstdDecompressor(max_window_size=max(1024, 2 * bytes_max))
            self._bytes_max = bytes_max
        return self._found


_decompressing = _Decompressing()


def pack(value: Any) -> bytes:
    """Return a value as msgpack.

    Raises:
        LogError: msgpack has no form for it.
    """
    try:
        return packed(value)
    except ValueError as error:
        raise LogError(f"this value cannot be logged: {error}") from error


def unpack(raw: bytes) -> Any:
    """Return the value of msgpack bytes. Never makes more items than there are bytes, and few of those are containers.

    Raises:
        LogError: the bytes are not one whole msgpack value, or hold an extension or more containers than LIMITS say.
    """
    try:
        return unpacked(raw, LIMITS.log_containers_max)
    except ValueError as error:
        raise LogError(f"not a msgpack value: {error}") from error


def compress(pieces: Sequence[bytes]) -> bytes:
    """Return the pieces, joined, as one zstd frame that ends a block after each: pieces of unlike statistics."""
    return _compress(pieces, _QUICK)


def compress_densely(pieces: Sequence[bytes]) -> bytes:
    """As `compress`, 1 % smaller in ten times the time: for what is written once and kept."""
    return _compress(pieces, _DENSE)


def _compress(pieces: Sequence[bytes], parameters: zstandard.ZstdCompressionParameters) -> bytes:
    compressor = zstandard.ZstdCompressor(compression_params=parameters).compressobj(size=sum(map(len, pieces)))
    out = []
    for piece in pieces:
        out += [compressor.compress(piece), compressor.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)]
    out.append(compressor.flush())
    return b"".join(out)


def decompress(stored: bytes, bytes_max: int) -> bytes:
    """Return what a zstd frame holds.

    Raises:
        LogError: it is no such frame, or declares no size, or one of more than ``bytes_max``.
    """
    try:
        size = zstandard.frame_content_size(stored)
        if not 0 <= size <= bytes_max:
            raise LogError(f"a payload of {size} bytes: at most {bytes_max} are allowed")
        return _decompressing.upto(bytes_max).decompress(stored, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise LogError(f"not a zstd frame: {error}") from error
