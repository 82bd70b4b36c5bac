"""Whether what is served does well: how many of the recent calls went wrong. No IO, and no clock of its own."""

from __future__ import annotations

import sys
import threading
from collections import deque
from typing import NamedTuple

from edgerun._shown import shown
from edgerun.errors import InputError


class HealthPolicy(NamedTuple):
    """How a runner that follows a store judges what it serves.

    Attributes:
        healthy_after_s: seconds that a candidate has served before it can become current.
        calls_min: calls of which the share that went wrong is judged; over fewer, nothing is rolled back. A candidate
            that has had so many has proven itself earlier, too, where its runner is closed with no exception
            under way.
        window_s: seconds of which the calls are judged; longer where that is what ``calls_min`` of them take.
        poll_s: seconds between two looks at the store, and at the calls.
    """

    healthy_after_s: float = 60.0
    calls_min: int = 100
    window_s: float = 60.0
    poll_s: float = 1.0


DEFAULT_HEALTH = HealthPolicy()

_POLL_MIN_S = 0.001


def check_health(policy: HealthPolicy) -> None:
    """Raise InputError unless every field of a policy is in its range."""
    if not isinstance(policy, HealthPolicy):
        raise InputError(f"health must be a HealthPolicy, got {shown(policy)}")
    count = policy.calls_min
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        raise InputError(f"HealthPolicy: calls_min must be an integer of 1 or more, got {shown(count)}")
    for name, least in (("healthy_after_s", 0.0), ("window_s", 0.0), ("poll_s", _POLL_MIN_S)):
        seconds = getattr(policy, name)
        is_number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
        if not is_number or not least <= seconds <= sys.float_info.max:
            raise InputError(
                f"HealthPolicy: {name} must be a number of seconds, {least:g} or more, got {shown(seconds)}"
            )


class FailedCalls:
    """Counts the calls of one bundle that went wrong. What the hot path settles is good, and never comes here.

    Attributes:
        raised: calls that raised something else than InputError.
        fell_back: calls that a control, or the caller's fallback, answered.
        refused: calls that raised InputError.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.raised = self.fell_back = self.refused = 0

    def count_error(self, error: Exception, calls: int) -> None:
        """Count calls that an error ended."""
        with self._lock:
            if isinstance(error, InputError):
                self.refused += calls
            else:
                self.raised += calls

    def count_fallbacks(self, calls: int) -> None:
        """Count calls that were answered in another way."""
        with self._lock:
            self.fell_back += calls


class Sample(NamedTuple):
    """How many calls there were, and how many of them went wrong, up to a time."""

    at_s: float
    """Any clock that never goes back."""

    calls: int
    """All calls up to then."""

    failed: int
    """Those that went wrong."""


class Health:
    """The recent calls of one bundle: a window over samples, the newest of which is now."""

    def __init__(self, policy: HealthPolicy, first: Sample) -> None:
        """Begin with the sample at which the bundle began to serve."""
        self._policy = policy
        self._samples = deque([first])

    def observe(self, sample: Sample) -> None:
        """Take a sample, and forget those that no window needs any more."""
        samples = self._samples
        if len(samples) > 1 and samples[-2][1:] == samples[-1][1:] == sample[1:]:
            samples.pop()  # nothing happened: quiet hours take no memory
        self._samples.append(sample)
        while len(self._samples) > 2 and self._suffices(self._samples[1], sample):
            self._samples.popleft()

    def _suffices(self, first: Sample, last: Sample) -> bool:
        return last.at_s - first.at_s >= self._policy.window_s and last.calls - first.calls >= self._policy.calls_min

    @property
    def calls(self) -> int:
        """The calls of the window."""
        return self._samples[-1].calls - self._samples[0].calls

    @property
    def share(self) -> float:
        """The share of them that went wrong, at most 1; 0 where there was no call."""
        failed = self._samples[-1].failed - self._samples[0].failed
        return min(1.0, failed / self.calls) if self.calls else float(failed > 0)

    def is_bad(self, limit: float) -> bool:
        """Whether the share passes a limit, over as many calls as it takes to say so."""
        return self.calls >= self._policy.calls_min and self.share > limit
