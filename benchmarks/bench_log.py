"""What the log costs: beside a bare run, OpenTelemetry and a JSON line, in bytes and in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from bench_predict import KEYS, bare_session, sticky_runner
from side_by_side import side_by_side

from support import models

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pytest_benchmark.fixture import BenchmarkFixture

    from edgerun import EdgeRunner

INPUTS = {"x": np.random.default_rng(0).normal(size=(1, 30)).astype(np.float32)}


def test_logged_predict_with_three_sticky_arms_against_a_bare_run(benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    runner, path = sticky_runner(tmp_path, models.mlp(), log=tmp_path / "log")
    session = bare_session(path)

    def predict() -> None:
        for key in KEYS:
            runner.predict(INPUTS, key=key)

    def run() -> None:
        for _ in KEYS:
            session.run(None, INPUTS)

    comparison = side_by_side("predict, logged, 30 features profiled", predict, run, items=len(KEYS), rounds=201)
    report_losses(runner)
    benchmark.extra_info["ratio"] = comparison.ratio
    benchmark(runner.predict, INPUTS, key=KEYS[0])


def test_logged_predict_against_the_same_without_a_log(benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    (tmp_path / "with").mkdir()
    (tmp_path / "bare").mkdir()
    logged, _ = sticky_runner(tmp_path / "with", models.mlp(), log=tmp_path / "log")
    bare, _ = sticky_runner(tmp_path / "bare", models.mlp())

    def predict(runner: EdgeRunner) -> Callable[[], None]:
        def calls() -> None:
            for key in KEYS:
                runner.predict(INPUTS, key=key)

        return calls

    side_by_side("predict with a log against predict without", predict(logged), predict(bare), items=512, rounds=201)
    report_losses(logged)
    benchmark(logged.predict, INPUTS, key=KEYS[0])


def test_logged_predict_of_a_20_ms_model_against_a_bare_run(benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    runner, path = sticky_runner(tmp_path, models.slow(), log=tmp_path / "log")
    session = bare_session(path)
    inputs = {"x": np.ones((1, 2), np.float32)}
    side_by_side(
        "predict, logged, a model of about 20 ms",
        lambda: runner.predict(inputs, key="session-1"),
        lambda: session.run(None, inputs),
        rounds=101,
    )
    benchmark.pedantic(runner.predict, (inputs,), {"key": "session-1"}, rounds=5)


def report_losses(runner: EdgeRunner) -> None:
    runner.flush()
    found = runner.stats().log
    assert found is not None
    print(f"lost: {found.lost}")
