"""Times of one boot as the wall clock should have told them; FORMAT.md, Clocks. It reads no clock itself."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from edgerun.log.columns import Array

STEP_US = 1_000_000
"""A difference between the clocks that changes by more than this between two frames is a step; less is a drift."""

_NEVER = np.iinfo(np.int64).min


class Timeline(NamedTuple):
    """How the times of one boot are read; place i is for what was recorded up to the frame i, the last for the rest.

    Attributes:
        frames_us: int64 [k], the monotonic clock at each frame, ascending.
        difference_us: int64 [k + 1], what turns that clock into the wall clock.
        floor_us: int64 [k + 1], the earliest time: none is earlier than the frame before, but across a step.
        steps_us: int64, the monotonic clock at the frames before which the wall clock was stepped.
    """

    frames_us: Array
    difference_us: Array
    floor_us: Array
    steps_us: Array

    def wall_us(self, monotonic_us: Array) -> Array:
        """Return times as microseconds since 1970, int64, of any number of times of the monotonic clock, int64."""
        if not len(monotonic_us):
            return monotonic_us
        first, last = np.searchsorted(self.frames_us, [monotonic_us.min(), monotonic_us.max()])
        place = last if first == last else np.searchsorted(self.frames_us, monotonic_us)  # of one frame they have one
        found: Array = np.maximum(monotonic_us + self.difference_us[place], self.floor_us[place])
        return found


def timeline(monotonic_us: Array, wall_us: Array) -> Timeline:
    """Return how the times of a boot are read, from both clocks at each of its frames, int64 [k], in any order.

    What was recorded before the first step has the difference after it, for until then the clock was never set. All
    else has the difference of the next frame. So within a boot no time is earlier than one that was recorded before
    it, unless a later step put the clock back between the two.
    """
    if not len(monotonic_us):  # nobody knows when this boot was
        return Timeline(np.empty(0, np.int64), np.zeros(1, np.int64), np.full(1, _NEVER), np.empty(0, np.int64))
    order = np.argsort(monotonic_us, kind="stable")
    frames_us, difference_us = monotonic_us[order], (wall_us - monotonic_us)[order]
    steps = 1 + np.flatnonzero(np.abs(np.diff(difference_us)) > STEP_US)
    if len(steps):
        difference_us[: steps[0]] = difference_us[steps[0]]
    floor_us = np.full(len(order) + 1, _NEVER)
    begins = [0, *steps[1:].tolist(), len(order)]
    for begin, end in pairwise(begins):
        reached = frames_us[begin:end] + difference_us[begin:end]
        floor_us[begin + 1 : end + 1] = np.maximum.accumulate(reached)
    floor_us[begins[1:-1]] = _NEVER
    return Timeline(frames_us, np.append(difference_us, difference_us[-1:]), floor_us, frames_us[steps])
