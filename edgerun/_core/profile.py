"""Profiles of the C core, and what they hold as arrays; native/include/edgerun_log.h says what each function does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from edgerun._core import CData, check
from edgerun._edgerun import ffi, lib

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

COLUMNS_MAX: int = lib.ER_PROFILE_COLUMNS_MAX
PAGES_MAX = 16384
"""Pages of all sketches of a profile, of an octave and 128 bytes each: at most 2 MiB.

That is enough for 30 columns of anything. Normal numbers need about 40 pages a column."""

TEXT: int = lib.ER_TYPE_STRING
CELLS_MAX = 2 * 254 * 64
"""Cells of a column that can hold anything."""
FREQUENT_MAX = 32
REGISTERS = 1024

count_latency: Callable[[CData, int], None] = lib.er_profile_latency
"""``count_latency(profile, nanoseconds)``, from any thread, without a lock."""


class PortNumbers(NamedTuple):
    """What was counted of a port's numbers: an entry for each column.

    ``finite`` is the header's count. ``cells`` and ``weights`` are int32 and uint64, an array for each column.
    """

    finite: NDArray[np.uint64]
    missing: NDArray[np.uint64]
    infinite: NDArray[np.uint64]
    zero: NDArray[np.uint64]
    unsketched: NDArray[np.uint64]
    min: NDArray[np.float64]
    max: NDArray[np.float64]
    mean: NDArray[np.float64]
    m2: NDArray[np.float64]
    cells: list[NDArray[np.int32]]
    weights: list[NDArray[np.uint64]]


class PortTexts(NamedTuple):
    """What was counted of a port's texts: an entry for each column; ``registers`` is uint8 [columns, 1024]."""

    total: NDArray[np.uint64]
    empty: NDArray[np.uint64]
    registers: NDArray[np.uint8]
    frequent: list[list[tuple[bytes, int]]]
    error: list[int]


class PortRead(NamedTuple):
    """A port that saw something: ``type`` is ONNX's number of its element type."""

    type: int
    columns: int
    seen: int
    unlike: int
    what: PortNumbers | PortTexts


def new_profile(inputs: int, outputs: int, pages_max: int = PAGES_MAX) -> CData:
    """Return a profile of so many ports, freed with its last reference."""
    out = ffi.new("er_profile **")
    check(lib.er_profile_new(inputs, outputs, pages_max, out))
    return ffi.gc(out[0], lib.er_profile_free)


def update(profile: CData, port: int, type_: int, values: NDArray[Any]) -> None:
    """Take in contiguous rows of numbers, [rows, columns], in the element type's own dtype."""
    rows, columns = values.shape
    data = ffi.new("er_profile_data *", (type_, columns, rows, ffi.from_buffer(values), ffi.NULL))
    check(lib.er_profile_update(profile, port, data))


def update_texts(profile: CData, port: int, columns: int, texts: Sequence[bytes]) -> None:
    """Take in rows of texts, each of so many columns, one row after the other."""
    offsets = np.cumsum([0, *map(len, texts)], dtype=np.uint32)
    memory = ffi.from_buffer(b"".join(texts))
    at = ffi.from_buffer("uint32_t[]", offsets)
    data = ffi.new("er_profile_data *", (TEXT, columns, len(texts) // columns, memory, at))
    check(lib.er_profile_update(profile, port, data))


def disown(profile: CData) -> None:
    """Never free a profile: in a forked child, a thread of the parent may hold its lock."""
    ffi.gc(profile, None)


def take(profile: CData) -> CData:
    """Return what a profile holds, but for its latencies, and start it anew."""
    return _another(lib.er_profile_take, profile)


def copy(profile: CData) -> CData:
    """Return a copy of all that a profile holds."""
    return _another(lib.er_profile_copy, profile)


def read_port(profile: CData, port: int) -> PortRead | None:
    """Return what a port of a taken or copied profile saw; None where it saw nothing."""
    found = ffi.new("er_profile_port *")
    check(lib.er_profile_read(profile, port, found))
    if found.type == 0:
        return None
    n = found.columns
    what = _texts(profile, port, found, n) if found.type == TEXT else _numbers(profile, port, found, n)
    return PortRead(found.type, n, found.seen, found.unlike, what)


def read_latencies(profile: CData) -> tuple[NDArray[np.int32], NDArray[np.uint64]]:
    """Return the cells of the latencies in nanoseconds, ascending, and how many lie in each."""
    return _cells(lambda *room: lib.er_profile_latencies(profile, *room), *_room())


def _another(make: Callable[[CData, CData], int], profile: CData) -> CData:
    out = ffi.new("er_profile **")
    check(make(profile, out))
    return ffi.gc(out[0], lib.er_profile_free)


def _array(pointer: CData, n: int, dtype: type[np.generic]) -> NDArray[Any]:
    return np.frombuffer(ffi.buffer(pointer, n * np.dtype(dtype).itemsize), dtype).copy()


def _room() -> tuple[NDArray[np.int32], NDArray[np.uint64]]:
    return np.empty(CELLS_MAX, np.int32), np.empty(CELLS_MAX, np.uint64)


def _cells(
    read: Callable[..., int], cells: NDArray[np.int32], weights: NDArray[np.uint64]
) -> tuple[NDArray[np.int32], NDArray[np.uint64]]:
    into = (
        ffi.from_buffer("int32_t[]", cells, require_writable=True),
        ffi.from_buffer("uint64_t[]", weights, require_writable=True),
    )
    n = check(read(*into, len(cells)))
    return cells[:n].copy(), weights[:n].copy()


def _numbers(profile: CData, port: int, found: CData, n: int) -> PortNumbers:
    room = _room()
    read = lib.er_profile_cells
    pairs = [_cells(lambda *into, i=i: read(profile, port, i, *into), *room) for i in range(n)]
    return PortNumbers(
        finite=_array(found.count, n, np.uint64),
        missing=_array(found.missing, n, np.uint64),
        infinite=_array(found.infinite, n, np.uint64),
        zero=_array(found.zero, n, np.uint64),
        unsketched=_array(found.unsketched, n, np.uint64),
        min=_array(found.min, n, np.float64),
        max=_array(found.max, n, np.float64),
        mean=_array(found.mean, n, np.float64),
        m2=_array(found.m2, n, np.float64),
        cells=[cells for cells, _ in pairs],
        weights=[weights for _, weights in pairs],
    )


def _texts(profile: CData, port: int, found: CData, n: int) -> PortTexts:
    items, error = ffi.new("er_frequent[]", FREQUENT_MAX), ffi.new("uint64_t *")
    frequent: list[list[tuple[bytes, int]]] = []
    too_low: list[int] = []
    for column in range(n):
        m = check(lib.er_profile_frequent(profile, port, column, items, FREQUENT_MAX, error))
        frequent.append([(bytes(ffi.buffer(items[i].text, items[i].len)), items[i].weight) for i in range(m)])
        too_low.append(error[0])
    return PortTexts(
        total=_array(found.count, n, np.uint64),
        empty=_array(found.missing, n, np.uint64),
        registers=_array(found.registers, n * REGISTERS, np.uint8).reshape(n, REGISTERS),
        frequent=frequent,
        error=too_low,
    )
