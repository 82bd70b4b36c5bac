"""What a key is, and which bytes of it are hashed (SPLIT.md section 2). The one home of these rules.

It must never guess: whatever is not a ``str``, an integer or ``bytes`` is refused, since two spellings of one
unit would put that unit into two arms.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

from edgerun._shown import shown
from edgerun.errors import InputError
from edgerun.limits import LIMITS

Key: TypeAlias = "str | int | bytes | np.integer[Any]"

KEY_MAX_BYTES = LIMITS.key_max_bytes


def key_bytes(key: Key) -> bytes:
    """Return the bytes of a key that are hashed.

    A ``str`` is its UTF-8, untouched: no case folding, no normalisation, no stripping. An integer (numpy's
    too) is its decimal text, so that 42 and "42" are one unit. ``bytes`` are themselves.

    Raises:
        InputError: any other type, ``bool`` included; a text with a lone surrogate; more than
            ``LIMITS.key_max_bytes`` bytes.
    """
    if isinstance(key, str):
        data = _text_bytes(key)
    elif isinstance(key, bytes):
        data = key
    elif isinstance(key, int | np.integer) and not isinstance(key, bool):
        data = _integer_bytes(int(key))
    else:
        raise InputError(
            f"a key is a str, an int or bytes, not {type(key).__qualname__} {shown(key)}; "
            "convert it to the text that names the unit everywhere"
        )
    if len(data) > KEY_MAX_BYTES:
        raise InputError(f"a key has at most {KEY_MAX_BYTES} bytes, but this {type(key).__qualname__} has {len(data)}")
    return data


def _text_bytes(key: str) -> bytes:
    try:
        return str.encode(key)
    except UnicodeEncodeError as error:
        raise InputError(
            f"the key {shown(key)} (str) is no Unicode text: lone surrogate at index {error.start}"
        ) from error


def _integer_bytes(key: int) -> bytes:
    try:
        return b"%d" % key
    except ValueError as error:
        raise InputError(
            f"the key is an int of {key.bit_length()} bits, which Python does not write as decimal text; "
            "pass the text itself"
        ) from error
