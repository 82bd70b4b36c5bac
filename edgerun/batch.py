"""A batch: rows grouped by the way they take, one run per group, and put back in their order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from edgerun._core.runtime import Array, Lane, Value
from edgerun._shown import shown
from edgerun.errors import EdgerunError, InputError, ModelError
from edgerun.inputs import check_inputs
from edgerun.prediction import BatchPrediction
from edgerun.serving import Answer, Call, Serving, make_prediction
from edgerun.signature import Signature, with_batch_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgerun.routing import Route

_Row = tuple[Answer, int]  # an answer, and which of its rows is meant


def read_batch(signature: Signature, inputs: Any, cast: str | None) -> tuple[tuple[Array, ...], int]:
    """Return checked feeds whose first axis is the row, and the number of rows.

    Raises:
        InputError: an input or output has no axis for rows, there is no row, or the inputs disagree on the number of
            rows; or as check_inputs().
    """
    if not signature.inputs:
        raise InputError("the model takes no batch: it has no inputs; use predict()")
    feeds = check_inputs(with_batch_of(signature), inputs, cast)
    for port, feed in zip(signature.inputs, feeds, strict=True):
        if not feed.shape or not feed.shape[0]:  # only a model that declares no shape lets such a one come this far
            raise InputError(f"input {port.name!r}: a batch has at least one row, got shape {list(feed.shape)}")
    rows = {feed.shape[0] for feed in feeds}
    if len(rows) > 1:
        counts = ", ".join(f"{p.name!r}: {f.shape[0]}" for p, f in zip(signature.inputs, feeds, strict=True))
        raise InputError(f"the inputs disagree on the number of rows: {counts}")
    return feeds, rows.pop()


def read_column(name: str, given: Any, count: int) -> list[Any]:
    """Return one key or meta per row; None for each where the caller gave none.

    Raises:
        InputError: there are not as many as rows, or the whole is a single key or meta.
    """
    if given is None:
        return [None] * count
    if isinstance(given, str | bytes | Mapping) or not isinstance(given, Iterable):
        raise InputError(f"{name} must be a list with an entry for each row, got {shown(given)}")
    entries = given.tolist() if isinstance(given, np.ndarray) else list(given)
    if len(entries) != count:
        raise InputError(f"{name} has {len(entries)} entries for {count} rows")
    return entries


def predict_batch(
    serving: Serving, inputs: Any, keys: Any, metas: Any, cast: str | None, epoch: str, sequences: Iterable[int]
) -> BatchPrediction:
    """Answer a batch, each row of which takes one of the sequence numbers.

    Raises:
        InputError: an input is wrong, the model takes no batch, or the numbers of rows, keys and metas differ.
        ModelError: a row got no answer.
    """
    feeds, count = read_batch(serving.signature, inputs, cast)
    columns = read_column("keys", keys, count), read_column("metas", metas, count)
    numbered = zip(*columns, sequences, strict=False)
    return predict_rows(serving, feeds, [Call(key, meta, epoch, sequence) for key, meta, sequence in numbered])


def predict_rows(serving: Serving, feeds: tuple[Array, ...], calls: Sequence[Call]) -> BatchPrediction:
    """Answer every row of a batch, record them, and offer them to those who watch.

    Raises:
        InputError: a row's key or meta is wrong.
        ModelError: a row got no answer.
    """
    try:
        routes = [serving.decide(call.key, call.meta, call.epoch, call.sequence) for call in calls]
        rows = answer_batch(serving, feeds, routes, calls)
    except EdgerunError as error:
        serving.recording.error(None, calls[0], error, calls=len(calls))
        raise
    serving.recording.rows(routes, calls, rows)
    outputs = join_rows(serving.signature, rows)
    predictions = []
    for row, (route, call, (answer, index)) in enumerate(zip(routes, calls, rows, strict=True)):
        predictions.append(make_prediction(serving, route, call, answer, row_outputs(outputs, row, answer, index)))
        watching = serving.watching(route, call, answer.fallback)
        if watching:
            serving.offer_to(watching, row_lane(feeds, row, answer, index), call.sequence)
    return BatchPrediction(dict(zip(serving.output_names, outputs, strict=True)), tuple(predictions))


def answer_batch(
    serving: Serving, feeds: tuple[Array, ...], routes: Sequence[Route], calls: Sequence[Call]
) -> list[_Row]:
    """Answer every row: all rows of one route in one run, and one by one where that run fails.

    A row is answered as predict() would answer it alone, so one bad row never turns its neighbours over to the
    control.
    """
    groups: dict[int, list[int]] = {}
    for row, route in enumerate(routes):
        groups.setdefault(id(route), []).append(row)
    answers: list[_Row | None] = [None] * len(routes)
    for rows in groups.values():
        for row, answer in zip(rows, _answer_group(serving, feeds, routes[rows[0]], rows, calls), strict=True):
            answers[row] = answer
    return [answer for answer in answers if answer is not None]


def _answer_group(
    serving: Serving, feeds: tuple[Array, ...], route: Route, rows: list[int], calls: Sequence[Call]
) -> list[_Row]:
    session = serving.sessions[route.model]
    guarded = route.control is not None
    if len(rows) > 1 and not (guarded and session.breaker.is_open) and not _takes_single_rows(serving, route):
        whole = len(rows) == feeds[0].shape[0]
        group = Lane(feeds if whole else tuple(feed[rows] for feed in feeds), len(session.output_names))
        outcome = session.run_lane(group, check=guarded)  # a group's size is rarely seen again: no lane is prepared
        if outcome.problem is None and outcome.outputs is not None and _has_rows(outcome.outputs, len(rows)):
            if guarded:
                session.breaker.record_success()
            answer = Answer(outcome.outputs, session.name, None, outcome.latency_ns, outcome.lane)
            return [(answer, index) for index in range(len(rows))]
    return [(_answer_row(serving, feeds, route, row, calls[row]), 0) for row in rows]


def _takes_single_rows(serving: Serving, route: Route) -> bool:
    """Models with a fixed batch of one, and watched calls whose outputs cannot be taken apart into rows."""
    fixed = any(port.dims and isinstance(port.dims[0], int) for port in serving.signature.inputs)
    return fixed or (bool(route.watches) and any(port.kind != "tensor" for port in serving.signature.outputs))


def _answer_row(serving: Serving, feeds: tuple[Array, ...], route: Route, row: int, call: Call) -> Answer:
    answer = serving.answer(route, tuple(feed[row : row + 1] for feed in feeds), call)
    if not _has_rows(answer.outputs, 1):
        raise ModelError(f"model {answer.model!r}: an output has no row for each input row; use predict()")
    return answer


def _has_rows(outputs: list[Value], count: int) -> bool:
    return all(
        output.ndim > 0 and output.shape[0] == count
        if isinstance(output, np.ndarray)
        else isinstance(output, list) and len(output) == count and all(isinstance(item, dict) for item in output)
        for output in outputs
    )


def join_rows(signature: Signature, rows: Sequence[_Row]) -> list[Any]:
    """Return one value per output with a row per answer: an array where all rows have one shape, else a list."""
    return [
        _join([answer.outputs[index][row : row + 1] for answer, row in rows]) for index in range(len(signature.outputs))
    ]


def _join(parts: list[Any]) -> Any:
    if parts and all(isinstance(part, np.ndarray) for part in parts) and len({part.shape for part in parts}) == 1:
        return np.concatenate(parts)
    return [item for part in parts for item in part]


def row_outputs(joined: Sequence[Any], row: int, answer: Answer, index: int) -> list[Any]:
    """Return the outputs of one row as predict() gives them: views of the joined arrays, where there are such."""
    return [
        whole[row : row + 1] if isinstance(whole, np.ndarray) else part[index : index + 1]
        for whole, part in zip(joined, answer.outputs, strict=True)
    ]


def row_lane(feeds: tuple[Array, ...], row: int, answer: Answer, index: int) -> Lane:
    """Return a lane that holds one row of a batch with its outputs, for the shadow."""
    if not all(isinstance(output, np.ndarray) for output in answer.outputs):
        return answer.lane  # such rows are run one by one
    outputs = tuple(np.ascontiguousarray(output[index : index + 1]) for output in answer.outputs)
    return Lane(tuple(np.ascontiguousarray(feed[row : row + 1]) for feed in feeds), outputs)
