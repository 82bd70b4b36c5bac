"""The threads that requests are answered in: they wait for disks and buckets, so there are many more than cores."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

P = ParamSpec("P")
R = TypeVar("R")

THREADS = 128
"""A disk syncs the files of many threads at once about as fast as that of one."""

_pool = ThreadPoolExecutor(THREADS, thread_name_prefix="edgerun-request")


async def in_thread(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Return what a function returns that may wait, or raise what it raises."""
    return await asyncio.get_running_loop().run_in_executor(_pool, lambda: function(*args, **kwargs))
