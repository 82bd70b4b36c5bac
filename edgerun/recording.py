"""What one bundle's serving tells the log: under which source a call is recorded, and what the hot path did not record.

Without a recorder it tells nothing; the ways are laid out all the same, since calls run by them, and what went wrong is
counted.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NamedTuple

from edgerun._core import recorder as core
from edgerun.errors import InputError
from edgerun.health import FailedCalls
from edgerun.split import key_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from edgerun.bundle import Bundle
    from edgerun.log.policy import LogPolicy
    from edgerun.log.recorder import Recorder
    from edgerun.log.rows import Source
    from edgerun.routing import Meta, Route, Watch
    from edgerun.serving import Answer, Call
    from edgerun.session import Session
    from edgerun.signature import Signature


class Way(NamedTuple):
    """What a route comes down to when it is taken.

    Attributes:
        session: of the route's model.
        guarded: whether a control stands by.
        source: the ``er_source *`` that its calls run by, and are recorded under.
        source_of_key: the same for a call that brings a key which no split of the way hashed: see note_unit(). None
            where a split did, or nothing is recorded.
        kept: what keeps the sources alive.
    """

    session: Session
    guarded: bool
    source: Any
    source_of_key: Any
    kept: tuple[core.Source, ...]


class Recording:
    """The link between one bundle's serving and the recorder.

    Attributes:
        failed: the calls that went wrong.
    """

    def __init__(self, recorder: Recorder | None, bundle: Bundle, signature: Signature) -> None:
        self._recorder, self._bundle = recorder, bundle
        self._inputs, self._outputs = signature.input_names, signature.output_names
        self._answers: dict[tuple[int, str | None, str | None], Any] = {}
        self.failed = FailedCalls()

    def way(self, route: Route, session: Session) -> Way:
        """Return how calls of a route run and are recorded."""
        guarded = route.control is not None
        if self._recorder is None:
            bare = core.Source(None, session.model, None, 0, check_finite=guarded)
            return Way(session, guarded, bare.handle, None, (bare,))
        source = self._source(route, route.model, None)
        sources = tuple(
            self._recorder.source(source, session.model, self._inputs, self._outputs, check_finite=guarded, keyed=keyed)
            for keyed in (route.unit is not None, True)
        )
        return Way(session, guarded, sources[0].handle, sources[1].handle if route.unit is None else None, sources)

    def _source(self, route: Route, model: str | None, fallback: str | None) -> Source:
        from edgerun.log.rows import Source  # noqa: PLC0415 - who keeps no log does not import it

        return Source(
            self._bundle.name,
            self._bundle.version,
            model,
            route.model,
            route.path,
            route.arm,
            route.assignment,
            fallback,
            outputs=self._outputs,
        )

    def watch_sources(self, watches: Sequence[Watch], sessions: Iterable[str]) -> list[core.Source]:
        """Return the C sources of watched runs: one for each watch, then one for the trials of each model."""
        if self._recorder is None:
            return []
        from edgerun.log.rows import Source  # noqa: PLC0415 - who keeps no log does not import it

        watched = [(watch.model, watch.node) for watch in watches] + [(model, "") for model in sessions]
        return [
            self._recorder.source(
                Source(
                    self._bundle.name,
                    self._bundle.version,
                    model,
                    model,
                    (node, model) if node else (model,),
                    node=node,
                    outputs=self._outputs,
                ),
                None,
                self._inputs,
                self._outputs,
                check_finite=False,
                keyed=False,
            )
            for model, node in watched
        ]

    def answer(self, route: Route, call: Call, answer: Answer) -> None:
        """Record an answer that the hot path did not give."""
        if answer.fallback is not None:
            self.failed.count_fallbacks(1)
        source = self._answer_source(route, call, answer.model, answer.fallback)
        if source is not None:
            core.record_call(source, self._event(route, call, answer.latency_ns), answer.lane)

    def no_answer(self, route: Route, call: Call, waited_ns: int) -> None:
        """Record that the caller's own fallback was returned."""
        self.failed.count_fallbacks(1)
        source = self._answer_source(route, call, None, "deadline")
        if source is not None:
            core.record_call(source, self._event(route, call, waited_ns), None)

    def rows(self, routes: Sequence[Route], calls: Sequence[Call], rows: Sequence[tuple[Answer, int]]) -> None:
        """Record the rows of a batch, each of which is a row of some answer's lane."""
        fallbacks = sum([answer.fallback is not None for answer, _ in rows])
        if fallbacks:
            self.failed.count_fallbacks(fallbacks)
        if self._recorder is None:
            return
        groups: dict[tuple[int, int], tuple[Any, Any, list[Any], list[int]]] = {}
        for route, call, (answer, row) in zip(routes, calls, rows, strict=True):
            source = self._answer_source(route, call, answer.model, answer.fallback)
            group = groups.setdefault((id(answer), id(source)), (source, answer.lane, [], []))
            group[2].append(self._event(route, call, answer.latency_ns))
            group[3].append(row)
        for source, lane, events, indices in groups.values():
            core.record_rows(source, events, indices, lane)

    def _answer_source(self, route: Route, call: Call, model: str | None, fallback: str | None) -> Any:
        if self._recorder is None:
            return None
        keyed = route.unit is not None or call.key is not None
        key = (2 * route.number + keyed, model, fallback)
        source = self._answers.get(key)
        if source is None:
            source = self._answers[key] = self._recorder.source(
                self._source(route, model, fallback), None, self._inputs, self._outputs, check_finite=False, keyed=keyed
            )
        return source

    def _event(self, route: Route, call: Call, latency_ns: int) -> core.Event:
        return core.Event(call.sequence, _unit(route, call), core.clock_ns() - latency_ns, latency_ns)

    def error(self, route: Route | None, call: Call, error: Exception, *, calls: int = 1) -> None:
        """Record a call that got no answer, or the calls of one batch, of which this is the first.

        Only where its way is known is it told whose call it was.
        """
        self.failed.count_error(error, calls)
        if self._recorder is None:
            return
        if route is None:
            self._recorder.error(None, call.sequence, error, None)
        else:
            self._recorder.error(self._source(route, None, None), call.sequence, error, _unit_if_any(route, call))

    def lifecycle(self, event: str, **details: Any) -> None:
        """Record that something happened to the device."""
        if self._recorder is not None:
            self._recorder.lifecycle(event, **details)

    def breaker(self, model: str, is_open: bool) -> None:
        """Record that a model's breaker has opened or closed."""
        self.lifecycle("breaker_opened" if is_open else "breaker_closed", model=model)

    def meter(self, losses: Callable[[], Mapping[str, int]]) -> None:
        """Log what a meter counts as lost."""
        if self._recorder is not None:
            self._recorder.meter(losses)

    def unmeter(self, losses: Callable[[], Mapping[str, int]]) -> None:
        """Read a meter for the last time."""
        if self._recorder is not None:
            self._recorder.unmeter(losses)


def open_log(folder: str | os.PathLike[str], policy: LogPolicy | None) -> Recorder:
    """Begin a stream of events in a log folder.

    Raises:
        InputError: the policy is out of range.
    """
    from edgerun.log.policy import DEFAULT_LOG_POLICY, check_policy  # noqa: PLC0415 - msgpack and zstd cost 15 ms
    from edgerun.log.recorder import Recorder  # noqa: PLC0415 - likewise

    policy = DEFAULT_LOG_POLICY if policy is None else policy
    check_policy(policy)
    return Recorder(os.fspath(folder), policy)


def unit_bytes(route: Route, key: Any, meta: Meta | None) -> bytes | None:
    """Return the unit of a call: what the innermost sticky split hashed, else the caller's key; None without one."""
    found = meta.get(route.unit) if meta is not None and route.unit is not None else None
    value = key if found is None else found
    return None if value is None else key_bytes(value)


def _unit(route: Route, call: Call) -> int | None:
    raw = unit_bytes(route, call.key, call.meta)
    return None if raw is None else core.unit_of(raw)


def _unit_if_any(route: Route, call: Call) -> int | None:
    """The unit of a call; none where its key is no key, which may be what the error is about."""
    try:
        return _unit(route, call)
    except InputError:
        return None
