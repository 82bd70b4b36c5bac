"""The heads of msgpack's maps, lists and byte strings: what lets a frame be put together from parts packed before."""

from __future__ import annotations

import struct


def map_head(items: int) -> bytes:
    """Return what begins a map of fewer than 16 items."""
    return bytes((0x80 | items,))


def list_head(items: int) -> bytes:
    """Return what begins a list."""
    if items < 16:
        return bytes((0x90 | items,))
    return struct.pack(">BH", 0xDC, items) if items < 2**16 else struct.pack(">BI", 0xDD, items)


def binary_head(size: int) -> bytes:
    """Return what begins a byte string."""
    if size < 2**8:
        return struct.pack(">BB", 0xC4, size)
    return struct.pack(">BH", 0xC5, size) if size < 2**16 else struct.pack(">BI", 0xC6, size)
