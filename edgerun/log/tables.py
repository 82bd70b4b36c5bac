"""The tables of a log: rows of one kind as columns, each made when it is first asked for."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from edgerun.log.captured import captured_arrays
from edgerun.log.columns import Array
from edgerun.log.contents import OF_A_SOURCE, latency_ns
from edgerun.log.export import to_arrow, to_pandas
from edgerun.log.rows import FLAG_DISAGREE, FLAG_FAILED, FLAG_NONFINITE, Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edgerun.log.chunks import Chunk
    from edgerun.log.repair import Timeline
    from edgerun.log.rows import Source


class Boots(NamedTuple):
    """The boots that streams are of, by number: ids (zeros where unknown), and how their times are read."""

    ids: Sequence[bytes]
    timelines: Sequence[Timeline]

    def ranks(self) -> Array:
        """Return the place of each boot among all, by when it was; numbers of one boot have one place."""
        starts = [int(timeline.wall_us(np.zeros(1, np.int64))[0]) for timeline in self.timelines]
        ranks: Array = np.unique(np.array(starts, np.int64), return_inverse=True)[1].reshape(-1)
        return ranks


_WHERE = ("time", "clock", "monotonic_us", "boot", "epoch", "row")
_OF_A_CALL = (*_WHERE[:4], "epoch", "sequence", "id", "row")
_SOURCE = ("bundle", "version", "model", "arm", "assignment", "fallback", "route", "path")

NAMES: dict[Kind, tuple[str, ...]] = {
    Kind.CALL: (*_OF_A_CALL, *_SOURCE, "latency_s", "unit", "nonfinite", "failed"),
    Kind.SHADOW: (
        *_OF_A_CALL, *_SOURCE, "node", "latency_s", "nonfinite", "failed", "disagrees", "difference",
    ),
    Kind.ERROR: (*_OF_A_CALL, *_SOURCE, "unit", "error", "message"),
    Kind.CAPTURE: (*_OF_A_CALL, *_SOURCE, "probability", "inputs", "redacted"),
    Kind.PROFILE: (*_WHERE, "bundle", "version", "model", "arm", "node", "begin", "end", "profile"),
    Kind.LABEL: (*_WHERE, "id", "value"),
    Kind.OUTCOME: (*_WHERE, "id", "unit", "name", "value"),
    Kind.LOSS: (*_WHERE, "reason", "events", "details"),
    Kind.LIFECYCLE: (*_WHERE, "event", "details"),
}  # fmt: skip
"""The columns of each table, but for those of outputs."""

_DTYPES = {
    "epoch": np.uint64, "sequence": np.uint64, "row": np.uint64, "unit": np.uint64,
    "latency": np.uint64, "flags": np.uint64, "monotonic_us": np.int64, "clock_offset_us": np.int64, "boot": np.int32,
    "source": np.int32, "difference": np.float64, "values": object,
}  # fmt: skip
_KIND_NAMES = {int(kind): kind.name.lower() for kind in Kind}
_FLAGS = {"nonfinite": FLAG_NONFINITE, "failed": FLAG_FAILED, "disagrees": FLAG_DISAGREE}
_OF_SOURCES = {*_SOURCE, "node"}
_IN_VALUES = {"id", "unit"}
"""What calls have as columns, and labels and outcomes in their values."""
_WHOLE_VALUE = {"details", "profile"}
_RAW = {"monotonic_us", "epoch", "row", "sequence", "difference"}


class Table(Mapping[str, Array]):
    """Rows of one kind: column name to numpy array, one entry for each row.

    Rows stand in the order of the clock that never steps, boot by boot. A column of numbers in which some rows have no
    value is a masked array; texts are objects, None where there is none.
    """

    def __init__(self, kind: Kind, chunks: Sequence[Chunk], sources: Sequence[Source | None], boots: Boots) -> None:
        self.kind = kind
        """Of all rows."""
        self.sources = sources
        """What `source` numbers: bundle, model, way; None where a damaged file lost it."""
        self._chunks = chunks
        self._boots = boots
        self._made: dict[str, Array] = {}

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return sum(chunk.n for chunk in self._chunks)

    @property
    def source(self) -> Array:
        """For each row, the place of its source in `sources`, int32."""
        return self._gathered("source")

    @property
    def boot_rank(self) -> Array:
        """For each row, the place of its boot among all boots, int64."""
        return self._boots.ranks()[self._gathered("boot")]

    def __getitem__(self, name: str) -> Array:
        if name not in self._made:
            if name not in self._names:
                raise KeyError(name)
            self._made[name] = self._make(name)
        return self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def __repr__(self) -> str:
        """Return how many rows and columns there are."""
        return f"<{self.kind.name.lower()}: {self.rows:,} rows of {', '.join(self)}>"

    def to_pandas(self) -> Any:
        """Return a pandas DataFrame.

        Raises:
            LogError: pandas is not installed.
        """
        return to_pandas(self)

    def to_arrow(self) -> Any:
        """Return a pyarrow Table; a value that Arrow has no one type for becomes JSON text.

        Raises:
            LogError: pyarrow is not installed.
        """
        return to_arrow(self)

    @cached_property
    def _names(self) -> dict[str, None]:
        outputs = [name for chunk in self._chunks for name in chunk.outputs]
        return dict.fromkeys((*NAMES[self.kind], *outputs))

    @cached_property
    def _order(self) -> Array | None:
        """The order of the rows; None where they stand in it."""
        boot, monotonic = self._joined("boot"), self._joined("monotonic_us")
        epoch, row = self._joined("epoch"), self._joined("row")
        if len(row) == 0 or (
            bool((boot == boot[0]).all() and (epoch == epoch[0]).all())
            and bool((np.diff(monotonic) >= 0).all() and (row[1:] > row[:-1]).all())
        ):
            return None
        return np.lexsort((row, epoch, monotonic, self._boots.ranks()[boot]))

    def _gathered(self, name: str, *, of_outputs: bool = False) -> Array:
        found = self._joined(name, of_outputs=of_outputs)
        return found if self._order is None else found[self._order]

    def _joined(self, name: str, *, of_outputs: bool = False) -> Array:
        """A column of all chunks, one after the other."""
        given = [(chunk.n, (chunk.outputs if of_outputs else chunk.columns).get(name)) for chunk in self._chunks]
        arrays = [array for _, array in given if array is not None]
        dtype = _common([array.dtype for array in arrays]) if arrays else np.dtype(_DTYPES.get(name, object))
        if len(arrays) == len(given):
            joined: Array = np.concatenate([np.empty(0, dtype), *(array.astype(dtype, copy=False) for array in arrays)])
            return joined
        filler = None if dtype.kind == "O" else dtype.type(0)
        parts = [np.full(n, filler, dtype) if array is None else array.astype(dtype) for n, array in given]
        if dtype.kind == "O":
            return np.concatenate(parts)
        lacking = np.concatenate([np.full(n, array is None) for n, array in given])
        masked: Array = np.ma.MaskedArray(np.concatenate(parts), lacking)
        return masked

    def _make(self, name: str) -> Array:
        if name not in NAMES[self.kind]:
            return self._gathered(name, of_outputs=True)
        if name in _RAW:
            return self._gathered(name)
        if name in _FLAGS:
            flagged: Array = (self._gathered("flags") & np.uint64(_FLAGS[name])) != 0
            return flagged
        has_source = self.kind in OF_A_SOURCE
        if has_source and name in _OF_SOURCES:
            return self._of_sources(name)
        made: Callable[[], Array] | None = getattr(self, f"_make_{name}", None)
        if made is not None and (has_source or name not in _IN_VALUES):
            return made()
        return self._of_values(name)

    def _make_time(self) -> Array:
        return self._wall(self._gathered("monotonic_us")).view("datetime64[us]")

    def _make_clock(self) -> Array:
        found: Array = (self._gathered("monotonic_us") + self._gathered("clock_offset_us")).view("datetime64[us]")
        return found

    def _make_boot(self) -> Array:
        known = [str(uuid.UUID(bytes=boot)) if any(boot) else None for boot in self._boots.ids]
        return _objects(known)[self._gathered("boot")]

    def _make_id(self) -> Array:
        pairs = zip(self["epoch"].tolist(), self["sequence"].tolist(), strict=True)
        return _objects([f"{epoch:016x}-{sequence}" for epoch, sequence in pairs])

    def _make_latency_s(self) -> Array:
        found: Array = latency_ns(self._gathered("latency")) / 1e9
        return found

    def _make_unit(self) -> Array:
        return self._gathered("unit")

    def _make_probability(self) -> Array:
        return np.array([_number(value.get("probability")) for value in self._gathered("values")], np.float64)

    def _make_begin(self) -> Array:
        return self._value_times("begin")

    def _make_end(self) -> Array:
        return self._value_times("end")

    def _value_times(self, name: str) -> Array:
        found = [value.get(name) for value in self._gathered("values")]
        known = np.array([type(time) is int and abs(time) < 2**62 for time in found], np.bool_)
        times = np.array([time if ok else 0 for time, ok in zip(found, known, strict=True)], np.int64)
        wall = self._wall(times).view("datetime64[us]")
        return np.where(known, wall, np.datetime64("NaT", "us"))

    def _wall(self, monotonic_us: Array) -> Array:
        boot, wall = self._gathered("boot"), np.empty(len(monotonic_us), np.int64)
        for number in np.unique(boot).tolist():
            of_boot = boot == number
            wall[of_boot] = self._boots.timelines[number].wall_us(monotonic_us[of_boot])
        return wall

    def _of_sources(self, name: str) -> Array:
        values = [None if source is None else getattr(source, name) for source in self.sources]
        if name == "path":
            values = [None if path is None else " > ".join(path) for path in values]
        return _objects(values)[self._gathered("source")]

    def _of_values(self, name: str) -> Array:
        values = self._gathered("values")
        if name in _WHOLE_VALUE:
            return values
        found = [value.get(name) for value in values]
        if name == "events":
            return _objects([_by_kind(events) for events in found])
        if name == "unit":
            known = [type(unit) is int and 0 <= unit < 2**64 for unit in found]
            units = np.array([unit if ok else 0 for unit, ok in zip(found, known, strict=True)], np.uint64)
            masked: Array = np.ma.MaskedArray(units, [not ok for ok in known])
            return units if all(known) else masked
        return _objects([captured_arrays(value) for value in found] if name == "inputs" else found)


def _by_kind(events: Any) -> Any:
    """How many rows of each kind, by the names of the kinds; a value may have their numbers."""
    if type(events) is not dict:
        return events
    return {_KIND_NAMES.get(kind, kind) if type(kind) is int else kind: count for kind, count in events.items()}


def _objects(items: Sequence[Any]) -> Array:
    return np.fromiter(items, object, len(items))


def _number(value: Any) -> float:
    return float(value) if type(value) in {int, float} else float("nan")


def _common(dtypes: list[np.dtype[Any]]) -> np.dtype[Any]:
    """A dtype that holds the values of all; that of objects where no number does."""
    found = {*dtypes}
    if len(found) == 1:
        return dtypes[0]
    kinds = {dtype.kind for dtype in found}
    common = np.result_type(*found) if kinds <= {"f"} or kinds <= {"i", "u"} else np.dtype(object)
    return np.dtype(object) if kinds == {"i", "u"} and common.kind == "f" else common
