"""Canonical JSON (RFC 8785): the same facts are the same bytes, so that a digest can name them.

It writes what `documents` and `values` have made plain, and refuses the rest: it never rounds and never guesses.
"""

from __future__ import annotations

import hashlib
import json
import math
from decimal import Decimal
from typing import Any

from edgerun_bundles.errors import ProvenanceError

INTEGER_MAX = 2**53 - 1
"""The largest integer that every reader of JSON holds exactly."""

_PLAIN_DIGITS_MAX = 21
_LEADING_ZEROS_MAX = 6
"""Where ECMAScript's Number::toString turns to an exponent."""


def canonical(document: Any) -> bytes:
    """Return a document of plain JSON values as RFC 8785 writes it.

    Raises:
        ProvenanceError: a value is of no JSON type, not finite, an integer beyond 2^53 - 1, or a text without UTF-8.
    """
    pieces: list[str] = []
    _write(document, pieces)
    try:
        return "".join(pieces).encode()
    except UnicodeEncodeError as error:
        raise ProvenanceError(f"a text holds the lone surrogate {error.object[error.start]!r}") from error


def parsed(content: bytes) -> Any:
    """Return the document in any valid JSON, with numbers as ECMAScript reads them.

    An integer beyond 2^53 - 1 is a float then: so RFC 8785 writes large floats, and what was read can be written again.

    Raises:
        ValueError: it is no JSON, too deep for this reader, has a name twice in one object, or a number without bounds.
    """
    try:
        return json.loads(
            content, object_pairs_hook=_unique, parse_constant=_finite, parse_float=_finite, parse_int=_parsed_integer
        )
    except RecursionError as error:
        raise ValueError("too deep") from error


def digest(content: bytes) -> str:
    """Return the SHA-256 of bytes in lower-case hex."""
    return hashlib.sha256(content).hexdigest()


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice in one object")
    return found


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text:.60} is no JSON number")
    return value


def _parsed_integer(text: str) -> int | float:
    value = int(text)
    return value if abs(value) <= INTEGER_MAX else _finite(text)


def _write(value: Any, pieces: list[str]) -> None:
    match value:
        case None | bool():
            pieces.append(json.dumps(value))
        case str():
            pieces.append(json.dumps(value, ensure_ascii=False))
        case int():
            pieces.append(_integer(value))
        case float():
            pieces.append(_number(value))
        case dict():
            _write_object(value, pieces)
        case list() | tuple():
            _write_list(value, pieces)
        case _:
            raise ProvenanceError(f"a {type(value).__name__} is no JSON value: {value!r:.60}")


def _write_object(value: dict[str, Any], pieces: list[str]) -> None:
    if not all(isinstance(name, str) for name in value):
        raise ProvenanceError("a name in an object is no text")
    separator = "{"
    for name in sorted(value, key=_utf16):
        pieces += [separator, json.dumps(name, ensure_ascii=False), ":"]
        _write(value[name], pieces)
        separator = ","
    pieces.append("}" if value else "{}")


def _write_list(value: list[Any] | tuple[Any, ...], pieces: list[str]) -> None:
    separator = "["
    for item in value:
        pieces.append(separator)
        _write(item, pieces)
        separator = ","
    pieces.append("]" if value else "[]")


def _utf16(text: str) -> bytes:
    return text.encode("utf-16-be", "surrogatepass")


def _integer(value: int) -> str:
    if abs(value) > INTEGER_MAX:
        raise ProvenanceError(f"the integer {value} is beyond 2^53 - 1; write it as a text")
    return str(int(value))


def _number(value: float) -> str:
    """Write a float as ECMAScript does: the shortest digits that read back the same, then where the point stands."""
    if not math.isfinite(value):
        raise ProvenanceError(f"{value} is no JSON number; write it as a text")
    if value == 0:
        return "0"
    _, parts, exponent = Decimal(repr(abs(float(value)))).normalize().as_tuple()
    assert isinstance(exponent, int)
    digits = "".join(map(str, parts))
    point = len(digits) + exponent
    if len(digits) <= point <= _PLAIN_DIGITS_MAX:
        text = digits + "0" * (point - len(digits))
    elif 0 < point <= _PLAIN_DIGITS_MAX:
        text = f"{digits[:point]}.{digits[point:]}"
    elif -_LEADING_ZEROS_MAX < point <= 0:
        text = f"0.{'0' * -point}{digits}"
    else:
        fraction = f".{digits[1:]}" if len(digits) > 1 else ""
        text = f"{digits[0]}{fraction}e{point - 1:+d}"
    return f"-{text}" if value < 0 else text
