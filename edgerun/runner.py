"""EdgeRunner: the object that a device app holds. Its hot path is predict(); everything unusual is sent elsewhere."""

from __future__ import annotations

import itertools
import os
import threading
import time
import weakref
from functools import partial
from typing import TYPE_CHECKING, Any, Self

from edgerun import bundle as bundles
from edgerun._core.runtime import Lane, run_prepared
from edgerun._fork import follow_forks
from edgerun._shown import shown
from edgerun._threads import CallThreads
from edgerun.batch import answer_batch, join_rows, read_batch, read_column, row_lane, row_outputs
from edgerun.errors import ClosedError, DeadlineError, InputError
from edgerun.guard import DEFAULT_POLICY, BreakerPolicy
from edgerun.inputs import check_cast, check_inputs
from edgerun.limits import LIMITS
from edgerun.prediction import BatchPrediction, Prediction
from edgerun.routing import Meta, Route, event_id
from edgerun.serving import Answer, Call, Serving, make_fallback, make_prediction
from edgerun.stats import RunnerStats, ShadowResult, runner_stats

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edgerun.signature import Signature


class EdgeRunner:
    """Serves one bundle: routes each call through its graph, runs the model, watches the shadows.

    Safe to use from many threads. A forked child process may go on using it: it gets a stream of events of its own.

    Example::

        with EdgeRunner.open("digits/bundle") as runner:
            prediction = runner.predict({"image": pixels}, key="session-7")
            prediction["label"], prediction.arm, prediction.model
    """

    def __init__(self, serving: Serving) -> None:
        """Serve an opened bundle; use EdgeRunner.open()."""
        self._start_stream()
        self._serve(serving)
        follow_forks(self)

    def _serve(self, serving: Serving) -> None:
        self._served: Serving | None = serving
        self._stale: Serving | None = None
        """What a forked child must open again before its first call."""
        self._finalizer = weakref.finalize(self, serving.close)

    @classmethod
    def open(cls, path: str | os.PathLike[str], *, threads: int = 1, breaker: BreakerPolicy = DEFAULT_POLICY) -> Self:
        """Open a bundle folder.

        Args:
            path: the folder that holds ``bundle.json``.
            threads: threads of one model run, the caller's included: 1 to ``LIMITS.threads_max``. One is best for
                small models.
            breaker: when a failing model is kept from serving.

        Raises:
            InputError: ``threads`` or ``breaker`` is out of range.
            BundleError: the bundle is missing, malformed or inconsistent.
            GraphError: its routing graph is wrong.
            ModelError: a model cannot be loaded.
        """
        if isinstance(threads, bool) or not isinstance(threads, int) or not 1 <= threads <= LIMITS.threads_max:
            raise InputError(f"threads must be a whole number from 1 to {LIMITS.threads_max}, got {shown(threads)}")
        return cls(Serving(bundles.read(path), threads=threads, policy=breaker))

    def _start_stream(self) -> None:
        self._epoch = os.urandom(8).hex()
        self._sequences = itertools.count()
        self._lock = threading.Lock()
        self._threads = CallThreads()

    def predict(
        self,
        inputs: Any,
        *,
        key: str | int | bytes | None = None,
        meta: Meta | None = None,
        deadline_s: float | None = None,
        fallback: Mapping[str, Any] | None = None,
        cast: str | None = None,
    ) -> Prediction:
        """Answer one call.

        Args:
            inputs: a dict of input name to array or nested list; or the array or list itself where the model has
                one input. Shapes and dtypes are the model's.
            key: the unit of a sticky random split; it may also stand in ``meta`` under the split's ``split_key``.
            meta: fields that the graph routes by.
            deadline_s: seconds after which an answer is worth nothing: then the control's answer or ``fallback`` is
                returned in time, and the late run discarded.
            fallback: outputs to return when the deadline passes with no answer at all.
            cast: "safe" lets numpy's safe casts happen; by default a dtype must be the model's.

        Raises:
            InputError: an input, the key or a meta value is wrong.
            ModelError: the model failed and no control could answer.
            DeadlineError: no answer by the deadline, and no fallback given.
            ClosedError: the runner is closed.
        """
        served = self._served or self._reopen()
        if cast is not None:
            check_cast(cast)
        if deadline_s is not None or fallback is not None:
            return self._predict_since(
                time.monotonic(), inputs, key=key, meta=meta, deadline_s=deadline_s, fallback=fallback, cast=cast
            )
        sequence = next(self._sequences)
        route = served.decide(key, meta, self._epoch, sequence)
        session = served.sessions[route.model]
        guarded = route.control is not None
        lane = None if guarded and session.breaker.is_open else session.take(inputs)
        if lane is None:
            return self._predict_with_care(served, route, Call(key, meta, self._epoch, sequence), inputs, cast)
        latency_ns = run_prepared(lane.handle, session.handle, guarded)
        if latency_ns < 0:
            return self._predict_again(served, route, Call(key, meta, self._epoch, sequence), inputs, cast, lane)
        prediction = Prediction()
        for name, output in lane.named:
            prediction[name] = output.copy()
        prediction.route = route
        prediction.model = route.model
        prediction.fallback = None
        prediction.epoch = self._epoch
        prediction.sequence = sequence
        prediction.latency_ns = latency_ns
        if guarded and session.breaker.failures:
            session.breaker.record_success()
        if route.watches:
            served.offer(route, lane, key, meta, self._epoch, sequence)
        lane.home.append(lane)
        return prediction

    def _predict_again(
        self, served: Serving, route: Route, call: Call, inputs: Any, cast: str | None, lane: Lane
    ) -> Prediction:
        """Repeat a run that went wrong in a prepared lane; if it is good without one, its shapes were to blame."""
        prediction = self._predict_with_care(served, route, call, inputs, cast)
        if prediction.fallback is None:
            served.sessions[route.model].forget(lane)
        return prediction

    def _predict_with_care(
        self, served: Serving, route: Route, call: Call, inputs: Any, cast: str | None
    ) -> Prediction:
        """Answer what the hot path did not settle: unusual inputs, first calls, failures, open breakers."""
        answer = served.answer(route, check_inputs(served.signature, inputs, cast), call)
        return self._finish(served, route, call, answer)

    def _finish(self, served: Serving, route: Route, call: Call, answer: Answer) -> Prediction:
        prediction = make_prediction(served, route, call, answer)
        watching = served.watching(route, call, answer.fallback)
        if watching:
            served.offer_to(watching, answer.lane, call.sequence)
        return prediction

    def _predict_since(
        self,
        started: float,
        inputs: Any,
        *,
        key: str | int | bytes | None = None,
        meta: Meta | None = None,
        deadline_s: float | None = None,
        fallback: Mapping[str, Any] | None = None,
        cast: str | None = None,
    ) -> Prediction:
        """Answer a call with a deadline, counted from a point of ``time.monotonic()``."""
        from edgerun.deadline import answer_by_deadline, deadline_of  # noqa: PLC0415 - it brings concurrent.futures

        deadline = deadline_of(deadline_s, fallback, started)
        served, workers = self._serving(), self._threads.workers()
        with workers.call():
            call = Call(key, meta, self._epoch, next(self._sequences))
            route = served.decide(*call)
            feeds = tuple(feed.copy() for feed in check_inputs(served.signature, inputs, cast))
            answer = answer_by_deadline(served, workers, route, feeds, call, deadline)
        if answer is not None:
            return self._finish(served, route, call, answer)
        if fallback is None:
            raise DeadlineError(
                f"model {route.model!r} gave no answer within {deadline_s} s, and no fallback= was given"
            )
        return make_fallback(route, call, fallback, time.monotonic() - started)

    def predict_batch(
        self,
        inputs: Any,
        *,
        keys: Sequence[str | int | bytes | None] | None = None,
        metas: Sequence[Meta | None] | None = None,
        cast: str | None = None,
    ) -> BatchPrediction:
        """Answer a batch: each row takes its own way; rows of one arm run together and come back in order.

        Args:
            inputs: as for predict(); the first axis of every input, and of every output, is the row. There is at
                least one.
            keys: one key per row: a list, an array or any other iterable.
            metas: one dict of meta fields per row, likewise.
            cast: as for predict().

        Returns:
            The outputs with a row per input row, and a Prediction for each row, whose arrays are views of them. The
            latency of a row is that of the run it was part of.

        Raises:
            InputError: as for predict(); or the model takes no batch, or the numbers of rows, keys and metas differ.
            ModelError: as for predict().
            ClosedError: the runner is closed.
        """
        served = self._serving()
        feeds, count = read_batch(served.signature, inputs, cast)
        columns = read_column("keys", keys, count), read_column("metas", metas, count)
        calls = [
            Call(key, meta, self._epoch, sequence)
            for key, meta, sequence in zip(*columns, self._sequences, strict=False)
        ]
        routes = [served.decide(*call) for call in calls]
        rows = answer_batch(served, feeds, routes, calls)
        outputs = join_rows(served.signature, rows)
        predictions = []
        for row, (route, call, (answer, index)) in enumerate(zip(routes, calls, rows, strict=True)):
            predictions.append(make_prediction(served, route, call, answer, row_outputs(outputs, row, answer, index)))
            watching = served.watching(route, call, answer.fallback)
            if watching:
                served.offer_to(watching, row_lane(feeds, row, answer, index), call.sequence)
        names = served.output_names
        return BatchPrediction(dict(zip(names, outputs, strict=True)), tuple(predictions))

    async def apredict(self, inputs: Any, **options: Any) -> Prediction:
        """Answer one call from a coroutine: as predict(), on a thread of the runner's.

        A deadline counts from here, however long the call waits for a thread.
        """
        import asyncio  # noqa: PLC0415 - a device app that never awaits need not pay 20 ms for it

        self._serving()
        timed = options.get("deadline_s") is not None
        pool = self._threads.pool("edgerun-deadline" if timed else "edgerun-async")
        answer = partial(self._predict_since, time.monotonic()) if timed else self.predict
        try:
            answered = asyncio.get_running_loop().run_in_executor(pool, partial(answer, inputs, **options))
        except RuntimeError as error:  # close() came in between
            raise ClosedError from error
        return await answered

    def shadows(self, timeout_s: float | None = None) -> list[ShadowResult]:
        """Wait until the shadow has nothing left to do, at most ``timeout_s``; return what is new, oldest first.

        At most the last 4096 results are kept for this; the counters of stats() miss none.

        Args:
            timeout_s: None waits as long as it takes; 0 does not wait.

        Raises:
            InputError: ``timeout_s`` is no such number.
            ClosedError: the runner is closed.
        """
        served = self._serving()
        return [
            ShadowResult(
                event_id(self._epoch, found.sequence),
                served.watches[found.slot].node,
                served.watches[found.slot].model,
                found.disagree,
                found.max_abs_diff,
                found.latency_s,
                found.failed,
                found.nonfinite,
            )
            for found in served.shadow_results(timeout_s)
        ]

    def stats(self) -> RunnerStats:
        """Return counters and mean latencies of every model and watch."""
        return runner_stats(self._serving())

    @property
    def bundle(self) -> bundles.Bundle:
        """The bundle that is served."""
        return self._serving().bundle

    @property
    def signature(self) -> Signature:
        """The inputs and outputs of the bundle's models."""
        return self._serving().signature

    def _serving(self) -> Serving:
        return self._served or self._reopen()

    def _reopen(self) -> Serving:
        with self._lock:
            if self._stale is not None:
                self._serve(self._stale.reopened())
            if self._served is None:
                raise ClosedError
            return self._served

    def close(self) -> None:
        """Refuse further calls, let those under way end, and stop the shadow; what it has queued is dropped."""
        with self._lock:
            self._served = self._stale = None
        self._threads.close()
        self._finalizer()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        """Return what is served."""
        served = self._served or self._stale
        if served is None:
            return "EdgeRunner(closed)"
        return f"EdgeRunner({served.bundle.name!r}, version={served.bundle.version!r}, models={list(served.sessions)})"

    def after_fork(self, *, alone: bool) -> None:
        """Go on in a forked child: a new stream of events, new locks, no threads of the parent's. Called by the fork.

        Args:
            alone: no other thread of the parent can have been inside a model; else the bundle is opened again at
                the first call.
        """
        self._start_stream()
        served = self._served
        if served is None:
            return
        if alone and served.threads == 1:
            served.after_fork()
        else:
            served.disown()
            self._finalizer.detach()
            self._served, self._stale = None, served
