"""``edgerun demo``: what it prints is what happened."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from edgerun import EdgeRunner
from edgerun.cli import main
from edgerun_bundles import recipes
from support import oracle

EDGERUN = Path(sys.executable).with_name("edgerun")
TIMEOUT_S = 300  # the shadow gets next to no time where others keep every core busy


def run(*arguments):
    return subprocess.run([EDGERUN, "demo", *arguments], capture_output=True, text=True, timeout=TIMEOUT_S, check=False)


@pytest.fixture(scope="module")
def expected():
    """By arm: how many calls and how many right ones; and how often the models disagree on the control's images."""
    folder = recipes.folder("digits")
    with np.load(folder / "test.npz") as file:
        images, labels, ids = file["image"], file["label"], file["image_id"].tolist()
    found = {
        model: oracle.run(folder / "bundle" / "models" / f"{model}.onnx", {"image": images})["label"]
        for model in ("champion", "challenger")
    }
    with EdgeRunner.open(folder / "bundle") as runner:
        split = runner.bundle.graph.nodes["split"].split
    is_control = np.array([split.assign(image_id) == "control" for image_id in ids])
    right = {"control": found["champion"] == labels, "challenger": found["challenger"] == labels}
    return {
        "control": (is_control.sum(), right["control"][is_control].mean()),
        "challenger": ((~is_control).sum(), right["challenger"][~is_control].mean()),
        "disagreed": (found["champion"] != found["challenger"])[is_control].sum(),
    }


def test_the_numbers_are_those_of_the_models(expected):
    found = json.loads(run("--repeat", "2", "--json").stdout)
    assert (found["bundle"], found["version"], found["images"]) == ("digits", "1.0.0", 600)
    for arm, model in (("control", "champion"), ("challenger", "challenger")):
        calls, accuracy = expected[arm]
        assert found["arms"][arm]["models"] == [model]
        assert found["arms"][arm]["calls"] == 2 * calls
        assert found["arms"][arm]["accuracy"] == pytest.approx(accuracy)
    assert found["all"]["calls"] == 1200
    assert found["shadows"] == [
        {
            "node": "control",
            "model": "challenger",
            "watched": 2 * expected["control"][0],
            "disagreed": 2 * expected["disagreed"],
            "failed": 0,
            "dropped": 0,
        }
    ]


def test_latencies_are_seconds_that_grow_with_their_percentile():
    for summary in json.loads(run("--repeat", "1", "--json").stdout)["arms"].values():
        for name in ("latency_s", "run_s"):
            assert 0 < summary[name]["p50"] <= summary[name]["p95"] <= summary[name]["p99"] < 1
        assert summary["latency_s"]["p50"] > summary["run_s"]["p50"]


def test_the_table_fits_a_narrow_terminal_and_stdout_holds_nothing_else(expected):
    done = run("--repeat", "1")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert max(map(len, lines)) <= 60
    table = {line[:13].strip(): line[13:].split() for line in lines if line}
    assert table["arm"] == ["control", "challenger", "all"]
    assert table["calls"] == [f"{expected[arm][0]:,}" for arm in ("control", "challenger")] + ["600"]
    assert [name for name in table if name.startswith("latency")] == [
        "latency mean",
        "latency p50",
        "latency p95",
        "latency p99",
    ]
    assert table["disagreed"][0] == str(expected["disagreed"])
    assert table["dropped"] == ["0"]


def test_ctrl_c_on_a_terminal_ends_the_bar_and_the_run():
    controller, terminal = pty.openpty()
    command = [
        "env",
        "--default-signal=INT",
        EDGERUN,
        "demo",
        "--repeat",
        "10000",
    ]  # heed it in the background
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=terminal) as process:
        os.close(terminal)
        seen = b""
        while b"%" not in seen:
            seen += os.read(controller, 1024)
        process.send_signal(signal.SIGINT)
        while b"interrupted" not in seen:
            seen += os.read(controller, 1024)
        assert process.wait(TIMEOUT_S) == 130
        assert process.stdout.read() == b""
    os.close(controller)
    assert b"Traceback" not in seen
    assert b"\x1b[?25h" in seen  # the cursor is back


def test_the_bar_ends_at_its_end():
    controller, terminal = pty.openpty()
    with subprocess.Popen([EDGERUN, "demo", "--repeat", "1"], stdout=subprocess.PIPE, stderr=terminal) as process:
        os.close(terminal)
        seen = b""
        while b"100%" not in seen:
            seen += os.read(controller, 1024)
        process.stdout.read()
    os.close(controller)
    assert process.returncode == 0


@pytest.mark.parametrize("repeat", ["0", "-1", "10001", "many"])
def test_a_repeat_that_makes_no_sense_is_wrong_usage(repeat):
    result = CliRunner().invoke(main, ["demo", "--repeat", repeat])
    assert result.exit_code == 2
    assert "--repeat" in result.stderr


def test_a_recipe_that_is_not_there_is_told_in_one_line(monkeypatch, tmp_path):
    (tmp_path / "birds" / "bundle").mkdir(parents=True)
    monkeypatch.setattr(recipes, "_INSTALLED", tmp_path)
    result = CliRunner().invoke(main, ["demo"])
    assert (result.exit_code, result.stderr) == (1, "edgerun: no recipe is named 'digits'; there are: birds\n")
