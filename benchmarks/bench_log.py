"""What the log costs: beside a bare run, OpenTelemetry and a JSON line, in bytes and in memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import zstandard
from bench_predict import KEYS, bare_session, sticky_runner
from edgerun._edgerun import ffi, lib
from msgpack import packb
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from side_by_side import side_by_side

from edgerun import EdgeRunner, log
from edgerun._core import profile as profile_core
from edgerun._core import recorder as core
from edgerun._core.runtime import Lane
from edgerun.disk import RealDisk
from edgerun.log.policy import DEFAULT_LOG_POLICY, LogPolicy
from edgerun.log.recorder import Recorder
from edgerun.log.rounding import rounded
from edgerun.log.rows import FLAG_KEYED, Batch, Kind, OutputShape, Source
from edgerun.log.writer import LogWriter
from edgerun_bundles import recipes
from support import models

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pytest_benchmark.fixture import BenchmarkFixture

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


# One event, without a model: what recording alone costs beside what others do.

COUNT = 2000


class Recording:
    """A recorder with its ring, its profile and the drain, and a lane of 30 inputs and 2 outputs that was run."""

    def __init__(self) -> None:
        self.ring = core.new_recorder(2**21)
        self.profile = profile_core.new_profile(1, 1)
        self.source = core.Source(self.ring, None, self.profile, 0, keyed=True)
        outputs = (np.array([[0.25, 0.75]], np.float32),)
        self.lane = Lane((INPUTS["x"],), outputs)
        self.event = ffi.new("er_event *", {"sequence": 1, "unit": 2, "time_ns": 3, "latency_ns": 4, "flags": 128})
        self.drain = core.Drain(self.ring, 8192)

    def record_and_drain(self) -> None:
        """Record COUNT calls, profile them and take them out as columns."""
        source, event, lane = self.source.handle, self.event, self.lane.handle
        for _ in range(COUNT):
            lib.er_record_call(source, event, lane)
        assert len(self.drain.take().kind) == COUNT


def test_a_recorded_and_profiled_event_against_an_opentelemetry_histogram(benchmark: BenchmarkFixture) -> None:
    recording = Recording()
    meter = MeterProvider([InMemoryMetricReader()]).get_meter("bench")
    histogram = meter.create_histogram("latency")
    attributes = {"model": "champion", "arm": "control"}

    def record() -> None:
        for _ in range(COUNT):
            histogram.record(0.003, attributes)

    side_by_side("an event, 30 features profiled, against histogram.record", recording.record_and_drain, record,
                 items=COUNT)  # fmt: skip
    benchmark(recording.record_and_drain)


def test_a_recorded_and_profiled_event_against_a_line_of_json(benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    recording = Recording()
    event = {"id": "0123456789abcdef-1", "time": 1.5e9, "latency_s": 3e-6, "model": "champion", "arm": "control",
             "label": 1, "confidence": 0.75}  # fmt: skip
    with (tmp_path / "events.jsonl").open("w") as file:

        def write() -> None:
            for _ in range(COUNT):
                file.write(json.dumps(event) + "\n")

        side_by_side("an event, 30 features profiled, against a line of JSON", recording.record_and_drain, write,
                     items=COUNT)  # fmt: skip
    benchmark(recording.record_and_drain)


def test_recording_without_a_pause(benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    """Three seconds, as fast as one thread of Python can, on one core with the thread that writes."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    try:
        recorder = Recorder(str(tmp_path / "log"), LogPolicy())
        source = recorder.source(
            Source("b", "1", "m", "m", ("m",), outputs=("y",)), None, ("x",), ("y",), check_finite=False, keyed=True
        )
        lane = Lane((INPUTS["x"],), (np.array([[0.25, 0.75]], np.float32),))
        event = ffi.new("er_event *", {"unit": 2, "flags": 128})
        sent, started = 0, time.perf_counter()
        while time.perf_counter() - started < 3:
            for _ in range(500):
                event.sequence, event.time_ns, event.latency_ns = sent, core.clock_ns(), 3000 + sent % 100
                while lib.er_record_call(source.handle, event, lane.handle) < 0:
                    time.sleep(0)  # the ring is full: a caller that must not lose anything waits
                sent += 1
        assert recorder.flush(None)
        rate = sent / (time.perf_counter() - started)
        recorder.close()
    finally:
        os.sched_setaffinity(0, cores)
    kept = log.read(tmp_path / "log")
    assert kept.calls.rows == sent
    print(f"\nsustained, one core, group commit: {rate / 1e3:.0f} k events/s durable ({sent:,} events, 30 features)")
    benchmark.pedantic(lambda: None)


# Bytes.


def ten_hertz(n: int = 20_000, policy: LogPolicy = DEFAULT_LOG_POLICY) -> tuple[Batch, dict[int, Source]]:
    """Calls at 10 Hz with 2 ms jitter, log-normal latency, three arms by 200 sessions, a class and its confidence.

    They are as the recorder hands them on: times and latencies are as fine as the policy wants them.
    """
    rng = np.random.default_rng(0)
    sessions = np.repeat(np.arange(200), n // 200)
    units = rng.integers(0, 2**64, 200, dtype=np.uint64)
    arms = rng.choice(3, 200, p=[0.6, 0.3, 0.1])
    margin = np.abs(rng.normal(2, 2, n))
    confidence = (1 / (1 + np.exp(-margin))).astype(np.float32)
    latency = rng.lognormal(np.log(1e6), 0.3, n).astype(np.int64)
    excess = np.maximum(0, np.floor(np.log2(latency)).astype(np.int64) - 10)
    mantissa = (latency + (1 << excess >> 1)) >> excess
    label = rng.random(n) < 0.2
    numbers = np.stack([label.astype(np.uint64), confidence.view(np.uint32).astype(np.uint64) | 2**31], axis=1)
    shapes = ((OutputShape(2, 1, 2),),)
    batch = Batch(
        kind=np.full(n, Kind.CALL, np.uint8),
        flags=np.full(n, FLAG_KEYED, np.uint8),
        source=arms[sessions].astype(np.uint32),
        sequence=np.arange(n, dtype=np.uint64),
        unit=units[sessions],
        time_us=(10**9 + 100_000 * np.arange(n) + rng.normal(0, 2000, n)).astype(np.int64),
        latency=((excess << 10) + mantissa).astype(np.uint32),
        shape=np.zeros(n, np.uint16),
        numbers=numbers.reshape(-1),
        numbers_at=np.arange(0, 2 * n + 1, 2, dtype=np.uint32),
        data=np.empty(0, np.uint8),
        data_at=np.zeros(n + 1, np.uint32),
        shapes=shapes,
    )
    names = ("champion", "challenger", "contender")
    batch = rounded(batch, policy)
    return batch, {i: Source("b", "1", arm, arm, ("ab", arm), arm, outputs=("y",)) for i, arm in enumerate(names)}


@pytest.mark.parametrize("policy", [LogPolicy(), LogPolicy(time_step_us=1, latency_bits=11)], ids=["default", "exact"])
def test_bytes_of_an_event_at_ten_hertz(benchmark: BenchmarkFixture, tmp_path: Path, policy: LogPolicy) -> None:
    batch, sources = ten_hertz(policy=policy)
    writer = LogWriter(tmp_path / "log", policy=policy)
    writer.write(batch, (), sources)
    writer.close()
    n, size = len(batch.kind), sum(path.stat().st_size for path in (tmp_path / "log").iterdir())
    how = f"times of {policy.time_step_us} us, latencies of {policy.latency_bits} bits"
    print(f"\n10 Hz, 2 ms jitter, 3 arms, 200 sessions, {how}, sealed: {size / n:.3f} bytes an event")
    calls = log.read(tmp_path / "log").calls
    assert np.array_equal(calls["unit"], batch.unit)
    assert np.array_equal(calls["monotonic_us"], batch.time_us)
    benchmark.pedantic(lambda: None)


@pytest.mark.parametrize("recipe", ["digits", "cards"])
def test_bytes_of_an_event_of_the_recipes(benchmark: BenchmarkFixture, tmp_path: Path, recipe: str) -> None:
    folder = recipes.folder(recipe)
    with EdgeRunner.open(folder / "bundle", log=tmp_path / "log") as runner:
        for _ in range(10):
            for call in calls_of(recipe):
                runner.predict(*call[:1], **call[1])
            runner.shadows(60)
        runner.flush()
    size = sum(path.stat().st_size for path in (tmp_path / "log").iterdir())
    kept = log.read(tmp_path / "log")
    rows = kept.calls.rows + kept.shadows.rows
    profiles = sum(len(zstandard.compress(packb(value))) for value in kept.profiles["profile"])
    print(
        f"\n{recipe}: {rows:,} calls and shadows, {size / rows:.2f} bytes an event; "
        f"{(size - profiles) / rows:.2f} without the profiles, {profiles:,} bytes"
    )
    benchmark.pedantic(lambda: None)


def calls_of(recipe: str) -> list[tuple[Any, dict[str, Any]]]:
    """The inputs of the recipe's test set, and how each is called."""
    folder = recipes.folder(recipe)
    if recipe == "digits":
        with np.load(folder / "test.npz") as file:
            images, ids = file["image"], file["image_id"].tolist()
        return [(images[i : i + 1], {"key": ids[i]}) for i in range(len(ids))]
    lines = [json.loads(line) for line in (folder / "test.jsonl").read_text().splitlines()]
    dtypes = {"amount": np.float32, "distance_km": np.float32, "hour": np.int64, "merchant": object}
    return [
        ({name: np.array(value, dtypes[name]) for name, value in line["inputs"].items()}, {"meta": line["meta"]})
        for line in lines
    ]


def test_bytes_written_at_one_event_a_second(benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    """Five minutes: 300 groups of one event, then a seal."""
    batch, sources = ten_hertz()
    disk = Counting()
    writer = LogWriter(tmp_path / "log", policy=LogPolicy(), disk=disk)
    for i in range(300):
        writer.write(row_of(batch, i), (), sources)
    writer.close()
    kept = sum(path.stat().st_size for path in (tmp_path / "log").iterdir())
    print(
        f"\n1 event a second, a seal after 300: {disk.written} bytes written, {kept} kept, {disk.written / kept:.1f} x"
    )
    benchmark.pedantic(lambda: None)


class Counting(RealDisk):
    """The disk, and how many bytes were written to it."""

    written = 0

    def write(self, file: int, offset: int, data: bytes) -> int:
        self.written += len(data)
        return super().write(file, offset, data)


def row_of(batch: Batch, row: int) -> Batch:
    """One row of a batch whose rows have two numbers each."""
    columns = {name: getattr(batch, name)[row : row + 1] for name in (*Batch._fields[:8],)}
    numbers = batch.numbers[2 * row : 2 * row + 2]
    ends = np.array([0, 2], np.uint32), np.zeros(2, np.uint32)
    return batch._replace(**columns, numbers=numbers, numbers_at=ends[0], data_at=ends[1])


# Memory.


def test_memory_of_a_log(benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    """What a process with a log holds more than one without, after 30,000 calls of 30 features by 3 arms."""
    found = {}
    for name, options in (("with", {"log": str(tmp_path / "log")}), ("without", {})):
        (tmp_path / name).mkdir()
        runner, _ = sticky_runner(tmp_path / name, models.mlp())
        runner.close()
        script = MEMORY.format(bundle=str(tmp_path / name / "bundle"), options=options)
        run = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
        found[name] = int(run.stdout)
    more = (found["with"] - found["without"]) / 2**20
    print(f"\nmemory of ring, sketches and flusher, 30 features, 3 arms: {more:.1f} MiB of resident memory")
    benchmark.pedantic(lambda: None)


MEMORY = """
import numpy as np, psutil
import edgerun.log.recorder  # its libraries are in both
from edgerun import EdgeRunner
runner = EdgeRunner.open({bundle!r}, **{options!r})
rng = np.random.default_rng(0)
for i in range(30_000):
    runner.predict({{"x": rng.normal(size=(1, 30)).astype(np.float32)}}, key=i)
runner.flush()
print(psutil.Process().memory_info().rss)
"""
