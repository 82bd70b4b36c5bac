"""Where the system's errors become those of a store, with what was being done."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from edgerun.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def disk_errors(what: str) -> Iterator[None]:
    """Turn what the disk raises into a StoreError.

    Raises:
        StoreError: an operation of the disk failed; ``what`` says of what.
    """
    try:
        yield
    except OSError as error:
        raise StoreError(f"{what}: {error.strerror or error}") from error
