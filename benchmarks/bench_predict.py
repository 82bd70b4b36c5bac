"""predict() against a bare InferenceSession.run in the same process: ``pytest benchmarks/bench_predict.py``."""

from __future__ import annotations

import os
import statistics
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from side_by_side import side_by_side

from edgerun import EdgeRunner, bundle
from support import models

os.environ["ORT_DISABLE_TELEMETRY"] = "1"
import onnxruntime

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pytest_benchmark.fixture import BenchmarkFixture

KEYS = [f"session-{number}" for number in range(512)]
ARMS = {"champion": 60, "challenger": 30, "contender": 10}


def bare_session(path: Path) -> onnxruntime.InferenceSession:
    """A session with one thread, as edgerun opens it."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def sticky_runner(folder: Path, model: bytes, **options: Any) -> tuple[EdgeRunner, Path]:
    """A runner with a sticky split of three arms over one model, and the path of that model; options are of open()."""
    path = folder / "model.onnx"
    path.write_bytes(model)
    split = {"kind": "random_split", "weights": ARMS, "split_key": "session_id"}
    bundle.write(
        folder / "bundle", name="bench", version="1", models=dict.fromkeys(ARMS, path), nodes={"ab": split}, route="ab"
    )
    return EdgeRunner.open(folder / "bundle", **options), path


def test_predict_with_three_sticky_arms_against_a_bare_run(benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    runner, path = sticky_runner(tmp_path, models.mlp())
    session = bare_session(path)
    inputs = {"x": np.random.default_rng(0).normal(size=(1, 30)).astype(np.float32)}

    def predict() -> None:
        for key in KEYS:
            runner.predict(inputs, key=key)

    def run() -> None:
        for _ in KEYS:
            session.run(None, inputs)

    comparison = side_by_side("predict, 30-64-32-2 MLP", predict, run, items=len(KEYS), rounds=101)
    benchmark.extra_info["ratio"] = comparison.ratio
    benchmark(runner.predict, inputs, key=KEYS[0])


def test_predict_in_a_slice_and_behind_a_holdout_against_neither(benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    plain, path = sticky_runner(tmp_path, models.mlp())
    layer = {"name": "search", "from": 0, "to": 0.5}
    split = {"kind": "random_split", "weights": ARMS, "split_key": "session_id", "layer": layer}
    held = {"name": "2026-h2", "share": 0.05, "split_key": "session_id"}
    bundle.write(
        tmp_path / "layered",
        name="bench",
        version="1",
        models=dict.fromkeys(ARMS, path),
        nodes={"ab": split},
        route="ab",
        holdout=held,
    )
    layered = EdgeRunner.open(tmp_path / "layered")
    inputs = {"x": np.random.default_rng(0).normal(size=(1, 30)).astype(np.float32)}

    def predict(runner: EdgeRunner) -> Callable[[], None]:
        def run() -> None:
            for key in KEYS:
                runner.predict(inputs, key=key)

        return run

    comparison = side_by_side(
        "predict in a slice, behind a holdout", predict(layered), predict(plain), items=len(KEYS), rounds=101
    )
    benchmark.extra_info["ratio"] = comparison.ratio
    benchmark(layered.predict, inputs, key=KEYS[0])


def test_predict_of_a_20_ms_model_against_a_bare_run(benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    runner, path = sticky_runner(tmp_path, models.slow())
    session = bare_session(path)
    inputs = {"x": np.ones((1, 2), np.float32)}
    comparison = side_by_side(
        "predict, a model of about 20 ms",
        lambda: runner.predict(inputs, key="session-1"),
        lambda: session.run(None, inputs),
        rounds=101,
    )
    benchmark.extra_info["ratio"] = comparison.ratio
    benchmark.pedantic(runner.predict, (inputs,), {"key": "session-1"}, rounds=5)


def latencies_us(predict: Callable[[], Any], calls: int) -> list[float]:
    """The time of each call in microseconds."""
    times = []
    for _ in range(calls):
        start = time.perf_counter_ns()
        predict()
        times.append((time.perf_counter_ns() - start) / 1e3)
    return times


@pytest.mark.parametrize(
    ("hidden", "calls"), [(64, 4000), (1024, 400), (3072, 60)], ids=["3 us model", "0.3 ms model", "5 ms model"]
)
def test_p99_of_the_control_with_a_saturated_shadow(
    benchmark: BenchmarkFixture, tmp_path: Path, hidden: int, calls: int
) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(models.mlp(sizes=(30, hidden, hidden, 2)))
    both = {"champion": path, "challenger": path}
    watch = {"kind": "shadow_deploy", "champion": "champion", "shadows": ["challenger"]}
    bundle.write(tmp_path / "with", name="with", version="1", models=both, nodes={"watch": watch}, route="watch")
    bundle.write(tmp_path / "bare", name="bare", version="1", models={"champion": path}, nodes={}, route="champion")
    watched, bare = EdgeRunner.open(tmp_path / "with"), EdgeRunner.open(tmp_path / "bare")
    inputs = {"x": np.ones((1, 30), np.float32)}
    p99s = []
    for _ in range(21):
        block = latencies_us(lambda: watched.predict(inputs), calls)
        watched.shadows()  # the bare block shall have both cores
        p99s.append((np.quantile(block, 0.99), np.quantile(latencies_us(lambda: bare.predict(inputs), calls), 0.99)))
    ratio = statistics.median(a / b for a, b in p99s)
    counts = watched.stats().shadows[0].counts
    print(
        f"\np99 of the control, {hidden} hidden units: {statistics.median(a for a, _ in p99s):.4g} us with the shadow, "
        f"{statistics.median(b for _, b in p99s):.4g} us without, ratio {ratio:.4g} "
        f"(watched {counts.done} of {counts.offered})"
    )
    benchmark.extra_info["ratio"] = ratio
    benchmark(watched.predict, inputs)
