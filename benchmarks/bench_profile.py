"""Profiles of a 30-feature row against whylogs, and the memory that they take.

Run ``pytest benchmarks/bench_profile.py``.
"""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

os.environ["WHYLOGS_NO_ANALYTICS"] = "True"  # read when whylogs is imported

import whylogs
from edgerun._edgerun import ffi, lib
from side_by_side import side_by_side

from edgerun._core import profile as core

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

FEATURES = 30
ROWS = np.random.default_rng(1).normal(size=(4096, FEATURES)).astype(np.float32)
NAMED = [{f"feature_{i}": float(value) for i, value in enumerate(row)} for row in ROWS]


def prepared(at_once: int) -> list[Any]:
    """The er_profile_data of ROWS, so many rows each, as a recorder would have them."""
    pieces = [ROWS[start : start + at_once] for start in range(0, len(ROWS), at_once)]
    return [ffi.new("er_profile_data *", (1, FEATURES, at_once, ffi.from_buffer(piece), ffi.NULL)) for piece in pieces]


@pytest.mark.parametrize("at_once", [1, 256], ids=["a call a row", "256 rows a call"])
def test_a_row_of_30_features_against_whylogs(benchmark: BenchmarkFixture, at_once: int) -> None:
    handle, rows, update = core.new_profile(1, 0), prepared(at_once), lib.er_profile_update
    peer, named = whylogs.log(NAMED[0]).profile(), NAMED[:8]

    def take_in() -> None:
        for row in rows:
            update(handle, 0, row)

    def track() -> None:
        for _ in range(len(ROWS) // len(named)):
            for row in named:
                peer.track(row)

    comparison = side_by_side(
        f"er_profile_update through cffi, {at_once} rows a call, against whylogs track, a row of {FEATURES}",
        take_in,
        track,
        items=len(ROWS),
        rounds=3,
    )
    benchmark.extra_info["ratio"] = comparison.ratio
    benchmark.extra_info["rows_per_s"] = 1 / comparison.product_s
    benchmark(take_in)


def test_a_latency_against_a_list(benchmark: BenchmarkFixture) -> None:
    handle, count, latencies, kept = core.new_profile(1, 0), core.count_latency, range(5000, 9096), list[int]()

    def take_in() -> None:
        for latency in latencies:
            count(handle, latency)

    def keep() -> None:
        kept.clear()
        for latency in latencies:
            kept.append(latency)

    comparison = side_by_side("er_profile_latency through cffi against list.append", take_in, keep, items=4096)
    benchmark.extra_info["ratio"] = comparison.ratio
    benchmark(take_in)


MEMORY = """
import ctypes, sys
import numpy as np
from edgerun._core import profile as core
kind, rows = sys.argv[1], int(sys.argv[2])
source = np.random.default_rng(1)
draw = {{"normal": source.standard_normal, "log-normal": lambda n: source.lognormal(0, 2, n),
        "Cauchy": source.standard_cauchy}}[kind]
class Mallinfo(ctypes.Structure):
    names = "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost"
    _fields_ = [(name, ctypes.c_size_t) for name in names.split()]
ask = ctypes.CDLL(None).mallinfo2
ask.restype = Mallinfo
def allocated():
    found = ask()
    return found.uordblks + found.hblkhd
def block():
    numbers = draw(({features} + 2) * 1000).astype(np.float32).reshape(-1, {features} + 2)
    return [np.ascontiguousarray(part) for part in np.split(numbers, [{features}], axis=1)]
warm = core.new_profile(1, 1)
core.update(warm, 0, 1, block()[0])
del warm
before = allocated()
profiles = [core.new_profile(1, 1) for arm in range(3)]
for _ in range(rows // 1000):
    for profile in profiles:
        for port, numbers in enumerate(block()):
            core.update(profile, port, 1, numbers)
print(allocated() - before)
"""


@pytest.mark.parametrize("rows", [1000, 20_000, 1_000_000])
@pytest.mark.parametrize("kind", ["normal", "log-normal", "Cauchy"])
def test_memory_of_three_arms(benchmark: BenchmarkFixture, kind: str, rows: int) -> None:
    """30 features and 2 outputs in each of three profiles; what glibc's malloc handed out, in a process of its own."""
    program = MEMORY.format(features=FEATURES)
    command = [sys.executable, "-c", program, kind, str(rows)]
    grown = int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    print(f"\n{kind}, {rows} rows an arm: {grown / 1024:.0f} KiB for 3 profiles of {FEATURES} features and 2 outputs")
    benchmark.extra_info["bytes"] = grown
    benchmark.pedantic(core.new_profile, (1, 1), rounds=1)
