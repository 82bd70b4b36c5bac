"""A fleet whose models say how sure they are, one of them watched in the shadow, whose inputs move in the last week.

Rows go through the collector's own path into tables; what they hold is known besides as plain arrays.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import xxhash

from edgerun.log.chunks import Chunk
from edgerun.log.profile_values import as_value
from edgerun.log.repair import timeline
from edgerun.log.rows import FLAG_FAILED, Kind, Source
from edgerun.split import Split
from edgerun_bundles.experiment.plan import parse_plan
from edgerun_sync.collector.data import open_data
from edgerun_sync.collector.rows import Rows, Stream
from support.profiled import of_numbers, of_texts

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

START_US = 1_700_000_000_000_000
DAY_US = 86_400 * 10**6
BEGIN = datetime.fromtimestamp(START_US / 1e6, UTC)
DAYS = 15
UNTIL = BEGIN + timedelta(days=DAYS)
ARMS = ("control", "challenger")
SPLIT = Split("cards/ab", dict.fromkeys(ARMS, 1))
DEVICES, KEYS_EACH, CALLS_EACH = 24, 3, 20
KEYS = [f"customer-{number}" for number in range(DEVICES * KEYS_EACH)]
PLAN = parse_plan(
    {
        "name": "watched",
        "node": "ab",
        "control": "control",
        "null": "the challenger is right no more often",
        "alternative": "the challenger is right more often",
        "primary": "accuracy",
        "metrics": {"accuracy": {"kind": "accuracy", "deviation": 0.2}, "slow": {"kind": "fallback_rate"}},
        "guardrails": {"slow": {"margin": 0.1}},
        "minimum_effect": 0.05,
        "maximum_days": 28,
        "units": dict.fromkeys(ARMS, 30),
    },
    "the plan of these tests",
)
_SOURCES = (
    None,
    *(Source("cards", "1.0.0", arm, arm, ("ab", arm), arm, "assigned", None, None, ("y",)) for arm in ARMS),
    Source("cards", "1.0.0", "next", "next", ("watch",), "control", "assigned", None, "watch", ("y",)),
)


class Watched(NamedTuple):
    """All calls, arrays [calls]."""

    device: NDArray[np.int64]
    key: NDArray[np.int64]
    arm: NDArray[np.int64]
    time_us: NDArray[np.int64]
    said: NDArray[np.int64]
    confidence: NDArray[np.float64]
    truth: NDArray[np.int64]
    """-1 where there is no label."""

    shadow: NDArray[np.int64]
    """What the model in the shadow said: -1 where it was not asked, -2 where it failed."""

    @property
    def right(self) -> NDArray[np.bool_]:
        return (self.truth >= 0) & (self.truth == self.said)


def calls_of(seed: int = 5) -> Watched:
    """Calls of a fleet: accuracy falls by a little a day, and confidences are a little too high."""
    rng = np.random.default_rng(seed)
    n = len(KEYS) * CALLS_EACH
    key = np.repeat(np.arange(len(KEYS)), CALLS_EACH)
    arm = SPLIT.assign_many(KEYS).astype(np.int64)[key]
    time_us = rng.integers(0, DAYS * DAY_US, n)
    time_us[0] = 0
    confidence = np.round(rng.beta(6, 2, n), 3)
    confidence[:3] = (0.0, 1.0, 1.0)
    chance = np.clip(confidence - 0.05 - 0.01 * time_us / DAY_US + 0.1 * arm, 0, 1)
    truth, is_right = rng.integers(0, 2, n), rng.random(n) < chance
    shadow = np.where(rng.random(n) < 0.85, truth, 1 - truth)
    shadow = np.where(arm == 0, np.where(rng.random(n) < 0.1, -2, shadow), -1)
    label = np.where(rng.random(n) < 0.7, truth, -1)
    return Watched(key // KEYS_EACH, key, arm, time_us, np.where(is_right, truth, 1 - truth), confidence, label, shadow)


def units() -> NDArray[np.int64]:
    """The unit of each key, as the tables have it."""
    return np.array([xxhash.xxh64_intdigest(key.encode(), 42) for key in KEYS], np.uint64).view(np.int64)


def amounts(device: int, week: int) -> NDArray[np.float64]:
    """What one device saw of its input in a week: devices have their own ways, and all move in the last week."""
    rng = np.random.default_rng([device, week])
    return (rng.normal(3 + 0.1 * (device % 5) + (2.0 if week else 0.0), 1, (50, 1))).astype(np.float64)


def hours(device: int, week: int) -> NDArray[np.float64]:
    """The same of an input that does not move."""
    return np.random.default_rng([device, week, 1]).uniform(1, 25, (50, 1))


def merchants(device: int, week: int) -> list[str]:
    """The same of an input of texts that does not move."""
    return [("a", "b", "c")[at] for at in np.random.default_rng([device, week, 2]).integers(0, 3, 50)]


def write(folder: Path, calls: Watched) -> None:
    """Commit a fleet."""
    data = open_data(str(folder), lanes=1)
    data.tables.append(0, 1, _rows(calls))


def _rows(calls: Watched) -> Rows:
    streams = [Stream(f"device-{device:03}", 2**63 + device, bytes([1] * 16), _TIMELINE) for device in range(DEVICES)]
    chunks: dict[Kind, list[Chunk]] = {kind: [] for kind in Kind}
    for device in range(DEVICES):
        own = np.flatnonzero(calls.device == device)
        chunks[Kind.CALL].append(_calls(calls, device, own))
        chunks[Kind.SHADOW].append(_shadows(calls, device, own[calls.shadow[own] != -1]))
        labelled = own[calls.truth[own] >= 0]
        said = [{"id": _id(calls, at), "value": int(calls.truth[at])} for at in labelled.tolist()]
        chunks[Kind.LABEL].append(_valued(device, 10**6, np.full(len(said), 8 * DAY_US), said))
        values = [profile for week in (0, 1) for profile in _profiles(device, week)]
        at_us = np.repeat([2 * DAY_US, 12 * DAY_US], len(values) // 2)
        chunks[Kind.PROFILE].append(_valued(device, 2 * 10**6, at_us, values))
    return Rows(START_US + 16 * DAY_US, {k: [c for c in v if c.n] for k, v in chunks.items()}, streams, _SOURCES, 0)


_TIMELINE = timeline(np.array([0], np.int64), np.array([START_US], np.int64))


def _id(calls: Watched, at: int) -> str:
    device = int(calls.device[at])
    return f"{2**63 + device:016x}-{at}"


def _profiles(device: int, week: int) -> list[dict[str, Any]]:
    names = {"bundle": "cards", "version": "1.0.0", "model": "control", "arm": "control"}
    numbers = [of_numbers(column(device, week), **names) for column in (amounts, hours)]
    ports = [one.ports[0]._replace(name=name) for one, name in zip(numbers, ("amount", "hour"), strict=True)]
    texts = of_texts(merchants(device, week), **names).ports[0]._replace(name="merchant")
    outputs = of_numbers(hours(device, week + 7), **names).ports[0]._replace(name="y", is_output=True)
    found = numbers[0]._replace(ports=(*ports, texts, outputs))
    return [as_value(found), {"bundle": "cards", "ports": "none"}]


def _columns(device: int, rows: NDArray[Any], time_us: NDArray[np.int64]) -> dict[str, Any]:
    n = len(rows)
    return {
        "row": rows.astype(np.uint64),
        "epoch": np.full(n, 2**63 + device, np.uint64),
        "boot": np.full(n, device, np.int32),
        "monotonic_us": time_us.astype(np.int64),
        "clock_offset_us": np.full(n, START_US, np.int64),
    }


def _calls(calls: Watched, device: int, own: NDArray[np.int64]) -> Chunk:
    columns = _columns(device, own, calls.time_us[own]) | {
        "sequence": own.astype(np.uint64),
        "latency": np.full(len(own), 1000, np.uint64),
        "unit": units()[calls.key[own]].view(np.uint64),
        "flags": np.zeros(len(own), np.uint64),
        "source": (1 + calls.arm[own]).astype(np.uint64),
    }
    return Chunk(len(own), columns, {"y.class": calls.said[own], "y.confidence": calls.confidence[own]})


def _shadows(calls: Watched, device: int, own: NDArray[np.int64]) -> Chunk:
    said = calls.shadow[own]
    columns = _columns(device, own + 3 * 10**6, calls.time_us[own]) | {
        "sequence": own.astype(np.uint64),
        "latency": np.full(len(own), 1000, np.uint64),
        "flags": np.where(said == -2, FLAG_FAILED, 0).astype(np.uint64),
        "difference": np.zeros(len(own)),
        "source": np.full(len(own), len(_SOURCES) - 1, np.uint64),
    }
    return Chunk(len(own), columns, {"y.class": np.clip(said, 0, None)})


def _valued(device: int, first: int, time_us: NDArray[np.int64], values: list[dict[str, Any]]) -> Chunk:
    boxed = np.empty(len(values), object)
    boxed[:] = values
    rows = np.arange(first, first + len(values))
    return Chunk(len(values), _columns(device, rows, time_us) | {"values": boxed}, {})
