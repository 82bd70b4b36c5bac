"""The ranges of points that arms own, and how they change hands (SPLIT.md sections 4 and 5).

Pure functions over tuples of `Range`; the ranges of a tuple cover ``[0, 2^32)`` in ascending order, without
gaps, and neighbours belong to different arms.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping


class Range(NamedTuple):
    """The points ``start <= point < end``, all owned by one arm."""

    start: int
    end: int
    arm: str


def first_ranges(widths: Mapping[str, int]) -> tuple[Range, ...]:
    """Return the ranges of a split that was never reweighted: an arm each, in the order of their names."""
    return _joined((widths[arm], arm) for arm in sorted(widths))


def widths_of_ranges(ranges: Iterable[Range]) -> dict[str, int]:
    """Return how many points each arm owns, over all its ranges."""
    widths: dict[str, int] = {}
    for start, end, arm in ranges:
        widths[arm] = widths.get(arm, 0) + end - start
    return widths


def reweighted_ranges(ranges: tuple[Range, ...], widths: Mapping[str, int]) -> tuple[Range, ...]:
    """Return ranges in which every arm owns its new width and as few points as can be have changed hands.

    An arm that is absent from `widths` loses all it has. The share of points that move is the total-variation
    distance of the old and the new widths, the least that any procedure can reach.
    """
    current = widths_of_ranges(ranges)
    need = {arm: widths.get(arm, 0) - current.get(arm, 0) for arm in current.keys() | widths.keys()}
    owners = [arm for _, _, arm in ranges]
    lengths = [end - start for start, end, _ in ranges]
    _move_cuts(owners, lengths, need)
    freed = _give_up_ends(owners, lengths, need)
    return _joined(_dealt(owners, lengths, freed, need))


def _move_cuts(owners: list[str], lengths: list[int], need: dict[str, int]) -> None:
    """Step 1: a cut between an arm that shrinks and one that grows moves into the range of the first."""
    for left in range(len(owners) - 1):
        right = left + 1
        giver, taker = (left, right) if need[owners[left]] < 0 else (right, left)
        surplus, deficit = -need[owners[giver]], need[owners[taker]]
        if surplus <= 0 or deficit <= 0:
            continue
        moved = min(surplus, deficit, lengths[giver])
        lengths[giver] -= moved
        lengths[taker] += moved
        need[owners[giver]] += moved
        need[owners[taker]] -= moved


def _give_up_ends(owners: list[str], lengths: list[int], need: dict[str, int]) -> list[int]:
    """Step 2: return how many of its last points each range gives up, the highest ranges first."""
    freed = [0] * len(owners)
    for index in reversed(range(len(owners))):
        arm = owners[index]
        if need[arm] < 0:
            freed[index] = min(-need[arm], lengths[index])
            need[arm] += freed[index]
    return freed


def _dealt(owners: list[str], lengths: list[int], freed: list[int], need: dict[str, int]) -> Iterator[tuple[int, str]]:
    """Step 3: yield (width, arm) in ascending order of points, what was given up dealt to arms by name."""
    growing = deque((arm, need[arm]) for arm in sorted(need) if need[arm] > 0)
    for owner, length, free in zip(owners, lengths, freed, strict=True):
        yield length - free, owner
        while free > 0:
            arm, wanted = growing.popleft()
            taken = min(free, wanted)
            yield taken, arm
            free -= taken  # noqa: PLW2901 (counts down to the next range)
            if wanted > taken:
                growing.appendleft((arm, wanted - taken))


def _joined(parts: Iterable[tuple[int, str]]) -> tuple[Range, ...]:
    """Step 4: lay (width, arm) parts end to end; empty ones vanish, neighbours of one arm become one."""
    ranges: list[Range] = []
    at = 0
    for width, arm in parts:
        if width == 0:
            continue
        start = ranges.pop().start if ranges and ranges[-1].arm == arm else at
        at += width
        ranges.append(Range(start, at, arm))
    return tuple(ranges)
