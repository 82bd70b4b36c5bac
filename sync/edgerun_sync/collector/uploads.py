"""Blobs on their way in: parts that publishers send, each kept as a file, put together once the last one is there.

Nothing is remembered in the process, so the next part may come to another collector of the same data, or after it died.
No blob appears before all of its bytes were found to have its digest.
"""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple

from edgerun_bundles.repository.storage import blob_name
from edgerun_sync.errors import RefusedError
from edgerun_sync.limits import LIMITS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgerun_bundles.repository.storage import Listed, Storage

PARTS = "parts"
"""The folder of all parts; a part's name says whose it is, of which blob, and where it begins."""
STALE_S = 24 * 3600.0
"""How old a part must be before it is taken for forgotten."""


class Span(NamedTuple):
    """Which bytes of a blob a part is."""

    offset: int | None
    """Of its first byte; None where there are none, and the blob is to be put together."""

    total: int
    """Bytes of the whole blob."""


class Uploads:
    """The parts of blobs.

    Args:
        parts: where they are kept.
        blobs: the repository that gets the blobs.
    """

    def __init__(self, parts: Storage, blobs: Storage) -> None:
        self._parts, self._blobs = parts, blobs

    def held(self, who: str, hexadecimal: str) -> int:
        """Return how many bytes of a blob somebody has sent, from its beginning on.

        Raises:
            RepositoryError: the store fails.
        """
        return sum(size for _, size in self._held(who, hexadecimal))

    def take(self, who: str, hexadecimal: str, span: Span, body: bytes) -> int | None:
        """Take a part; returns how many bytes are there, or None where the blob is whole and in its place.

        Args:
            who: sends it; nobody else's parts are touched.
            hexadecimal: the digits of the blob's digest.
            span: which bytes these are.
            body: the bytes.

        Raises:
            RefusedError: the blob is too large, the part does not follow, or the bytes are not those of the digest.
            RepositoryError: the store fails.
        """
        if span.total > LIMITS.blob_max_bytes:
            raise RefusedError(413, "too-large", f"the blob is larger than {LIMITS.blob_max_bytes} bytes")
        if self._blobs.size_of(blob_name(hexadecimal)) == span.total:
            return None
        if span.offset == 0 and len(body) == span.total:
            self._place(hexadecimal, iter([body]), span.total)
            return None
        held = self._held(who, hexadecimal)
        there = sum(size for _, size in held)
        if span.offset is not None and body:
            there = self._add(who, hexadecimal, held, span.offset, body)
        if there < span.total and span.offset is not None:
            return there
        try:
            self._put_together(who, hexadecimal, span.total)
        except RefusedError:
            self._forget(who, hexadecimal)
            raise
        self._forget(who, hexadecimal)
        return None

    def clean(self, now_s: float) -> int:
        """Remove parts of uploads that nobody goes on with; returns how many.

        Raises:
            RepositoryError: the store fails.
        """
        stale = [found.name for found in self._parts.names(PARTS) if found.changed_s + STALE_S <= now_s]
        for name in stale:
            self._parts.remove(name)
        return len(stale)

    def _held(self, who: str, hexadecimal: str) -> list[tuple[int, int]]:
        """Offset and size of the parts that follow one another from the beginning on."""
        found, end = [], 0
        for listed in self._of(who, hexadecimal):
            if listed.name == _name(who, hexadecimal, end):
                found.append((end, listed.size))
                end += listed.size
        return found

    def _of(self, who: str, hexadecimal: str) -> list[Listed]:
        prefix = f"{PARTS}/{who}-{hexadecimal}-"
        return sorted(found for found in self._parts.names(PARTS) if found.name.startswith(prefix))

    def _add(self, who: str, hexadecimal: str, held: list[tuple[int, int]], offset: int, body: bytes) -> int:
        """Keep a part that follows, or is there already; returns how many bytes are there then."""
        there = sum(size for _, size in held)
        if offset == there:
            self._parts.put_blob(_name(who, hexadecimal, offset), iter([body]), len(body))
            return there + len(body)
        if (offset, len(body)) not in held:
            raise RefusedError(409, "other-part", f"{there} bytes are there; go on with the next one")
        return there

    def _put_together(self, who: str, hexadecimal: str, total: int) -> None:
        held = self._held(who, hexadecimal)
        there = sum(size for _, size in held)
        if there != total:
            raise RefusedError(409, "other-part", f"{there} bytes are there, not {total}; send the blob again")
        names = [_name(who, hexadecimal, offset) for offset, _ in held]
        pieces = (piece for name in names for piece in self._parts.pieces(name))
        with ThreadPoolExecutor(1, "edgerun-upload") as beside:
            # an object store's library cannot read while it asks for what it writes, but in another thread
            self._place(hexadecimal, iter(lambda: beside.submit(next, pieces, b"").result(), b""), total)

    def _place(self, hexadecimal: str, pieces: Iterator[bytes], size: int) -> None:
        wrong: list[RefusedError] = []

        def verified() -> Iterator[bytes]:
            """The pieces, of which the last comes only where all of them were right."""
            digest, held = hashlib.sha256(), b""
            for piece in pieces:
                digest.update(piece)
                if held:
                    yield held
                held = piece
            if digest.hexdigest() != hexadecimal:
                wrong.append(RefusedError(422, "wrong-digest", f"the bytes are not those of sha256:{hexadecimal}"))
                raise wrong[0]
            yield held

        try:
            self._blobs.put_blob(blob_name(hexadecimal), verified(), size)
        except Exception as error:
            if wrong:  # an object store's library makes another error of it
                raise wrong[0] from error
            raise

    def _forget(self, who: str, hexadecimal: str) -> None:
        for listed in self._of(who, hexadecimal):
            self._parts.remove(listed.name)


def _name(who: str, hexadecimal: str, offset: int) -> str:
    return f"{PARTS}/{who}-{hexadecimal}-{offset:015d}"
