"""Calls without an answer, and whose they were: from a runner through its log and tables to the facts of a report."""

from __future__ import annotations

import shutil
from collections import Counter
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from edgerun import EdgeRunner, ModelError
from edgerun.split import Split
from edgerun_bundles.experiment.plan import parse_plan
from edgerun_sync.collector.data import open_data
from edgerun_sync.collector.erasing import erase_unit
from edgerun_sync.collector.keys import Landed
from edgerun_sync.queries.engines import open_engine
from edgerun_sync.queries.experiment import Version, experiment_facts
from support import models
from support.collection import commit_all, land_all
from support.fleet import Made
from support.serve import write_bundle

GOOD, BAD = np.array([[1, 2]], np.float32), np.array([[-1, 2]], np.float32)
ARMS = ("control", "challenger")
SPLIT = Split("test/ab", dict.fromkeys(ARMS, 1))
NODES = {"ab": {"kind": "random_split", "weights": dict.fromkeys(ARMS, 1), "control": "control", "split_key": "user"}}
KEYS = [f"session-{number}" for number in range(40)]
PLAN = parse_plan(
    {
        "name": "errors",
        "node": "ab",
        "control": "control",
        "null": "the challenger fails as often",
        "alternative": "the challenger fails less often",
        "primary": "errors",
        "metrics": {"errors": {"kind": "error_rate", "deviation": 0.3}},
        "minimum_effect": 0.1,
        "maximum_days": 28,
        "units": dict.fromkeys(ARMS, 15),
    },
    "here",
)


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A fleet's tables after sessions of four calls, of which some fail in both models, so that nobody stands in."""
    folder = tmp_path_factory.mktemp("errors")
    bundle = write_bundle(folder / "served", dict.fromkeys(ARMS, models.raises()), NODES)
    failed = {}
    with EdgeRunner.open(bundle, log=folder / "log") as runner:
        for number, key in enumerate(KEYS):
            for call in range(4):
                is_bad = call < number % (4 if SPLIT.assign(key) == "challenger" else 3) or number == 0
                failed.setdefault(key, []).append(is_bad)
                if is_bad:
                    with pytest.raises(ModelError):
                        runner.predict(BAD, key=key)
                else:
                    assert runner.predict(GOOD, key=key).arm == SPLIT.assign(key)
    data = open_data(str(folder / "data"), lanes=1)
    segments = [path for path in (folder / "log").iterdir() if path.suffix == ".log"]
    land_all(data, *(Made(Landed("oven-1", path.stem), path.read_bytes(), frozenset()) for path in segments))
    commit_all(data)
    return data, str(folder / "data"), failed


def test_the_rate_of_errors_by_session_is_what_the_callers_saw(served):
    _, place, failed = served
    with open_engine(place) as engine:
        until = datetime.now(UTC) + timedelta(minutes=1)
        facts = experiment_facts(engine, PLAN, "test", [Version("1", SPLIT)], until=until, keys=KEYS)
    (phase,) = facts.phases
    for arm in ARMS:
        own = {key: calls for key, calls in failed.items() if SPLIT.assign(key) == arm}
        moments = phase.moments["errors"][arm]
        assert phase.units[arm] == moments.n == len(own)
        assert moments.mean_of("errors.above") * moments.n == pytest.approx(sum(map(sum, own.values())))
        assert moments.mean_of("errors.below") * moments.n == pytest.approx(4 * len(own))
    assert facts.health.in_several == 0


def test_the_table_says_of_each_error_whose_call_it_was(served):
    data, _, failed = served
    events = data.tables.rows("events").to_pylist()
    by_unit = Counter(row["unit"] for row in events if row["kind"] == "error")
    units = {row["unit"] for row in events}
    assert sorted(by_unit.values()) == sorted(sum(calls) for calls in failed.values() if any(calls))
    assert None not in units
    assert len(units) == len(KEYS)


def test_whoever_is_erased_takes_the_errors_along(served, tmp_path):
    _, place, failed = served
    shutil.copytree(place, tmp_path / "data")
    data = open_data(str(tmp_path / "data"))
    events = data.tables.rows("events").to_pylist()
    unit = next(row["unit"] for row in events if row["kind"] == "error")
    assert all(failed[KEYS[0]])  # whose first call is the first error: nothing but errors tells of this session
    erased = erase_unit(data, unit, who="the test")
    assert erased.rows["events"] == 4
    assert unit not in data.tables.rows("events")["unit"].to_pylist()
