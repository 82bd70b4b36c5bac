"""Four threads predict while bundles change under them: ``pytest benchmarks/bench_swap.py``.

Blocks of calls with swaps and without take turns, so that whatever disturbs the machine disturbs both. Every answer is
checked to be from one whole bundle. By default there are 100 swaps in 100,000 calls;
``EDGERUN_BENCH_SWAPS=1000`` makes it 1,000 in 1,000,000.
"""

from __future__ import annotations

import os
import statistics
import threading
import time
from itertools import cycle
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pytest

from edgerun import EdgeRunner, bundle
from edgerun.guard import DEFAULT_POLICY
from edgerun.serving import Serving
from edgerun.swapping import warm_up
from support import models

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pytest_benchmark.fixture import BenchmarkFixture

SWAPS = int(os.environ.get("EDGERUN_BENCH_SWAPS", "100"))
CALLS_A_SWAP = 1000
SWAPS_A_BLOCK = 10
THREADS = 4
LOOK_S = 0.001
SPLIT = {"ab": {"kind": "random_split", "weights": {"champion": 60, "challenger": 40}, "split_key": "session_id"}}
KEYS = [f"session-{number}" for number in range(64)]


class Block(NamedTuple):
    """What many calls took: the median and high quantiles, in microseconds."""

    p50_us: float
    p99_us: float
    p999_us: float
    swaps: int


def write_bundles(folder: Path, hidden: int) -> list[Path]:
    """Two bundles of two arms each, no two models of which answer the same."""
    found = []
    for version in range(2):
        paths = {}
        for seed, name in enumerate(("champion", "challenger"), start=2 * version):
            paths[name] = folder / f"{name}-{version}.onnx"
            paths[name].write_bytes(models.mlp(sizes=(30, hidden, hidden, 2), seed=seed))
        place = folder / f"bundle-{version}"
        golden = [{"inputs": {"x": np.ones((1, 30)).tolist()}}]
        given = {"name": "bench", "version": str(version), "models": paths, "golden": golden}
        bundle.write(place, **given, nodes=SPLIT, route="ab")
        found.append(place)
    return found


def expected_answers(folders: list[Path], inputs: dict[str, np.ndarray]) -> dict[tuple[str, str], bytes]:
    """What each model of each bundle answers, by version and model."""
    found = {}
    for folder in folders:
        with EdgeRunner.open(folder) as runner:
            for key in KEYS:
                answer = runner.predict(inputs, key=key)
                found[answer.version, answer.model] = answer["y"].tobytes()
    assert len(found) == len(set(found.values())) == 4
    return found


def swap(runner: EdgeRunner, folder: Path) -> None:
    """Load a bundle beside the one that serves, swap, and release the former one."""
    serving = Serving(bundle.read(folder), threads=1, policy=DEFAULT_POLICY, recorder=None)
    warm_up(serving, runner._served)
    assert runner._swap(serving)
    del serving
    while not runner._tenure.tidy():
        time.sleep(LOOK_S)


def run_block(
    runner: EdgeRunner,
    inputs: dict[str, np.ndarray],
    expected: dict[tuple[str, str], bytes],
    turns: Iterator[Path] | None,
) -> Block:
    """Let threads predict; a swap for every so many calls, if there is something to swap to."""
    calls = SWAPS_A_BLOCK * CALLS_A_SWAP // THREADS
    times = np.zeros((THREADS, calls), np.int64)
    wrong: list[object] = []
    barrier = threading.Barrier(THREADS + 1)

    def predict(number: int) -> None:
        barrier.wait()
        taken = times[number]
        for call in range(calls):
            key = KEYS[(call + number) % len(KEYS)]
            started = time.perf_counter_ns()
            answer = runner.predict(inputs, key=key)
            taken[call] = time.perf_counter_ns() - started
            if answer["y"].tobytes() != expected[answer.version, answer.model]:
                wrong.append(answer)

    threads = [threading.Thread(target=predict, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    first = runner._count()
    barrier.wait()
    swaps = 0
    while swaps < SWAPS_A_BLOCK:
        if runner._count() - first >= swaps * CALLS_A_SWAP:
            swaps += 1
            if turns is not None:
                swap(runner, next(turns))
        else:
            time.sleep(LOOK_S)
    for thread in threads:
        thread.join()
    assert wrong == []
    assert runner._count() - first == THREADS * calls
    assert (times > 0).all()  # a call that raised would have ended its thread
    p50, p99, p999 = np.quantile(times, [0.5, 0.99, 0.999]) / 1e3
    return Block(float(p50), float(p99), float(p999), 0 if turns is None else swaps)


@pytest.mark.parametrize("hidden", [64, 256], ids=["30 kB models", "300 kB models"])
def test_swaps_under_four_threads_against_the_same_threads_without(
    benchmark: BenchmarkFixture, tmp_path: Path, hidden: int
) -> None:
    folders = write_bundles(tmp_path, hidden)
    inputs = {"x": np.random.default_rng(0).normal(size=(1, 30)).astype(np.float32)}
    expected = expected_answers(folders, inputs)
    turns = cycle(folders[::-1])
    with EdgeRunner.open(folders[0]) as runner:
        for warm in (None, turns):
            run_block(runner, inputs, expected, warm)
        pairs = [
            (run_block(runner, inputs, expected, turns), run_block(runner, inputs, expected, None))
            for _ in range(SWAPS // SWAPS_A_BLOCK)
        ]
        benchmark.pedantic(swap, (runner, folders[0]), rounds=5)
    ratio = statistics.median(a.p99_us / b.p99_us for a, b in pairs)
    swaps = sum(a.swaps for a, _ in pairs)
    print(f"\n{swaps} swaps in {swaps * CALLS_A_SWAP:,} calls of {THREADS} threads: none lost, none failed")
    for name in ("p50_us", "p99_us", "p999_us"):
        with_us, without_us = [statistics.median(getattr(pair[i], name) for pair in pairs) for i in range(2)]
        print(f"  {name.removesuffix('_us'):<5} {with_us:.4g} us with swaps, {without_us:.4g} us without")
    print(f"  p99 with swaps against without, median of {len(pairs)} pairs of blocks: ratio {ratio:.4g}")
    benchmark.extra_info["ratio"] = ratio
