"""Times are repaired: before the first step, never out of order, and nothing is lost."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from edgerun.log.repair import STEP_US, timeline

SECOND = 10**6
NOON = 1_700_000_000 * SECOND


def repaired(anchors, times):
    monotonic, wall = np.array(anchors, np.int64).reshape(-1, 2).T
    return timeline(monotonic, wall).wall_us(np.array(times, np.int64)).tolist()


def test_without_a_step_times_are_those_of_the_clock():
    anchors = [(10 * SECOND, NOON + 10 * SECOND), (20 * SECOND, NOON + 20 * SECOND)]
    assert repaired(anchors, [0, 10 * SECOND, 15 * SECOND, 99 * SECOND]) == [
        NOON + seconds * SECOND for seconds in (0, 10, 15, 99)
    ]


def test_what_came_before_the_first_step_is_read_as_if_the_clock_had_been_right():
    anchors = [(10 * SECOND, 10 * SECOND), (20 * SECOND, 20 * SECOND), (30 * SECOND, NOON)]
    assert repaired(anchors, [5 * SECOND, 15 * SECOND, 25 * SECOND, 30 * SECOND]) == [
        NOON - 25 * SECOND,
        NOON - 15 * SECOND,
        NOON - 5 * SECOND,
        NOON,
    ]


def test_so_it_is_where_the_first_step_goes_backwards():
    anchors = [(10 * SECOND, 2 * NOON), (20 * SECOND, NOON)]
    assert repaired(anchors, [9 * SECOND, 11 * SECOND]) == [NOON - 11 * SECOND, NOON - 9 * SECOND]


def test_a_later_step_leaves_what_came_before_it_alone():
    hour = 3600 * SECOND
    anchors = [(10, 10), (20, NOON), (30, NOON + 10), (40, NOON + 20 - hour), (50, NOON + 30 - hour)]
    assert repaired(anchors, [5, 25, 30, 31, 45, 60]) == [
        NOON - 15,
        NOON + 5,
        NOON + 10,
        NOON + 11 - hour,
        NOON + 25 - hour,
        NOON + 40 - hour,
    ]


def test_the_steps_are_told():
    monotonic = np.array([10, 20, 30], np.int64)
    assert timeline(monotonic, np.array([10, NOON, NOON + 10], np.int64)).steps_us.tolist() == [20]


@pytest.mark.parametrize("change", [STEP_US, -STEP_US])
def test_a_second_is_a_drift_and_more_is_a_step(change):
    def steps(by):
        return len(timeline(np.array([0, 10], np.int64), np.array([NOON, NOON + 10 + by], np.int64)).steps_us)

    assert steps(change) == 0
    assert steps(change + (1 if change > 0 else -1)) == 1


def test_a_drift_backwards_lets_time_stand_still_but_not_turn():
    anchors = [(10 * SECOND, NOON), (11 * SECOND, NOON + SECOND // 2)]
    found = repaired(anchors, [10 * SECOND, 10 * SECOND + 1, 10 * SECOND + SECOND // 2, 11 * SECOND])
    assert found == [NOON, NOON, NOON, NOON + SECOND // 2]


def test_without_a_frame_there_is_no_difference():
    assert repaired([], [5]) == [5]


TIMES = st.integers(0, 10**4 * SECOND)
DRIFTS = st.integers(-STEP_US // 2, STEP_US // 2)


@given(frames=st.lists(TIMES, min_size=1), drifts=st.data(), times=st.lists(TIMES))
def test_without_steps_the_order_is_never_changed(frames, drifts, times):
    anchors = [(at, NOON + at + drifts.draw(DRIFTS)) for at in frames]
    found = repaired(anchors, sorted(times))
    assert found == sorted(found)
    assert all(abs(wall - NOON - at) <= STEP_US for wall, at in zip(found, sorted(times), strict=True))


@given(
    frames=st.lists(TIMES, min_size=2, unique=True),
    steps=st.lists(st.tuples(TIMES, st.integers(2 * SECOND, 10**6 * SECOND)), max_size=3),
    drifts=st.data(),
    times=st.lists(TIMES, min_size=1),
)
def test_steps_forward_never_change_the_order(frames, steps, drifts, times):
    def wall(at):
        return NOON + at + sum(by for when, by in steps if when <= at) + drifts.draw(DRIFTS)

    found = repaired([(at, wall(at)) for at in frames], sorted(times))
    assert found == sorted(found)


@given(
    frames=st.lists(TIMES, min_size=2, unique=True),
    step=st.tuples(TIMES, st.integers(-(10**6) * SECOND, 10**6 * SECOND)),
    times=st.lists(TIMES, min_size=1),
)
def test_one_step_never_changes_the_order_nor_a_distance(frames, step, times):
    when, by = step
    assume(abs(by) > STEP_US)
    found = repaired([(at, NOON + at + (by if when <= at else 0)) for at in frames], sorted(times))
    right = by if when <= max(frames) else 0
    assert found == [NOON + at + right for at in sorted(times)]


ANCHORS = st.lists(st.tuples(TIMES, st.integers(0, 2**61)), min_size=1, unique_by=lambda anchor: anchor[0])


@given(anchors=ANCHORS, times=st.lists(TIMES))
def test_every_time_has_a_reading_whatever_the_clocks_did(anchors, times):
    assert len(repaired(anchors, times)) == len(times)
    assert repaired(anchors[::-1], times) == repaired(anchors, times)


@given(anchors=ANCHORS, times=st.lists(TIMES, min_size=2))
def test_between_two_steps_the_order_is_kept_whatever_came_before(anchors, times):
    monotonic, wall = np.array(anchors, np.int64).T
    found, frames, times = timeline(monotonic, wall), np.sort(monotonic), np.array(sorted(times), np.int64)
    later_steps = np.searchsorted(frames, found.steps_us[1:])  # those that are not repaired, as places of frames
    run = np.searchsorted(later_steps, np.searchsorted(frames, times), side="right")
    for number in range(len(later_steps) + 1):
        readings = found.wall_us(times[run == number])
        assert bool((np.diff(readings) >= 0).all())


@given(anchors=ANCHORS, times=st.lists(TIMES))
def test_times_are_read_together_as_each_is_alone(anchors, times):
    assert repaired(anchors, times) == [repaired(anchors, [time_us])[0] for time_us in times]
