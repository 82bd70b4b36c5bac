"""A report on DuckDB from opening the tables to its text, by stage: ``pytest benchmarks/bench_report.py``.

What the engine keeps is computed beside the next question's SQL, so the stages are together longer than all of it.
EDGERUN_BENCH_EVENTS=20000000 is the size that the project promises a time for. Making such tables takes a minute;
where EDGERUN_BENCH_FOLDER is given, they are kept there. Memory is that of making them, too, unless they were there.
"""

from __future__ import annotations

import os
import resource
import time
import tomllib
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from experiment_tables import SPLIT, UNTIL, VERSIONS, Crowd, keys_of, tables_in

from edgerun_bundles.experiment.plan import parse_plan
from edgerun_sync.experiments.scorecard import scorecard
from edgerun_sync.queries import tables
from edgerun_sync.queries.duck import DuckDB
from edgerun_sync.queries.engines import open_engine
from edgerun_sync.queries.experiment import Version, experiment_facts
from edgerun_sync.report.text import text_report

if TYPE_CHECKING:
    from collections.abc import Iterator

EVENTS = int(os.environ.get("EDGERUN_BENCH_EVENTS", "500000"))
CROWD = Crowd(EVENTS, EVENTS // 20)

PLAN = parse_plan(
    tomllib.loads("""
name = "challenger"
node = "ab"
control = "champion"
null = "the challenger is right no more often"
alternative = "the challenger is right more often"
primary = "accuracy"
success = ["renewed"]
minimum_effect = 0.005
minimum_days = 14
maximum_days = 42
units = { champion = 400_000, challenger = 400_000 }
[metrics.accuracy]
kind = "accuracy"
deviation = 0.3
[metrics.renewed]
kind = "conversion"
direction = "up"
outcome = "renewed"
window_days = 14
baseline = 0.1
[metrics.latency]
kind = "latency_quantile"
share = 0.95
baseline = 0.005
deviation = 0.004
[guardrails]
latency = { relative_margin = 0.1 }
"""),
    "the plan of this benchmark",
)


class Stages:
    """Seconds, and seconds of all threads, that each stage took."""

    def __init__(self) -> None:
        self.took: dict[str, tuple[float, float]] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        begun = time.perf_counter(), time.process_time()
        yield
        before = self.took.get(name, (0.0, 0.0))
        ended = time.perf_counter(), time.process_time()
        self.took[name] = tuple(b + e - a for a, b, e in zip(begun, before, ended, strict=True))

    def print(self) -> None:
        for name, (seconds, of_threads) in self.took.items():
            print(f"  {name:28} {seconds:8.3f} s {of_threads:8.3f} s of CPU")


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> str:
    folder = os.environ.get("EDGERUN_BENCH_FOLDER")
    return tables_in(Path(folder) if folder else tmp_path_factory.mktemp("tables"), CROWD)


def test_a_report(place, monkeypatch):
    keys, stages = keys_of(CROWD), Stages()
    pa.array([""])  # pyarrow loads pandas with its first array where it is installed; a report on DuckDB needs none

    def timed(what: Any, title: Any) -> Any:
        def run(*given: Any) -> Any:
            with stages.stage(title(given)):
                return what(*given)

        return run

    monkeypatch.setattr(tables, "statement", timed(tables.statement, lambda _: "saying it in SQL"))
    monkeypatch.setattr(DuckDB, "_compute", timed(DuckDB._compute, lambda given: given[1]))
    monkeypatch.setattr(DuckDB, "_answer", timed(DuckDB._answer, lambda _: "questions to what is kept"))
    with stages.stage("all"):
        with stages.stage("opening"):
            engine = open_engine(place)
        with engine:
            facts = experiment_facts(engine, PLAN, "cards", [Version(VERSIONS[1], SPLIT)], until=UNTIL, keys=keys)
        with stages.stage("statistics"):
            card = scorecard(facts)
        with stages.stage("text"):
            text = text_report(card)
    assert "challenger: " in text
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"\n{EVENTS / 1e6:g} M events, {CROWD.units:,} units; at most {peak:,.0f} MB")
    stages.print()
