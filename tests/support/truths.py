"""Fleets whose truth is known: a device serves many sessions, logs every call and label, and hands its segments over.

The control is right in 80 % of calls and the challenger in a known share more; sessions differ, so calls of one session
are alike (ICC 0.1). Everything goes through real segments, landing, committing and tables.
"""

from __future__ import annotations

import tomllib
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pytest

from edgerun.log.clocks import Clocks
from edgerun.log.policy import LogPolicy
from edgerun.log.rows import FLAG_KEYED, Batch, Kind, Note, OutputShape, Source
from edgerun.log.writer import LogWriter
from edgerun.split import Split
from edgerun.testing import SimulatedDisk
from edgerun_bundles.experiment.plan import parse_plan
from edgerun_sync.collector.data import open_data
from edgerun_sync.collector.keys import Landed
from edgerun_sync.queries import tables
from edgerun_sync.queries.engines import open_engine
from edgerun_sync.queries.experiment import Version, experiment_facts
from support.collection import commit_all, land_all
from support.fleet import Made, log_files

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from edgerun_sync.experiments.facts import Facts

UNITS, CALLS, ICC, BASE = 300, 6, 0.1, 0.8
DAYS = 20
DAY_US = 86_400 * 10**6
START_US = 1_700_000_000_000_000
ARMS = ("control", "challenger")
SPLIT = Split("cards/ab", dict.fromkeys(ARMS, 1))
KEYS = [f"session-{number}" for number in range(UNITS)]
FAULTS = ("crash", "lost telemetry", "wrong split", "lost labels", "none")

DEFINITION = """
name = "cards"
version = "1.0.0"
route = "ab"
[models]
control = "control.onnx"
challenger = "challenger.onnx"
[nodes.ab]
kind = "random_split"
weights = { control = 1, challenger = 1 }
split_key = "session"
[experiment]
name = "truth"
node = "ab"
control = "control"
null = "the challenger is right no more often"
alternative = "the challenger is right more often"
primary = "accuracy"
minimum_effect = 0.05
minimum_days = 14
maximum_days = 28
units = { control = 150, challenger = 150 }
[experiment.metrics.accuracy]
kind = "accuracy"
deviation = 0.2
[experiment.metrics.fallbacks]
kind = "fallback_rate"
deviation = 0.05
[experiment.guardrails]
fallbacks = { margin = 0.02 }
"""

PLAN = parse_plan(tomllib.loads(DEFINITION)["experiment"], "the plan of these tests")

_SHAPES = ((), (OutputShape(1, 7, 1),))


def sources_of(version: str) -> dict[int, Source]:
    """What a call of a version in each arm says of where it came from; 3 and 4 are those that fell back."""
    return {
        1 + number + 2 * fell: Source(
            "cards",
            version,
            ARMS[0] if fell else arm,
            arm,
            ("ab", arm),
            arm,
            "assigned",
            "error" if fell else None,
            None,
            ("y",),
        )
        for number, arm in enumerate(ARMS)
        for fell in (0, 1)
    }


class Calls(NamedTuple):
    """The calls of a fleet, in the order of their times: arrays [calls]."""

    session: np.ndarray
    arm: np.ndarray
    time_us: np.ndarray
    is_right: np.ndarray
    is_labelled: np.ndarray
    is_fallback: np.ndarray


def calls_of(seed: int, effect: float, fault: str = "none") -> Calls:
    """What a fleet does; with a fault, what of it is heard."""
    rng = np.random.default_rng(seed)
    arms = SPLIT.assign_many(KEYS).astype(np.int64)
    session = np.repeat(np.arange(UNITS), rng.integers(CALLS - 3, CALLS + 4, UNITS))
    shares = np.clip(BASE + effect * arms, 0.01, 0.99)
    odds = 1 / ICC - 1
    chance = rng.beta(shares * odds, (1 - shares) * odds)
    time_us = rng.integers(1, DAYS * DAY_US, len(session))
    is_right = rng.random(len(session)) < chance[session]
    is_labelled = rng.random(len(session)) < 0.7
    is_fallback = rng.random(len(session)) < 0.01
    heard = np.ones(len(session), bool)
    if fault == "crash":  # some sessions of the challenger end for good in the first half
        dies = (rng.random(UNITS) < 0.5) & (arms == 1)
        heard = ~dies[session] | (time_us < DAYS * DAY_US * 0.4)
    elif fault == "lost telemetry":
        heard = ~((rng.random(UNITS) < 0.25) & (arms == 1))[session]
    elif fault == "wrong split":
        arms = np.where(rng.random(UNITS) < 0.05, 1 - arms, arms)
    elif fault == "lost labels":
        is_labelled &= (arms[session] == 0) | (is_right & (rng.random(len(session)) < 0.7))
    order = np.argsort(time_us, kind="stable")
    order = order[heard[order]]
    time_us[order[0]] = 0  # so that every fleet begins at the same moment
    return Calls(*(column[order] for column in (session, arms[session], time_us, is_right, is_labelled, is_fallback)))


def segments_of(calls: Calls, device: str = "gateway-1", version: str = "1.0.0") -> list[Made]:
    """The log of a device that served them, sealed."""
    disk, end_us = SimulatedDisk(), DAYS * DAY_US
    clocks = Clocks(lambda: end_us, lambda: START_US + end_us, b"a boot of tests.")
    writer = LogWriter("/log", policy=LogPolicy(), disk=disk, clocks=clocks)
    labelled = np.flatnonzero(calls.is_labelled)
    notes = [
        Note(Kind.LABEL, int(calls.time_us[at]), {"id": f"{writer.epoch:016x}-{at}", "value": 1})
        for at in labelled.tolist()
    ]
    writer.write(_batch(calls), notes, sources_of(version))
    writer.seal()
    writer.close()
    return [Made(Landed(device, name), body, frozenset()) for name, body in log_files(disk).items()]


def facts_of(folder: Path, calls: Calls) -> Facts:
    """What the tables say of a fleet, after its segments were landed and committed."""
    data = open_data(str(folder), lanes=1)
    land_all(data, *segments_of(calls))
    commit_all(data)
    until = datetime.fromtimestamp((START_US + DAYS * DAY_US) / 1e6, UTC)
    with open_engine(str(folder)) as engine:
        return experiment_facts(engine, PLAN, "cards", [Version("1.0.0", SPLIT)], until=until, keys=KEYS)


@contextmanager
def said_once() -> Iterator[None]:
    """Say each question in SQL once: fleets are asked the same, and saying it takes longer than the answer."""
    said: dict[Any, str] = {}
    statement = tables.statement

    def remembered(question: Any, dialect: str) -> str:
        key = (question.op(), dialect)
        if key not in said:
            said[key] = statement(question, dialect)
        return said[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tables, "statement", remembered)
        yield


def _batch(calls: Calls) -> Batch:
    """The calls as the recorder hands them over: class 1 where a model was right, since all labels are 1."""
    import xxhash  # noqa: PLC0415 - only the tests have it

    n = len(calls.session)
    hashes = np.array([xxhash.xxh64_intdigest(key.encode(), 42) for key in KEYS], np.uint64)
    return Batch(
        kind=np.full(n, Kind.CALL, np.uint8),
        flags=np.full(n, FLAG_KEYED, np.uint8),
        source=(1 + calls.arm + 2 * calls.is_fallback).astype(np.uint32),
        sequence=np.arange(n, dtype=np.uint64),
        unit=hashes[calls.session],
        time_us=calls.time_us,
        latency=np.full(n, 1000, np.uint32),
        shape=np.ones(n, np.uint16),
        numbers=calls.is_right.astype(np.uint64),
        numbers_at=np.arange(n + 1, dtype=np.uint32),
        data=np.empty(0, np.uint8),
        data_at=np.zeros(n + 1, np.uint32),
        shapes=_SHAPES,
    )
