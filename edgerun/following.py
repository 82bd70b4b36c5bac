"""Serving what a store names: at the start, and whenever it names something else while the runner goes on.

A thread looks at the store's state, loads what is new beside what serves, and swaps. It judges what serves by recent
calls: a candidate becomes current or is rejected, a current bundle that starts to fail is rolled back. Nothing that it
meets, be it in the store, on the disk or in a bundle, keeps what serves from serving.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from edgerun import bundle as bundles
from edgerun._fork import FOLLOW_THREAD, inside_models
from edgerun.errors import BundleError, EdgerunError, GraphError, ModelError, StoreError
from edgerun.health import Health, HealthPolicy, Sample
from edgerun.requirements import ERROR_RATE_DEFAULT
from edgerun.serving import Serving
from edgerun.signature import broken_promise
from edgerun.store import Start, Store
from edgerun.swapping import warm_up

if TYPE_CHECKING:
    from collections.abc import Callable
    from weakref import WeakMethod

    from edgerun.guard import BreakerPolicy
    from edgerun.log.recorder import Recorder
    from edgerun.swapping import Tenure

TIDY_S = 0.02
"""Seconds between two looks at a former bundle whose last call has not ended."""

START_AGAIN_S = 60.0
"""Seconds until a candidate is started again whose start could not be written down."""

_UNFIT = (BundleError, GraphError, ModelError)
"""What is wrong with a bundle that cannot be loaded."""


class Options(NamedTuple):
    """How a runner serves whatever the store names.

    Attributes:
        path: of the store.
        threads: of one model run.
        breaker: when a failing model is kept from serving.
        health: how what is served is judged.
    """

    path: str
    threads: int
    breaker: BreakerPolicy
    health: HealthPolicy


class Served:
    """One bundle while it serves: what the store is told of it, and how its calls go.

    Attributes:
        serving: the bundle, opened.
        start: what the store is told through.
        proven: whether it is judged as current; else it is a candidate.
        rejected: whether the store was told that it does not do well.
    """

    def __init__(self, serving: Serving, start: Start, policy: HealthPolicy, calls: int) -> None:
        limit = serving.bundle.limits.error_rate
        self.serving, self.start = serving, start
        self.proven, self.rejected = not start.is_candidate, False
        self._policy, self._limit = policy, ERROR_RATE_DEFAULT if limit is None else limit
        self._since_s, self._runs, self._first = time.monotonic(), serving.good_runs(), calls
        self._health = Health(policy, self._sample(calls))

    def _sample(self, calls: int) -> Sample:
        """A wrong input is its caller's fault, but with a candidate, whose models may take other inputs than before."""
        failed = self.serving.recording.failed
        count = failed.raised + failed.fell_back + (0 if self.proven else failed.refused)
        return Sample(time.monotonic(), calls, count)

    def observe(self, calls: int) -> None:
        """Look at how many of the runner's calls went wrong up to now."""
        self._health.observe(self._sample(calls))

    def complaint(self) -> str | None:
        """Say why the bundle should serve no longer; None where it does well."""
        health = self._health
        return f"{health.share:.0%} of {health.calls} calls went wrong" if health.is_bad(self._limit) else None

    def is_healthy(self) -> bool:
        """Whether a candidate has proven itself."""
        is_long = time.monotonic() - self._since_s >= self._policy.healthy_after_s
        return is_long and self.serving.good_runs() > self._runs and self._health.share <= self._limit

    def ends_well(self, calls: int) -> bool:
        """Whether a candidate whose app ends in order has proven itself before its time: by many calls."""
        self.observe(calls)
        is_used = calls - self._first >= self._policy.calls_min and self.serving.good_runs() > self._runs
        return is_used and self._health.share <= self._limit

    def prove(self, calls: int) -> None:
        """Judge it as the current bundle from now on."""
        self.proven = True
        self._health = Health(self._policy, self._sample(calls))


class Follower:
    """A runner's tie to its store, and the thread that holds it."""

    def __init__(self, options: Options, recorder: Recorder | None) -> None:
        """Prepare to follow a store.

        Raises:
            StoreError: there is none.
        """
        self.options = options
        self._recorder = recorder
        self._store = Store(options.path, say=self._say)
        self._start: Start | None = None
        self._served: Served | None = None
        self._refused: set[str] = set()
        """Digests of bundles that this process does not try again."""
        self._postponed: tuple[str, float] | None = None
        """A candidate that could not be started, and until when it is left alone."""
        self._trouble: str | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, name=FOLLOW_THREAD, daemon=True)

    def _say(self, event: str, **details: Any) -> None:
        if self._recorder is not None:
            self._recorder.lifecycle(event, **details)

    # ---- the start ----

    def open(self, ready: Serving | None = None) -> Serving:
        """Open what the store says is to be served now. What cannot be loaded is rejected, and the next one opened.

        Args:
            ready: what is opened already, and served if it is that; or if the store cannot be read.

        Raises:
            StoreError: there is nothing that can be served, or the store cannot be read.
        """
        while True:
            try:
                self._start = self._store.start()
            except StoreError as error:
                if ready is None:
                    raise
                self._tell(str(error))
                self._serving = ready
                return ready
            if self._start is None:
                raise StoreError(f"{self.options.path}: no bundle has been activated; fetch one and activate it")
            if ready is not None and _is_opened(self._start, ready):
                self._serving = ready
                return ready
            try:
                self._serving = self._opened(self._start)
            except _UNFIT as error:
                self._reject_unfit(self._start, error)
            else:
                return self._serving

    def _opened(self, start: Start) -> Serving:
        """Open a bundle beside whatever else is served; if that cannot be done, its start is over."""
        try:
            found = bundles.read(start.bundle.path)
            return Serving(found, threads=self.options.threads, policy=self.options.breaker, recorder=self._recorder)
        except BaseException:
            start.close()
            raise

    def _reject_unfit(self, start: Start, error: EdgerunError) -> None:
        try:
            start.reject(str(error))
        except StoreError as refusal:
            raise StoreError(
                f"{start.bundle.name}@{start.bundle.version} cannot be served ({error}): {refusal}"
            ) from error

    # ---- from then on ----

    def begin(
        self,
        tenure: Tenure,
        swap: WeakMethod[Callable[[Serving], bool]],
        calls: WeakMethod[Callable[[], int]],
    ) -> None:
        """Follow the store, now that what open() gave is served, until the tenure ends.

        Args:
            tenure: what ends with the runner.
            swap: serves another bundle; False where the runner is closed.
            calls: returns how many calls there were.
        """
        self._tenure, self._swap, self._calls = tenure, swap, calls
        if self._start is not None:
            self._served = Served(self._serving, self._start, self.options.health, self._count())
        tenure.stop_following = self.stop
        self._thread.start()

    def conclude(self) -> None:
        """Stop, and judge a candidate a last time where its app ends in order, with no exception under way.

        Without it, apps of short lives would use a good candidate's starts up, and never get another bundle.
        """
        self._end()
        if isinstance(sys.exc_info()[1], Exception):
            return
        served = self._served
        if served is not None and not served.proven and not served.rejected and served.ends_well(self._count()):
            try:
                served.start.confirm()
            except EdgerunError as error:
                self._tell(str(error))

    def stop(self) -> None:
        """Follow no longer; return when the thread has ended."""
        self._end()
        if self._start is not None:
            self._start.close()

    def _end(self) -> None:
        self._stopping.set()
        if threading.current_thread() is not self._thread:  # it may itself have let go of the runner
            self._thread.join()

    def _count(self) -> int:
        calls = self._calls()
        if calls is None:  # the runner was let go of
            self._stopping.set()
            return 0
        return calls()

    def _work(self) -> None:
        wait_s = self.options.health.poll_s
        while not self._stopping.wait(wait_s):
            try:
                self._judge()
                self._look()
                self._trouble = None
            except EdgerunError as error:
                self._tell(str(error))
            except Exception as error:  # noqa: BLE001 - whatever it is, what serves goes on, and so does this
                self._tell(repr(error))
            is_tidy = self._tenure.tidy()
            wait_s = self.options.health.poll_s if is_tidy else min(TIDY_S, self.options.health.poll_s)

    def _tell(self, trouble: str) -> None:
        """Log what keeps the thread from following, once for as long as it lasts."""
        if trouble != self._trouble:
            self._trouble = trouble
            self._say("follow_failed", error=trouble)

    def _judge(self) -> None:
        """Look at how what serves does, and let the store know."""
        served = self._served
        if served is None or served.rejected:
            return
        calls = self._count()
        served.observe(calls)
        complaint = served.complaint()
        if complaint is not None:
            served.start.reject(complaint)
            served.rejected = True
        elif not served.proven and served.is_healthy():
            served.start.confirm()
            served.prove(calls)

    def _look(self) -> None:
        """Take up what the store names, if that is something else."""
        state = self._store.state()
        wanted = state.current if state.candidate is None else state.candidate.digest
        if wanted is None or wanted in self._refused or self._is_postponed(wanted):
            return
        if self._served is not None and wanted == self._served.start.bundle.digest:
            return
        start = self._store.start()
        if start is not None and start.bundle.digest != wanted:
            self._postponed = wanted, time.monotonic() + START_AGAIN_S
        if start is not None and not (self._served is not None and _is_opened(start, self._serving)):
            is_welcome = self._served is None or state.why_bad(self._served.start.bundle.digest) is None
            self._take_up(start, stays_compatible=is_welcome)

    def _is_postponed(self, digest: str) -> bool:
        postponed = self._postponed
        return postponed is not None and postponed[0] == digest and time.monotonic() < postponed[1]

    def _take_up(self, start: Start, *, stays_compatible: bool) -> None:
        """Serve a bundle in place of the one that serves.

        Args:
            start: of the bundle.
            stays_compatible: whether it has to take all calls that the one that serves takes.
        """
        if not _is_opened(start, self._serving):
            self._refused.add(start.bundle.digest)  # until it serves
            with inside_models():
                try:
                    serving = self._opened(start)
                except _UNFIT as error:
                    self._reject_unfit(start, error)
                    return
                try:
                    self._replace(serving, start, stays_compatible=stays_compatible)
                finally:
                    if self._serving is not serving:
                        serving.release()
                        start.close()
            if self._serving is not serving:
                return
            self._refused.discard(start.bundle.digest)
        self._start = start
        self._served = Served(self._serving, start, self.options.health, self._count())

    def _replace(self, serving: Serving, start: Start, *, stays_compatible: bool) -> None:
        """Warm a bundle and swap to it, if that may be."""
        former, name = self._serving.bundle, {"bundle": serving.bundle.name, "version": serving.bundle.version}
        broken = broken_promise(self._serving.signature, serving.signature) if stays_compatible else None
        if broken is not None:
            self._say("swap_deferred", **name, digest=start.bundle.digest, until="the next start", error=broken)
            return
        try:
            warm_up(serving, self._serving)
        except EdgerunError as error:
            self._reject_unfit(start, error)
            return
        swap = self._swap()
        if swap is None or not swap(serving):
            self._stopping.set()
            return
        self._serving = serving
        self._say("swapped", **name, digest=start.bundle.digest, former=f"{former.name}@{former.version}")


def _is_opened(start: Start, serving: Serving) -> bool:
    return start.bundle.path == os.fspath(serving.bundle.folder)
