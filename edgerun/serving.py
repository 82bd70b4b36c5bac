"""The immutable snapshot that answers calls: one bundle's sessions, routes, breakers and shadow.

A runner holds one Serving behind one attribute. A call reads that attribute once and stays with what it read, so a
swap loses no call, and an old snapshot lives until its last call has ended.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from edgerun._core.runtime import Array, Lane, Model, Value
from edgerun.bundle import Bundle, open_sessions
from edgerun.errors import ModelError
from edgerun.guard import Breaker, BreakerPolicy
from edgerun.prediction import Prediction
from edgerun.routing import Decide, Meta, Route, compile_graph, event_id, follow, in_share
from edgerun.session import Outcome, Session
from edgerun.shadow import Comparison, Shadow, ShadowCounts
from edgerun.split import key_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SHADOW_RESULTS_KEPT = 4096


class Call(NamedTuple):
    """What is known of one call before it is answered."""

    key: Any
    meta: Meta | None
    epoch: str
    sequence: int


class Answer(NamedTuple):
    """What a call is answered with, and by which model."""

    outputs: list[Value]
    model: str
    fallback: str | None
    latency_ns: int
    lane: Lane


def make_prediction(
    served: Serving, route: Route, call: Call, answer: Answer, outputs: Sequence[Value] | None = None
) -> Prediction:
    """Return what the caller gets for an answer; ``outputs`` takes the place of the answer's own."""
    prediction = Prediction(zip(served.output_names, answer.outputs if outputs is None else outputs, strict=True))
    return _fill(prediction, route, call, answer.model, answer.fallback, answer.latency_ns)


def make_fallback(route: Route, call: Call, outputs: Mapping[str, Value], waited_s: float) -> Prediction:
    """Return the caller's own outputs, for a call that found no answer by its deadline."""
    return _fill(Prediction(outputs), route, call, None, "deadline", int(waited_s * 1e9))


def _fill(
    prediction: Prediction,
    route: Route,
    call: Call,
    model: str | None,
    fallback: str | None,
    latency_ns: int,
) -> Prediction:
    prediction.model, prediction.route, prediction.fallback = model, route, fallback
    prediction.epoch, prediction.sequence, prediction.latency_ns = call.epoch, call.sequence, latency_ns
    return prediction


class Serving:
    """One bundle, opened."""

    def __init__(self, bundle: Bundle, *, threads: int, policy: BreakerPolicy) -> None:
        self.bundle, self.threads = bundle, threads
        self.sessions = open_sessions(bundle.models, bundle.graph, threads=threads)
        start, self.routes, self.watches = compile_graph(bundle.name, bundle.version, bundle.graph)
        self.decide: Decide = partial(follow, start) if isinstance(start, Route) else start
        self.signature = next(iter(self.sessions.values())).signature
        self.output_names = tuple(port.name for port in self.signature.outputs)
        for session in self.sessions.values():
            session.breaker = Breaker(policy)
        self._trial_slots = {name: len(self.watches) + i for i, name in enumerate(self.sessions)}
        self._unsampled = {  # the slots of routes whose watches all take every call
            id(route): tuple(watch.slot for watch in route.watches)
            for route in self.routes
            if all(watch.sample is None for watch in route.watches)
        }
        self._watched = [self._watched_model(watch.model) for watch in self.watches]
        self._reset()

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self._shadow: Shadow | None = None
        self._fallbacks: Counter[tuple[str, str]] = Counter()
        self._results: deque[Comparison] = deque(maxlen=SHADOW_RESULTS_KEPT)
        self._closed = False

    def _watched_model(self, name: str) -> Model:
        """Open a watched model again: the shadow has sessions of its own, so that it shares no allocator."""
        model = Model(name, str(self.bundle.models[name]), 1)
        Session(name, model, self.signature)  # arranges the order of its inputs and outputs
        return model

    # ---- answering with care: whatever the hot path of the runner did not settle ----

    def answer(self, route: Route, feeds: tuple[Array, ...], call: Call) -> Answer:
        """Run the route's model on checked feeds; where it fails and has a control, let the control answer.

        Raises:
            ModelError: the model failed and there is no control, or the control failed too.
        """
        session = self.sessions[route.model]
        if route.control is None:
            return self._last_answer(session, session.run(feeds, check=False), None)
        if session.breaker.is_open:
            return self.answer_by_control(route, feeds, call, "breaker_open", f"model {route.model!r}: breaker open")
        outcome = session.run(feeds, check=True)
        if outcome.problem is not None:
            session.breaker.record_failure()
            return self.answer_by_control(route, feeds, call, outcome.problem, outcome.reason)
        session.breaker.record_success()
        assert outcome.outputs is not None  # there was no problem
        return Answer(outcome.outputs, session.name, None, outcome.latency_ns, outcome.lane)

    def answer_by_control(
        self, route: Route, feeds: tuple[Array, ...], call: Call, problem: str, reason: str
    ) -> Answer:
        """Let the control of a route answer, and offer the failed model a trial in the shadow when one is due."""
        self.count_fallback(route.model, problem)
        control = self.control_of(route, call)
        if control is None:
            raise ModelError(reason)
        session = self.sessions[control.model]
        try:
            answer = self._last_answer(session, session.run(feeds, check=False), problem)
        except ModelError as error:
            raise ModelError(f"{error}; it stood in for a failure: {reason}") from error
        if problem == "breaker_open":
            self._offer_trial(route.model, answer.lane, call.sequence)
        return answer

    def _last_answer(self, session: Session, outcome: Outcome, fallback: str | None) -> Answer:
        if outcome.outputs is None:
            raise ModelError(outcome.reason)
        return Answer(outcome.outputs, session.name, fallback, outcome.latency_ns, outcome.lane)

    def control_of(self, route: Route, call: Call) -> Route | None:
        """Return the route to the control of a route; None where the control is the same model."""
        if route.control is None:
            return None
        control = follow(route.control, call.key, call.meta, call.epoch, call.sequence)
        return None if control.model == route.model else control

    def count_fallback(self, model: str, problem: str) -> None:
        """Count that a model did not serve, and why."""
        with self._lock:
            self._fallbacks[model, problem] += 1

    def fallbacks(self) -> Mapping[tuple[str, str], int]:
        """Return how often each (model, problem) fell back."""
        with self._lock:
            return dict(self._fallbacks)

    # ---- the shadow ----

    def shadow(self) -> Shadow:
        """Return the shadow, started at the first need and again after a fork."""
        with self._lock:
            if self._shadow is None:
                watched = [(model, watch.tolerance) for model, watch in zip(self._watched, self.watches, strict=True)]
                trials = [(session.model, 0.0) for session in self.sessions.values()]
                self._shadow = Shadow([*watched, *trials])
                if self._closed:
                    self._shadow.close()
            return self._shadow

    def offer(self, route: Route, lane: Lane, key: Any, meta: Meta | None, epoch: str, sequence: int) -> None:
        """Offer a call that was answered to the watches of its route, those that its key samples. Never waits."""
        slots = self._unsampled.get(id(route))
        if slots is None:
            raw = self._shadow_key(key, meta, epoch, sequence)
            slots = tuple([w.slot for w in route.watches if w.sample is None or in_share(w.sample, raw)])
        if slots:
            self._offer_slots(slots, lane, sequence)

    def _shadow_key(self, key: Any, meta: Meta | None, epoch: str, sequence: int) -> bytes:
        for field in self.bundle.graph.split_keys if key is None and meta is not None else ():
            key = meta.get(field) if key is None and meta is not None else key
        return event_id(epoch, sequence).encode() if key is None else key_bytes(key)

    def _offer_slots(self, slots: tuple[int, ...], lane: Lane, sequence: int) -> None:
        shadow = self._shadow or self.shadow()
        shadow.offer(lane.handle, sequence, slots)

    def _offer_trial(self, model: str, lane: Lane, sequence: int) -> None:
        self.collect()
        if self.sessions[model].breaker.claim_trial():
            self._offer_slots((self._trial_slots[model],), lane, sequence)

    def collect(self) -> None:
        """Fetch the shadow's results: trials go to their breakers, the rest waits for shadow_results()."""
        shadow = self._shadow
        if shadow is None:
            return
        models = {slot: model for model, slot in self._trial_slots.items()}
        for result in shadow.results():
            if result.slot in models:
                self.sessions[models[result.slot]].breaker.record_trial(good=not (result.failed or result.nonfinite))
            else:
                self._results.append(result)

    def shadow_results(self, timeout_s: float | None) -> list[Comparison]:
        """Wait until the shadow is idle, at most ``timeout_s``; return the results since the last call."""
        if self._shadow is not None:
            self._shadow.wait(timeout_s)
        self.collect()
        results = []
        while self._results:
            results.append(self._results.popleft())
        return results

    def shadow_counts(self, slot: int) -> ShadowCounts:
        """Return what became of the calls offered to one watch."""
        shadow = self._shadow
        return ShadowCounts() if shadow is None else shadow.counts(slot)

    def after_fork(self) -> None:
        """Forget locks and threads that stayed in the parent process; models and lanes are this process's own copy."""
        self._reset()

    def close(self) -> None:
        """Stop the shadow; calls that are under way still end well."""
        with self._lock:
            self._closed = True
            shadow = self._shadow
        if shadow is not None:
            shadow.close()
