"""Reading many objects one after the other without waiting for each: a bucket is asked for the next ones meanwhile."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from itertools import islice
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator

    from edgerun_sync.collector.objects import Objects

ARCHIVES_AT_ONCE = 4
"""Archives are large: so many of them, and of what goes with them, are in memory at once."""


def read_in_order(
    objects: Objects, keys: Iterable[str], at_once: int | None = None
) -> closing[Generator[tuple[str, bytes | None]]]:
    """Return a context manager that yields keys and the bytes of each, None where there are none, in their order.

    Where the objects say that several are best read at once, further ones are asked for while one is worked on; whoever
    stops in the middle leaves the block. An error comes in the place of its object.

    Args:
        objects: where they are.
        keys: of them.
        at_once: how many at most; None for as many as the objects say.

    Raises:
        StorageError: the storage failed, when the object's turn comes.
    """
    threads: int = getattr(objects, "reads_at_once", 1)
    threads = threads if at_once is None else min(threads, at_once)
    return closing(_one_by_one(objects, keys) if threads == 1 else _ahead(objects, iter(keys), threads))


def _one_by_one(objects: Objects, keys: Iterable[str]) -> Generator[tuple[str, bytes | None]]:
    for key in keys:
        yield key, objects.get(key)


def _ahead(objects: Objects, keys: Iterator[str], threads: int) -> Generator[tuple[str, bytes | None]]:
    pool = ThreadPoolExecutor(threads, thread_name_prefix="edgerun-read")
    waiting: deque[tuple[str, Future[bytes | None]]] = deque()
    try:
        waiting += ((key, pool.submit(objects.get, key)) for key in islice(keys, threads))
        while waiting:
            key, found = waiting.popleft()
            yield key, found.result()
            waiting += ((key, pool.submit(objects.get, key)) for key in islice(keys, 1))
    finally:
        pool.shutdown(cancel_futures=True)
