"""Blocks and sources of a frame: columns by name, each checked to be what FORMAT.md allows for its kind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from edgerun.errors import LogError
from edgerun.limits import LIMITS
from edgerun.log.columns import FLOAT64, TEXT, Array, elements, integers, values
from edgerun.log.rows import LATENCY_CODES, OF_A_UNIT, Kind, Source

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

OF_CALLS = frozenset({Kind.CALL, Kind.SHADOW})
OF_A_SOURCE = OF_CALLS | {Kind.ERROR, Kind.CAPTURE}

NUMBERS_MAX = 16
"""Numbers or texts of an output that are kept one by one."""

EMPTY, NUMBERS, DISTRIBUTION, SUMMARY, TEXTS, MAP = range(6)
"""The forms of an output."""

_SOURCE_TEXTS = ("bundle", "version", "model", "route", "arm", "assignment", "fallback", "node")


class Output(NamedTuple):
    """One output of a block's rows: its form, its ONNX element type, and its columns, [n] each."""

    form: int
    type: int
    columns: list[Array]


class Block(NamedTuple):
    """Rows of one kind and shape; arrays of [n], None where the kind has no such column.

    Attributes:
        kind: of all rows.
        n: how many.
        place: each row's in the frame, int64; None where they are the whole frame in order.
        time_us: int64, of the monotonic clock.
        sequence: uint64, of the call.
        source: uint64, number of the source.
        latency: uint64, the code of FORMAT.md; see latency_ns().
        unit: uint64, of calls and errors; None where the calls had no key.
        flags: uint64.
        difference: float64; None where it is unknown.
        outputs: of a call or shadow.
        values: object, of the other kinds: a dict each.
    """

    kind: Kind
    n: int
    place: Array | None
    time_us: Array
    sequence: Array | None = None
    source: Array | None = None
    latency: Array | None = None
    unit: Array | None = None
    flags: Array | None = None
    difference: Array | None = None
    outputs: tuple[Output, ...] = ()
    values: Array | None = None


def whole(value: Any, low: int, high: int, what: str) -> int:
    """Return an integer of [low, high).

    Raises:
        LogError: it is something else.
    """
    if type(value) is not int or not low <= value < high:
        raise LogError(f"a wrong {what}")
    return value


def latency_ns(code: Array) -> Array:
    """Return the nanoseconds, int64, that codes of latencies (uint64) stand for."""
    code = code.astype(np.int64)
    exponent: Array = np.maximum((code >> 10) - 1, 0)
    found: Array = (code - (exponent << 10)) << exponent
    return found


def parse_source(document: Any) -> Source:
    """Return a source as a frame has it.

    Raises:
        LogError: a field is no text, or no list of texts.
    """
    if type(document) is not dict:
        raise LogError("a source is no map")
    fields: dict[str, Any] = {name: document.get(name) for name in _SOURCE_TEXTS}
    if not all(text is None or type(text) is str for text in fields.values()):
        raise LogError("a source holds something else than texts")
    for name in ("path", "outputs"):
        names = document.get(name) or []
        if type(names) is not list or not all(type(text) is str for text in names):
            raise LogError(f"the {name} of a source are no list of texts")
        fields[name] = tuple(names)
    return Source(**fields)


def parse_blocks(
    documents: Any, rows: int, kinds: Collection[int] | None, wants: Callable[[Array], bool] | None = None
) -> list[Block]:
    """Return the blocks of a frame of so many rows.

    Only those of some kinds, or of all for None; and only those whose times are wanted, if anybody was given to ask.

    Raises:
        LogError: they are not what FORMAT.md allows, or not every row has one place.
    """
    if type(documents) is not list or not all(type(document) is dict for document in documents):
        raise LogError("the blocks are no list of maps")
    sizes = [whole(document.get(1), 1, rows + 1, "number of rows of a block") for document in documents]
    if sum(sizes) != rows:
        raise LogError(f"blocks of {sum(sizes)} rows in a frame of {rows}")
    taken = np.zeros(rows, np.bool_)
    found = []
    for document, n in zip(documents, sizes, strict=True):
        kind = _kind(document.get(0))
        if kinds is None or kind in kinds:
            place = _place(document.get(2), n, rows, taken)
            time_us = integers(document.get(3), n, signed=True)
            if wants is None or wants(time_us):
                found.append(_block(document, kind, n, place, time_us))
    return found


def _kind(value: Any) -> Kind:
    try:
        return Kind(whole(value, 1, 256, "kind"))
    except ValueError as error:
        raise LogError(f"a block of the unknown kind {value}") from error


def _place(column: Any, n: int, rows: int, taken: Array) -> Array | None:
    """The places of a block's rows, each of which becomes taken."""
    if column is None:
        if n != rows:
            raise LogError("a block that is not the whole frame has no places")
        return None
    place = integers(column, n)
    if int(place.max()) >= rows:
        raise LogError("a row's place is not in its frame")
    at = place.astype(np.int64)
    before = int(taken.sum())
    taken[at] = True
    if int(taken.sum()) != before + n:
        raise LogError("two rows have one place")
    return at


def _block(document: dict[Any, Any], kind: Kind, n: int, place: Array | None, time_us: Array) -> Block:
    fields: dict[str, Any] = {}
    if kind in OF_A_SOURCE:
        fields |= {"sequence": integers(document.get(4), n), "source": integers(document.get(5), n)}
    if kind in OF_A_UNIT and document.get(7) is not None:
        fields["unit"] = integers(document.get(7), n)
    if kind in OF_CALLS:
        fields |= {
            "latency": _latency(document.get(6), n),
            "flags": integers(document.get(8), n),
            "outputs": _outputs(document.get(10), n),
        }
        if kind == Kind.SHADOW and document.get(9) is not None:
            fields["difference"] = elements(document.get(9), n, FLOAT64)
    else:
        fields["values"] = _maps(document.get(11), n)
    return Block(kind, n, place, time_us, **fields)


def _latency(column: Any, n: int) -> Array:
    code = integers(column, n)
    if int(code.max()) >= LATENCY_CODES:
        raise LogError("a latency is no code of one")
    return code


def _maps(column: Any, n: int) -> Array:
    found = values(column, n)
    if not all(type(value) is dict for value in found):
        raise LogError("a value is no map")
    return found


def _outputs(documents: Any, n: int) -> tuple[Output, ...]:
    if type(documents) is not list or len(documents) > LIMITS.ports_max:
        raise LogError("the outputs are no list, or too many")
    return tuple(_output(document, n) for document in documents)


def _output(document: Any, n: int) -> Output:
    if type(document) is not list or len(document) != 3 or type(document[2]) is not list:
        raise LogError("an output is not its form, type and columns")
    form, type_ = (whole(value, 0, 256, "form or type of an output") for value in document[:2])
    columns = document[2]
    count = len(columns)
    if form == EMPTY and count == 0:
        found = []
    elif form == NUMBERS and 1 <= count <= NUMBERS_MAX and type_ != TEXT:
        found = [elements(column, n, type_) for column in columns]
    elif form in {DISTRIBUTION, MAP} and count == 2:
        top = integers(columns[0], n, signed=True) if form == DISTRIBUTION else elements(columns[0], n, TEXT)
        found = [top, elements(columns[1], n, type_)]
    elif form == SUMMARY and count == 4:
        found = [integers(columns[0], n, signed=True), *(elements(column, n, FLOAT64) for column in columns[1:])]
    elif form == TEXTS and 1 <= count <= NUMBERS_MAX:
        found = [elements(column, n, TEXT) for column in columns]
    else:
        raise LogError(f"an output of form {form} with {count} columns")
    return Output(form, type_, found)
