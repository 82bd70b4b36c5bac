"""edgerun.split._ranges: who owns which points, and how few of them move. Checked in the ranges themselves."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgerun.errors import SplitError
from edgerun.limits import LIMITS
from edgerun.split import Split
from edgerun.split._ranges import Range, first_ranges, reweighted_ranges, widths_of_ranges
from edgerun.split._weights import POINTS, widths_of_weights

some_weights = st.dictionaries(st.sampled_from("abcdefgh"), st.integers(0, 1000), min_size=1).filter(
    lambda weights: any(weights.values())
)
some_histories = st.lists(some_weights, min_size=2, max_size=8)
Ranges = tuple[Range, ...]


def ranges_after(history: list[dict[str, int]]) -> list[Ranges]:
    """The ranges after each step of a history of weights."""
    steps = [first_ranges(widths_of_weights(history[0]))]
    for weights in history[1:]:
        steps.append(reweighted_ranges(steps[-1], widths_of_weights(weights)))
    return steps


def share(weights: dict[str, int], arm: str) -> Fraction:
    return Fraction(weights.get(arm, 0), sum(weights.values()))


def points_moved(old: Ranges, new: Ranges) -> int:
    """How many points have another owner in `new` than in `old`."""
    cuts = sorted({part.start for part in (*old, *new)} | {POINTS})
    owners = [{part.start: part.arm for part in ranges} for ranges in (old, new)]
    moved = 0
    before, after = owners[0][0], owners[1][0]
    for start, end in pairwise(cuts):
        before, after = owners[0].get(start, before), owners[1].get(start, after)
        moved += (end - start) * (before != after)
    return moved


@given(some_histories)
def test_ranges_cover_every_point_once_and_neighbours_differ(history: list[dict[str, int]]) -> None:
    for ranges, weights in zip(ranges_after(history), history, strict=True):
        assert ranges[0].start == 0
        assert ranges[-1].end == POINTS
        assert all(part.start < part.end for part in ranges)
        assert all(left.end == right.start for left, right in pairwise(ranges))
        assert all(left.arm != right.arm for left, right in pairwise(ranges))
        widths = widths_of_weights(weights)
        assert widths_of_ranges(ranges) == {arm: width for arm, width in widths.items() if width}


@given(some_histories)
def test_movement_is_the_total_variation_distance_which_nothing_can_undercut(
    history: list[dict[str, int]],
) -> None:
    steps = ranges_after(history)
    for (old, new), (before, after) in zip(pairwise(steps), pairwise(history), strict=True):
        moved = points_moved(old, new)
        widths, old_widths = widths_of_ranges(new), widths_of_ranges(old)
        assert moved == sum(max(0, widths[arm] - old_widths.get(arm, 0)) for arm in widths)
        arms = before.keys() | after.keys()
        least = sum(max(Fraction(0), share(after, arm) - share(before, arm)) for arm in arms)
        assert abs(Fraction(moved, POINTS) - least) < Fraction(1, 10**6)


@given(some_histories, st.randoms())
def test_the_order_of_arms_does_not_matter_to_who_moves(history: list[dict[str, int]], random: Any) -> None:
    shuffled = []
    for weights in history:
        names = list(weights)
        random.shuffle(names)
        shuffled.append({name: weights[name] for name in names})
    assert ranges_after(shuffled) == ranges_after(history)


@given(some_histories, st.integers(1, 1000))
def test_reweighting_to_the_same_shares_moves_nothing(history: list[dict[str, int]], factor: int) -> None:
    last = ranges_after(history)[-1]
    same = {arm: weight * factor for arm, weight in history[-1].items()}
    assert reweighted_ranges(last, widths_of_weights(same)) == last


@given(some_histories)
def test_a_reweight_of_n_arms_adds_at_most_n_minus_one_ranges(history: list[dict[str, int]]) -> None:
    steps = ranges_after(history)
    for old, new in pairwise(steps):
        arms = widths_of_ranges(old).keys() | widths_of_ranges(new).keys()
        assert len(new) <= len(old) + len(arms) - 1


@given(st.lists(st.integers(1, 99), min_size=2, max_size=50))
def test_two_arms_have_two_ranges_for_ever(percentages: list[int]) -> None:
    history = [{"a": percentage, "b": 100 - percentage} for percentage in percentages]
    assert all(len(ranges) == 2 for ranges in ranges_after(history))


def test_an_arm_appended_to_three_equal_ones_moves_a_quarter() -> None:
    old, new = ranges_after([dict.fromkeys("abc", 1), dict.fromkeys("abcd", 1)])
    assert points_moved(old, new) == POINTS // 4
    assert widths_of_ranges(new) == dict.fromkeys("abcd", POINTS // 4)


def test_a_removed_arm_gives_its_points_to_the_others_and_nothing_else_moves() -> None:
    old, new = ranges_after([dict.fromkeys("abcd", 1), dict.fromkeys("abd", 1)])
    assert points_moved(old, new) == POINTS // 4
    assert "c" not in widths_of_ranges(new)


def split_of_ranges(count: int) -> Split:
    """A split of two arms that own `count` ranges in turn, all but the last of one width."""
    width = POINTS // LIMITS.ranges_max - 1
    odd = width * (count // 2)
    return Split.from_dict(
        {
            "version": 1,
            "salt": "s",
            "weights": {"even": POINTS - odd, "odd": odd},
            "ranges": [[index * width, ("even", "odd")[index % 2]] for index in range(count)],
        }
    )


def test_a_split_may_have_the_limit_of_ranges_and_not_one_more() -> None:
    split = split_of_ranges(LIMITS.ranges_max - 1)
    even = int(split.shares["even"] * POINTS)
    full = split.reweight({"even": even - 3, "odd": POINTS - even, "third": 3})
    assert len(full.ranges) == LIMITS.ranges_max
    assert Split.from_dict(full.to_dict()).assign("key") == full.assign("key") == full.explain("key").arm
    with pytest.raises(SplitError, match=r"65537 ranges are more than 65536; .* a new salt"):
        full.reweight({"even": even - 5, "odd": POINTS - even, "third": 3, "fourth": 2})
    with pytest.raises(SplitError, match=f"1 to {LIMITS.ranges_max} ranges"):
        split_of_ranges(LIMITS.ranges_max + 1)
