"""``edgerun log``: the real command on logs that a runner wrote, and on damaged ones."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from edgerun import EdgeRunner
from edgerun.log import read
from vectors.log import log_reference as reference
from vectors.log.log_reference import Segment

VECTORS = Path(__file__).parents[1] / "vectors" / "log" / "v1"
IMAGES = 60


# ls


def test_ls_has_a_line_for_each_segment(shell, log):
    run = shell(f"edgerun log ls {log}")
    assert (run.returncode, run.stderr) == (0, "")
    head, *lines, total = run.stdout.splitlines()
    assert head.split() == ["segment", "content", "rows", "from", "to", "bytes", "a", "row", "state"]
    assert sorted(line.split()[1] for line in lines) == ["journal", "measurements"]
    assert {line.split()[-1] for line in lines} == {"sealed"}
    assert total.startswith("total")


def test_ls_says_the_same_in_json(documents, log):
    (found,) = documents("ls", log)
    whole = read(log)
    assert sum(segment["rows"] for segment in found["segments"]) == sum(table.rows for table in whole.tables.values())
    for segment in found["segments"]:
        assert segment["bytes"] == (log / segment["file"]).stat().st_size
        assert segment["sealed"]
        assert segment["bytes_dropped"] == 0
        assert segment["first"] <= segment["last"]
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", segment["first"])
    measured = next(segment for segment in found["segments"] if segment["content"] == "measurements")
    assert measured["epoch"] == f"{int(whole.calls['epoch'][0]):016x}"
    assert measured["first"][:-1] <= str(whole.calls["time"].min())


def test_ls_shows_what_is_open_and_what_is_damaged(shell):
    lines = shell(f"edgerun log ls {VECTORS}").stdout.splitlines()
    assert lines[2].endswith("open, 72 bytes damaged")
    assert lines[3].endswith("sealed, 122 bytes damaged")


def test_ls_of_an_empty_folder(shell, tmp_path):
    assert shell(f"edgerun log ls {tmp_path}").stdout.splitlines()[1].split() == ["total", "0", "0"]


# stats


def test_stats_sum_up_what_each_arm_did(documents, served):
    folder, predictions = served
    (found,) = documents("stats", folder)
    for group in found["groups"]:
        own = [prediction for prediction in predictions if prediction.arm == group["arm"]]
        assert (group["bundle"], group["version"], group["model"]) == ("digits", "1.0.0", own[0].model)
        assert group["calls"] == len(own)
        latency = [prediction.latency_s for prediction in own]  # kept right to 1 in 400, and quantiles of them
        assert group["latency_s"]["mean"] == pytest.approx(np.mean(latency), rel=1 / 400)
        assert group["latency_s"]["p50"] == pytest.approx(np.quantile(latency, 0.5), rel=1 / 400)
        assert group["latency_s"]["p99"] == pytest.approx(np.quantile(latency, 0.99), rel=1 / 400)
        assert group["fallbacks"] == group["errors"] == group["nonfinite"] == 0
        assert group["labels"] == sum(prediction.arm == group["arm"] for prediction in predictions[:10])
    assert sum(group["calls"] for group in found["groups"]) == IMAGES
    assert found["labels"] == {"of_calls_here": 10, "of_calls_elsewhere": 1}
    assert found["outcomes"] == {"clicked": 1}
    whole = read(folder)
    assert sum(shadow["watched"] for shadow in found["shadows"]) == whole.shadows.rows
    assert sum(shadow["disagreed"] for shadow in found["shadows"]) == whole.shadows["disagrees"].sum()
    assert found["lost"]["rows_lost"] == 0


def test_stats_of_profiles_are_those_of_the_inputs(documents, log, digits):
    (found,) = documents("stats", log, "--profiles")
    images = np.load(digits / "test.npz")["image"][:IMAGES].astype(np.float64)
    served = [profile for profile in found["profiles"] if profile["node"] is None]
    ports = [port for profile in served for port in profile["ports"] if port["name"] == "image"]
    for column in (2, 10, 20):
        parts = [port["columns"][column] for port in ports]
        assert sum(part["count"] for part in parts) == IMAGES
        mean = sum(part["mean"] * part["count"] for part in parts) / IMAGES
        assert mean == pytest.approx(images[:, column].mean())
        assert all({"sd", "p1", "p50", "p99", "missing"} <= {*part} for part in parts)
    assert found["profiles_unreadable"] == 0


def test_stats_are_a_page_for_people(shell, log):
    run = shell(f"edgerun log stats {log} --profiles")
    assert (run.returncode, run.stderr) == (0, "")
    head, *lines = run.stdout.splitlines()
    assert head.split() == [
        "version", "model", "arm", "calls", "mean", "p50", "p90", "p99", "fallbacks", "errors", "labels",
    ]  # fmt: skip
    assert re.search(r"digits 1.0.0 +challenger +challenger +\d+ +[\d.]+ us", run.stdout)
    assert re.search(r"^outcome clicked +1$", run.stdout, re.MULTILINE)
    assert re.search(r"^labels of calls elsewhere +1$", run.stdout, re.MULTILINE)
    assert any(re.match(r"input +image\[63\] ", line) for line in lines)


def test_stats_count_errors_for_the_model_that_should_have_answered(documents):
    (found,) = documents("stats", VECTORS, "--profiles")
    control = next(group for group in found["groups"] if (group["arm"], group["model"]) == ("control", "champion"))
    assert control["errors"] == 1
    assert found["losses"] == {"ring_full": {"call": 12}}
    assert found["labels"] == {"of_calls_here": 1, "of_calls_elsewhere": 0}
    (watched,) = found["shadows"]
    assert (watched["node"], watched["watched"], watched["disagreed"], watched["failed"]) == ("watch", 2, 1, 1)
    assert found["profiles_unreadable"] == 2
    assert found["lost"]["rows_lost"] == 1


def test_stats_of_a_texts_profile(documents, tmp_path, cards):
    with EdgeRunner.open(cards / "bundle", log=tmp_path) as runner:
        for i in range(20):
            inputs = {"amount": [[1.5]], "distance_km": [[2.0]], "hour": [[i]], "merchant": [[f"shop {i % 4}"]]}
            runner.predict(inputs, meta={"card_type": "gold"})
    (found,) = documents("stats", tmp_path, "--profiles")
    port = next(port for port in found["profiles"][0]["ports"] if port["name"] == "merchant")
    assert port["columns"] == [
        {"count": 20, "missing": 0, "distinct": 4, "frequent": {f"shop {i}": 5 for i in range(4)}}
    ]


# verify


def test_verify_of_a_whole_log_says_so(shell, log):
    run = shell(f"edgerun log verify {log}")
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout.splitlines()[-1] == "whole: every byte of every segment is read"


def test_verify_names_what_is_damaged_and_fails(shell):
    run = shell(f"edgerun log verify {VECTORS}")
    assert (run.returncode, run.stderr) == (1, "")
    assert run.stdout == (
        "00000000000000e1-000000000000000a.open: 72 bytes at 289 cannot be read: the file ends within a frame\n"
        "00000000000000e2-0000000000000010.log: 122 bytes at 186 cannot be read: a checksum does not hold\n"
        "00000000000000e3-0000000000000000.log: 99 bytes at 399 cannot be read: no frame begins here\n"
        "stream 00000000000000e2: rows 17 to 17 are lost, of 00000000000000e2-0000000000000010.log\n"
        "lost (ring_full): call=12\n"
        "damaged: 293 bytes dropped, 1 rows known to be lost\n"
    )


def test_verify_says_the_same_in_json(invoke):
    result = invoke("log", "verify", VECTORS, "--json")
    assert result.exit_code == 1
    found = json.loads(result.stdout)
    assert (found["rows_lost"], found["bytes_dropped"]) == (1, 293)
    assert found["damage"][0] == {
        "file": "00000000000000e1-000000000000000a.open",
        "offset": 289,
        "length": 72,
        "why": "the file ends within a frame",
    }
    assert found["gaps"] == [
        {"epoch": "00000000000000e2", "first_row": 17, "rows": 1, "file": "00000000000000e2-0000000000000010.log"}
    ]
    assert found["losses"] == {"ring_full": {"call": 12}}


def test_verify_sees_a_flipped_bit_of_a_real_log(invoke, log, tmp_path):
    copy = Path(shutil.copytree(log, tmp_path / "copy"))
    largest = max(copy.iterdir(), key=lambda path: path.stat().st_size)
    data = bytearray(largest.read_bytes())
    data[len(data) // 2] ^= 1
    largest.write_bytes(bytes(data))
    result = invoke("log", "verify", copy)
    assert result.exit_code == 1
    assert f"{largest.name}: " in result.stdout


def test_segments_that_were_sent_are_no_damage(invoke, tmp_path):
    for first_row in (0, 9):
        segment = Segment(first_row=first_row, class_=1).frame([reference.notes(16, [1], [{"value": 1}])])
        (tmp_path / f"{segment.name}.log").write_bytes(segment.data)
    result = invoke("log", "verify", tmp_path)
    assert result.exit_code == 0
    assert "rows 1 to 8 are not here: sent, or dropped to keep the budget" in result.stdout


# All of them.


@pytest.mark.parametrize("command", ["dump", "ls", "stats", "verify"])
def test_a_folder_that_is_not_there_is_one_line(invoke, tmp_path, command):
    result = invoke("log", command, tmp_path / "nowhere")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == f"edgerun: {tmp_path}/nowhere cannot be read: No such file or directory; is it a log?\n"


@pytest.mark.parametrize("command", ["dump", "ls", "stats", "verify"])
def test_a_reader_that_has_enough_is_no_error(shell, log, command):
    assert shell(f"edgerun log {command} {log} | head -n 1").stderr == ""


@pytest.mark.parametrize("command", ["dump", "ls", "stats", "verify"])
def test_one_segment_is_a_log_too(invoke, log, command):
    segment = next(log.glob("*.log"))
    assert invoke("log", command, segment).exit_code == 0
