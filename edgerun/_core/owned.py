"""Handles whose freeing may wait for threads: only the process that made one frees it.

A forked child has a copy of the handle and none of the threads. What its parent had left to the garbage collector is
collected there too, and would wait for ever.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from edgerun._edgerun import ffi

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgerun._core import CData


def owned(handle: CData, free: Callable[[CData], None]) -> CData:
    """Return a handle that is freed with its last reference, unless that goes in a forked child."""
    maker = os.getpid()

    def end(found: CData, getpid: Callable[[], int] = os.getpid) -> None:
        if getpid() == maker:
            free(found)

    return ffi.gc(handle, end)
