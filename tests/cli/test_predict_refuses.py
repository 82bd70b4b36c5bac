"""``edgerun predict`` on bad input: one line that says what is wrong and where, and never a traceback."""

from __future__ import annotations

import json

import numpy as np
import pytest

from support import models

LINE = json.dumps({"inputs": [[1, 2]]})


def complaint(result, code=1):
    """What a run that failed said; one line where it was no wrong usage."""
    assert result.exit_code == code
    assert result.stdout == ""
    if code == 1:
        assert result.stderr.startswith("edgerun: ")
        assert result.stderr.count("\n") == 1
    return result.stderr


def test_a_bundle_that_is_missing(shell):
    run = shell("echo '[]' | edgerun predict no/where --input -")
    assert (run.returncode, run.stdout) == (1, "")
    assert run.stderr == (
        "edgerun: no/where/bundle.json cannot be read: No such file or directory; is no/where a bundle folder?\n"
    )


@pytest.mark.parametrize(
    ("path", "data", "words"),
    [
        ("models/double.onnx", b"", "model 'double'"),
        ("models/double.onnx", b"not a model", "model 'double'"),
        ("bundle.json", b"{", "bundle.json is not valid JSON"),
        ("bundle.json", b"[]", "must hold one JSON object"),
        ("bundle.json", b'{"format": 2}', "format 2; this edgerun reads format 1"),
    ],
    ids=["empty model", "corrupt model", "no JSON", "a list", "another format"],
)
def test_a_bundle_that_is_broken(invoke, broken, path, data, words):
    assert words in complaint(invoke("predict", broken(path, data), "--input", "-", stdin="[[1, 2]]"))


def test_a_truncated_model(invoke, cards, copy_of):
    bundle = copy_of(cards / "bundle")
    model = bundle / "models" / "challenger.onnx"
    model.write_bytes(model.read_bytes()[:20_000])
    assert "model 'challenger'" in complaint(invoke("show", bundle))


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ('{"z": [[1, 2]]}', "input 'x' is missing: expected 'x'; got 'z'"),
        ('{"x": [[1, 2]], "z": 1}', "input 'z' is unknown: expected 'x'; got 'x', 'z'"),
        ("[1, 2]", "input 'x': expected float32 [batch, 2], got rank 1, shape [2]"),
        ("[[1, 2, 3]]", "axis 1 is 3, not 2"),
        ('[["a", "b"]]', "input 'x': expected float32 [batch, 2], got strings in a list"),
        ("[[1, 2], [3]]", "input 'x': expected float32 [batch, 2], got a list that is no array"),
        ("{}", "input 'x' is missing"),
        ("null", "stdin must hold an object of input name to nested list, or one nested list"),
        ("3", "stdin must hold an object"),
        ("", "stdin is not valid JSON"),
        ("[[1, 2]", "stdin is not valid JSON"),
        (b"\xff\xfe[", "stdin is not valid JSON"),
        ("[" * 100_000, "stdin is not valid JSON"),
    ],
    ids=[
        "another name",
        "one name too many",
        "wrong rank",
        "wrong dimension",
        "wrong type",
        "ragged",
        "no input",
        "null",
        "a number",
        "nothing",
        "half a document",
        "not UTF-8",
        "too deep",
    ],
)
def test_inputs_that_the_model_does_not_take(invoke, toy, inputs, words):
    assert words in complaint(invoke("predict", toy, "--input", "-", stdin=inputs))


def test_a_file_that_is_missing(invoke, toy, tmp_path):
    stderr = complaint(invoke("predict", toy, "--input", tmp_path / "call.json"))
    assert stderr == f"edgerun: {tmp_path}/call.json cannot be read: No such file or directory\n"


def test_a_file_that_is_a_folder(invoke, toy, tmp_path):
    assert "Is a directory" in complaint(invoke("predict", toy, "--input", tmp_path))


def test_a_closed_stdin(shell, toy):
    run = shell(f"edgerun predict {toy} --input - <&-")
    assert (run.returncode, run.stderr) == (1, "edgerun: stdin is closed\n")


@pytest.mark.parametrize("name", ["call.npy", "call.npz"])
@pytest.mark.parametrize("kept", [0, 5, 60, 120, 150])
def test_a_truncated_numpy_file(invoke, toy, tmp_path, name, kept):
    with (tmp_path / "whole").open("wb") as file:
        (np.save if name == "call.npy" else np.savez)(file, np.ones((3, 5), np.float32))
    (tmp_path / name).write_bytes((tmp_path / "whole").read_bytes()[:kept])
    words = f"{tmp_path / name} holds no arrays that numpy can read without pickle"
    assert words in complaint(invoke("predict", toy, "--input", tmp_path / name))


def test_a_pickle_is_never_opened(invoke, toy, tmp_path):
    np.save(tmp_path / "call.npy", np.array([{"a": 1}], object), allow_pickle=True)
    assert "without pickle" in complaint(invoke("predict", toy, "--input", tmp_path / "call.npy"))


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("[[1, 2]]", 'must be an object with "inputs"'),
        ('{"key": "a"}', 'must be an object with "inputs"'),
        ('{"inputs": [[1, 2]], "keys": 1}', "unknown field 'keys'; known: inputs, key, meta, label"),
        ('{"inputs": [[1, 2]], "meta": "gold"}', 'meta must be an object, got "gold"'),
        ('{"inputs": [[1]]}', "input 'x': expected float32 [batch, 2], got shape [1, 1]: axis 1 is 1, not 2"),
        ('{"inputs"', "is not valid JSON"),
    ],
    ids=["a list", "no inputs", "an unknown field", "meta of text", "wrong shape", "no JSON"],
)
def test_a_bad_line_is_named_and_the_lines_before_it_are_answered(invoke, toy, tmp_path, line, words):
    (tmp_path / "calls.jsonl").write_text(f"{LINE}\n\n{line}\n{LINE}\n")
    result = invoke("predict", toy, "--input", tmp_path / "calls.jsonl")
    assert result.exit_code == 1
    assert result.stdout.count("\n") == 1
    assert result.stderr.startswith(f"edgerun: {tmp_path}/calls.jsonl line 3")
    assert words in result.stderr


@pytest.mark.parametrize("key", ["true", "1.5", "[1]", "{}"])
def test_a_key_of_another_type(invoke, digits, key):
    line = f'{{"inputs": [{json.dumps([0.0] * 64)}], "key": {key}}}'
    stderr = complaint(invoke("predict", digits / "bundle", "--input", "-", "--format", "jsonl", stdin=line))
    assert "stdin line 1: a key is a str, an int or bytes, not" in stderr


def test_a_key_without_a_field_where_the_graph_has_several(invoke, make_bundle):
    nodes = {
        "outer": {"kind": "random_split", "weights": {"inner": 1, "b": 1}, "split_key": "user"},
        "inner": {"kind": "random_split", "weights": {"a": 1, "b": 1}, "split_key": "session"},
    }
    bundle = make_bundle("outer", nodes, a=models.steady(), b=models.steady(3))
    assert "key= is ambiguous" in complaint(invoke("predict", bundle, "--input", "-", "--key", "7", stdin="[[1, 2]]"))


WRONG_USAGE = {
    "": "Missing option '--input'",
    "--input - --meta gold": "'gold' is not of the form name=value",
    "--input - --meta =gold": "'=gold' is not of the form name=value",
    "--input - --meta a=1 --meta a=2": "'a' is given twice",
    "--input - --cast unsafe": "'unsafe' is not 'safe'",
    "--input - --deadline-s 0": "is not in the range x>0",
    "--input - --deadline-s soon": "'soon' is not a valid float",
    "--input - --format csv": "'csv' is not one of",
    "--input calls.jsonl --key a": "each line of a .jsonl FILE has its own",
    "--input - --format jsonl --meta a=b": "each line of a .jsonl FILE has its own",
}


@pytest.mark.parametrize("options", WRONG_USAGE)
def test_wrong_usage(invoke, toy, options):
    assert WRONG_USAGE[options] in complaint(invoke("predict", toy, *options.split(), stdin="[[1, 2]]"), code=2)


def test_a_run_that_fails_is_told_in_one_line_and_onnxruntime_says_nothing(shell, make_bundle):
    run = shell(f"echo '[[-1, 2]]' | edgerun predict {make_bundle(bad=models.raises())} --input -")
    assert (run.returncode, run.stdout) == (1, "")
    assert run.stderr.startswith("edgerun: model 'bad': ")
    assert run.stderr.count("\n") == 1


@pytest.mark.parametrize("deadline", ["inf", "nan"])
def test_a_deadline_that_is_no_time(invoke, toy, deadline):
    stderr = complaint(invoke("predict", toy, "--input", "-", "--deadline-s", deadline, stdin="[[1, 2]]"))
    assert stderr == f"edgerun: deadline_s must be a positive number of seconds, got {deadline}\n"
