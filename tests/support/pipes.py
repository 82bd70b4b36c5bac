"""A named pipe by which another process tells that it got somewhere, and that it is gone: no sleep, no guess."""

from __future__ import annotations

import os
import select
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from pathlib import Path

TIMEOUT_S = 60


class Pipe:
    """A pipe that another process writes to. Use it as a context manager."""

    def __init__(self, path: Path) -> None:
        os.mkfifo(path)
        self._descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)

    def wait_for_word(self) -> None:
        """Wait until something is written."""
        assert self._read() != b"", "nobody said anything"

    def wait_for_end(self) -> None:
        """Wait until nobody has the other end any more."""
        while self._read():
            pass

    def _read(self) -> bytes:
        assert select.select([self._descriptor], [], [], TIMEOUT_S)[0], f"nothing came within {TIMEOUT_S} s"
        return os.read(self._descriptor, 4096)
