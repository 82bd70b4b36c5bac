"""``edgerun log``: the real command on logs that a runner wrote, and on damaged ones."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest

from edgerun import EdgeRunner
from edgerun.log import Capture, LogPolicy, read
from edgerun.log.writer import LogWriter
from support.logs import SOURCES, Ticks, batch_of, call, label
from vectors.log import log_reference as reference
from vectors.log.log_reference import Segment

VECTORS = Path(__file__).parents[1] / "vectors" / "log" / "v1"
HEEDING_CTRL_C = ("env", "--default-signal=INT")  # a job in a shell's background would ignore it
IMAGES = 60


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A log of the digits, and the predictions that it is of."""
    folder = tmp_path_factory.mktemp("served") / "log"
    digits = Path(__file__).parents[2] / "bundles" / "recipes" / "digits"
    images = np.load(digits / "test.npz")["image"][:IMAGES]
    policy = LogPolicy(capture=Capture("sample", 1.0))
    with EdgeRunner.open(digits / "bundle", log=folder, log_policy=policy) as runner:
        predictions = [runner.predict({"image": image[None]}, key=f"user-{i}") for i, image in enumerate(images)]
        for prediction in predictions[:10]:
            runner.label(prediction.id, 3)
        runner.label("00000000000000aa-5", 3)
        runner.outcome("clicked", 1.0, id=predictions[0].id)
    return folder, predictions


@pytest.fixture
def log(served):
    return served[0]


@pytest.fixture
def documents(invoke):
    """Run a command with --json, and return what it printed."""

    def run(*arguments):
        result = invoke("log", *arguments, "--json")
        assert result.stderr == ""
        return [json.loads(line) for line in result.stdout.splitlines()]

    return run


@pytest.fixture
def terminal(environment):
    """Run a command on a terminal, and return what it printed there."""

    def run(*arguments):
        parent, child = os.openpty()
        with subprocess.Popen(["edgerun", *map(str, arguments)], env=environment, stdout=child) as process:
            os.close(child)
            found = b""
            while True:
                try:
                    part = os.read(parent, 65536)
                except OSError:  # Linux says so where the other end is closed
                    break
                if not part:
                    break
                found += part
            assert process.wait(60) == 0
        os.close(parent)
        return found.decode().replace("\r\n", "\n")

    return run


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


# dump


def test_dump_prints_a_json_line_for_each_row_where_stdout_is_no_terminal(shell, log):
    run = shell(f"edgerun log dump {log}")
    assert (run.returncode, run.stderr) == (0, "")
    found = [json.loads(line) for line in run.stdout.splitlines()]
    whole = read(log)
    assert len(found) == sum(table.rows for table in whole.tables.values())
    assert {row["kind"] for row in found} == {k.name.lower() for k, table in whole.tables.items() if table.rows}
    assert [row["time"] for row in found] == sorted(row["time"] for row in found)


def test_a_call_says_how_it_was_answered(documents, served):
    folder, predictions = served
    by_id = {prediction.id: prediction for prediction in predictions}
    found = documents("dump", folder, "--kind", "call")
    assert {row["id"] for row in found} == {*by_id}
    for row in found:
        prediction = by_id[row["id"]]
        assert row["arm"] == prediction.arm
        assert row["model"] == prediction.model
        assert row["path"] == " > ".join(prediction.path)
        assert row["outputs"]["label"] == {"value": int(prediction["label"][0])}
        assert np.float32(row["outputs"]["probabilities"]["confidence"]) == prediction["probabilities"].max()
        assert "fallback" not in row


def test_captured_inputs_are_nested_lists(documents, log):
    row = documents("dump", log, "--kind", "capture", "--limit", "1")[0]
    assert np.shape(row["inputs"]["image"]) == (1, 64)
    assert row["probability"] == pytest.approx(1.0)


@pytest.mark.parametrize("kinds", [("label",), ("label", "outcome"), ("lifecycle", "profile")], ids="+".join)
def test_dump_filters_by_kind(documents, log, kinds):
    found = documents("dump", log, *(part for kind in kinds for part in ("--kind", kind)))
    assert {row["kind"] for row in found} == {*kinds}


def test_dump_filters_by_arm(documents, served):
    folder, predictions = served
    found = documents("dump", folder, "--arm", "challenger", "--kind", "call")
    assert len(found) == sum(prediction.arm == "challenger" for prediction in predictions) > 0
    assert {row["arm"] for row in found} == {"challenger"}


def test_dump_filters_by_time(documents, log):
    rows = documents("dump", log)
    middle = rows[len(rows) // 2]["time"]
    late = documents("dump", log, "--since", middle)
    early = documents("dump", log, "--until", middle)
    assert early + late == rows
    assert min(row["time"] for row in late) == middle
    assert documents("dump", log, "--since", "2h") == rows
    assert documents("dump", log, "--until", "2h") == []


def test_dump_stops_at_its_limit(documents, log):
    assert documents("dump", log, "--limit", 3) == documents("dump", log)[:3]
    assert documents("dump", log, "--limit", 0) == []


@pytest.mark.parametrize("text", ["soon", "10", "10y", "-5m", ""])
def test_a_time_that_is_none_is_wrong_usage(invoke, log, text):
    result = invoke("log", "dump", log, "--since", text)
    assert result.exit_code == 2
    assert "is no time: give 2025-11-23T09:30 (UTC) or how long ago" in " ".join(result.stderr.split())


def test_on_a_terminal_dump_prints_a_table(terminal, log):
    lines = terminal("log", "dump", log, "--kind", "call", "--kind", "label").splitlines()
    assert len(lines) == IMAGES + 11
    called = next(line for line in lines if "  call  " in line)
    assert re.search(r"Z  call       [0-9a-f]{16}-\d+ +(champion/control|challenger/challenger) ", called)
    assert re.search(r"\d us +label.value=\d  probabilities.class=\d  probabilities.confidence=[\d.]+", called)
    assert any(re.search(r"  label  .*value=3", line) for line in lines)


def test_what_a_file_says_cannot_steer_the_terminal(terminal, tmp_path):
    evil = "\x1b[2J\u202e"
    segment = Segment().frame(
        [reference.calls([1], [1], [5], outputs=[[4, 8, [reference.texts([evil])]]])],
        sources={0: reference.source(evil, evil, outputs=[evil])},
    )
    (tmp_path / f"{segment.name}.log").write_bytes(segment.data)
    for command in (["dump"], ["ls"], ["stats"], ["verify"]):
        assert not {*"\x1b\u202e"} & {*terminal("log", *command, tmp_path)}


def test_numbers_that_json_has_not_are_texts(documents):
    found = documents("dump", VECTORS, "--kind", "call")
    assert found[3]["outputs"]["output_1"]["value"] == "Infinity"
    assert found[0]["unit"] == "f" * 16


# dump --follow


def following(environment, folder, *arguments):
    line = [*HEEDING_CTRL_C, "edgerun", "log", "dump", str(folder), "--follow", *arguments]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(line, env=environment, text=True, **pipes)


def test_follow_prints_every_row_once_while_segments_are_sealed(environment, tmp_path):
    writer, count = LogWriter(tmp_path, clocks=Ticks().clocks()), 40
    writer.write(batch_of([call(0)]), (), SOURCES)
    with following(environment, tmp_path, "--kind", "call", "--kind", "label") as process:
        found, told = [json.loads(process.stdout.readline())], []
        for number in range(1, count):
            writer.write(batch_of([call(number), label(number)]), (), SOURCES)
            begin = time.monotonic()
            found += [json.loads(process.stdout.readline()) for _ in range(2)]
            told.append(time.monotonic() - begin)
            if number % 5 == 0:
                writer.seal()
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
        assert process.stdout.read() == ""
        assert process.stderr.read() == "edgerun: interrupted\n"
    writer.disown()
    assert sorted(row["id"] for row in found) == sorted(
        [f"{writer.epoch:016x}-{number}" for number in range(count)] + [f"event-{number}" for number in range(1, count)]
    )
    assert sorted(told)[len(told) // 2] < 1


def test_follow_ends_when_nobody_reads_any_more(environment, log):
    with following(environment, log) as process:
        assert process.stdout.readline()
        process.stdout.close()
        assert process.wait(60) in {0, 1}
        assert process.stderr.read() == ""


def test_follow_ends_at_its_limit(environment, log):
    with following(environment, log, "--limit", "5") as process:
        assert len(process.stdout.readlines()) == 5
        assert process.wait(60) == 0


# stats


def test_stats_sum_up_what_each_arm_did(documents, served):
    folder, predictions = served
    (found,) = documents("stats", folder)
    for group in found["groups"]:
        own = [prediction for prediction in predictions if prediction.arm == group["arm"]]
        assert (group["bundle"], group["version"], group["model"]) == ("digits", "1.0.0", own[0].model)
        assert group["calls"] == len(own)
        latency = [prediction.latency_s for prediction in own]
        assert group["latency_s"]["mean"] == pytest.approx(np.mean(latency), rel=1e-3)
        assert group["latency_s"]["p50"] == pytest.approx(np.quantile(latency, 0.5), rel=1e-3)
        assert group["latency_s"]["p99"] == pytest.approx(np.quantile(latency, 0.99), rel=1e-3)
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
