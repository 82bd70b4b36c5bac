"""What a call returns: the outputs, and how they came about."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from edgerun._core.runtime import Value
from edgerun.routing import Route, event_id


class Prediction(dict[str, Value]):
    """The outputs of one call: output name to array (a list for a sequence, a dict for a map).

    The arm that was assigned and the model that served are two things: a challenger that failed, or that an open
    breaker kept from serving, leaves its arm in ``arm`` while ``model`` names the control.
    """

    __slots__ = ("epoch", "fallback", "latency_ns", "model", "route", "sequence")

    route: Route
    """The way that was decided for the call."""

    model: str | None
    """The model whose answer this is; None where the caller's own fallback was returned."""

    fallback: str | None
    """Why the assigned arm did not serve; None if it did.

    One of "error", "nonfinite", "shape", "breaker_open" and "deadline".
    """

    epoch: str
    """The stream of events that the call belongs to, in hexadecimal."""

    sequence: int
    """The number of the call in its stream."""

    latency_ns: int
    """Nanoseconds that the model took to run: the time inside onnxruntime."""

    @property
    def id(self) -> str:
        """The id of the call's event, for labels and outcomes that come later: ``epoch-sequence``."""
        return event_id(self.epoch, self.sequence)

    @property
    def arm(self) -> str | None:
        """The arm that the innermost random split assigned; None without one, or for a forced or unenrolled key."""
        return self.route.arm

    @property
    def assignment(self) -> str | None:
        """How the arm came about, of the innermost random split; None where none was passed.

        "assigned", "forced", "holdout" (held out), "other_slice" (of its layer), "not_enrolled" (by its traffic) or
        "unassigned" (without a key).
        """
        return self.route.assignment

    @property
    def path(self) -> tuple[str, ...]:
        """The nodes taken, in order, and last the model that the way leads to."""
        return self.route.path

    @property
    def version(self) -> str:
        """The version of the bundle that served."""
        return self.route.version

    @property
    def latency_s(self) -> float:
        """Seconds that the model took to run: the time inside onnxruntime."""
        return self.latency_ns * 1e-9

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle and copy what the call returned; the route forgets where it would have gone and who watched."""
        told = self.route._replace(control=None, watches=())
        return _restore, (dict(self), told, self.model, self.fallback, self.epoch, self.sequence, self.latency_ns)

    def __repr__(self) -> str:
        """Return the outputs and where they come from."""
        return (
            f"Prediction({dict(self)!r}, id={self.id!r}, model={self.model!r}, arm={self.arm!r}, "
            f"version={self.version!r}, fallback={self.fallback!r}, latency_s={self.latency_s:.3g})"
        )


def _restore(
    outputs: dict[str, Value],
    route: Route,
    model: str | None,
    fallback: str | None,
    epoch: str,
    sequence: int,
    latency_ns: int,
) -> Prediction:
    prediction = Prediction(outputs)
    prediction.route, prediction.model, prediction.fallback = route, model, fallback
    prediction.epoch, prediction.sequence, prediction.latency_ns = epoch, sequence, latency_ns
    return prediction


class BatchPrediction(Mapping[str, Value]):
    """The outputs of a batch, rows in the order they were given.

    As a mapping: output name to one array with a row per input row (a list where an output is no tensor).
    ``rows`` gives each row's own Prediction.
    """

    def __init__(self, outputs: dict[str, Value], rows: tuple[Prediction, ...]) -> None:
        self._outputs = outputs
        self.rows = rows
        """The Prediction of each row; its arrays have a first axis of 1, and are views of the batch's."""

    def __getitem__(self, name: str) -> Value:
        return self._outputs[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._outputs)

    def __len__(self) -> int:
        return len(self._outputs)

    @property
    def arms(self) -> tuple[str | None, ...]:
        """The assigned arm of each row."""
        return tuple(row.arm for row in self.rows)

    @property
    def models(self) -> tuple[str | None, ...]:
        """The model that served each row."""
        return tuple(row.model for row in self.rows)

    @property
    def ids(self) -> tuple[str, ...]:
        """The event id of each row."""
        return tuple(row.id for row in self.rows)

    def __repr__(self) -> str:
        """Return the outputs and how many rows each model served."""
        served: dict[Any, int] = {}
        for model in self.models:
            served[model] = served.get(model, 0) + 1
        return f"BatchPrediction({self._outputs!r}, rows={len(self.rows)}, served={served})"
