"""How commands show things: values as JSON or as short text, durations, shares, columns, and examples."""

from __future__ import annotations

import json
import math
import reprlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from edgerun.golden import plain


def examples(*commands: str) -> str:
    """Return the end of a command's help: commands to copy, each on a line that is never wrapped."""
    return "\n".join(["\b", "Examples:", *(f"  {command}" for command in commands)])


def json_line(document: Any) -> str:
    """Return a document as one line of JSON that any reader takes: ASCII, and no bare NaN."""
    return json.dumps(document, allow_nan=False)


def json_value(value: Any) -> Any:
    """Return an output of a model as JSON holds it.

    A float16 or float32 becomes the shortest number that reads back the same. What JSON has no number for is a text:
    ``"NaN"``, ``"Infinity"`` and ``"-Infinity"``.
    """
    if isinstance(value, np.ndarray):
        is_narrow = value.dtype.kind == "f" and value.itemsize < np.dtype(float).itemsize
        return _finite((value.astype(str).astype(float) if is_narrow else value).tolist())
    if isinstance(value, Mapping):
        return {str(key): json_value(item) for key, item in value.items()}
    return [json_value(item) for item in value] if isinstance(value, list) else _finite(value)


def _finite(value: Any) -> Any:
    if isinstance(value, list):
        return [_finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value


class _Short(reprlib.Repr):
    """A repr for people: six digits of a float, ten items of a list."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlist = self.maxdict = 10
        self.maxlevel = 4
        self.maxstring = 60

    def repr_float(self, x: float, _: int) -> str:
        return f"{x:.6g}"


_short = _Short()


def short_text(value: Any) -> str:
    """Return an output of a model as one short line for people; what is left out shows as ``...``."""
    return _short.repr(plain(value))


def duration_text(seconds: float) -> str:
    """Return a duration with three digits, in the unit that suits it."""
    factor, unit = next(((f, u) for f, u in ((1, "s"), (1e3, "ms")) if seconds * f >= 0.9995), (1e6, "us"))
    value = seconds * factor
    return f"{value:.0f} {unit}" if value >= 99.95 else f"{value:#.3g} {unit}"


def share_text(share: float) -> str:
    """Return a share of one in per cent, with four digits at most."""
    return f"{100 * share:.4g} %"


def printable(text: str) -> str:
    """Return a text with every character escaped that could steer a terminal; a bundle's names may hold any."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def columns(rows: Sequence[Sequence[str]]) -> str:
    """Return rows of text as lines, each column as wide as its widest cell; the last one is not padded."""
    cells = [[printable(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in cells)
    return "\n".join(line.rstrip() for line in lines)
