"""Starting and holding a model, in processes of their own: ``pytest benchmarks/bench_start.py``.

Both sides run from wheels, as on a device: an editable install looks every module up through a hook, which takes
longer than the modules themselves.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import sysconfig
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from edgerun import bundle
from support import models

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

OURS = """
import numpy as np
from edgerun import EdgeRunner
runner = EdgeRunner.open({bundle!r})
x = np.ones((1, {width}), np.float32)
for call in range({calls}):
    runner.predict(x, key=f"session-{{call}}")
"""

BARE = """
import numpy as np
import onnxruntime
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = options.inter_op_num_threads = 1
session = onnxruntime.InferenceSession({model!r}, options, providers=["CPUExecutionProvider"])
x = np.ones((1, {width}), np.float32)
for call in range({calls}):
    session.run(None, {{"x": x}})
"""

RESIDENT = """
print([line.split()[1] for line in open("/proc/self/status") if line.startswith("VmRSS")][0])
"""


def write_bundle(folder: Path, sizes: tuple[int, ...]) -> dict[str, object]:
    """A bundle of one model, and the names that the programs above need."""
    model = folder / "model.onnx"
    model.write_bytes(models.mlp(sizes=sizes))
    bundle.write(folder / "bundle", name="start", version="1", models={"champion": model}, nodes={}, route="champion")
    return {"bundle": str(folder / "bundle"), "model": str(model), "width": sizes[0]}


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The folder into which edgerun was installed from a wheel."""
    folder = str(tmp_path_factory.mktemp("installed"))
    project = str(Path(__file__).parents[1])
    command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", folder, project]
    subprocess.run(command, check=True, capture_output=True)
    return folder


def run(program: str, installed: str) -> str:
    """What a program prints, in a fresh interpreter with telemetry off for both sides."""
    paths = [installed, sysconfig.get_path("purelib")]
    # -S: no hooks of .pth files
    command = [sys.executable, "-S", "-c", f"import sys\nsys.path[:0] = {paths}\n{program}"]
    return subprocess.run(
        command, check=True, capture_output=True, text=True, env={**os.environ, "ORT_DISABLE_TELEMETRY": "1"}
    ).stdout


def seconds(program: str, installed: str) -> float:
    """How long a program takes."""
    start = time.perf_counter()
    run(program, installed)
    return time.perf_counter() - start


def test_import_open_and_first_predict_against_onnxruntime(
    benchmark: BenchmarkFixture, tmp_path: Path, installed: str
) -> None:
    names = write_bundle(tmp_path, (30, 64, 32, 2))
    ours, bare = OURS.format(**names, calls=1), BARE.format(**names, calls=1)
    seconds(ours, installed), seconds(bare, installed)
    pairs = [(seconds(ours, installed), seconds(bare, installed)) for _ in range(21)]
    ratio = statistics.median(a / b for a, b in pairs)
    medians = [1e3 * statistics.median(column) for column in zip(*pairs, strict=True)]
    print(f"\nimport, open, first predict: {medians[0]:.4g} ms against {medians[1]:.4g} ms, ratio {ratio:.4g}")
    benchmark.extra_info["ratio"] = ratio
    benchmark.pedantic(run, (ours, installed), rounds=3)


@pytest.mark.parametrize("sizes", [(30, 64, 32, 2), (30, 1024, 1024, 2)], ids=["20 kB model", "4 MB model"])
def test_resident_memory_above_bare_onnxruntime(
    benchmark: BenchmarkFixture, tmp_path: Path, installed: str, sizes: tuple[int, ...]
) -> None:
    names = write_bundle(tmp_path, sizes)
    ours, bare = OURS.format(**names, calls=1000) + RESIDENT, BARE.format(**names, calls=1000) + RESIDENT
    above = statistics.median(int(run(ours, installed)) - int(run(bare, installed)) for _ in range(7))
    print(f"\nresident after 1000 calls: {above / 1024:+.1f} MB against onnxruntime's Python module")
    benchmark.extra_info["megabytes_above"] = above / 1024
    benchmark.pedantic(run, (ours, installed), rounds=1)
