"""``edgerun log dump``: rows for scripts and for people, and those of a living log."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest

from edgerun.log import read
from edgerun.log.writer import LogWriter
from support.logs import SOURCES, Ticks, batch_of, call, label
from vectors.log import log_reference as reference
from vectors.log.log_reference import Segment

VECTORS = Path(__file__).parents[1] / "vectors" / "log" / "v1"
HEEDING_CTRL_C = ("env", "--default-signal=INT")  # a job in a shell's background would ignore it
IMAGES = 60


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
    assert re.search(r"\d (us|ms|s) +label.value=\d  probabilities.class=\d  probabilities.confidence=[\d.]+", called)
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
    writer, count = LogWriter(tmp_path, clocks=Ticks().clocks()), 16
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
