"""Objects in memory: what a bucket does, at once. Other threads may use it too."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


class MemoryObjects:
    """See `edgerun_sync.collector.objects.Objects`."""

    at_once = 16

    def __init__(self) -> None:
        self.found: dict[str, bytes] = {}
        self._lock = threading.Lock()

    def put_new(self, key: str, data: bytes) -> bool:
        with self._lock:
            return self.found.setdefault(key, data) is data

    def replace(self, key: str, data: bytes) -> None:
        with self._lock:
            self.found[key] = data

    def get(self, key: str) -> bytes | None:
        with self._lock:
            return self.found.get(key)

    def list(self, prefix: str) -> Iterator[str]:
        with self._lock:
            return iter(sorted(key for key in self.found if key.startswith(prefix)))

    def delete(self, key: str) -> None:
        with self._lock:
            self.found.pop(key, None)

    def replace_all(self, objects: Sequence[tuple[str, bytes]]) -> None:
        for key, data in objects:
            self.replace(key, data)

    def delete_all(self, keys: Sequence[str]) -> None:
        for key in keys:
            self.delete(key)
