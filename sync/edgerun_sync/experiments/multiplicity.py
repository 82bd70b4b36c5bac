"""Several questions of one experiment, and one promise for all: Holm's step-down."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgerun_sync.errors import ExperimentError

if TYPE_CHECKING:
    from collections.abc import Sequence


def holm(p_values: Sequence[float]) -> list[float]:
    """Return adjusted p-values, in the same order.

    Reject those that are at most alpha: the chance that any of them is a false one is at most alpha. They may come
    from sequential tests: the promise then holds at every look.

    Source: Holm, "A simple sequentially rejective multiple test procedure" (Scandinavian Journal of Statistics 6,
    1979).

    Raises:
        ExperimentError: a p-value is not from 0 to 1.
    """
    for p in p_values:
        if not 0 <= p <= 1:
            raise ExperimentError(f"a p-value lies between 0 and 1, and one of {len(p_values)} is {p!r}")
    adjusted = [0.0] * len(p_values)
    least = 0.0
    for step, place in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        least = max(least, min(1.0, (len(p_values) - step) * p_values[place]))
        adjusted[place] = least
    return adjusted
