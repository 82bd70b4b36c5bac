"""A split as a JSON object, and back. It must never accept a document that it would have to guess about.

``{"version": 1, "salt": text, "weights": {arm: weight, …}, "ranges": [[start, arm], …]}``: a range ends where
the next one starts, the last one at 2^32. A weight is a JSON number or, where a number would round, the text
"numerator/denominator".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from re import fullmatch
from typing import Any

from edgerun._shown import shown
from edgerun.errors import SplitError
from edgerun.limits import LIMITS
from edgerun.split._ranges import Range, widths_of_ranges
from edgerun.split._weights import POINTS, Weight, checked_weights, widths_of_weights

VERSION = 1

FLOAT_EXACT_MAX = 2**53
"""JSON readers that keep numbers as floats read every integer up to here exactly."""

FIELDS = frozenset({"version", "salt", "weights", "ranges"})

# More digits than any weight within LIMITS.weight_max_bits, fewer than Python refuses to read (4300).
_RATIO = "([0-9]{1,4000})/([0-9]{1,4000})"


def write(salt: str, weights: Mapping[str, Weight], ranges: Sequence[Range]) -> dict[str, Any]:
    """Return the document of a split."""
    return {
        "version": VERSION,
        "salt": salt,
        "weights": {arm: _written_weight(weight) for arm, weight in weights.items()},
        "ranges": [[start, arm] for start, _, arm in ranges],
    }


def read(document: Mapping[str, Any]) -> tuple[str, dict[str, Weight], tuple[Range, ...]]:
    """Return salt, weights and ranges of a document; the salt is not checked.

    Raises:
        SplitError: an unknown version or field, a missing one, bad weights, ranges that do not cover the
            points in ascending order, or that give an arm another width than its weight does.
    """
    if not isinstance(document, Mapping):
        raise SplitError(f"a split's document is a mapping, not {type(document).__qualname__}")
    version = document.get("version")
    if type(version) is not int or version != VERSION:
        raise SplitError(f"a split of version {shown(version)} cannot be read; this edgerun reads {VERSION}")
    if wrong := FIELDS ^ set(document):
        raise SplitError(f"a split has the fields {sorted(FIELDS)}; missing or unknown: {sorted(map(str, wrong))}")
    weights = document["weights"]
    if isinstance(weights, Mapping):
        weights = {arm: _read_weight(arm, weight) for arm, weight in weights.items()}
    checked = checked_weights(weights)
    ranges = _read_ranges(document["ranges"])
    widths = {arm: width for arm, width in widths_of_weights(checked).items() if width > 0}
    owned = widths_of_ranges(ranges)
    if owned != widths:
        arm = min(arm for arm in owned.keys() | widths.keys() if owned.get(arm) != widths.get(arm))
        raise SplitError(
            f"arm {arm!r}: its ranges have {owned.get(arm, 0)} points, its weight gives {widths.get(arm, 0)}"
        )
    return document["salt"], checked, ranges


def _written_weight(weight: Weight) -> int | float | str:
    if isinstance(weight, int) and weight <= FLOAT_EXACT_MAX:
        return int(weight)
    if isinstance(weight, float):
        return float(weight)
    return "{}/{}".format(*weight.as_integer_ratio())


def _read_weight(arm: str, weight: Any) -> Any:
    if not isinstance(weight, str):
        return weight
    ratio = fullmatch(_RATIO, weight)
    if ratio is None or int(ratio[2]) == 0:
        raise SplitError(f"arm {arm!r}: the weight {shown(weight)} is not written as numerator/denominator")
    return Fraction(int(ratio[1]), int(ratio[2]))


def _read_ranges(document: Any) -> tuple[Range, ...]:
    if not isinstance(document, Sequence) or not 0 < len(document) <= LIMITS.ranges_max:
        raise SplitError(f"a split has a list of 1 to {LIMITS.ranges_max} ranges")
    starts: list[int] = []
    arms: list[str] = []
    for index, item in enumerate(document):
        match item:
            case [int(start), str(arm)] if type(start) is int and 0 <= start < POINTS:
                starts.append(start)
                arms.append(arm)
            case _:
                raise SplitError(f"range {index} is not [start, arm] but {shown(item)}")
    ends = [*starts[1:], POINTS]
    for index, (start, end, arm) in enumerate(zip(starts, ends, arms, strict=True)):
        if start >= end or (index == 0 and start != 0):
            raise SplitError(f"range {index} starts at {start} and ends at {end}; starts ascend from 0")
        if index > 0 and arm == arms[index - 1]:
            raise SplitError(f"ranges {index - 1} and {index} both belong to {arm!r}; they are one range")
    return tuple(map(Range, starts, ends, arms))
