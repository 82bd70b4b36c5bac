"""What goes into a log: rows as the recorder hands them over, before they are columns of a frame; see FORMAT.md."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Kind(IntEnum):
    """The kind of a row; from LABEL on it belongs to the journal."""

    CALL = 1
    SHADOW = 2
    ERROR = 3
    CAPTURE = 4
    PROFILE = 5
    LABEL = 16
    OUTCOME = 17
    LOSS = 18
    LIFECYCLE = 19


OF_A_UNIT = frozenset({Kind.CALL, Kind.ERROR})
"""Kinds whose rows say whose call it was."""

FLAG_NONFINITE, FLAG_FAILED, FLAG_DISAGREE, FLAG_KEYED = 1, 2, 4, 128
"""Flags of a row; the last one says that it has a unit, and is not stored."""


LATENCY_BITS = 11
"""Significant bits that the code of a latency has room for."""
LATENCY_CODES = 54 << 10
"""Codes of latencies are below."""


class Source(NamedTuple):
    """What many events share.

    Attributes:
        bundle: name of the bundle.
        version: of the bundle.
        model: that answered, or was watched; None where the caller's own fallback was returned.
        route: the model that the way led to.
        path: the names passed, the model last.
        arm: that the innermost random split assigned.
        assignment: as Prediction.assignment.
        fallback: why the route's model did not answer.
        node: the shadow_deploy node that watched; "" where a model was on trial.
        outputs: the names of the outputs.
    """

    bundle: str
    version: str
    model: str | None
    route: str
    path: tuple[str, ...]
    arm: str | None = None
    assignment: str | None = None
    fallback: str | None = None
    node: str | None = None
    outputs: tuple[str, ...] = ()


class OutputShape(NamedTuple):
    """How one output of a row is kept: its form, its ONNX element type, and the number of its columns."""

    form: int
    type: int
    columns: int


class Batch(NamedTuple):
    """Rows in the order in which they were recorded, as the ``er_batch`` of edgerun_log.h; n of each.

    Attributes:
        kind: uint8 [n].
        flags: uint8 [n].
        source: uint32 [n].
        sequence: uint64 [n].
        unit: uint64 [n], where FLAG_KEYED is set.
        time_us: int64 [n], microseconds since boot.
        latency: uint32 [n], the code of FORMAT.md.
        shape: uint16 [n], index into ``shapes``.
        numbers: uint64 [numbers_at[n]]; row i owns ``numbers[numbers_at[i]:numbers_at[i + 1]]``.
        numbers_at: uint32 [n + 1].
        data: uint8 [data_at[n]], likewise: texts of outputs, each after its length in 4 bytes; or a note's msgpack.
        data_at: uint32 [n + 1].
        shapes: the outputs of every shape number in use.
    """

    kind: NDArray[np.uint8]
    flags: NDArray[np.uint8]
    source: NDArray[np.uint32]
    sequence: NDArray[np.uint64]
    unit: NDArray[np.uint64]
    time_us: NDArray[np.int64]
    latency: NDArray[np.uint32]
    shape: NDArray[np.uint16]
    numbers: NDArray[np.uint64]
    numbers_at: NDArray[np.uint32]
    data: NDArray[np.uint8]
    data_at: NDArray[np.uint32]
    shapes: tuple[tuple[OutputShape, ...], ...]


class Note(NamedTuple):
    """A row that Python makes: a profile, a loss, something that happened.

    Attributes:
        kind: of the row.
        time_us: microseconds since boot.
        value: what msgpack can hold.
    """

    kind: Kind
    time_us: int
    value: Any
