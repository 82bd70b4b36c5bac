"""msgpack: the one module that imports it. What cannot be packed or unpacked is a ValueError, whatever it raises."""

from __future__ import annotations

from typing import Any

import msgpack


def packed(value: Any) -> bytes:
    """Return a value as msgpack.

    Raises:
        ValueError: msgpack has no form for it.
    """
    try:
        return bytes(msgpack.packb(value))
    except (TypeError, OverflowError) as error:
        raise ValueError(str(error)) from error


def unpacked(raw: bytes, containers_max: int) -> Any:
    """Return the value of msgpack bytes. Never makes more items than there are bytes, and few of those are containers.

    Raises:
        ValueError: the bytes are not one whole msgpack value, or hold an extension or more containers than that.
    """
    room = iter(range(containers_max))

    def counted(container: Any) -> Any:
        if next(room, None) is None:
            raise ValueError(f"more than {containers_max} maps and lists")
        return container

    try:
        return msgpack.unpackb(
            raw, strict_map_key=False, object_hook=counted, list_hook=counted, ext_hook=_refuse_extension
        )
    except (TypeError, RecursionError, msgpack.exceptions.UnpackException) as error:
        raise ValueError(str(error) or type(error).__name__) from error


def _refuse_extension(code: int, _: bytes) -> Any:
    raise ValueError(f"a msgpack extension of type {code}")
