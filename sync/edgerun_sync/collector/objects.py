"""What the collector needs of storage: objects by key, made once or replaced, the same on a disk and in a bucket.

Tests put another one in its place that fails, lies about its failures, or dies.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


class Objects(Protocol):
    """Objects by key; a key is parts joined by slashes, as in PROTOCOL.md. Every method may raise a StorageError.

    Those of which each takes the time of a round trip say in ``reads_at_once`` how many are best asked for at once.
    After an error of a method that writes, nobody knows whether it was done.
    """

    at_once: int
    """How many threads may use it at once to good effect."""

    def put_new(self, key: str, data: bytes) -> bool:
        """Make an object, unless there is one; whichever it is, it is whole and durable when this returns.

        Returns:
            Whether it was made now. Of several that try at once, one is told so.
        """

    def replace(self, key: str, data: bytes) -> None:
        """Make or replace an object; readers see the former bytes or these, which are durable when this returns."""

    def replace_all(self, objects: Sequence[tuple[str, bytes]]) -> None:
        """Replace many, in any order, in less time than one after the other; a reader sees each as `replace` has it."""

    def get(self, key: str) -> bytes | None:
        """Return an object's bytes; None where there is none."""

    def list(self, prefix: str) -> Iterator[str]:
        """Yield the keys that begin with a prefix that ends with a slash, in their order.

        Those that were made before the call are among them.
        """

    def delete(self, key: str) -> None:
        """Remove an object, if there is one; after a power cut it may be there again."""

    def delete_all(self, keys: Sequence[str]) -> None:
        """Remove many, likewise, in any order."""
