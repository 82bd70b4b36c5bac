"""JSON as this project reads it: what other readers would take differently is refused. It raises ValueError only."""

from __future__ import annotations

import json
from typing import Any

from edgerun._shown import shown


def strict_json(content: bytes) -> Any:
    """Read UTF-8 JSON without names that stand twice, NaN or infinities.

    Raises:
        ValueError: it is something else, or nested too deeply.
    """
    try:
        return json.loads(content.decode(), object_pairs_hook=_unique, parse_constant=_no_constant)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table: dict[str, Any] = {}
    for name, value in pairs:
        if name in table:
            raise ValueError(f"the name {shown(name)} stands twice in one object")
        table[name] = value
    return table


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON number")
