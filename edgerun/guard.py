"""The breaker: keeps a model that keeps failing from serving, until it has proven itself in the shadow."""

from __future__ import annotations

import sys
import threading
import time
from typing import TYPE_CHECKING, NamedTuple

from edgerun._shown import shown
from edgerun.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable


class BreakerPolicy(NamedTuple):
    """When a breaker opens, and how it closes again.

    Attributes:
        failures: failures in a row that open it.
        retry_after_s: seconds from opening, or from a failed trial, to the next trial in the shadow.
        trials: good trials in a row that close it.
    """

    failures: int = 5
    retry_after_s: float = 30.0
    trials: int = 3


def _check(policy: BreakerPolicy) -> None:
    for name, count in (("failures", policy.failures), ("trials", policy.trials)):
        if isinstance(count, bool) or not isinstance(count, int) or count < 1:
            raise InputError(f"BreakerPolicy: {name} must be an integer of 1 or more, got {shown(count)}")
    seconds = policy.retry_after_s
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds <= sys.float_info.max:
        raise InputError(f"BreakerPolicy: retry_after_s must be a number of seconds, 0 or more, got {shown(seconds)}")


DEFAULT_POLICY = BreakerPolicy()


class Breaker:
    """Counts a model's failures in a row. Closed: it serves. Open: the control serves and trials run in the shadow."""

    __slots__ = ("_clock", "_good_trials", "_lock", "_next_trial", "_policy", "failures", "is_open", "on_change")

    def __init__(self, policy: BreakerPolicy, clock: Callable[[], float] = time.monotonic) -> None:
        """Make a closed breaker.

        Raises:
            InputError: the policy would open it without a failure, close it without a trial, or never try again.
        """
        _check(policy)
        self._policy, self._clock = policy, clock
        self._lock = threading.Lock()
        self.failures = 0
        """Failures in a row; read without the lock on the hot path."""
        self.is_open = False
        self.on_change: Callable[[bool], None] = _ignore
        """Told, within the lock, when the breaker has opened (True) or closed."""
        self._good_trials, self._next_trial = 0, 0.0

    def after_fork(self) -> None:
        """Go on in a forked child, whatever thread of the parent held the lock."""
        self._lock = threading.Lock()

    def record_failure(self) -> None:
        """Count a failure of a served run."""
        with self._lock:
            self.failures += 1
            if self.failures >= self._policy.failures and not self.is_open:
                self.is_open = True
                self._good_trials, self._next_trial = 0, self._clock() + self._policy.retry_after_s
                self.on_change(True)

    def record_success(self) -> None:
        """Forget the failures: a served run was good."""
        with self._lock:
            if not self.is_open:
                self.failures = 0

    def claim_trial(self) -> bool:
        """Return whether a trial is due; a caller that gets True must offer one to the shadow."""
        with self._lock:
            if not self.is_open or self._clock() < self._next_trial:
                return False
            self._next_trial = self._clock() + self._policy.retry_after_s
            return True

    def return_trial(self) -> None:
        """Make a claimed trial due again: the shadow had no room for it."""
        with self._lock:
            self._next_trial = self._clock()

    def record_trial(self, *, good: bool) -> None:
        """Count a trial's result; enough good ones in a row close the breaker."""
        with self._lock:
            if not self.is_open:
                return
            if not good:
                self._good_trials, self._next_trial = 0, self._clock() + self._policy.retry_after_s
                return
            self._good_trials += 1
            self._next_trial = self._clock()  # a good trial may be followed by the next at once
            if self._good_trials >= self._policy.trials:
                self.is_open, self.failures = False, 0
                self.on_change(False)


def _ignore(_: bool) -> None:
    return
