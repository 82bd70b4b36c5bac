"""What a fleet recorded, as rows made of whole arrays: millions take seconds, and their truth is known."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from edgerun.log.chunks import Chunk
from edgerun.log.profile_values import as_value
from edgerun.log.repair import timeline
from edgerun.log.rows import FLAG_DISAGREE, FLAG_FAILED, FLAG_NONFINITE, Kind, Source
from edgerun.split import Split
from edgerun_sync.collector.rows import Rows, Stream
from support.profiled import of_numbers

if TYPE_CHECKING:
    from collections.abc import Iterator

START_US = 1_700_000_000_000_000
DAY_US = 86_400 * 10**6
WEIGHTS = {"control": 50, "challenger": 30, "second": 20}
SPLIT = Split("cards/ab", WEIGHTS)
VERSIONS = ("1.0.0", "1.1.0")
CLASSES = ("0", "1", "2")


def _source(version: str, arm: str, fallback: str | None = None) -> Source:
    model = f"model-{arm}"
    served = "model-control" if fallback else model
    return Source("cards", version, served, model, ("ab", arm, served), arm, "assigned", fallback, None, ("y",))


SOURCES: tuple[Source | None, ...] = (
    None,
    *(_source(version, arm) for version in VERSIONS for arm in WEIGHTS),
    *(_source(version, arm, "failed") for version in VERSIONS for arm in WEIGHTS),
)
"""Of a version and an arm, then the same for calls that the control answered in the place of a model that failed."""


class Fleet(NamedTuple):
    """What is made.

    Attributes:
        devices: each a unit, and a stream.
        events: of all devices.
        days: over which they are spread.
        batch_rows: rows that are committed together.
        seed: of all chance.
    """

    devices: int = 40
    events: int = 4_000
    days: int = 3
    batch_rows: int = 1_000
    seed: int = 7


def key_of(device: int) -> str:
    """The key by which a device's calls are split."""
    return f"key-{device}"


def batches(fleet: Fleet) -> Iterator[Rows]:
    """Yield the calls of a fleet, some devices' after the other's, all over the whole time."""
    rng = np.random.default_rng(fleet.seed)
    each = -(-fleet.events // fleet.devices)
    together = max(1, fleet.batch_rows // each)
    hashes = unit_hashes(fleet.devices)
    arms = SPLIT.assign_many([key_of(device) for device in range(fleet.devices)])
    at_us = START_US + fleet.days * DAY_US
    for first in range(0, fleet.devices, together):
        devices = range(first, min(first + together, fleet.devices))
        streams = [Stream(f"device-{device:05}", 2**63 + device, bytes([1] * 16), _TIMELINE) for device in devices]
        chunks = [
            _calls(rng, fleet, each, number, int(arms[device]), int(hashes[device]))
            for number, device in enumerate(devices)
        ]
        yield Rows(at_us, {Kind.CALL: chunks}, streams, SOURCES, 0)


def unit_hashes(devices: int) -> Any:
    """XXH64 of each device's key with the seed 42, as Spark computes it."""
    import xxhash  # noqa: PLC0415 - only the tests have it

    return np.array([xxhash.xxh64_intdigest(key_of(device).encode(), 42) for device in range(devices)], np.uint64)


_TIMELINE = timeline(np.array([0], np.int64), np.array([START_US], np.int64))


def _calls(rng: np.random.Generator, fleet: Fleet, n: int, stream: int, arm: int, unit: int) -> Chunk:
    """Calls of one device: its own speed, two versions one after the other, now and then a failure."""
    speed = float(rng.lognormal(-9.5 + 0.1 * arm, 0.2))
    latency_ns = (1e9 * rng.lognormal(np.log(speed), 0.3, n)).astype(np.int64)
    failed = rng.random(n) < 0.002 * (1 + arm)
    version = (np.arange(n) >= n // 2).astype(np.uint64)
    source = 1 + version * np.uint64(len(WEIGHTS)) + np.uint64(arm)
    flags = np.where(rng.random(n) < 0.001, FLAG_NONFINITE, 0).astype(np.uint64)
    place = np.arange(n, dtype=np.uint64)
    columns = {
        "row": place,
        "epoch": np.broadcast_to(np.array([2**63], np.uint64), n),
        "boot": np.broadcast_to(np.array([stream], np.int32), n),
        "monotonic_us": np.sort(rng.integers(0, fleet.days * DAY_US, n)),
        "clock_offset_us": np.broadcast_to(np.array([START_US], np.int64), n),
        "sequence": place,
        "latency": latency_codes(latency_ns),
        "unit": np.broadcast_to(np.array([unit], np.uint64), n),
        "flags": flags,
        "source": np.where(failed, source + np.uint64(2 * len(WEIGHTS)), source),
    }
    score = np.round(rng.beta(8, 2, n), 3)
    return Chunk(n, columns, {"y.class": rng.integers(0, len(CLASSES), n), "y.confidence": score})


def latency_codes(nanoseconds: Any) -> Any:
    """The codes of FORMAT.md: eleven significant bits and an exponent."""
    exponent = np.maximum(np.frexp(nanoseconds.astype(np.float64))[1] - 11, 0)
    return ((nanoseconds >> exponent) + (exponent << 10)).astype(np.uint64)


def journals(fleet: Fleet) -> Rows:
    """What came beside the calls: shadows, errors, labels days later and some again, outcomes, profiles."""
    rng = np.random.default_rng(fleet.seed + 1)
    each = -(-fleet.events // fleet.devices)
    streams = [Stream(f"device-{device:05}", 2**62 + device, bytes(16), _TIMELINE) for device in range(fleet.devices)]
    hashes = unit_hashes(fleet.devices).tolist()
    chunks: dict[Kind, list[Chunk]] = {kind: [] for kind in Kind}
    for device in range(fleet.devices):
        calls = rng.choice(each, each // 2, replace=False)
        again = calls[: len(calls) // 5]
        said = [{"id": f"{2**63 + device:016x}-{call}", "value": _label(rng)} for call in [*calls, *again]]
        chunks[Kind.LABEL].append(_valued(fleet, device, 0, said))
        bought = [{"name": "sale", "unit": hashes[device], "value": round(float(x), 2)} for x in rng.gamma(2, 5, 3)]
        bought += [{"name": "sale", "id": f"{2**63 + device:016x}-0", "value": 1.5}] if device % 3 == 0 else []
        bought += [{"name": "visit", "unit": hashes[device], "value": True}] if device % 2 == 0 else []
        chunks[Kind.OUTCOME].append(_valued(fleet, device, 10**6, bought))
        source = np.full(2, 1 + device % len(WEIGHTS), np.uint64)
        failed = _valued(fleet, device, 2 * 10**6, [{"error": "ModelError", "message": "it broke"}] * 2)
        chunks[Kind.ERROR].append(_with(failed, sequence=np.arange(each, each + 2, dtype=np.uint64), source=source))
        chunks[Kind.SHADOW].append(_shadows(rng, fleet, device, each))
        profiles = [as_value(of_numbers(rng.normal(device, 1, (50, 1)), bundle="cards", arm=arm)) for arm in WEIGHTS]
        chunks[Kind.PROFILE].append(_valued(fleet, device, 4 * 10**6, [*profiles, {"ports": "none"}]))
    sources = (*SOURCES, Source("cards", "1.0.0", "model-second", "model-second", ("watch",), node="watch"))
    at_us = START_US + 2 * fleet.days * DAY_US
    return Rows(at_us, chunks, streams, sources, 0)


def _label(rng: np.random.Generator) -> Any:
    """Labels as applications give them: whole numbers mostly, as texts, or another number."""
    chance = rng.random()
    value = int(rng.integers(0, len(CLASSES)))
    return value if chance < 0.8 else str(value) if chance < 0.95 else value + 0.5


def _valued(fleet: Fleet, device: int, first: int, values: list[dict[str, Any]]) -> Chunk:
    """Rows of one device's journal, spread over the time after its calls; some have the same time."""
    n = len(values)
    boxed = np.empty(n, object)
    boxed[:] = values
    columns = {
        "row": np.arange(first, first + n, dtype=np.uint64),
        "epoch": np.broadcast_to(np.array([2**62 + device], np.uint64), n),
        "boot": np.broadcast_to(np.array([device], np.int32), n),
        "monotonic_us": (fleet.days // 2 * DAY_US) + np.arange(n) // 2 * 60_000_000,
        "clock_offset_us": np.broadcast_to(np.array([START_US], np.int64), n),
        "values": boxed,
    }
    return Chunk(n, columns, {})


def _with(chunk: Chunk, **columns: Any) -> Chunk:
    return chunk._replace(columns=chunk.columns | columns)


def _shadows(rng: np.random.Generator, fleet: Fleet, device: int, n: int) -> Chunk:
    values = _valued(fleet, device, 3 * 10**6, [{}] * n)
    flags = rng.choice([0, 0, 0, FLAG_DISAGREE, FLAG_FAILED], n).astype(np.uint64)
    found = _with(
        values,
        sequence=np.arange(n, dtype=np.uint64),
        latency=latency_codes(rng.integers(10**4, 10**6, n)),
        flags=flags,
        difference=rng.random(n),
        source=np.full(n, len(SOURCES), np.uint64),
    )
    found.columns.pop("values")
    return found._replace(outputs={"y.class": rng.integers(0, len(CLASSES), n), "y.confidence": rng.random(n)})
