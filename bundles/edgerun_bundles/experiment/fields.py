"""Fields of a plan, read one by one: each is checked as it is taken, and what nobody takes is refused by name."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NoReturn

from edgerun.errors import BundleError
from edgerun_bundles.limits import LIMITS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_MISSING: Any = object()


class Fields:
    """A table of a plan, whose fields are taken out one after the other.

    Args:
        value: what should be a table.
        where: names it in errors.

    Raises:
        BundleError: it is no table.
    """

    def __init__(self, value: Any, where: str) -> None:
        if not isinstance(value, dict) or not all(isinstance(name, str) for name in value):
            raise BundleError(f"{where} must be a table, got {_shown(value)}")
        self._rest: dict[str, Any] = dict(value)
        self._taken: list[str] = []
        self.where = where

    def __contains__(self, field: object) -> bool:
        """Say whether a field is there and was not taken yet."""
        return field in self._rest

    def text(self, field: str, default: str | None = None) -> str:
        """Take a text that is not empty.

        Raises:
            BundleError: it is missing and has no default, is no text, is empty or too long.
        """
        value = self._take(field, default)
        most = LIMITS.experiment_text_max
        if not isinstance(value, str) or not value.strip() or len(value) > most:
            self.refuse(field, f"a text of at most {most} characters", value)
        return value

    def one_of(self, field: str, known: Sequence[str], default: str | None = None) -> str:
        """Take one of some words.

        Raises:
            BundleError: it is missing and has no default, or is another word.
        """
        value = self._take(field, default)
        if not isinstance(value, str) or value not in known:
            self.refuse(field, f"one of {', '.join(known)}", value)
        return value

    def number(self, field: str, low: float, high: float, default: float | None = None) -> float:
        """Take a number between two others, which it is not itself; the upper one may be infinite.

        Raises:
            BundleError: it is missing and has no default, is no number, or is out of its range.
        """
        value = self._take(field, default)
        if not is_number(value) or not low < value < high:
            beyond = "" if high == math.inf else f" and below {high:g}"
            self.refuse(field, f"a number above {low:g}{beyond}", value)
        return float(value)

    def optional_number(self, field: str, low: float, high: float) -> float | None:
        """Take a number that may be missing; its ends belong to its range.

        Raises:
            BundleError: it is no number, or out of its range.
        """
        if field not in self:
            self._taken.append(field)
            return None
        value = self._take(field)
        if not is_number(value) or not low <= value <= high:
            self.refuse(field, f"a number from {low:g} to {high:g}", value)
        return float(value)

    def names(self, field: str) -> tuple[str, ...]:
        """Take a list of different names, which may be missing.

        Raises:
            BundleError: it is no list of texts, or a name is there twice.
        """
        value = self._take(field, [])
        if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
            self.refuse(field, "a list of names", value)
        if len({*value}) != len(value):
            self.refuse(field, "a list without a name that is there twice", value)
        return (*value,)

    def table(self, field: str) -> Mapping[str, Any]:
        """Take a table, which may be missing; what it holds is not checked.

        Raises:
            BundleError: it is no table.
        """
        value = self._take(field, {})
        if not isinstance(value, dict):
            self.refuse(field, "a table", value)
        return value

    def end(self) -> None:
        """Refuse what was not taken.

        Raises:
            BundleError: there is a field that nobody knows.
        """
        for field in self._rest:
            raise BundleError(f"{self.where}: unknown field {field!r:.100}; known: {', '.join(self._taken)}")

    def refuse(self, field: str, what: str, value: Any) -> NoReturn:
        """Refuse a field that should be something else.

        Raises:
            BundleError: always; it names the field.
        """
        raise BundleError(f"{self.where}: {field!r} must be {what}, got {_shown(value)}")

    def _take(self, field: str, default: Any = None) -> Any:
        self._taken.append(field)
        value = self._rest.pop(field, _MISSING)
        if value is not _MISSING:
            return value
        if default is None:
            raise BundleError(f"{self.where}: the field {field!r} is missing")
        return default


def is_number(value: Any) -> bool:
    """Return whether a value is a finite number, and no truth value."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _shown(value: Any) -> str:
    return f"{value!r:.100}"
