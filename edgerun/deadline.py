"""Calls that must return in time: the model runs on a worker, and whoever waits stops waiting at the deadline.

A late run is told to stop, and whatever it still returns is discarded. A challenger leaves its control enough of the
time to answer instead: as long as the control's runs have lately taken, with a margin.
"""

from __future__ import annotations

import concurrent.futures
import time
from typing import TYPE_CHECKING

from edgerun._core.runtime import Array, Lane
from edgerun.errors import ModelError
from edgerun.serving import Answer, Call, Serving

if TYPE_CHECKING:
    from edgerun.routing import Route
    from edgerun.session import Outcome, Session

_MARGIN = 2.0  # times the control's mean latency
_UNKNOWN_SHARE = 0.5  # of the time that is left, for a control that never ran


def answer_by_deadline(
    serving: Serving,
    workers: concurrent.futures.Executor,
    route: Route,
    feeds: tuple[Array, ...],
    call: Call,
    deadline: float,
) -> Answer | None:
    """Answer a call by a point of ``time.monotonic()``; None if nothing was ready.

    Args:
        serving: the snapshot to answer from.
        workers: the threads to run on.
        route: the way of the call.
        feeds: checked inputs that nobody else will write to.
        call: key, meta and number of the call.
        deadline: when to return, in seconds of ``time.monotonic()``.

    Raises:
        ModelError: the model failed in time, and no control was there to answer.
    """
    control = serving.control_of(route, call)
    session = serving.sessions[route.model]
    if control is None:
        return _settle(_run_until(workers, session, feeds, check=False, deadline=deadline), session, None)
    standby = serving.sessions[control.model]
    if session.breaker.is_open:
        problem = "breaker_open"
    else:
        outcome = _run_until(workers, session, feeds, check=True, deadline=deadline - _reserve_s(standby, deadline))
        if outcome is not None and outcome.problem is None:
            session.breaker.record_success()
            return _settle(outcome, session, None)
        session.breaker.record_failure()
        problem = "deadline" if outcome is None or outcome.problem is None else outcome.problem
    serving.count_fallback(route.model, problem)
    return _settle(_run_until(workers, standby, feeds, check=False, deadline=deadline), standby, problem)


def _reserve_s(standby: Session, deadline: float) -> float:
    left_s = max(0.0, deadline - time.monotonic())
    mean_s = standby.model.counts().latency_s
    return min(left_s, _MARGIN * mean_s) if mean_s > 0 else _UNKNOWN_SHARE * left_s


def _settle(outcome: Outcome | None, session: Session, fallback: str | None) -> Answer | None:
    if outcome is None:
        return None
    if outcome.outputs is None:
        raise ModelError(outcome.reason)
    return Answer(outcome.outputs, session.name, fallback, outcome.latency_ns, outcome.lane)


def _run_until(
    workers: concurrent.futures.Executor,
    session: Session,
    feeds: tuple[Array, ...],
    *,
    check: bool,
    deadline: float,
) -> Outcome | None:
    lane = Lane(feeds, len(session.output_names))
    future = workers.submit(session.run_lane, lane, check=check)
    try:
        return future.result(max(0.0, deadline - time.monotonic()))
    except concurrent.futures.TimeoutError:
        if not future.cancel():
            lane.stop()
        return None
