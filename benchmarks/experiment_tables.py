"""Tables of a fleet with an experiment in them, made of whole arrays: 20 M events take about a minute, and are kept.

A month without a split, then a month with one, of two arms. Devices hand over once a day, so rows lie by device.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa

from edgerun.log.contents import latency_ns
from edgerun.split import Split
from edgerun_sync.collector.arrow.parquet import DayFile, file_of
from edgerun_sync.collector.arrow.schemas import MOMENT, SCHEMAS, file_schema
from edgerun_sync.collector.arrow.tables import SLICE_ROWS
from edgerun_sync.collector.data import open_data
from support.recorded import latency_codes

if TYPE_CHECKING:
    from pathlib import Path

ARMS = ("champion", "challenger")
SPLIT = Split("cards/ab", {"champion": 50, "challenger": 50})
DAY_US = 86_400 * 10**6
START = datetime(2026, 1, 1, tzinfo=UTC)
"""Midnight of the first day."""

PAST_DAYS = DAYS = 28
UNTIL = START + timedelta(days=PAST_DAYS + DAYS)
VERSIONS = ("1.0.0", "1.1.0")
"""The bundle without a split, and that with one."""

UNITS_PER_DEVICE = 50
LABELLED, AGAIN, CONVERTED = 0.1, 0.01, 0.2
"""Shares: of calls with a label, of labels that are said twice, and of units with an outcome."""


class Crowd(NamedTuple):
    """What is made.

    Attributes:
        events: calls of both months.
        units: of keys; each has its device.
        seed: of all chance.
    """

    events: int
    units: int
    seed: int = 1


def keys_of(crowd: Crowd) -> list[str]:
    """Return the keys of all units."""
    return [f"customer-{unit}" for unit in range(crowd.units)]


def tables_in(folder: Path, crowd: Crowd) -> str:
    """Return where the tables of a crowd are; they are made where they are not there yet."""
    place = folder / f"edgerun-bench-{crowd.events}-{crowd.units}-{crowd.seed}"
    done = place / "made.json"
    if not done.exists():
        _make(str(place), crowd)
        done.write_text(json.dumps(crowd._asdict()))
    return str(place)


def _make(place: str, crowd: Crowd) -> None:
    import xxhash  # noqa: PLC0415 - only the tests have it

    rng = np.random.default_rng(crowd.seed)
    keys = keys_of(crowd)
    fleet = _Fleet(
        crowd,
        unit=np.array([xxhash.xxh64_intdigest(key.encode(), 42) for key in keys], np.uint64).view(np.int64),
        arm=SPLIT.assign_many(keys).astype(np.int32),
        speed=rng.lognormal(-6, 0.3, crowd.units),
        skill=rng.beta(18, 2, crowd.units),
        sequence=np.zeros(-(-crowd.units // UNITS_PER_DEVICE), np.int64),
    )
    tables = open_data(place, lanes=1).tables
    days = PAST_DAYS + DAYS
    labels: list[list[pa.Table]] = [[] for _ in range(days + 4)]
    for day in range(days):
        n = crowd.events * (day + 1) // days - crowd.events * day // days
        events, told = _day(rng, fleet, day, n)
        tables.append_files(0, day + 1, {"events": [_file("events", day, events)]})
        labels[day + 1].append(told)
        labels[day + 2].append(_again(rng, told))
    for day, outcomes in _outcomes(rng, fleet):
        labels[day].append(outcomes)
    for day, some in enumerate(labels):
        if some:
            tables.append_files(0, days + day + 1, {"labels": [_file("labels", day, pa.concat_tables(some))]})


class _Fleet(NamedTuple):
    """What units and devices are like; `sequence` counts each device's calls."""

    crowd: Crowd
    unit: Any
    arm: Any
    speed: Any
    skill: Any
    sequence: Any


def _day(rng: np.random.Generator, fleet: _Fleet, day: int, n: int) -> tuple[pa.Table, pa.Table]:
    """The calls of a day, and the labels that come for them on the next."""
    who = rng.integers(0, fleet.crowd.units, n, dtype=np.int32)
    within = rng.integers(0, DAY_US, n)
    device = (who // UNITS_PER_DEVICE).astype(np.int64)
    order = np.argsort(device * DAY_US + within, kind="stable")
    who, within, device = who[order], within[order], device[order]
    counts = np.bincount(device, minlength=len(fleet.sequence))
    sequence = fleet.sequence[device] + np.arange(n) - np.repeat(np.cumsum(counts) - counts, counts)
    fleet.sequence[:] += counts
    time_us = _day_us(day) + within
    is_split, arm = day >= PAST_DAYS, fleet.arm[who]
    serves = arm if is_split else np.zeros(n, np.int32)
    is_fallback = rng.random(n) < 0.002 * (1 + serves)
    nanoseconds = (1e9 * fleet.speed[who] * rng.lognormal(0.05 * serves, 0.3, n)).astype(np.int64)
    is_right = rng.random(n) < fleet.skill[who] + 0.005 * serves
    score = np.round(rng.beta(8, 2, n), 3)
    truth = rng.integers(0, 2, n)
    said = np.where(is_right, truth, 1 - truth).astype(np.int32)
    devices = pa.array([f"device-{number:06}" for number in range(len(fleet.sequence))])
    epochs = pa.array([f"{2**63 + number:016x}" for number in range(len(fleet.sequence))])
    served = np.where(is_fallback, 0, serves).astype(np.int32)
    columns = {
        "device": pa.DictionaryArray.from_arrays(device, devices),
        "epoch": pa.DictionaryArray.from_arrays(device, epochs),
        "time": _moments(time_us),
        "clock": _moments(time_us),
        "boot": _texts(n, "6f1c3a54-0000-4000-8000-000000000000"),
        "row": pa.array(sequence),
        "batch_time": _moments(np.full(n, _day_us(day + 1))),
        "id": _ids(epochs, device, sequence),
        "sequence": pa.array(sequence),
        "kind": _coded(is_fallback, ["inference", "fallback"]),
        "bundle": _texts(n, "cards"),
        "version": _texts(n, VERSIONS[is_split]),
        "model": _coded(served, ARMS),
        "arm": _coded(arm, ARMS) if is_split else None,
        "assignment": _texts(n, "assigned") if is_split else None,
        "fallback": pa.DictionaryArray.from_arrays(pa.array(np.zeros(n, np.int32), mask=~is_fallback), ["failed"]),
        "route": _coded(serves, [f"ab/{arm}" for arm in ARMS]) if is_split else _texts(n, "champion"),
        "node": _texts(n, "ab") if is_split else None,
        "latency_s": pa.array(latency_ns(latency_codes(nanoseconds)) / 1e9),
        "unit": pa.array(fleet.unit[who]),
        "nonfinite": pa.array(np.zeros(n, bool)),
        "failed": pa.array(np.zeros(n, bool)),
        "label": _coded(said, ["0", "1"]),
        "score": pa.array(score),
        "outputs": pa.MapArray.from_arrays(
            pa.array(np.arange(0, 2 * n + 1, 2, dtype=np.int32)),
            pa.DictionaryArray.from_arrays(np.tile(np.array([0, 1], np.int32), n), ["y.class", "y.confidence"]).cast(
                pa.string()
            ),
            pa.array(np.stack([said, score], axis=1).ravel()),
        ),
    }
    events = _table("events", columns, n)
    at = np.flatnonzero(rng.random(n) < LABELLED)
    return events, _labels(device[at], sequence[at], time_us[at] + DAY_US // 2 + within[at] // 4, truth[at], epochs)


def _labels(device: Any, sequence: Any, time_us: Any, truth: Any, epochs: Any) -> pa.Table:
    n = len(device)
    columns = {
        "device": pa.array([f"device-{number:06}" for number in device.tolist()]).dictionary_encode(),
        "epoch": pa.array([f"{2**62 + number:016x}" for number in device.tolist()]).dictionary_encode(),
        "time": _moments(time_us),
        "clock": _moments(time_us),
        "row": pa.array(sequence),
        "batch_time": _moments(time_us + DAY_US),
        "kind": _texts(n, "label"),
        "id": _ids(epochs, device, sequence),
        "value": pa.array(truth.astype(np.float64)),
        "text": None,
    }
    return _table("labels", columns, n)


def _again(rng: np.random.Generator, told: pa.Table) -> pa.Table:
    """Some labels, said again a day later."""
    some = told.take(pa.array(np.flatnonzero(rng.random(told.num_rows) < AGAIN)))
    later = pa.array(some["time"].cast(pa.int64()).to_numpy() + DAY_US).cast(MOMENT)
    return some.set_column(some.schema.get_field_index("time"), "time", later)


def _outcomes(rng: np.random.Generator, fleet: _Fleet) -> list[tuple[int, pa.Table]]:
    """Who renewed, by day; each has his whole month for it."""
    who = np.flatnonzero(rng.random(fleet.crowd.units) < CONVERTED + 0.005 * fleet.arm)
    days = rng.integers(PAST_DAYS, PAST_DAYS + DAYS, len(who))
    return [(day, _renewals(fleet, who[days == day], day)) for day in range(PAST_DAYS, PAST_DAYS + DAYS)]


def _renewals(fleet: _Fleet, who: Any, day: int) -> pa.Table:
    n = len(who)
    columns = {
        "device": _texts(n, "backend"),
        "epoch": _texts(n, f"{2**61:016x}"),
        "time": _moments(np.full(n, _day_us(day) + DAY_US // 2)),
        "clock": _moments(np.full(n, _day_us(day) + DAY_US // 2)),
        "row": pa.array(who.astype(np.int64)),
        "batch_time": _moments(np.full(n, _day_us(day + 1))),
        "kind": _texts(n, "outcome"),
        "name": pa.array(["renewed"] * n, pa.string()),
        "unit": pa.array(fleet.unit[who]),
        "value": pa.array(np.ones(n)),
        "text": None,
    }
    return _table("labels", columns, n)


def _table(name: str, columns: dict[str, Any], n: int) -> pa.Table:
    schema = file_schema(SCHEMAS[name])
    arrays = [
        pa.nulls(n, field.type) if columns.get(field.name) is None else columns[field.name].cast(field.type)
        for field in schema
    ]
    return pa.table(arrays, schema=schema)


def _file(name: str, day: int, table: pa.Table) -> DayFile:
    table = table.combine_chunks().unify_dictionaries()
    slices = [table.slice(first, SLICE_ROWS) for first in range(0, table.num_rows, SLICE_ROWS)]
    return file_of((START + timedelta(days=day)).date().isoformat(), slices, table.schema)


def _day_us(day: int) -> int:
    return round(START.timestamp()) * 10**6 + day * DAY_US


def _moments(time_us: Any) -> Any:
    return pa.array(time_us).cast(MOMENT)


def _ids(epochs: pa.Array, device: Any, sequence: Any) -> Any:
    import pyarrow.compute as pc  # noqa: PLC0415 - it takes a while to load

    return pc.binary_join_element_wise(epochs.take(pa.array(device)), pa.array(sequence).cast(pa.string()), "-")


def _texts(n: int, text: str) -> Any:
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(n, np.int32)), [text])


def _coded(codes: Any, texts: Any) -> Any:
    return pa.DictionaryArray.from_arrays(pa.array(codes.astype(np.int32)), [*texts])
