"""Turns frozen records into JSON documents and back: the record's own types are the grammar.

A record is a NamedTuple whose fields are texts, numbers, records, `tuple[X, ...]`, `dict[str, X]`, `X | None` or `Any`.
None is not written. Reading trusts nothing: a wrong type is refused by its place, and unknown fields are passed over.
"""

from __future__ import annotations

import types
import typing
from functools import cache
from typing import Any, TypeVar

from edgerun_bundles.errors import ProvenanceError
from edgerun_bundles.provenance.values import json_number, parsed_number

Record = TypeVar("Record")


def to_document(value: Any) -> Any:
    """Return a record, or a value of a record, as plain JSON."""
    if hasattr(value, "_fields"):
        pairs = ((name, getattr(value, name)) for name in value._fields)
        return {name: to_document(item) for name, item in pairs if item is not None}
    if isinstance(value, dict):
        return {name: to_document(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_document(item) for item in value]
    return json_number(value) if isinstance(value, float) else value


def from_document(kind: type[Record], document: Any, place: str) -> Record:
    """Return the record that a document tells of.

    Raises:
        ProvenanceError: a field is missing or of another type, or the record's own ``check`` refuses it.
    """
    return typing.cast("Record", _read(kind, document, place))


@cache
def _fields(kind: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    return typing.get_type_hints(kind), kind._field_defaults


def _read(kind: Any, value: Any, place: str) -> Any:
    if kind is Any:
        return value
    if hasattr(kind, "_fields"):
        return _read_record(kind, value, place)
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in {types.UnionType, typing.Union}:
        (inner,) = (argument for argument in arguments if argument is not types.NoneType)
        return None if value is None else _read(inner, value, place)
    if origin is tuple:
        items = _expect(list, value, place)
        return tuple(_read(arguments[0], item, f"{place}[{i}]") for i, item in enumerate(items))
    if origin is dict:
        pairs = _expect(dict, value, place)
        return {name: _read(arguments[1], item, f"{place}.{name}") for name, item in pairs.items()}
    return _read_scalar(kind, value, place)


def _read_record(kind: Any, value: Any, place: str) -> Any:
    found: dict[str, Any] = {}
    hints, defaults = _fields(kind)
    pairs = _expect(dict, value, place)
    for name, hint in hints.items():
        if pairs.get(name) is not None:
            found[name] = _read(hint, pairs[name], f"{place}.{name}")
        elif not _may_be_absent(hint) and name not in defaults:
            raise ProvenanceError(f"{place}.{name} is missing")
        elif name not in defaults:
            found[name] = None
    record = kind(**found)
    if hasattr(record, "check"):
        record.check(place)
    return record


def _may_be_absent(hint: Any) -> bool:
    return types.NoneType in typing.get_args(hint)


def _read_scalar(kind: type, value: Any, place: str) -> Any:
    if kind is float:
        number = parsed_number(value)
        if number is None:
            raise ProvenanceError(f"{place} must be a number, got {value!r:.60}")
        return number
    if kind is int and isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, bool) and kind is not bool:
        raise ProvenanceError(f"{place} must be {_NAMES[kind]}, got {value!r}")
    return _expect(kind, value, place)


_NAMES = {str: "a text", int: "an integer", bool: "true or false", bytes: "bytes", list: "a list", dict: "an object"}


def _expect(kind: Any, value: Any, place: str) -> Any:
    if not isinstance(value, kind):
        raise ProvenanceError(f"{place} must be {_NAMES[kind]}, got {value!r:.60}")
    return value
