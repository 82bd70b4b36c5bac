"""``edgerun predict``: calls of files, of every format, through real bundles."""

from __future__ import annotations

import io
import json
import subprocess

import numpy as np
import pytest

from support import models

CARD = {"amount": [[12.5]], "distance_km": [[3]], "hour": [[14]], "merchant": [["fuel"]]}
FIELDS = ("outputs", "model", "arm", "assignment", "path", "version", "fallback", "latency_s", "id")


def pairs(value):
    return json.dumps([[value, -value]])


def answer(result):
    """The one JSON document that a good run prints."""
    assert result.exit_code == 0, result.stderr
    assert result.stderr == ""
    return json.loads(result.stdout)


@pytest.fixture
def image(digits):
    with np.load(digits / "test.npz") as file:
        return file["image"][:1], file["label"][0]


def test_it_answers_a_digit_as_a_user_would_ask(shell, digits, image, tmp_path):
    np.save(tmp_path / "image.npy", image[0])
    run = shell(f"edgerun predict {digits}/bundle --input {tmp_path}/image.npy --key image-7")
    assert (run.returncode, run.stderr) == (0, "")
    facts = dict(line.split(maxsplit=1) for line in run.stdout.splitlines() if line)
    assert facts["label"] == f"[{image[1]}]"
    assert facts["bundle"] == "digits 1.0.0"
    assert (facts["arm"], facts["model"], facts["path"]) == ("control", "champion", "split > control > champion")


def test_json_names_all_there_is_to_know_of_a_call(invoke, toy):
    found = answer(invoke("predict", toy, "--input", "-", "--json", stdin=pairs(1.5)))
    assert tuple(found) == FIELDS
    assert found["outputs"] == {"y": [[3.0, -3.0]]}
    assert found["latency_s"] > 0
    assert {name: found[name] for name in ("model", "arm", "assignment", "path", "version", "fallback")} == {
        "model": "double",
        "arm": None,
        "assignment": None,
        "path": ["double"],
        "version": "1",
        "fallback": None,
    }


@pytest.mark.parametrize(
    "inputs", ['{"x": [[1, 2]]}', "[[1, 2]]", "\ufeff[[1, 2]]"], ids=["object", "list", "with BOM"]
)
def test_a_json_file_is_an_object_of_inputs_or_the_one_input(invoke, toy, tmp_path, inputs):
    (tmp_path / "call.json").write_text(inputs, "utf-8")
    assert answer(invoke("predict", toy, "--input", tmp_path / "call.json", "--json"))["outputs"]["y"] == [[2, 4]]


@pytest.mark.parametrize("name", ["call.npy", "call.npz", "CALL.NPZ"])
def test_a_numpy_file_holds_the_input_or_all_inputs(invoke, toy, tmp_path, name):
    x = np.array([[1, 2]], np.float32)
    with (tmp_path / name).open("wb") as file:
        np.save(file, x) if name == "call.npy" else np.savez(file, x=x)
    assert answer(invoke("predict", toy, "--input", tmp_path / name, "--json"))["outputs"]["y"] == [[2, 4]]


def test_stdin_may_hold_any_format(invoke, toy):
    file = io.BytesIO()
    np.save(file, np.array([[1, 2]], np.float32))
    found = answer(invoke("predict", toy, "--input", "-", "--format", "npy", "--json", stdin=file.getvalue()))
    assert found["outputs"]["y"] == [[2, 4]]


def test_numpy_files_come_through_a_pipe_too(shell, toy, tmp_path):
    np.savez(tmp_path / "call.npz", x=np.array([[1, 2]], np.float32))
    run = shell(f"cat {tmp_path}/call.npz | edgerun predict {toy} --input - --format npz --json")
    assert json.loads(run.stdout)["outputs"]["y"] == [[2, 4]]


def test_each_line_of_a_jsonl_file_is_a_call(shell, cards):
    run = shell(f"edgerun predict {cards}/bundle --input {cards}/test.jsonl --json")
    assert (run.returncode, run.stderr) == (0, "")
    found = [json.loads(line) for line in run.stdout.splitlines()]
    rows = [json.loads(line) for line in (cards / "test.jsonl").read_text("utf-8").splitlines()]
    assert len(found) == len(rows)
    ways = {
        "gold": {("by-card", "champion")},
        "black": {("by-card", "ab", "champion"), ("by-card", "ab", "challenger")},
        "silver": {("by-card", "watch", "champion")},
    }
    assert all(tuple(call["path"]) in ways[row["meta"]["card_type"]] for call, row in zip(found, rows, strict=True))
    assert len({call["id"] for call in found}) == len(found)


def test_lines_for_people_say_outputs_model_and_arm(invoke, cards):
    line = json.dumps({"inputs": CARD, "meta": {"card_type": "black", "session_id": 7}, "label": 0})
    result = invoke("predict", cards / "bundle", "--input", "-", "--format", "jsonl", stdin=f"\n{line}\n\n{line}\n")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("label=[0]  probabilities=[[")
    assert lines[0].endswith("]]  model=champion  arm=champion")


def test_a_line_is_answered_before_the_next_one_comes(environment, toy):
    line = f"exec edgerun predict {toy} --input - --format jsonl --json"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(["bash", "-c", line], env=environment, **pipes) as process:
        for number in (1, 2):
            process.stdin.write(json.dumps({"inputs": [[number, 0]]}) + "\n")
            process.stdin.flush()
            assert json.loads(process.stdout.readline())["outputs"]["y"] == [[2 * number, 0]]
        process.stdin.close()
        assert process.wait(30) == 0


def test_meta_routes_and_the_key_may_stand_in_it(invoke, cards):
    options = ("--input", "-", "--meta", "card_type=black", "--meta", "session_id=s=1", "--json")
    by_meta = answer(invoke("predict", cards / "bundle", *options, stdin=json.dumps(CARD)))
    options = ("--input", "-", "--meta", "card_type=black", "--key", "s=1", "--json")
    by_key = answer(invoke("predict", cards / "bundle", *options, stdin=json.dumps(CARD)))
    assert by_meta["path"] == by_key["path"]
    assert by_meta["assignment"] == by_key["assignment"] == "assigned"


def test_a_key_that_is_missing_is_said_to_be(invoke, cards):
    result = invoke("predict", cards / "bundle", "--input", "-", "--meta", "card_type=black", stdin=json.dumps(CARD))
    assert "arm      none (unassigned)" in result.stdout


def test_a_meta_field_that_no_node_reads_is_told_on_stderr(invoke, cards):
    result = invoke("predict", cards / "bundle", "--input", "-", "--meta", "card=gold", stdin=json.dumps(CARD))
    assert result.exit_code == 0
    assert result.stderr == (
        "edgerun: warning: no node of the graph reads the meta field 'card'; it reads: card_type, session_id\n"
    )


def test_a_model_that_stands_in_is_said_to(invoke, make_bundle):
    nodes = {"ab": {"kind": "random_split", "weights": {"good": 0, "bad": 1}, "control": "good"}}
    bundle = make_bundle("ab", nodes, good=models.steady(), bad=models.raises())
    result = invoke("predict", bundle, "--input", "-", stdin=pairs(1))
    assert "model    good (instead of bad: error)" in result.stdout
    found = answer(invoke("predict", bundle, "--input", "-", "--json", stdin=pairs(1)))
    assert (found["model"], found["arm"], found["fallback"]) == ("good", "bad", "error")


def test_numbers_of_float32_are_not_longer_than_they_need_be(invoke, make_bundle):
    bundle = make_bundle(same=models.identity())
    assert answer(invoke("predict", bundle, "--input", "-", "--json", stdin="[0.1]"))["outputs"]["y"] == [0.1]


def test_what_json_has_no_number_for_is_a_text(invoke, make_bundle):
    bundle = make_bundle(same=models.identity())
    found = answer(invoke("predict", bundle, "--input", "-", "--json", stdin="[NaN, Infinity, -Infinity, 1]"))
    assert found["outputs"]["y"] == ["NaN", "Infinity", "-Infinity", 1.0]


def test_maps_and_texts_come_out_as_json(invoke, make_bundle):
    bundle = make_bundle(words=models.strings_to_map())
    found = answer(invoke("predict", bundle, "--input", "-", "--json", stdin='[["great"], ["awful"]]'))
    assert found["outputs"]["output_label"] == ["yes", "no"]
    assert [set(scores) for scores in found["outputs"]["output_probability"]] == [{"yes", "no"}] * 2


def test_a_long_output_is_cut_for_people_and_whole_in_json(invoke, make_bundle):
    bundle = make_bundle(same=models.identity())
    numbers = json.dumps([*range(1000)])
    result = invoke("predict", bundle, "--input", "-", stdin=numbers)
    assert "y  [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, ...]" in result.stdout
    assert len(answer(invoke("predict", bundle, "--input", "-", "--json", stdin=numbers))["outputs"]["y"]) == 1000


def test_cast_safe_is_opt_in(invoke, toy, tmp_path):
    np.save(tmp_path / "x.npy", np.array([[1, 2]], np.float16))
    refused = invoke("predict", toy, "--input", tmp_path / "x.npy")
    assert refused.exit_code == 1
    assert "input 'x': expected float32 [batch, 2], got dtype float16" in refused.stderr
    found = answer(invoke("predict", toy, "--input", tmp_path / "x.npy", "--cast", "safe", "--json"))
    assert found["outputs"]["y"] == [[2, 4]]


def test_a_deadline_that_passes_is_an_error(invoke, make_bundle):
    bundle = make_bundle(stalls=models.stalls())
    result = invoke("predict", bundle, "--input", "-", "--deadline-s", "0.01", stdin=pairs(1))
    assert result.exit_code == 1
    assert result.stderr == ("edgerun: model 'stalls' gave no answer within 0.01 s, and no fallback= was given\n")
