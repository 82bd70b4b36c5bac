"""Columns of inputs and outputs, this week and the week before, or in training: what their drift is measured from.

Inputs are those of all calls of the bundle, whoever answered; outputs are of an arm, in the versions of the experiment.
Devices have their own ways, so each week comes with its design effect, from the rows of each device apart; rows of
training data are taken for independent. A week is gathered once, whatever it is compared with.
"""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

import ibis
import numpy as np

from edgerun.errors import LogError
from edgerun.log.merging import merge
from edgerun.log.payload import unpack
from edgerun.log.profile_values import CELL_END, from_value
from edgerun.log.profiles import Numbers, PortProfile, Profile, Texts
from edgerun.log.sketch import cell_values
from edgerun_sync.collector.arrow.answers import as_records
from edgerun_sync.experiments.drift import INDEPENDENT, design_effect, psi_borders
from edgerun_sync.experiments.facts import NUMBERS, TEXTS, DriftFacts
from edgerun_sync.experiments.histograms import histogram, text_weights
from edgerun_sync.limits import LIMITS
from edgerun_sync.queries.tables import PROFILES, between, statement
from edgerun_sync.queries.training import UNASKED

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from numpy.typing import NDArray

    from edgerun_sync.experiments.drift import DesignEffect
    from edgerun_sync.experiments.histograms import Histogram
    from edgerun_sync.queries.engines import Engine
    from edgerun_sync.queries.training import Key, Training

SPAN = timedelta(days=7)
"""Of what is compared, and of what it is compared with."""

_CELL_VALUES = cell_values(np.arange(-CELL_END, CELL_END))
"""The values that stand for all cells of a sketch."""

BEFORE, TRAINING = "since the week before", "since training"
"""What a column is compared with, as its name says."""


class _Part(NamedTuple):
    """A port of one profile, and the device that it is from."""

    device: int
    port: PortProfile


class _Numbers(NamedTuple):
    """The numbers of a port of all profiles: of each cell, in the order of the columns; and by profile and column."""

    devices: NDArray[np.int64]
    """Of each profile."""

    places: NDArray[np.int64]
    """Of each cell, in `_CELL_VALUES`."""

    values: NDArray[np.float64]
    """Of each cell."""

    weights: NDArray[np.float64]
    """Of each cell."""

    owners: NDArray[np.int64]
    """Of each cell, the device."""

    ends: NDArray[np.int64]
    """Of each column, where its cells end; one more in front, where the first begin."""

    zeros: NDArray[np.float64]
    """[profiles, columns]: numbers too small for a cell."""

    unsketched: NDArray[np.float64]
    """[profiles, columns]: numbers that found no room in the sketch."""

    means: NDArray[np.float64]
    """[profiles, columns]: where those are taken to lie."""

    missing: NDArray[np.float64]
    """[profiles, columns]."""


class _Rows(NamedTuple):
    """The numbers of one column: of each cell of each profile, and the number of its device."""

    values: NDArray[np.float64]
    weights: NDArray[np.float64]
    devices: NDArray[np.int64]
    missing: NDArray[np.float64]
    """By device."""

    histogram: Histogram
    """All of it."""


def drift_facts(
    engine: Engine,
    bundle: str,
    versions: Sequence[str],
    arms: Sequence[str],
    until: datetime,
    training: Training = UNASKED,
) -> tuple[DriftFacts, ...]:
    """Return the columns of the last week beside those of the week before, inputs first, at most as limits allow.

    Where training data are known, each column comes a second time, beside those. A column that is new has an empty
    reference. Of more profiles than the limit, some are drawn by their hash.

    Args:
        engine: that has the tables.
        bundle: name of the bundle.
        versions: of the experiment.
        arms: whose outputs are watched.
        until: the end of the last week.
        training: what the training data were like.

    Raises:
        QueryError: the engine failed.
    """
    weeks = [_week(engine, bundle, versions, arms, until - shift) for shift in (SPAN, timedelta(0))]
    found: list[DriftFacts] = []
    left = LIMITS.drift_columns_max
    for key, current in sorted(weeks[1].items()):
        references = {BEFORE: _alike(weeks[0].get(key, []), current[0].port)}
        if training.ports:
            trained = [_Part(0, training.ports[key])] if key in training.ports else []
            references[TRAINING] = _alike(trained, current[0].port)
        found += _columns(key, references, _alike(current, current[0].port), left)
        left -= min(left, current[0].port.columns)
    return tuple(found)


def profile_sample(
    bundle: str, until: datetime, most: int = LIMITS.drift_profiles_max, profiles: Any = PROFILES
) -> Any:
    """Ask for the profiles of a week, those of shadows left out: ``device``, ``version``, ``arm`` and ``profile``.

    Raises:
        QueryError: the time has no zone.
    """
    rows = between(profiles, since=until - SPAN, until=until)
    rows = rows.filter((rows.bundle == bundle) & rows.node.isnull())
    place = _hash(rows.device + ":" + rows.epoch + ":" + rows["row"].cast("string"))
    ranked = rows.select("device", "epoch", "row", "version", "arm", "profile", place=place)
    drawn = ranked.order_by(["place", "device", "epoch", "row"]).limit(most)
    return drawn.select("device", "version", "arm", "profile")


@ibis.udf.scalar.builtin(name="xxhash64")  # type: ignore[untyped-decorator]  # Ibis has no types
def _hash(text: str) -> int:  # type: ignore[empty-body]  # the engine has it
    """XXH64 of a text."""


def _week(
    engine: Engine, bundle: str, versions: Sequence[str], arms: Sequence[str], until: datetime
) -> dict[Key, list[_Part]]:
    """The ports of all profiles that can be read."""
    found: dict[Key, list[_Part]] = {}
    devices: dict[str, int] = {}
    for row in as_records(engine.reader(statement(profile_sample(bundle, until), engine.dialect))):
        device = devices.setdefault(row["device"], len(devices))
        is_own = row["version"] in versions and row["arm"] in arms
        for port in _ports(row["profile"]):
            if is_own or not port.is_output:
                arm = row["arm"] if port.is_output else ""
                found.setdefault((port.is_output, port.name, arm), []).append(_Part(device, port))
    return found


def _ports(raw: bytes | None) -> tuple[PortProfile, ...]:
    try:
        return from_value(unpack(raw or b"")).ports
    except LogError:
        return ()


def _alike(parts: Sequence[_Part], port: PortProfile) -> list[_Part]:
    """Those of the same kind and width as a port: a model that was replaced may have others."""
    is_text = isinstance(port.what, Texts)
    return [
        part for part in parts if part.port.columns == port.columns and isinstance(part.port.what, Texts) == is_text
    ]


def _columns(key: Key, references: Mapping[str, list[_Part]], current: list[_Part], most: int) -> Iterator[DriftFacts]:
    is_output, port, arm = key
    width = current[0].port.columns
    is_text = isinstance(current[0].port.what, Texts)
    numbers = {} if is_text or most <= 0 else {since: _numbers(parts, width) for since, parts in references.items()}
    now = _numbers(current, width) if numbers else None
    for column in range(min(width, most)):
        name = port if width == 1 else f"{port}[{column}]"
        name = f"{name} of {arm}" if is_output else name
        if now is None:
            for since, parts in references.items():
                yield _of_texts(f"{name}, {since}", parts, current, column)
        else:
            rows = {since: _rows(side, column) for since, side in numbers.items()}
            yield from _of_numbers(name, rows, _rows(now, column))


def _of_numbers(name: str, references: Mapping[str, _Rows], current: _Rows) -> Iterator[DriftFacts]:
    """One column beside each reference; it is counted once, in the bins of all of them."""
    borders = {since: psi_borders(side.histogram) for since, side in references.items()}
    every = np.unique(np.concatenate([*borders.values()]))
    counted = _binned(current, every)
    for since, side in references.items():
        own = borders[since]
        effects = _effect(_binned(side, own)), _effect(_joined(counted, every, own))
        yield DriftFacts(f"{name}, {since}", side.histogram, current.histogram, NUMBERS, effects)


def _numbers(parts: Sequence[_Part], width: int) -> _Numbers:
    """The numbers of all profiles of a port, put side by side once for all its columns."""
    whats = [part.port.what for part in parts if isinstance(part.port.what, Numbers)]
    devices = np.array([part.device for part in parts], np.int64)
    shape = (len(whats), width)
    tables = {
        name: np.array([getattr(what, name) for what in whats], np.float64).reshape(shape)
        for name in ("finite", "missing", "infinite", "unsketched", "mean")
    }
    held = np.array([what.cells for what in whats], np.int64).reshape(-1)
    place = np.repeat(np.arange(len(held)), held)  # of each cell, its profile and column
    cells = np.concatenate([np.array([], np.int64), *(what.cell for what in whats)])
    weights = np.concatenate([np.array([]), *(what.weight.astype(np.float64) for what in whats)])
    zeros = tables["finite"] - tables["unsketched"] - np.bincount(place, weights, len(held)).reshape(shape)
    order = np.argsort(place % width, kind="stable")
    places = cells[order] + CELL_END
    counts = held.reshape(shape).sum(axis=0)
    return _Numbers(
        devices=devices,
        places=places,
        values=_CELL_VALUES[places],
        weights=weights[order],
        owners=devices[place[order] // width],
        ends=np.concatenate([[0], np.cumsum(counts)]),
        zeros=np.maximum(zeros, 0.0),
        unsketched=tables["unsketched"],
        means=tables["mean"],
        missing=tables["missing"] + tables["infinite"],
    )


def _rows(found: _Numbers, column: int) -> _Rows:
    """The cells of a column, its zeros, and at their mean those numbers that found no room in the sketch."""
    own = slice(int(found.ends[column]), int(found.ends[column + 1]))
    nothing = np.zeros(len(found.devices))
    devices = 1 + int(found.devices.max(initial=0))
    missing = np.bincount(found.devices, found.missing[:, column], devices).astype(np.float64)
    counts = np.bincount(found.places[own], found.weights[own])
    held = np.flatnonzero(counts)  # cells are counted by their numbers: that takes no sorting
    values = np.concatenate([_CELL_VALUES[held], [0.0], found.means[:, column]])
    weights = np.concatenate([counts[held], [found.zeros[:, column].sum()], found.unsketched[:, column]])
    return _Rows(
        np.concatenate([found.values[own], nothing, found.means[:, column]]),
        np.concatenate([found.weights[own], found.zeros[:, column], found.unsketched[:, column]]),
        np.concatenate([found.owners[own], found.devices, found.devices]),
        missing,
        histogram(values, weights, float(missing.sum())),
    )


def _binned(rows: _Rows, borders: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rows of each device in each bin of the PSI, the missing ones last: [devices, bins]."""
    bins = len(borders) + 1
    place = rows.devices * bins + np.searchsorted(borders, rows.values)
    counts = np.bincount(place, rows.weights, len(rows.missing) * bins).reshape(-1, bins)
    return np.column_stack([counts, rows.missing])


def _joined(
    counts: NDArray[np.float64], borders: NDArray[np.float64], fewer: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Rows of each device in fewer bins, whose borders are among those of the bins that they were counted in."""
    starts = np.searchsorted(borders, np.concatenate([[-np.inf], fewer]), side="right")
    return np.column_stack([np.add.reduceat(counts[:, :-1], starts, axis=1), counts[:, -1]])


def _of_texts(title: str, reference: list[_Part], current: list[_Part], column: int) -> DriftFacts:
    if not reference:
        return DriftFacts(title, histogram([], []), histogram([0.0], [float(_merged(current).seen)]), TEXTS)
    names, before, after = text_weights(_merged(reference), _merged(current), column)
    first, second = (_effect(_by_category(parts, names, column)) for parts in (reference, current))
    numbers = np.arange(len(names), dtype=np.float64)
    return DriftFacts(title, histogram(numbers, before), histogram(numbers, after), TEXTS, (first, second))


def _merged(parts: Sequence[_Part]) -> PortProfile:
    """One profile of a port of texts, of all."""
    profiles = [Profile(None, None, None, None, None, 0, 0, (part.port,)) for part in parts]
    return merge(profiles).ports[0]


def _by_category(parts: Sequence[_Part], names: Sequence[str], column: int) -> NDArray[np.float64]:
    """Texts of each device in each category, [devices, categories]; the first is the empty text, the last the rest."""
    counts: dict[int, Counter[str | None]] = {}
    for device, port in parts:
        what = port.what
        assert isinstance(what, Texts)
        own = counts.setdefault(device, Counter())
        own.update(what.frequent[column])
        own[""] += int(what.empty[column])
        own[None] += int(what.total[column])
    rows = []
    for own in counts.values():
        held = [float(own[name]) for name in names[:-1]]
        rows.append([*held, max(own[None] - sum(held), 0.0)])
    return np.array(rows)


def _effect(weights: NDArray[np.float64]) -> DesignEffect:
    """Of one device nothing is known about others: its rows are taken for independent."""
    return design_effect(weights) if (weights.sum(axis=1) > 0).sum() >= 2 else INDEPENDENT
