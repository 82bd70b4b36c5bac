"""Canonical JSON: one text for one document, so that it can have one digest. RFC 8785 without fractions."""

from __future__ import annotations

import json
from typing import Any

from edgerun._shown import shown
from edgerun._strict_json import strict_json
from edgerun.errors import BundleError

INTEGER_MAX = 2**53 - 1
"""What every JSON reader keeps exactly."""


def canonical_json(document: Any) -> bytes:
    """Return the canonical JSON of plain data: UTF-8, names sorted by their UTF-16 units, no space, integers only.

    Raises:
        BundleError: something is no object with text names, list, text, integer of at most 53 bits, bool or null.
    """
    try:
        text = json.dumps(_ordered(document), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        return text.encode()
    except UnicodeEncodeError as error:
        raise BundleError("a text with a lone surrogate has no canonical JSON") from error
    except RecursionError as error:
        raise BundleError("what is nested so deeply has no canonical JSON") from error


def _ordered(value: Any) -> Any:
    if isinstance(value, dict):
        if not all(isinstance(name, str) for name in value):
            raise BundleError(f"the names in an object must be texts, got {shown([*value])}")
        return {name: _ordered(value[name]) for name in sorted(value, key=_utf16)}
    if isinstance(value, list | tuple):
        return [_ordered(item) for item in value]
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, int) and -INTEGER_MAX <= value <= INTEGER_MAX:
        return int(value)
    raise BundleError(f"{shown(value)} has no canonical JSON: only integers of at most 53 bits are numbers there")


def _utf16(name: str) -> bytes:
    return name.encode("utf-16-be")


def parse_json(raw: bytes, what: str, max_bytes: int) -> Any:
    """Read JSON that came from elsewhere.

    Raises:
        BundleError: it is too large, no UTF-8, no JSON, or has a name twice; ``what`` says which file.
    """
    if len(raw) > max_bytes:
        raise BundleError(f"{what} is larger than {max_bytes} bytes")
    try:
        return strict_json(raw)
    except ValueError as error:
        raise BundleError(f"{what} is not valid JSON: {error}") from error
