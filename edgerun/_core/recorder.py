"""The recorder of the C core, as functions over a handle."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from edgerun._core import CData, check
from edgerun._core.runtime import DTYPES, STRING
from edgerun._edgerun import ffi, lib
from edgerun.log.rows import FLAG_KEYED, Batch, OutputShape

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray

    from edgerun._core.runtime import Lane, Model

RECORD_BYTES_MAX: int = lib.ER_RECORD_BYTES_MAX
SHAPES_MAX: int = lib.ER_SHAPES_MAX
NO_ROOM: int = lib.ER_EFULL

_PORTS_MAX: int = lib.ER_PORTS_MAX
_CAPTURED = struct.Struct("=BBHI")
_LENGTH = struct.Struct("=I")

serve: Callable[[CData, CData, int], int] = lib.er_py_serve
"""``serve(lane, source, sequence) -> nanoseconds``, or a negative number: `run_prepared` that records a good run.

Where the source is keyed, the unit is that of the last key that `split_assign_keyed` saw in this thread."""

split_assign_keyed: Callable[[CData, bytes, int], int] = lib.er_py_split_assign_keyed
"""`split_assign_key`, which also notes the key's unit for `serve`."""

thread_unit: Callable[[], int] = lib.er_py_unit
"""``thread_unit() -> unit`` of the last key that `split_assign_keyed` saw in this thread."""

note_unit: Callable[[bytes, int], None] = lib.er_py_note_unit
"""``note_unit(key, len(key))``: note the unit of a key that no split hashed, for `serve`."""

clock_ns: Callable[[], int] = lib.er_clock_ns
"""``clock_ns() -> nanoseconds`` of the clock that all times of events are of."""


def unit_of(key: bytes) -> int:
    """Return the unit of a key: its XXH64 with seed 42."""
    return int(lib.er_xxh64(key, len(key), 42))


class Losses(NamedTuple):
    """Records that found no room, or were too large, since the recorder was made.

    Attributes:
        calls: of kind CALL.
        shadows: of kind SHADOW.
        errors: of kind ERROR.
        captures: of kind CAPTURE.
        journal: of kinds LABEL and above.
        profiles: of the other kinds.
    """

    calls: int
    shadows: int
    errors: int
    captures: int
    journal: int
    profiles: int


class Event(NamedTuple):
    """What is known of a call besides its tensors.

    Attributes:
        sequence: of the call.
        unit: XXH64 of its key, seed 42; None where it had none.
        time_ns: when it began, by `clock_ns`.
        latency_ns: of the run.
        flags: FLAG_NONFINITE, FLAG_FAILED, FLAG_DISAGREE.
    """

    sequence: int
    unit: int | None
    time_ns: int
    latency_ns: int
    flags: int = 0


def new_recorder(ring_bytes: int) -> CData:
    """Return a recorder; the ring has ``ring_bytes``, a power of two from 65536 to 2^30."""
    out = ffi.new("er_recorder **")
    check(lib.er_recorder_new(ring_bytes, out))
    return ffi.gc(out[0], lib.er_recorder_free)


def disown(recorder: CData) -> None:
    """Never free a recorder: in a forked child, threads of the parent may be in the middle of it."""
    ffi.gc(recorder, None)


reset: Callable[[CData], None] = lib.er_recorder_reset
"""``reset(recorder)``: in a forked child, forget what the parent recorded; its `Drain` is of no use any more."""

wake: Callable[[CData], None] = lib.er_recorder_wake
"""``wake(recorder)``: make `wait` return 0, this time or the next."""


class Source:
    """What the calls of one way have in common, and whatever must live as long.

    Attributes:
        handle: the ``er_source *``.
    """

    __slots__ = ("_kept", "_profile", "handle")

    def __init__(
        self,
        recorder: CData | None,
        model: Model | None,
        profile: CData | None,
        number: int,
        *,
        check_finite: bool = False,
        keyed: bool = False,
        capture_below: int = 0,
        redact: Iterable[int] = (),
    ) -> None:
        """Make a source; see er_source.

        Args:
            recorder: None to record nothing.
            model: that `serve` runs; None where it is only recorded by.
            profile: None for none.
            number: of the source in the log.
            check_finite: whether an output that is not finite makes `serve` fail.
            keyed: whether the split notes a unit.
            capture_below: of 2^32, the share of calls whose inputs are captured.
            redact: indexes of inputs, as arranged, that are never captured.
        """
        words = [0] * (_PORTS_MAX // 64)
        for index in redact:
            words[index // 64] |= 1 << index % 64
        self.handle = ffi.new(
            "er_source *",
            {
                "recorder": ffi.NULL if recorder is None else recorder,
                "model": ffi.NULL if model is None else model.handle,
                "profile": ffi.NULL if profile is None else profile,
                "number": number,
                "check_finite": check_finite,
                "keyed": keyed,
                "capture_below": capture_below,
                "redact": words,
            },
        )
        self._kept = (recorder, model)
        self._profile = profile

    def count_latency(self, latency_ns: int) -> None:
        """Count a run's latency in the profile, as `serve` does."""
        if self._profile is not None:
            lib.er_profile_latency(self._profile, latency_ns)


def _fill(to: CData, event: Event) -> None:
    to.sequence, to.time_ns, to.latency_ns, to.flags = event.sequence, event.time_ns, event.latency_ns, event.flags
    if event.unit is not None:
        to.unit = event.unit
        to.flags |= FLAG_KEYED


def _counted(code: int) -> bool:
    """Return whether a record went in; False where it is lost, which the recorder counted."""
    return code not in {lib.ER_EFULL, lib.ER_ELIMIT} and check(code) >= 0


def record_call(source: Source, event: Event, lane: Lane | None) -> bool:
    """Record a call that a lane answered, or one without outputs; False where it was lost.

    A lane whose outputs onnxruntime allocates must be recorded before it is offered to a shadow.
    """
    to = ffi.new("er_event *")
    _fill(to, event)
    source.count_latency(event.latency_ns)
    return _counted(lib.er_record_call(source.handle, to, ffi.NULL if lane is None else lane.handle))


def record_rows(source: Source, events: Sequence[Event], rows: Sequence[int], lane: Lane) -> int:
    """Record single rows of a lane as calls; return how many were not lost."""
    to = ffi.new("er_event[]", len(events))
    for i, event in enumerate(events):
        _fill(to[i], event)
        source.count_latency(event.latency_ns)
    return check(lib.er_record_rows(source.handle, to, ffi.new("uint32_t[]", list(rows)), len(events), lane.handle))


def record_note(recorder: CData, kind: int, event: Event, source: int, value: bytes) -> bool:
    """Record a value in msgpack; False where it was lost."""
    to = ffi.new("er_event *")
    _fill(to, event)
    return _counted(lib.er_record_note(recorder, kind, to, source, value, len(value)))


def shadow_record(shadow: CData, sources: Sequence[Source | None]) -> CData:
    """Let a shadow's worker record what it runs, by slot; the caller keeps what this returns as long as the shadow."""
    handles = [ffi.NULL if source is None else source.handle for source in sources]
    check(lib.er_shadow_record(shadow, ffi.new("er_source *[]", handles)))
    return tuple(sources)


def losses(recorder: CData) -> Losses:
    """Return what was lost since the recorder was made."""
    out = ffi.new("er_losses *")
    lib.er_recorder_losses(recorder, out)
    return Losses(out.calls, out.shadows, out.errors, out.captures, out.journal, out.profiles)


def wait(recorder: CData, timeout_s: float | None, gather_s: float, gather_records: int) -> int:
    """Sleep until a record waits, then gather more; see er_recorder_wait().

    Returns:
        How many records wait, about; 0 after `wake` or ``timeout_s``.
    """
    timeout_ms = -1 if timeout_s is None else max(0, int(timeout_s * 1000))
    return check(lib.er_recorder_wait(recorder, timeout_ms, max(0, int(gather_s * 1000)), gather_records))


def head(recorder: CData) -> int:
    """Return the position of the ring's end, in bytes since the recorder was made."""
    return int(lib.er_recorder_head(recorder))


def tail(recorder: CData) -> int:
    """Return up to which position the ring was drained."""
    return int(lib.er_recorder_tail(recorder))


class Drain:
    """Takes records out of a ring as batches of rows. One thread at a time."""

    def __init__(self, recorder: CData, rows_max: int) -> None:
        """Make room for batches of at most ``rows_max`` rows."""
        out = ffi.new("er_batch **")
        check(lib.er_batch_new(recorder, rows_max, out))
        self._recorder, self._batch = recorder, ffi.gc(out[0], lib.er_batch_free)
        self._shape = ffi.new("er_output_shape[]", _PORTS_MAX)
        self._shapes: tuple[tuple[OutputShape, ...], ...] = ()

    def take(self) -> Batch:
        """Take what the ring holds into a batch of copies; it has no rows where nothing waited."""
        n = check(lib.er_recorder_drain(self._recorder, self._batch))
        batch = self._batch
        numbers_at = _copy(batch.numbers_at, np.dtype(np.uint32), n + 1)
        data_at = _copy(batch.bytes_at, np.dtype(np.uint32), n + 1)
        shape = _copy(batch.shape, np.dtype(np.uint16), n)
        return Batch(
            kind=_copy(batch.kind, np.dtype(np.uint8), n),
            flags=_copy(batch.flags, np.dtype(np.uint8), n),
            source=_copy(batch.source, np.dtype(np.uint32), n),
            sequence=_copy(batch.sequence, np.dtype(np.uint64), n),
            unit=_copy(batch.unit, np.dtype(np.uint64), n),
            time_us=_copy(batch.time_us, np.dtype(np.int64), n),
            latency=_copy(batch.latency, np.dtype(np.uint32), n),
            shape=shape,
            numbers=_copy(batch.numbers, np.dtype(np.uint64), int(numbers_at[-1])),
            numbers_at=numbers_at,
            data=_copy(batch.bytes, np.dtype(np.uint8), int(data_at[-1])),
            data_at=data_at,
            shapes=self._shapes_up_to(int(shape.max()) + 1 if n else 0),
        )

    def _shapes_up_to(self, count: int) -> tuple[tuple[OutputShape, ...], ...]:
        """Return the shapes by number, at least ``count`` of them: a shape keeps its number."""
        while len(self._shapes) < count:
            n = check(lib.er_recorder_shape(self._recorder, len(self._shapes), self._shape, _PORTS_MAX))
            shape = tuple([OutputShape(s.form, s.type, s.count) for s in self._shape[0:n]])
            self._shapes = (*self._shapes, shape)
        return self._shapes


def _copy(column: CData, dtype: np.dtype[Any], n: int) -> NDArray[Any]:
    """Return n values of a C array as an array of its own: the next drain writes over them."""
    return np.frombuffer(ffi.buffer(column, n * dtype.itemsize), dtype).copy() if n else np.empty(0, dtype)


class Captured(NamedTuple):
    """One input of a captured call.

    Attributes:
        dtype: "float32" and so on, "string" for texts; None for what is no tensor.
        shape: of the tensor.
        data: its bytes in the host's order, or a list of the bytes of each text; None where the input was redacted.
    """

    dtype: str | None
    shape: tuple[int, ...]
    data: bytes | list[bytes] | None


def read_capture(data: NDArray[np.uint8]) -> list[Captured]:
    """Return the inputs, in the model's order, of a row of kind CAPTURE."""
    raw, at = data.tobytes(), 0
    inputs = []
    while at < len(raw):
        number, rank, is_there, size = _CAPTURED.unpack_from(raw, at)
        at += _CAPTURED.size
        shape = struct.unpack_from(f"={rank}q", raw, at)
        at += 8 * rank
        dtype = DTYPES.get(number)
        is_text = dtype == STRING
        value = raw[at : at + size]
        at += size
        name = None if dtype is None else "string" if is_text else str(dtype)
        inputs.append(Captured(name, shape, (_texts(value) if is_text else value) if is_there else None))
    return inputs


def _texts(raw: bytes) -> list[bytes]:
    texts, at = [], 0
    while at < len(raw):
        (length,) = _LENGTH.unpack_from(raw, at)
        at += _LENGTH.size + length
        texts.append(raw[at - length : at])
    return texts
