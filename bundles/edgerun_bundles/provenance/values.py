"""Turns what a user hands over (parameters, metrics, numpy's numbers) into plain JSON values, or says what is wrong.

What JSON has no number for becomes a text, as PREDICATE.md section 1 says.
"""

from __future__ import annotations

import datetime as dt
import enum
import math
import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from edgerun.errors import InputError
from edgerun_bundles.limits import LIMITS, Limits
from edgerun_bundles.provenance.canonical import INTEGER_MAX, canonical

_DOUBLE_BYTES = 8
_WORDS = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def parameters_of(given: Mapping[str, Any] | None, limits: Limits = LIMITS) -> dict[str, Any]:
    """Return parameters as JSON values.

    Raises:
        InputError: they are no mapping of texts, a value has no JSON form, or they are too many bytes.
    """
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise InputError(f"params must be a mapping of name to value, got a {type(given).__name__}")
    found: dict[str, Any] = json_value(given, "params", limits)
    size = len(canonical(found))
    if size > limits.parameters_max_bytes:
        raise InputError(
            f"params are {size} bytes as JSON, more than {limits.parameters_max_bytes} (parameters_max_bytes); "
            "put data into files, and name them in data="
        )
    return found


def json_value(value: Any, place: str, limits: Limits = LIMITS, depth: int = 0) -> Any:
    """Return a value as plain JSON holds it.

    numpy's and other libraries' scalars become numbers, arrays lists, paths, dates and members of an enum texts.

    Raises:
        InputError: the value, or one inside it, has no JSON form; the message starts with its place.
    """
    if depth > limits.document_max_depth:
        raise InputError(f"{place}: more than {limits.document_max_depth} lists and mappings within each other")
    match value:
        case None | bool():
            return value
        case enum.Enum():
            return json_value(value.value, place, limits, depth + 1)
        case str():
            return readable(value)
        case int():
            return int(value) if abs(value) <= INTEGER_MAX else str(int(value))
        case float():
            return json_number(float(value))
        case os.PathLike():
            return readable(os.fsdecode(value))
        case dt.date():
            return value.isoformat()
        case Mapping():
            return _mapping(value, place, limits, depth)
        case list() | tuple():
            return [json_value(item, f"{place}[{i}]", limits, depth + 1) for i, item in enumerate(value)]
        case set() | frozenset():
            found = [json_value(item, f"{place} item", limits, depth + 1) for item in value]
            return sorted(found, key=canonical)
    return json_value(_unwrapped(value, place), place, limits, depth + 1)


def _mapping(value: Mapping[Any, Any], place: str, limits: Limits, depth: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, item in value.items():
        name = _name(key, place)
        if name in found:
            raise InputError(f"{place}: two names are {name!r} as text")
        found[name] = json_value(item, f"{place}[{name!r}]", limits, depth + 1)
    return found


def _name(key: Any, place: str) -> str:
    plain = key.item() if isinstance(key, np.generic) else key
    if isinstance(plain, str):
        return readable(plain)
    if isinstance(plain, bool | int | float):
        return str(plain)
    raise InputError(f"{place}: a name must be a text or a number, got {key!r:.60}")


def _unwrapped(value: Any, place: str) -> Any:
    """Return what a scalar or an array of numpy, torch, tensorflow or jax holds."""
    if isinstance(value, np.ndarray | np.generic) or _is_array(value):
        try:
            plain = (_shortest(value) if _is_narrow(value) else value).tolist()
        except Exception as error:
            raise InputError(f"{place}: {type(value).__name__} gives no list: {error}") from error
        if type(plain) is not type(value) and isinstance(plain, bool | int | float | str | list | None):
            return plain
    raise InputError(
        f"{place} is a {type(value).__name__}; give a number, a text, true or false, None, or a list or mapping of them"
    )


def _is_narrow(value: Any) -> bool:
    return isinstance(value, np.floating | np.ndarray) and value.dtype.kind == "f" and value.itemsize < _DOUBLE_BYTES


def _shortest(value: Any) -> Any:
    """Return narrow floats as the shortest numbers that read back the same: 0.1 and not 0.10000000149011612."""
    return np.asarray(value).astype(str).astype(float)


def _is_array(value: Any) -> bool:
    return not isinstance(value, type) and hasattr(value, "tolist") and hasattr(value, "dtype")


def number_of(value: Any, place: str) -> float | int:
    """Return a metric as a number.

    Raises:
        InputError: it is not exactly one number.
    """
    if isinstance(value, np.generic) or _is_array(value):
        inner = _only(_unwrapped(value, place))
        if not isinstance(inner, list):
            return number_of(inner, place)
    elif not isinstance(value, int | float) and callable(getattr(value, "item", None)):
        inner = _item(value, place)
        if type(inner) is not type(value):
            return number_of(inner, place)
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, int | float):
        return value
    raise InputError(f"{place} must be one number, got {value!r:.60}")


def _item(value: Any, place: str) -> Any:
    try:
        return value.item()
    except Exception as error:
        raise InputError(f"{place} must be one number: {error}") from error


def _only(value: Any) -> Any:
    while isinstance(value, list) and len(value) == 1:
        value = value[0]
    return value


def json_number(value: float) -> float | int | str:
    """Return a number as JSON holds it, or its word where JSON has no number for it."""
    if isinstance(value, int):
        return value if abs(value) <= INTEGER_MAX else float(value)
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return value


def parsed_number(value: Any) -> float | None:
    """Return what a number or its word says; None where it is neither."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    return _WORDS.get(value) if isinstance(value, str) else value


def readable(text: str) -> str:
    """Return a text that has UTF-8: a byte that none could be made of shows as its escape."""
    return text.encode("utf-8", "backslashreplace").decode()


def cut(text: str, limit_bytes: int) -> str:
    """Return the end of a text, where the news of a traceback stands, and say how much was cut."""
    content = text.encode("utf-8", "backslashreplace")
    if len(content) <= limit_bytes:
        return content.decode()
    return f"[{len(content) - limit_bytes} bytes left out]\n" + content[-limit_bytes:].decode("utf-8", "replace")
