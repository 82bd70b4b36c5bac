"""onnxruntime's telemetry is off: serving leaves no file behind and opens no socket. The harness would notice."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from support import models
from support.serve import WATCHED, write_bundle

TIMEOUT_S = 100
TELEMETRY_SINCE = (1, 29)

pytestmark = pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="looks into /proc")

# What is watched runs first; then its process is looked at for a while, from inside.
WATCHER = """
import json, os, sys, time

def open_now():
    for fd in os.listdir("/proc/self/fd"):
        try:
            yield os.readlink(f"/proc/self/fd/{fd}")
        except OSError:
            pass

def is_loaded():
    with open("/proc/self/maps") as maps:
        return "libonnxruntime" in maps.read()

loaded_when_set = []

def hear(event, args):
    if event == "os.putenv" and args[0] == b"ORT_DISABLE_TELEMETRY":
        loaded_when_set.append(is_loaded())

sys.addaudithook(hear)
before = set(open_now())
exec(sys.argv[1])
found, until = set(), time.monotonic() + 2
while time.monotonic() < until:
    found |= set(open_now()) - before
    time.sleep(0.05)
print(json.dumps({
    "open": sorted(found),
    "loaded": is_loaded(),
    "loaded_when_set": loaded_when_set,
    "switch": os.environ.get("ORT_DISABLE_TELEMETRY"),
}))
"""

SERVE = """
import numpy as np
from edgerun import EdgeRunner
x = np.ones((1, 2), np.float32)
with EdgeRunner.open(FOLDER) as runner:
    for _ in range(5):
        runner.predict(x)
        runner.predict(x.tolist())
        runner.predict(x, deadline_s=60)
        runner.predict_batch(x)
    runner.shadows(60)
"""

PLAIN = """
import numpy as np
import onnxruntime
session = onnxruntime.InferenceSession(MODEL, providers=["CPUExecutionProvider"])
for _ in range(5):
    session.run(None, {"x": np.ones((1, 2), np.float32)})
"""


@pytest.fixture
def watch(tmp_path):
    """Run code in a fresh process with a home of its own; return what it had open and which files it left."""
    served = {"champion": models.steady(), "shadow": models.steady(3)}
    folder = write_bundle(tmp_path / "bundle", served, WATCHED)
    house = tmp_path / "house"
    for room in ("home", "tmp", "run", "here"):
        (house / room).mkdir(parents=True)

    def watch(code, **environment):
        model = folder / "models" / "champion.onnx"
        code = code.replace("FOLDER", repr(str(folder))).replace("MODEL", repr(str(model)))
        nowhere = "http://127.0.0.1:9"  # should anything be sent after all, it does not leave this machine
        result = subprocess.run(
            [sys.executable, "-c", WATCHER, code],
            cwd=house / "here",
            env={
                "HOME": str(house / "home"),
                "TMPDIR": str(house / "tmp"),
                "XDG_RUNTIME_DIR": str(house / "run"),
                **dict.fromkeys(("http_proxy", "https_proxy", "HTTPS_PROXY", "ALL_PROXY"), nowhere),
                **environment,
            },
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=True,
        )
        seen = json.loads(result.stdout)
        seen["files"] = sorted(str(path.relative_to(house)) for path in house.rglob("*") if path.is_file())
        seen["sockets"] = [name for name in seen["open"] if name.startswith("socket:")]
        return seen

    return watch


def assert_silent(seen):
    assert seen["files"] == []
    assert seen["sockets"] == []
    assert [name for name in seen["open"] if "house" in name] == []


@pytest.mark.parametrize("wish", [{}, {"ORT_DISABLE_TELEMETRY": "0"}], ids=["unset", "switched on"])
def test_serving_leaves_no_file_and_opens_no_socket(watch, wish):
    seen = watch(SERVE, **wish)
    assert_silent(seen)
    assert seen["loaded"]
    assert seen["switch"] == "1"


def test_the_switch_is_set_before_the_library_is_loaded(watch):
    seen = watch(SERVE)
    assert seen["loaded_when_set"][0] is False


def test_importing_edgerun_loads_no_library_and_leaves_nothing(watch):
    seen = watch("import edgerun")
    assert_silent(seen)
    assert not seen["loaded"]


def test_an_app_that_uses_onnxruntime_besides_is_silent_too(watch):
    assert_silent(watch(SERVE + PLAIN))


@pytest.mark.skipif(
    tuple(map(int, version("onnxruntime").split(".")[:2])) < TELEMETRY_SINCE,
    reason="this onnxruntime is too old to have telemetry that could be noticed",
)
def test_telemetry_would_be_noticed(watch):
    seen = watch(PLAIN)
    assert [name for name in seen["files"] if "onnxruntime" in name]
    assert [name for name in seen["open"] if "onnxruntime.db" in name]
