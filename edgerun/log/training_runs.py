"""Profiling training data: its rows run through the models as a device would run and record them, in memory alone.

Each row is a call of its own. It goes through the same lanes, the same ring and the same profiles of the C core as a
call that is served, so that what differs from a device's profile is the data.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

from edgerun._core import profile as profile_core
from edgerun._core import recorder as core
from edgerun.errors import InputError, ModelError
from edgerun.inputs import check_inputs
from edgerun.log.profiles import read_profile
from edgerun.log.training import TrainingProfile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from edgerun._core.runtime import Array
    from edgerun.log.profiles import PortProfile
    from edgerun.session import Session

_RING_BYTES = 2**20
_DRAIN_BYTES = _RING_BYTES // 2
_BATCH_ROWS = 4096


def chosen_rows(of: int, most: int) -> list[int]:
    """Return which of so many rows are run, ascending: all up to ``most``, else one of each of ``most`` equal parts.

    Which one is drawn by a hash of the part's number: the same ones for ever, and of ordered data some of each part.
    """
    if of <= most:
        return [*range(of)]
    borders = [part * of // most for part in range(most + 1)]
    return [
        begin + core.unit_of(part.to_bytes(8, "little")) % (end - begin)
        for part, (begin, end) in enumerate(pairwise(borders))
    ]


def profile_rows(
    sessions: Mapping[str, Session],
    rows: Iterable[Mapping[str, Array]],
    of: int,
    advance: Callable[[int], None] = lambda _: None,
) -> TrainingProfile:
    """Run rows through all models and return what they were like. Memory does not grow with the rows.

    Args:
        sessions: the models, by name; they share one signature.
        rows: the inputs of each call.
        of: how many rows these were drawn from.
        advance: is told of each row that was run.

    Raises:
        InputError: there is no row, or one that the models do not take; its number is named.
        ModelError: a model fails on a row.
    """
    signature = next(iter(sessions.values())).signature
    ring = core.new_recorder(_RING_BYTES)
    drain = core.Drain(ring, _BATCH_ROWS)
    ways = []
    for number, (name, session) in enumerate(sorted(sessions.items())):
        profile = profile_core.new_profile(len(signature.inputs), len(signature.outputs))
        ways.append((name, session, core.Source(ring, session.model, profile, number), profile))
    count = 0
    for row in rows:
        for _, session, source, _ in ways:
            _serve(session, source, row, count)
            if core.head(ring) - core.tail(ring) > _DRAIN_BYTES:
                _empty(drain)
        count += 1
        advance(1)
    if not count:
        raise InputError("there is no row of training data")
    _empty(drain)
    ports = {name: _ports(profile, session) for name, session, _, profile in ways}
    inputs = tuple(port for port in ports[min(ports)] if not port.is_output)
    outputs = {name: tuple(port for port in found if port.is_output) for name, found in ports.items()}
    return TrainingProfile(count, of, inputs, outputs)


def _serve(session: Session, source: core.Source, row: Mapping[str, Array], number: int) -> None:
    """Run a row as a device runs a call; what is unusual about it is found where a device would find it."""
    lane = session.take(row)
    if lane is not None:
        latency_ns = core.serve(lane.handle, source.handle, number)
        lane.home.append(lane)
        if latency_ns >= 0:
            return
    try:
        feeds = check_inputs(session.signature, row, None)
    except InputError as error:
        raise InputError(f"row {number}: {error}") from error
    outcome = session.run(feeds, check=False)
    if outcome.outputs is None:
        raise ModelError(f"row {number}: {outcome.reason}")
    core.record_call(source, core.Event(number, None, 0, outcome.latency_ns), outcome.lane)


def _empty(drain: core.Drain) -> None:
    while len(drain.take().kind):
        continue


def _ports(handle: Any, session: Session) -> tuple[PortProfile, ...]:
    names, nothing = session.signature, {"bundle": "", "version": "", "model": session.name}
    taken = profile_core.take(handle)
    return read_profile(
        taken, names.input_names, names.output_names, **nothing, arm=None, node=None, begin=0, end=0
    ).ports
