"""Calls that must return in time: the model runs on a worker, and whoever waits stops waiting at the deadline.

A late run is told to stop, and whatever it still returns is discarded. A challenger leaves its control enough of the
time to answer instead: as long as the control's runs have lately taken, with a margin. Where that leaves the challenger
no time at all, it is not run, and its breaker does not count what it could not do.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import WeakKeyDictionary

from edgerun._core.runtime import Array, Lane
from edgerun._shown import shown
from edgerun.errors import ClosedError, DeadlineError, EdgerunError, InputError, ModelError
from edgerun.inputs import check_inputs
from edgerun.limits import LIMITS
from edgerun.serving import Answer, Call, Serving, last_answer, make_fallback

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgerun.prediction import Prediction
    from edgerun.routing import Route
    from edgerun.session import Outcome, Session

_MARGIN = 2.0  # times the control's mean latency
_HANDOVER_SHARE = 0.1  # of the time that is left, for a busy machine to notice and to start the control
_UNKNOWN_SHARE = 0.5  # of the time that is left, for a control that never ran


class Deadline(NamedTuple):
    """When a call must return.

    Attributes:
        started: point of ``time.monotonic()`` from which it counts.
        within_s: seconds that the caller gave it.
        at: point of ``time.monotonic()`` at which it passes.
    """

    started: float
    within_s: float
    at: float


class Workers:
    """The threads that run models for calls with a deadline.

    Each model has its own few, so that runs of one model that cannot be stopped never keep another model waiting. They
    end with the model.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._pools: WeakKeyDictionary[Session, ThreadPoolExecutor] = WeakKeyDictionary()
        self._calls = 0
        self._closed = False

    @contextmanager
    def call(self) -> Iterator[None]:
        """Keep the threads until a call has ended.

        Raises:
            ClosedError: close() was called.
        """
        with self._changed:
            if self._closed:
                raise ClosedError
            self._calls += 1
        try:
            yield
        finally:
            with self._changed:
                self._calls -= 1
                self._changed.notify_all()

    def submit(self, session: Session, waiting: list[Lane], *, check: bool) -> Future[Outcome]:
        """Run the lane that waits in a list on a thread of the session's; within call() only."""
        with self._changed:
            pool = self._pools.get(session)
            if pool is None:
                name = f"edgerun-run-{session.name}"
                pool = self._pools[session] = ThreadPoolExecutor(LIMITS.workers_max, thread_name_prefix=name)
            return pool.submit(lambda: session.run_lane(waiting.pop(), check=check))

    def close(self) -> None:
        """Refuse further calls, and return when those under way, and the late runs of others, have ended."""
        with self._changed:
            self._closed = True
            self._changed.wait_for(lambda: self._calls == 0)
        for pool in list(self._pools.values()):
            pool.shutdown(wait=True, cancel_futures=True)


def deadline_of(deadline_s: Any, fallback: Any, started: float) -> Deadline:
    """Return when a call that started at a point of ``time.monotonic()`` must return.

    Raises:
        InputError: ``deadline_s`` is no positive number of seconds, or ``fallback`` no mapping.
    """
    if fallback is not None and not isinstance(fallback, Mapping):
        raise InputError(f"fallback must be a mapping of output name to value, got {shown(fallback)}")
    if deadline_s is None:
        raise InputError("fallback= is for calls with a deadline; give deadline_s= too")
    if isinstance(deadline_s, bool) or not isinstance(deadline_s, int | float) or not 0 < deadline_s < math.inf:
        raise InputError(f"deadline_s must be a positive number of seconds, got {shown(deadline_s)}")
    return Deadline(started, deadline_s, started + min(deadline_s, threading.TIMEOUT_MAX / 2))


def predict_by_deadline(
    serving: Serving,
    workers: Workers,
    inputs: Any,
    call: Call,
    cast: str | None,
    deadline: Deadline,
    fallback: Mapping[str, Any] | None,
) -> Prediction:
    """Answer a call in time, or return the caller's fallback, and record which.

    Raises:
        InputError: the inputs are not what the model takes, or the key or meta is wrong.
        ModelError: the model failed in time, and no control was there to answer.
        DeadlineError: nothing was ready, and there is no fallback.
    """
    route = None
    with workers.call():
        try:
            route = serving.decide(call.key, call.meta, call.epoch, call.sequence)
            feeds = tuple(feed.copy() for feed in check_inputs(serving.signature, inputs, cast))
            answer = answer_by_deadline(serving, workers, route, feeds, call, deadline.at)
            if answer is None and fallback is None:
                raise DeadlineError(
                    f"model {route.model!r} gave no answer within {deadline.within_s} s, and no fallback= was given"
                )
        except EdgerunError as error:
            serving.recording.error(route, call, error)
            raise
    if answer is not None:
        return serving.finish(route, call, answer)
    prediction = make_fallback(route, call, fallback or {}, time.monotonic() - deadline.started)
    serving.recording.no_answer(route, call, prediction.latency_ns)
    return prediction


def answer_by_deadline(
    serving: Serving,
    workers: Workers,
    route: Route,
    feeds: tuple[Array, ...],
    call: Call,
    deadline: float,
) -> Answer | None:
    """Answer a call by a point of ``time.monotonic()``; None if nothing was ready.

    Args:
        serving: the snapshot to answer from.
        workers: the threads to run on, held by Workers.call().
        route: the way of the call.
        feeds: checked inputs that nobody else will write to.
        call: key, meta and number of the call.
        deadline: when to return, in seconds of ``time.monotonic()``.

    Raises:
        ModelError: the model failed in time, and no control was there to answer.
    """
    if deadline <= time.monotonic():
        return None
    control = serving.control_of(route, call)
    session = serving.sessions[route.model]
    if control is None:
        return _settle(_run_until(workers, session, feeds, check=False, deadline=deadline), session, None)
    standby = serving.sessions[control.model]
    until = deadline - _reserve_s(standby, deadline)
    problem, reason, ran = "deadline", f"model {route.model!r} gave no answer in time", False
    if session.breaker.is_open:
        problem, reason = "breaker_open", f"model {route.model!r}: its breaker is open"
    elif until > time.monotonic():
        outcome, ran = _run_until(workers, session, feeds, check=True, deadline=until), True
        if outcome is not None and outcome.problem is None:
            session.breaker.record_success()
            return _settle(outcome, session, None)
        if outcome is not None and outcome.problem is not None:
            problem, reason = outcome.problem, outcome.reason
    try:
        answer = _settle(_run_until(workers, standby, feeds, check=False, deadline=deadline), standby, problem)
    except ModelError as error:
        raise ModelError(f"{error}; it stood in for a failure: {reason}") from error
    serving.count_fallback(route.model, problem)
    if ran:
        session.breaker.record_failure()
    return answer


def _reserve_s(standby: Session, deadline: float) -> float:
    left_s = max(0.0, deadline - time.monotonic())
    mean_s = standby.model.counts().latency_s
    return min(left_s, _MARGIN * mean_s + _HANDOVER_SHARE * left_s) if mean_s > 0 else _UNKNOWN_SHARE * left_s


def _settle(outcome: Outcome | None, session: Session, fallback: str | None) -> Answer | None:
    return None if outcome is None else last_answer(session, outcome, fallback)


def _run_until(
    workers: Workers,
    session: Session,
    feeds: tuple[Array, ...],
    *,
    check: bool,
    deadline: float,
) -> Outcome | None:
    lane = Lane(feeds, len(session.output_names))
    waiting = [lane]
    future = workers.submit(session, waiting, check=check)
    try:
        return future.result(max(0.0, deadline - time.monotonic()))
    except FutureTimeoutError:
        return None
    finally:
        if not future.done():  # nobody waits for it any more: it is late, or Ctrl-C ended the wait
            if future.cancel():
                waiting.clear()  # the pool forgets a cancelled run only when its turn comes
            else:
                lane.stop()
