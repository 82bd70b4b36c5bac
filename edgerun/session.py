"""One opened model and the lanes that calls run in.

A lane is prepared for one set of input shapes once a first call has shown the shapes of the outputs; from then on a
call with those shapes allocates nothing but what it returns. Whatever does not fit (strings, maps, outputs whose
shape depends on the data, very large tensors) runs freely: onnxruntime allocates the outputs of each call.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy import ndarray

from edgerun._core import runtime as core
from edgerun._core.runtime import Array, Lane, Model, Value
from edgerun.errors import ModelError
from edgerun.guard import Breaker, BreakerPolicy
from edgerun.limits import LIMITS
from edgerun.signature import Signature, conflicting_output

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_Shapes = tuple[tuple[int, ...], ...]


# take() is the hot path: closures, dtypes compared by identity, shapes looked up. Whatever is unusual falls through to
# check_inputs(), which explains.


def _take_one(name: str, dtype: Any, free: dict[Any, list[Lane]]) -> Callable[[Any], Lane | None]:
    def take(inputs: Any) -> Lane | None:
        if type(inputs) is dict:
            if len(inputs) != 1:
                return None
            inputs = inputs.get(name)
        if type(inputs) is not ndarray or inputs.dtype is not dtype:
            return None
        lanes = free.get(inputs.shape)
        if not lanes:
            return None
        try:
            lane = lanes.pop()
        except IndexError:  # another thread took the last one
            return None
        lane.feed[...] = inputs
        return lane

    return take


def _take_all(
    names: tuple[str, ...], dtypes: tuple[Any, ...], free: dict[Any, list[Lane]]
) -> Callable[[Any], Lane | None]:
    pairs = tuple(zip(names, dtypes, strict=True))

    def take(inputs: Any) -> Lane | None:
        if type(inputs) is not dict or len(inputs) != len(pairs):
            return None
        arrays = []
        for name, dtype in pairs:
            array = inputs.get(name)
            if type(array) is not ndarray or array.dtype is not dtype:
                return None
            arrays.append(array)
        lanes = free.get(tuple([array.shape for array in arrays]))
        if not lanes:
            return None
        try:
            lane = lanes.pop()
        except IndexError:  # another thread took the last one
            return None
        for feed, array in zip(lane.feeds, arrays, strict=True):
            feed[...] = array
        return lane

    return take


class Outcome(NamedTuple):
    """How one run ended.

    Attributes:
        outputs: one per output of the signature; None where the run failed.
        problem: "error", "nonfinite", "shape" or "deadline"; None for a good run.
        reason: one sentence on the problem.
        latency_ns: of the run.
        lane: where it ran; its values are still there for the shadow queue.
    """

    outputs: list[Value] | None
    problem: str | None
    reason: str
    latency_ns: int
    lane: Lane


class Session:
    """One opened model behind the signature that all models of the bundle share."""

    def __init__(self, name: str, model: Model, signature: Signature, policy: BreakerPolicy) -> None:
        self.name, self.model, self.signature = name, model, signature
        self.handle = model.handle
        self.breaker = Breaker(policy)
        self.output_names = signature.output_names
        self._names = signature.input_names
        model.arrange(self._names, self.output_names)
        self._dtypes = tuple(port.dtype for port in signature.inputs)
        self._free: dict[Any, list[Lane]] = {}
        self._lanes: dict[Any, list[Lane]] = {}  # all of them; those in _free are idle
        self._unprepared: set[_Shapes] = set()
        self._preparable = all(port.dtype not in {None, core.STRING} for port in signature.outputs + signature.inputs)
        self.take: Callable[[Any], Lane | None] = (
            _take_one(self._names[0], self._dtypes[0], self._free)
            if len(self._names) == 1
            else _take_all(self._names, self._dtypes, self._free)
        )
        """Return a prepared lane with the inputs in it, or None where only check_inputs() can tell more."""

    def run(self, feeds: tuple[Array, ...], *, check: bool) -> Outcome:
        """Run checked feeds, preparing a lane for their shapes where that is possible.

        Args:
            feeds: C-contiguous arrays as check_inputs gives them.
            check: whether an output that is not finite, or of a wrong shape, is a problem.
        """
        outcome = self.run_lane(Lane(feeds, len(self.output_names)), check=check)
        if outcome.problem is None:
            self._prepare(feeds, outcome)
        return outcome

    def run_lane(self, lane: Lane, *, check: bool) -> Outcome:
        """Run a lane whose outputs onnxruntime allocates, and read them."""
        code = core.run_lane(lane.handle, self.handle, check, lane.run, lane.why)
        if code < 0:
            why = "deadline" if code == core.STOPPED else "error"
            return Outcome(None, why, f"model {self.name!r}: {core.message(lane.why)}", lane.run.latency_ns, lane)
        try:
            outputs = [lane.output(index) for index in range(len(self.output_names))]
        except ModelError as error:
            return Outcome(None, "error", f"model {self.name!r}: {error}", lane.run.latency_ns, lane)
        problem, reason = self._judge(lane, outputs) if check else (None, "")
        return Outcome(outputs, problem, reason, lane.run.latency_ns, lane)

    def _judge(self, lane: Lane, outputs: list[Value]) -> tuple[str | None, str]:
        if lane.run.flags & core.NONFINITE:
            return "nonfinite", f"model {self.name!r}: an output holds NaN or infinity"
        for port, output in zip(self.signature.outputs, outputs, strict=True):
            conflict = conflicting_output(port, output.shape) if isinstance(output, np.ndarray) else None
            if conflict:
                return "shape", f"model {self.name!r}: {conflict}"
        return None, ""

    def _key(self, feeds: tuple[Array, ...]) -> Any:
        shapes = tuple(feed.shape for feed in feeds)
        return shapes[0] if len(shapes) == 1 else shapes

    def _prepare(self, feeds: tuple[Array, ...], outcome: Outcome) -> None:
        """Add a prepared lane for these shapes, once a trial run through it gives the very same outputs."""
        key = self._key(feeds)
        outputs = outcome.outputs
        if not self._preparable or key in self._unprepared or outputs is None or self._free.get(key):
            return  # a lane that is idle will do: a caller who gives lists comes here every time
        self._add_lane(key, feeds, outputs)

    def _add_lane(self, key: Any, feeds: tuple[Array, ...], outputs: list[Value]) -> None:
        if key not in self._free and len(self._free) >= LIMITS.lane_shapes_max:
            return
        arrays = [output for output in outputs if isinstance(output, np.ndarray)]
        if any(conflicting_output(port, a.shape) for port, a in zip(self.signature.outputs, arrays, strict=True)):
            return
        if sum(array.nbytes for array in (*feeds, *arrays)) > LIMITS.lane_max_bytes:
            return
        lane = Lane(tuple(feed.copy() for feed in feeds), tuple(_opposite(array) for array in arrays))
        if key not in self._free:
            code = core.run_lane(lane.handle, self.handle, 0, lane.run, lane.why)
            if code < 0 or any(a.tobytes() != b.tobytes() for a, b in zip(arrays, lane.outputs, strict=True)):
                self._refuse(key)
                return
        lane.feed = lane.feeds[0] if lane.feeds else None
        lane.named = tuple(zip(self.output_names, lane.outputs, strict=True))
        lane.home = self._free.setdefault(key, lane.home)
        self._lanes.setdefault(key, []).append(lane)
        lane.home.append(lane)

    def warm(self, feeds: tuple[Array, ...], lanes: int) -> bool:
        """Run checked feeds before any call does, and prepare lanes for as many calls at once; False if that fails."""
        outcome = self.run(feeds, check=False)
        key = self._key(feeds)
        if outcome.outputs is not None and key in self._free:
            for _ in range(lanes - len(self._lanes[key])):
                self._add_lane(key, feeds, outcome.outputs)
        return outcome.outputs is not None

    def warmth(self) -> list[tuple[tuple[Array, ...], int]]:
        """Return what warm() takes to prepare another session for the calls that this one had lately."""
        return [(tuple(feed.copy() for feed in lanes[0].feeds), len(lanes)) for lanes in [*self._lanes.values()]]

    def cool(self) -> None:
        """Let go of all lanes, once no call is under way: a lane and the list it returns to hold each other."""
        for lanes in [*self._free.values()]:
            lanes.clear()
        self._free.clear()
        self._lanes.clear()

    def forget(self, lane: Lane) -> None:
        """Prepare no more lanes for the shapes of this one: its model's output shapes depend on the data."""
        key = self._key(lane.feeds)
        self._refuse(key)
        self._free.pop(key, None)
        self._lanes.pop(key, None)

    def _refuse(self, key: Any) -> None:
        """Try these shapes no more, and after many such shapes no others either."""
        self._unprepared.add(key)
        if len(self._unprepared) >= LIMITS.lane_shapes_max:
            self._preparable = False


def _opposite(array: Array) -> Array:
    """Return an array that differs from another in every bit, so that what a run leaves unwritten shows."""
    opposite = np.empty_like(array)
    np.invert(array.reshape(-1).view(np.uint8), out=opposite.reshape(-1).view(np.uint8))
    return opposite


def outputs_by_name(session: Session, outputs: list[Value]) -> Mapping[str, Value]:
    """Return outputs under their names."""
    return dict(zip(session.output_names, outputs, strict=True))
