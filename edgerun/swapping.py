"""One bundle after another behind one runner: warmed beside what serves, and kept until its last call has ended.

A call holds the Serving that it began with, so nothing counts calls: a former Serving that nobody else refers to has
answered its last one. It is freed here, and never by a call, which would have to wait for it.
"""

from __future__ import annotations

import sys
import threading
import time
from typing import TYPE_CHECKING, NamedTuple

from edgerun.errors import InputError, ModelError
from edgerun.inputs import check_inputs

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgerun.log.recorder import Recorder
    from edgerun.serving import Serving

WARM_EXAMPLES_MAX = 8
"""Golden examples that models run before they take over from others; all of them ran when the bundle was activated."""

RELEASE_AFTER_S = 60.0
"""Seconds after which a former bundle is given up though something refers to it: an error that the app keeps, say."""

_MINE = 2
"""References to an object that only a local variable holds, as sys.getrefcount() counts them: its argument is one."""


class _Former(NamedTuple):
    serving: Serving
    since_s: float


class Tenure:
    """What a runner serves, what it served before, and all else that must end with it.

    It knows nothing of the runner, so that one that nobody closed is collected, and ends this.
    """

    def __init__(self, serving: Serving, recorder: Recorder | None) -> None:
        self._serving: Serving | None = serving
        self._recorder = recorder
        self._former: list[_Former] = []
        self._lock = threading.Lock()
        self._ended = False
        self.stop_following: Callable[[], None] | None = None

    def replace(self, serving: Serving) -> None:
        """Say that another bundle is served from now on."""
        with self._lock:
            if self._serving is not None:
                self._former.append(_Former(self._serving, time.monotonic()))
            self._serving = serving

    def tidy(self) -> bool:
        """Release the former bundles whose last call has ended; return whether that was all of them."""
        with self._lock:
            former, self._former = self._former, []
        kept = []
        while former:
            serving, since_s = former.pop()
            is_used = sys.getrefcount(serving) > _MINE and time.monotonic() - since_s < RELEASE_AFTER_S
            if is_used and not self._ended:
                kept.append(_Former(serving, since_s))
            else:
                serving.release()
            del serving
        with self._lock:
            self._former.extend(kept)
            late = self._former if self._ended else []
            if late:
                self._former = []
        for each in late:  # it ended meanwhile
            each.serving.release()
        return not self._former

    def disown(self) -> None:
        """In a forked child: leave what the parent served before to the parent."""
        for former in self._former:
            former.serving.disown()

    def end(self) -> None:
        """Stop following and serving; calls that are under way still end well."""
        if self.stop_following is not None:
            self.stop_following()
        with self._lock:
            former, self._former, self._ended = self._former, [], True
            serving, self._serving = self._serving, None
        if serving is not None:
            serving.close()
        for each in former:
            each.serving.release()
        if self._recorder is not None:
            self._recorder.lifecycle("closed")
            self._recorder.close()


def warm_up(serving: Serving, former: Serving) -> None:
    """Run the models before any call does, so that the first one finds all that the last one of the former did.

    Raises:
        ModelError: a model fails on a golden example.
    """
    for index, example in enumerate(serving.bundle.golden[:WARM_EXAMPLES_MAX]):
        feeds = check_inputs(serving.signature, example.inputs, None)
        for name in example.outputs:
            if not serving.sessions[name].warm(feeds, 1):
                raise ModelError(f"model {name!r} fails on golden example {index}")
    lanes: dict[tuple[tuple[int, ...], ...], int] = {}
    for session in former.sessions.values():
        for inputs, count in session.warmth():
            shapes = tuple([array.shape for array in inputs])
            if count <= lanes.get(shapes, 0):
                continue
            lanes[shapes] = count
            try:
                feeds = check_inputs(
                    serving.signature, dict(zip(former.signature.input_names, inputs, strict=True)), None
                )
            except InputError:  # what the former took and this one refuses; such calls will hear of it
                continue
            for other in serving.sessions.values():
                other.warm(feeds, count)
    if serving.watches:
        serving.shadow()
