"""``edgerun split explain``: the steps from a key to its arm, for one who has no bundle at hand."""

from __future__ import annotations

import json

import pytest
import xxhash

from edgerun.split import Split


def test_it_shows_what_split_explain_says(shell):
    run = shell("edgerun split explain checkout-button user-7 --weights control=90,green=10")
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout == f"{Split('checkout-button', {'control': 90, 'green': 10}).explain('user-7')}\n"


def test_json_gives_hashes_as_hexadecimal_texts_that_no_reader_rounds(invoke):
    arguments = ("split", "explain", "salt", "42", "--weights", "a=0.5,b=1e0,c=x=2")
    found = json.loads(invoke(*arguments[:-1], "a=0.5,b=1e0", "--json").stdout)
    seed = xxhash.xxh64_intdigest(b"salt", 42)
    hashed = xxhash.xxh64_intdigest(b"42", seed)
    assert (int(found["seed"], 16), int(found["hash"], 16), found["point"]) == (seed, hashed, hashed >> 32)
    assert found["arm"] == Split("salt", {"a": 0.5, "b": 1}).assign(42)
    assert found["range"]["start"] <= found["point"] < found["range"]["end"]


def test_an_arm_may_have_an_equals_sign_in_its_name(invoke):
    assert "arm    'c=x'" in invoke("split", "explain", "s", "k", "--weights", "c=x=2").stdout


@pytest.mark.parametrize(
    ("weights", "words"),
    [
        ("a", "'a' is not of the form arm=weight"),
        ("a=1,", "'' is not of the form arm=weight"),
        ("a=1,a=2", "arm 'a' is given twice"),
        ("a=many", "'many' is not a number"),
    ],
    ids=["no weight", "an empty part", "an arm twice", "a weight of words"],
)
def test_weights_that_are_not_written_as_weights_are_wrong_usage(invoke, weights, words):
    result = invoke("split", "explain", "s", "k", "--weights", weights)
    assert (result.exit_code, result.stdout) == (2, "")
    assert words in result.stderr


@pytest.mark.parametrize(
    ("weights", "words"),
    [
        ("a=nan", "arm 'a': the weight nan is not a finite number"),
        ("a=-1,b=2", "arm 'a': the weight -1 is negative"),
        ("a=0", "every weight is zero"),
        ("=1", "arm"),
    ],
    ids=["NaN", "negative", "all zero", "an arm without a name"],
)
def test_weights_that_make_no_split_are_told_in_one_line(invoke, weights, words):
    result = invoke("split", "explain", "s", "k", "--weights", weights)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("edgerun: ")
    assert words in result.stderr


def test_a_key_that_is_no_text(shell):
    run = shell("edgerun split explain salt $'\\xff' --weights a=1")
    assert (run.returncode, run.stdout) == (1, "")
    assert run.stderr.startswith(r"edgerun: the key '\udcff' (str) is no Unicode text")
