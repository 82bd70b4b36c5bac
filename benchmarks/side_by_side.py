"""Time two callables in turns, so that whatever disturbs the machine disturbs both, and print their ratio."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True)
class Comparison:
    """Median seconds that each takes for one item."""

    product_s: float
    peer_s: float

    @property
    def ratio(self) -> float:
        """How much of the peer's time the product takes."""
        return self.product_s / self.peer_s


def side_by_side(
    title: str,
    product: Callable[[], object],
    peer: Callable[[], object],
    *,
    calls: int = 1,
    items: int = 1,
    rounds: int = 31,
) -> Comparison:
    """Time `calls` calls of each in every one of `rounds` rounds, print a line and return the medians.

    One call handles `items` items. What takes less than some microseconds is best looped over inside the
    callable, `items` being the length of that loop, since a call from here costs about 0.05 µs.
    """
    product()
    peer()
    samples = [(_seconds(product, calls), _seconds(peer, calls)) for _ in range(rounds)]
    medians = [statistics.median(column) / (calls * items) for column in zip(*samples, strict=True)]
    comparison = Comparison(*medians)
    speeds = [f"{median * 1e6:.4g} µs ({1e-6 / median:.4g} M/s)" for median in medians]
    ratio = f"ratio {comparison.ratio:.4g} = 1/{1 / comparison.ratio:.3g}"
    print(f"\n{title}: {speeds[0]} against {speeds[1]}, {ratio}")
    return comparison


def _seconds(call: Callable[[], object], calls: int) -> float:
    start = time.perf_counter()
    for _ in range(calls):
        call()
    return time.perf_counter() - start
