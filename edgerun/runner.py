"""EdgeRunner: the object that a device app holds. Its hot path is predict(); everything unusual is sent elsewhere."""

from __future__ import annotations

import itertools
import os
import threading
import time
import weakref
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, Self
from weakref import WeakMethod

from edgerun._core.recorder import note_unit, serve
from edgerun._fork import follow_forks
from edgerun._threads import CallThreads
from edgerun.batch import predict_batch
from edgerun.errors import ClosedError, InputError
from edgerun.feedback import Feedback
from edgerun.guard import DEFAULT_POLICY, BreakerPolicy
from edgerun.health import DEFAULT_HEALTH, HealthPolicy
from edgerun.inputs import check_cast
from edgerun.opening import open_path
from edgerun.prediction import Prediction
from edgerun.routing import Meta, Route, event_id
from edgerun.serving import Call, Serving
from edgerun.split import key_bytes
from edgerun.stats import RunnerStats, ShadowResult, runner_stats
from edgerun.swapping import Tenure

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edgerun import bundle as bundles
    from edgerun._core.runtime import Lane
    from edgerun.following import Follower
    from edgerun.log.policy import LogPolicy
    from edgerun.log.recorder import Recorder
    from edgerun.prediction import BatchPrediction
    from edgerun.signature import Signature


class EdgeRunner(Feedback):
    """Serves one bundle: routes each call through its graph, runs the model, watches the shadows.

    Safe to use from many threads. A forked child process may go on using it: it gets a stream of events of its own.

    Example::

        with EdgeRunner.open("digits/bundle") as runner:
            prediction = runner.predict({"image": pixels}, key="session-7")
            prediction["label"], prediction.arm, prediction.model
    """

    def __init__(self, serving: Serving, recorder: Recorder | None = None) -> None:
        """Serve an opened bundle; use EdgeRunner.open()."""
        self._start_stream(recorder)
        self._serve(serving)
        self._follower: Follower | None = None
        follow_forks(self)

    def _serve(self, serving: Serving) -> None:
        self._served: Serving | None = serving
        self._stale: Serving | None = None
        """What a forked child must open again before its first call."""
        self._tenure = Tenure(serving, self._recorder)
        self._finalizer = weakref.finalize(self, self._tenure.end)

    def _swap(self, serving: Serving) -> bool:
        """Serve another bundle from the next call on; False where the runner was closed meanwhile."""
        with self._lock:
            if self._served is None:
                return False
            self._served = serving
            self._tenure.replace(serving)
            return True

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str],
        *,
        threads: int = 1,
        breaker: BreakerPolicy = DEFAULT_POLICY,
        log: str | os.PathLike[str] | Literal[False] | None = None,
        log_policy: LogPolicy | None = None,
        health: HealthPolicy = DEFAULT_HEALTH,
    ) -> Self:
        """Open a bundle folder, or a device's store.

        Of a store, what it names is served, and from then on whatever it comes to name: another bundle is loaded and
        warmed beside the one that serves, and takes its place without a call lost. A candidate that does well becomes
        current; what does not is rejected or rolled back. Every step is an event of the log.

        Args:
            path: the folder that holds ``bundle.json``; or of the store.
            threads: threads of one model run, the caller's included: 1 to ``LIMITS.threads_max``. One is best for
                small models.
            breaker: when a failing model is kept from serving.
            log: the folder to log into, made if it is missing; several processes may share it. By default a store has
                its own, and a bundle's folder none; False keeps none.
            log_policy: how the log is kept; see LogPolicy.
            health: how what a store names is judged; see HealthPolicy.

        Raises:
            InputError: ``threads``, ``breaker``, ``log_policy`` or ``health`` is out of range.
            StoreError: the store is damaged, or has nothing that can be served.
            BundleError: the bundle is missing, malformed or inconsistent.
            GraphError: its routing graph is wrong.
            ModelError: a model cannot be loaded.
        """
        serving, recorder, follower = open_path(
            path, threads=threads, breaker=breaker, log=log, log_policy=log_policy, health=health
        )
        runner = cls(serving, recorder)
        if follower is not None:
            runner._follow(follower)
        return runner

    def _follow(self, follower: Follower) -> None:
        """Serve whatever the store names from now on."""
        self._follower = follower
        follower.begin(self._tenure, WeakMethod(self._swap), WeakMethod(self._count))

    def _count(self) -> int:
        """Return how many calls there were, without a number of its own: the next one is in the counter's text."""
        return int(repr(self._sequences).removeprefix("count(").removesuffix(")"))

    def _start_stream(self, recorder: Recorder | None) -> None:
        self._recorder = recorder
        self._epoch = os.urandom(8).hex() if recorder is None else recorder.epoch
        self._settle = recorder.settle if recorder is not None and recorder.waits else None
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
        try:
            route = served.decide(key, meta, self._epoch, sequence)
        except InputError as error:
            served.recording.error(None, Call(key, meta, self._epoch, sequence), error)
            raise
        session, guarded, source, source_of_key, _ = served.ways[route.number]
        lane = None if guarded and session.breaker.is_open else session.take(inputs)
        if lane is None:
            return self._predict_with_care(served, route, Call(key, meta, self._epoch, sequence), inputs, cast)
        if source_of_key is not None and key is not None:
            raw = key_bytes(key)
            note_unit(raw, len(raw))
            source = source_of_key
        latency_ns = serve(lane.handle, source, sequence)
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
        if self._settle is not None:
            self._settle()
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
        prediction = served.predict(route, inputs, call, cast)
        if self._settle is not None:
            self._settle()
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
        from edgerun.deadline import deadline_of, predict_by_deadline  # noqa: PLC0415 - brings concurrent.futures

        deadline = deadline_of(deadline_s, fallback, started)
        served, workers = self._serving(), self._threads.workers()
        call = Call(key, meta, self._epoch, next(self._sequences))
        prediction = predict_by_deadline(served, workers, inputs, call, cast, deadline, fallback)
        if self._settle is not None:
            self._settle()
        return prediction

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
        batch = predict_batch(self._serving(), inputs, keys, metas, cast, self._epoch, self._sequences)
        if self._settle is not None:
            self._settle()
        return batch

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

    def _log(self) -> Recorder | None:
        self._serving()
        return self._recorder

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
        return runner_stats(self._serving(), self._recorder)

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
            if self._stale is not None and self._follower is not None:
                follower = type(self._follower)(self._follower.options, self._recorder)
                self._serve(follower.open(None if self._stale.is_disowned else self._stale))
                self._follow(follower)
            elif self._stale is not None:
                self._serve(self._stale.reopened(self._recorder))
            if self._served is None:
                raise ClosedError
            return self._served

    def close(self) -> None:
        """Refuse further calls, let those under way end, and stop the shadow; what it has queued is dropped."""
        with self._lock:
            is_open, self._served, self._stale = self._served is not None, None, None
        if is_open and self._follower is not None:
            self._follower.conclude()
        self._threads.close()
        self._finalizer()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        """Return what is served."""
        if (served := self._served or self._stale) is None:
            return "EdgeRunner(closed)"
        return f"EdgeRunner({served.bundle.name!r}, version={served.bundle.version!r}, models={list(served.sessions)})"

    def after_fork(self, *, alone: bool) -> None:
        """Go on in a forked child: a new stream of events, new locks, no threads of the parent's. Called by the fork.

        Args:
            alone: no other thread of the parent can have been inside a model; else the bundle is opened again at
                the first call.
        """
        served = self._served or self._stale
        parent, recorder = self._recorder, None
        if parent is not None:
            parent.disown()
            recorder = None if served is None else type(parent)(parent.folder, parent.policy)
        self._start_stream(recorder)
        if served is None:
            return
        self._finalizer.detach()
        self._tenure.disown()
        if alone and served.threads == 1 and not served.is_disowned:
            served.after_fork(recorder)
        else:
            served.disown()
        if served.is_disowned or self._follower is not None:
            self._served, self._stale = None, served
        else:
            self._serve(served)
