"""The one package that touches the C core: return codes become exceptions, owners are freed by ``ffi.gc``."""

from __future__ import annotations

from typing import Any, TypeAlias

from edgerun import errors
from edgerun._edgerun import ffi, lib

CData: TypeAlias = Any
"""A pointer into C; cffi gives it no static type."""


def describe(code: int) -> str:
    """Return the C core's text for a return code."""
    return str(ffi.string(lib.er_strerror(code)).decode())


def check(code: int) -> int:
    """Return a non-negative code unchanged; raise for a negative one.

    Raises:
        MemoryError: the core could not allocate.
        CoreError: any other failure.
    """
    if code >= 0:
        return code
    if code == lib.ER_ENOMEM:
        raise MemoryError(describe(code))
    raise errors.CoreError(describe(code))
