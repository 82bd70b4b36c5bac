"""The split of native/SPLIT.md, written a second time: with the ``xxhash`` package and exact fractions.

It shares nothing with the C core or the Python package; it is as plain as can be, with no regard for speed.
"""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING

import xxhash

if TYPE_CHECKING:
    from collections.abc import Iterable

POINTS = 2**32
SALT_SEED = 42

Key = str | int | bytes
Weight = int | float | Fraction | Decimal
Ranges = list[tuple[int, int, str]]  # start, end, arm


def key_bytes(key: Key) -> bytes:
    if isinstance(key, int):
        key = str(key)
    return key.encode() if isinstance(key, str) else key


def seed_of(salt: str) -> int:
    return xxhash.xxh64_intdigest(salt.encode(), seed=SALT_SEED)


def hash_of(salt: str, key: Key) -> int:
    return xxhash.xxh64_intdigest(key_bytes(key), seed=seed_of(salt))


def point_of(salt: str, key: Key) -> int:
    return hash_of(salt, key) // POINTS


def canonical(names: Iterable[str]) -> list[str]:
    return sorted(names, key=str.encode)


def widths_of(weights: dict[str, Weight]) -> dict[str, int]:
    total = sum(Fraction(weight) for weight in weights.values())
    quota = {name: Fraction(weight) * POINTS / total for name, weight in weights.items()}
    widths = {name: int(quota[name]) for name in weights}
    by_rest = sorted(canonical(weights), key=lambda name: widths[name] - quota[name])
    for name in by_rest[: POINTS - sum(widths.values())]:
        widths[name] += 1
    assert sum(widths.values()) == POINTS
    return widths


def joined(ranges: Ranges) -> Ranges:
    result: Ranges = []
    for start, end, arm in sorted(ranges):
        if start == end:
            continue
        if result and result[-1][2] == arm:
            result[-1] = (result[-1][0], end, arm)
        else:
            result.append((start, end, arm))
    return result


def first_ranges(weights: dict[str, Weight]) -> Ranges:
    ranges, at = [], 0
    for name, width in sorted(widths_of(weights).items(), key=lambda item: item[0].encode()):
        ranges.append((at, at + width, name))
        at += width
    return joined(ranges)


def owned(ranges: Ranges) -> dict[str, int]:
    result: dict[str, int] = {}
    for start, end, arm in ranges:
        result[arm] = result.get(arm, 0) + end - start
    return result


def needs_of(ranges: Ranges, weights: dict[str, Weight]) -> dict[str, int]:
    target, current = widths_of(weights), owned(ranges)
    return {name: target.get(name, 0) - current.get(name, 0) for name in {*target, *current}}


def move_cuts(ranges: Ranges, need: dict[str, int]) -> Ranges:
    starts = [start for start, _, _ in ranges] + [POINTS]
    arms = [arm for _, _, arm in ranges]
    for left in range(len(arms) - 1):
        cut = left + 1
        for shrinking, growing, side in ((left, cut, -1), (cut, left, +1)):
            if need[arms[shrinking]] < 0 < need[arms[growing]]:
                width = starts[shrinking + 1] - starts[shrinking]
                move = min(-need[arms[shrinking]], need[arms[growing]], width)
                starts[cut] += side * move
                need[arms[shrinking]] += move
                need[arms[growing]] -= move
                break
    return joined([(starts[i], starts[i + 1], arm) for i, arm in enumerate(arms)])


def give_up_ends(ranges: Ranges, need: dict[str, int]) -> tuple[Ranges, list[tuple[int, int]]]:
    kept, pieces = [], []
    for start, end, arm in reversed(ranges):
        given = min(max(-need[arm], 0), end - start)
        need[arm] += given
        kept.append((start, end - given, arm))
        if given:
            pieces.append((end - given, end))
    return kept, sorted(pieces)


def deal(pieces: list[tuple[int, int]], need: dict[str, int]) -> Ranges:
    dealt, waiting = [], [list(piece) for piece in pieces]
    for arm in canonical(name for name in need if need[name] > 0):
        while need[arm]:
            start, end = waiting[0]
            taken = min(need[arm], end - start)
            dealt.append((start, start + taken, arm))
            need[arm] -= taken
            waiting[0][0] += taken
            if waiting[0][0] == end:
                waiting.pop(0)
    assert not waiting
    return dealt


def reweighted(ranges: Ranges, weights: dict[str, Weight]) -> Ranges:
    need = needs_of(ranges, weights)
    kept, pieces = give_up_ends(move_cuts(ranges, need), need)
    return joined(kept + deal(pieces, need))


def arm_of(ranges: Ranges, point: int) -> str:
    (arm,) = [arm for start, end, arm in ranges if start <= point < end]
    return arm


def enrolled_width(share: Weight) -> int:
    return int(Fraction(share) * POINTS + Fraction(1, 2))


def passing(purpose: str, first: Weight, second: Weight = 1) -> Ranges:
    """The points that a purpose lets through, and those that it does not; a holdout holds the lower ones out."""
    start, end = enrolled_width(first), enrolled_width(second)
    if purpose == "traffic":
        start, end = 0, start
    return joined([(0, start, "out"), (start, end, "in"), (end, POINTS, "out")])


def lets_through(purpose: str, name: str, key: Key, first: Weight, second: Weight = 1) -> bool:
    return arm_of(passing(purpose, first, second), point_of(f"{name}/{purpose}", key)) == "in"


def said_of(
    key: Key,
    salt: str,
    ranges: Ranges,
    holdout: tuple[str, Weight] | None,
    layer: tuple[str, Weight, Weight] | None,
    traffic: Weight,
) -> tuple[str, str]:
    """How a key is assigned, and its arm; "" where it has none."""
    if holdout and not lets_through("holdout", holdout[0], key, holdout[1]):
        return "holdout", ""
    if layer and not lets_through("layer", layer[0], key, layer[1], layer[2]):
        return "other_slice", ""
    if not lets_through("traffic", salt, key, traffic):
        return "not_enrolled", ""
    return "assigned", arm_of(ranges, point_of(salt, key))


def moved(before: Ranges, after: Ranges) -> int:
    cuts = sorted({start for start, _, _ in [*before, *after]})
    pieces = pairwise([*cuts, POINTS])
    return sum(end - start for start, end in pieces if arm_of(before, start) != arm_of(after, start))
