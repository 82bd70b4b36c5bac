"""From the weights of arms to the widths they own, in exact arithmetic (SPLIT.md section 4).

It must never round through a float: two machines that disagree about one point disagree about a unit.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from typing import TypeAlias

import numpy as np

from edgerun._shown import shown
from edgerun.errors import SplitError
from edgerun.limits import LIMITS

Weight: TypeAlias = "int | float | Fraction | Decimal"

POINTS = 2**32
"""How many points there are to own: the N of SPLIT.md."""


def checked_weights(weights: Mapping[str, Weight]) -> dict[str, Weight]:
    """Return a copy of `weights`, in their order, with numpy scalars as the Python numbers they hold.

    Raises:
        SplitError: not a mapping, or an empty one; too many arms; a name that is no text, empty, too long or
            there twice; a weight that is no number, negative, infinite or NaN; only weights of zero.
    """
    if not isinstance(weights, Mapping):
        raise SplitError(f"weights map arm names to numbers, but they are a {type(weights).__qualname__}")
    if not weights:
        raise SplitError("weights are empty; a split needs at least one arm")
    if len(weights) > LIMITS.arms_max:
        raise SplitError(f"a split has at most {LIMITS.arms_max} arms, but {len(weights)} weights are given")
    checked: dict[str, Weight] = {}
    for name, weight in weights.items():
        if _checked_name(name) in checked:
            raise SplitError(f"arm {name!r} has two weights")
        checked[str(name)] = _checked_weight(name, weight)
    if not any(checked.values()):
        raise SplitError("every weight is zero; at least one arm needs a weight above zero")
    return checked


def widths_of_weights(weights: Mapping[str, Weight]) -> dict[str, int]:
    """Return how many points each arm owns: its exact quota of `POINTS`, rounded by the largest remainder.

    Widths sum to `POINTS` and keep the order of `weights`. Among equal remainders the name that sorts first
    gets the point. The method is Hamilton's (M. L. Balinski and H. P. Young, Fair Representation, 1982).

    Raises:
        SplitError: weights whose common denominator is out of all proportion (``LIMITS.weight_max_bits``).
    """
    whole = _whole_weights(weights)
    total = sum(whole.values())
    parts = {name: divmod(weight * POINTS, total) for name, weight in whole.items()}
    widths = {name: width for name, (width, _) in parts.items()}
    left = POINTS - sum(widths.values())
    by_rest = sorted(parts, key=lambda name: (-parts[name][1], name))
    for name in by_rest[:left]:
        widths[name] += 1
    return widths


def _whole_weights(weights: Mapping[str, Weight]) -> dict[str, int]:
    ratios = {name: weight.as_integer_ratio() for name, weight in weights.items()}
    common = 1
    for name, (_, denominator) in ratios.items():
        common = math.lcm(common, denominator)
        _check_bits(name, common)
    whole = {name: numerator * (common // denominator) for name, (numerator, denominator) in ratios.items()}
    for name, weight in whole.items():
        _check_bits(name, weight)
    return whole


def _check_bits(name: str, number: int) -> None:
    if number.bit_length() > LIMITS.weight_max_bits:
        raise SplitError(
            f"arm {name!r}: over a common denominator the weights need more than "
            f"{LIMITS.weight_max_bits} bits; use numbers of similar size"
        )


def _checked_name(name: object) -> str:
    if not isinstance(name, str):
        raise SplitError(f"an arm's name is a str, not {type(name).__qualname__} {shown(name)}")
    if not name:
        raise SplitError("an arm's name is empty")
    try:
        size = len(name.encode())
    except UnicodeEncodeError as error:
        raise SplitError(f"the arm name {shown(name)} has a lone surrogate: it is not Unicode text") from error
    if size > LIMITS.arm_name_max_bytes:
        raise SplitError(f"an arm's name has at most {LIMITS.arm_name_max_bytes} bytes, {shown(name)} has {size}")
    return name


def _checked_weight(name: str, weight: object) -> Weight:
    number = weight.item() if isinstance(weight, np.generic) else weight
    if isinstance(number, bool) or not isinstance(number, int | float | Fraction | Decimal):
        raise SplitError(
            f"arm {name!r}: a weight is an int, float, Fraction or Decimal, "
            f"not {type(weight).__qualname__} {shown(weight)}"
        )
    if not isinstance(number, int) and not _is_finite(number):
        raise SplitError(f"arm {name!r}: the weight {shown(number)} is not a finite number")
    if isinstance(number, Decimal) and abs(number.adjusted()) * 3 > LIMITS.weight_max_bits:
        # 10^k has more than 3k bits, so it is refused before it is ever written out.
        raise SplitError(f"arm {name!r}: the weight {shown(number)} is out of all proportion")
    if number < 0:
        raise SplitError(f"arm {name!r}: the weight {shown(number)} is negative")
    return number


def _is_finite(number: float | Fraction | Decimal) -> bool:
    if isinstance(number, Decimal):
        return number.is_finite()
    return isinstance(number, Fraction) or math.isfinite(number)
