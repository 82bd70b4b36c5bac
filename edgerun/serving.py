"""The immutable snapshot that answers calls: one bundle's sessions, routes, breakers and shadow.

A runner holds one Serving behind one attribute. A call reads that attribute once and stays with what it read, so a
swap loses no call, and an old snapshot lives until its last call has ended.
"""

from __future__ import annotations

import math
import threading
from collections import Counter, deque
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from numpy import ndarray

from edgerun._core.runtime import Array, Lane, Model, Value
from edgerun.bundle import Bundle, open_sessions
from edgerun.errors import EdgerunError, ModelError
from edgerun.inputs import check_inputs
from edgerun.prediction import Prediction
from edgerun.recording import Recording, Way
from edgerun.routing import Decide, Meta, Route, compile_graph, event_id, follow, in_share
from edgerun.shadow import Comparison, Shadow, ShadowCounts, check_timeout
from edgerun.split import key_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edgerun.guard import BreakerPolicy
    from edgerun.log.recorder import Recorder
    from edgerun.session import Outcome, Session

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


def last_answer(session: Session, outcome: Outcome, fallback: str | None) -> Answer:
    """Return a run's answer, where nobody is left to stand in for it.

    Raises:
        ModelError: the run failed.
    """
    if outcome.outputs is None:
        raise ModelError(outcome.reason)
    return Answer(outcome.outputs, session.name, fallback, outcome.latency_ns, outcome.lane)


def make_fallback(route: Route, call: Call, outputs: Mapping[str, Value], waited_s: float) -> Prediction:
    """Return the caller's own outputs, for a call that found no answer by its deadline."""
    copies = {name: value.copy() if isinstance(value, ndarray) else value for name, value in outputs.items()}
    return _fill(Prediction(copies), route, call, None, "deadline", int(waited_s * 1e9))


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

    def __init__(self, bundle: Bundle, *, threads: int, policy: BreakerPolicy, recorder: Recorder | None) -> None:
        self.bundle, self.threads, self._policy = bundle, threads, policy
        self.sessions = open_sessions(bundle.models, bundle.graph, threads=threads, policy=policy)
        start, self.routes, self.watches = compile_graph(bundle.name, bundle.version, bundle.graph)
        self.decide: Decide = partial(follow, start) if isinstance(start, Route) else start
        self.signature = next(iter(self.sessions.values())).signature
        self.output_names = self.signature.output_names
        self._trial_slots = {name: len(self.watches) + i for i, name in enumerate(self.sessions)}
        self._shapes_are_declared = all(
            port.dims is not None and all(isinstance(size, int) for size in port.dims[1:])
            for port in self.signature.outputs
        )
        """But for the first axis, which is the batch's: then an output of a wrong shape differs from the control's."""
        self._unsampled = {  # the slots of routes whose watches all take every call
            id(route): tuple(watch.slot for watch in route.watches)
            for route in self.routes
            if all(watch.sample is None for watch in route.watches)
        }
        self._watched = self._watched_models()
        self.is_disowned = False
        self._reset(recorder)

    def _reset(self, recorder: Recorder | None) -> None:
        self.recording = Recording(recorder, self.bundle, self.signature)
        self.ways: tuple[Way, ...] = tuple(
            [self.recording.way(route, self.sessions[route.model]) for route in self.routes]
        )
        for name, session in self.sessions.items():
            session.breaker.on_change = partial(self.recording.breaker, name)
        self._lock = threading.Lock()
        self._shadow: Shadow | None = None
        self._fallbacks: Counter[tuple[str, str]] = Counter()
        self._results: deque[Comparison] = deque(maxlen=SHADOW_RESULTS_KEPT)
        self._closed = False

    def _watched_models(self) -> list[Model]:
        """Open the watched models again: the shadow has sessions of its own, so that it shares no allocator."""
        models = [Model(watch.model, str(self.bundle.models[watch.model]), 1) for watch in self.watches]
        for model in models:
            model.arrange(self.signature.input_names, self.signature.output_names)
        return models

    # ---- answering with care: whatever the hot path of the runner did not settle ----

    def predict(self, route: Route, inputs: Any, call: Call, cast: str | None) -> Prediction:
        """Answer a call whose inputs nobody has checked yet, and record it.

        Raises:
            InputError: the inputs are not what the model takes.
            ModelError: as answer().
        """
        try:
            answer = self.answer(route, check_inputs(self.signature, inputs, cast), call)
        except EdgerunError as error:
            self.recording.error(route, call, error)
            raise
        return self.finish(route, call, answer)

    def finish(self, route: Route, call: Call, answer: Answer) -> Prediction:
        """Record an answer, offer it to those who watch, and return what the caller gets."""
        prediction = make_prediction(self, route, call, answer)
        self.recording.answer(route, call, answer)
        watching = self.watching(route, call, answer.fallback)
        if watching:
            self.offer_to(watching, answer.lane, call.sequence)
        return prediction

    def answer(self, route: Route, feeds: tuple[Array, ...], call: Call) -> Answer:
        """Run the route's model on checked feeds; where it fails and has a control, let the control answer.

        Raises:
            ModelError: the model failed and there is no control, or the control failed too.
        """
        session = self.sessions[route.model]
        control = self.control_of(route, call)
        if control is None:
            return last_answer(session, session.run(feeds, check=False), None)
        if session.breaker.is_open:
            reason = f"model {route.model!r}: its breaker is open"
            return self._answer_by_control(route, control, feeds, call, "breaker_open", reason)
        outcome = session.run(feeds, check=True)
        if outcome.problem is not None:
            answer = self._answer_by_control(route, control, feeds, call, outcome.problem, outcome.reason)
            session.breaker.record_failure()  # not where the control failed as well: then the inputs were to blame
            return answer
        session.breaker.record_success()
        return last_answer(session, outcome, None)

    def _answer_by_control(
        self, route: Route, control: Route, feeds: tuple[Array, ...], call: Call, problem: str, reason: str
    ) -> Answer:
        """Let the control answer as if the call had been its own: it may have a control too."""
        try:
            answer = self.answer(control, feeds, call)._replace(fallback=problem)
        except ModelError as error:
            raise ModelError(f"{error}; it stood in for a failure: {reason}") from error
        self.count_fallback(route.model, problem)
        return answer

    def control_of(self, route: Route, call: Call) -> Route | None:
        """Return the route to the nearest control that is another model; None where there is none."""
        control = route.control
        while control is not None:
            found = follow(control, call.key, call.meta, call.epoch, call.sequence)
            if found.model != route.model:
                return found
            control = found.control
        return None

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
                self._watched = self._watched or self._watched_models()
                watched = [(model, watch.tolerance) for model, watch in zip(self._watched, self.watches, strict=True)]
                trials = [(session.model, 0.0) for session in self.sessions.values()]
                self._shadow = Shadow([*watched, *trials], self.recording.watch_sources(self.watches, self.sessions))
                self.recording.meter(self._shadow.drops)
                if self._closed:
                    self._shadow.close()
            return self._shadow

    def offer(self, route: Route, lane: Lane, key: Any, meta: Meta | None, epoch: str, sequence: int) -> None:
        """Offer a call that was answered to the watches of its route, those that its key samples. Never waits."""
        slots = self._unsampled.get(id(route))
        if slots is None:
            slots = self._sampled(route, key, meta, epoch, sequence)
        if slots:
            (self._shadow or self.shadow()).offer(lane.handle, sequence, slots)

    def watching(self, route: Route, call: Call, fallback: str | None) -> tuple[int, ...]:
        """Return who watches an answer: what its key samples, and a due trial of a model whose breaker is open."""
        slots = self._sampled(route, *call)
        if fallback == "breaker_open" and self._trial_is_due(route.model):
            return (*slots, self._trial_slots[route.model])
        return slots

    def offer_to(self, slots: tuple[int, ...], lane: Lane, sequence: int) -> None:
        """Offer a lane to watches and trials by their slots, to all at once: strings and maps move out of it."""
        shadow = self._shadow or self.shadow()
        if not shadow.offer(lane.handle, sequence, slots):
            for model, slot in self._trial_slots.items():
                if slot in slots:
                    self.sessions[model].breaker.return_trial()

    def _sampled(self, route: Route, key: Any, meta: Meta | None, epoch: str, sequence: int) -> tuple[int, ...]:
        slots = self._unsampled.get(id(route))
        if slots is None:
            raw = self._shadow_key(key, meta, epoch, sequence)
            slots = tuple([w.slot for w in route.watches if w.sample is None or in_share(w.sample, raw)])
        return slots

    def _shadow_key(self, key: Any, meta: Meta | None, epoch: str, sequence: int) -> bytes:
        """Return the call's unit as a split of the graph would have it: a meta field first, else the key."""
        for field in self.bundle.graph.split_keys if meta is not None else ():
            value = meta.get(field) if meta is not None else None
            if value is not None:
                return key_bytes(value)
        return event_id(epoch, sequence).encode() if key is None else key_bytes(key)

    def _trial_is_due(self, model: str) -> bool:
        self.collect()
        return self.sessions[model].breaker.claim_trial()

    def collect(self) -> None:
        """Fetch the shadow's results: trials go to their breakers, the rest waits for shadow_results()."""
        shadow = self._shadow
        if shadow is None:
            return
        models = {slot: model for model, slot in self._trial_slots.items()}
        with self._lock:  # or the results of two threads that collect at once would change places
            for result in shadow.results():
                if result.slot in models:
                    self.sessions[models[result.slot]].breaker.record_trial(good=self._is_good_trial(result))
                else:
                    self._results.append(result)

    def _is_good_trial(self, result: Comparison) -> bool:
        """Judge a trial as a served run: it raised nothing, is finite, and has the shape where that is declared."""
        comparable = result.max_abs_diff < math.inf or not self._shapes_are_declared
        return comparable and not result.failed and not result.nonfinite

    def shadow_results(self, timeout_s: float | None) -> list[Comparison]:
        """Wait until the shadow is idle, at most ``timeout_s``; return the results since the last call."""
        check_timeout(timeout_s)
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

    def after_fork(self, recorder: Recorder | None) -> None:
        """Go on in a forked child whose parent ran no model meanwhile: all but the shadow is as it was."""
        self._disown_shadow()
        self._watched = []  # opened again with the shadow, at the first need
        for session in self.sessions.values():
            session.breaker.after_fork()
        self._reset(recorder)

    def disown(self) -> None:
        """Leave everything alone in a forked child: threads of the parent may have held any lock inside onnxruntime."""
        self.is_disowned = True
        self._disown_shadow()
        for session in self.sessions.values():
            session.model.disown()

    def _disown_shadow(self) -> None:
        for model in self._watched:
            model.disown()
        if self._shadow is not None:
            self._shadow.disown()

    def reopened(self, recorder: Recorder | None) -> Serving:
        """Return the same bundle, opened anew where this object was disowned."""
        if not self.is_disowned:
            return self
        return Serving(self.bundle, threads=self.threads, policy=self._policy, recorder=recorder)

    def good_runs(self) -> int:
        """Return how many runs of its models ended well so far."""
        counts = [session.model.counts() for session in self.sessions.values()]
        return sum(count.runs - count.failures - count.nonfinite for count in counts)

    def release(self) -> None:
        """Give up what would outlive this object: close, and leave no cycle for the garbage collector to find."""
        self.close()
        if self._shadow is not None:
            self.recording.unmeter(self._shadow.drops)
        for session in self.sessions.values():
            session.cool()

    def close(self) -> None:
        """Stop the shadow; calls that are under way still end well."""
        with self._lock:
            self._closed = True
            shadow = self._shadow
        if shadow is not None:
            shadow.close()
