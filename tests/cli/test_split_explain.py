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


ENROLLED = ("split", "explain", "shop/ab", "user-2", "--weights", "a=1,b=1")
"""Its points are 193290054 in the holdout 2026-h2 and 1550190148 in the layer ranking: native/SPLIT.md."""


def test_the_steps_of_holdout_layer_and_traffic_come_first_in_their_order(invoke):
    found = invoke(*ENROLLED, "--holdout", "2026-h2", "0.05", "--layer", "ranking", "1/3", "1", "--traffic", "0.5")
    holdout, layer, traffic, so, blank, *rest = found.stdout.splitlines()
    assert holdout == (
        "holdout  the point 193290054 under '2026-h2/holdout' is 'holdout': it lies outside of [214748365, 4294967296)"
    )
    assert layer == "layer    the point 1550190148 under 'ranking/layer' lies in [1431655765, 4294967296)"
    assert traffic.startswith("traffic  the point ")
    assert (so, blank) == ("so the control serves, and the assignment is 'holdout'; if it were enrolled:", "")
    assert "\n".join(rest) == str(Split("shop/ab", {"a": 1, "b": 1}).explain("user-2"))


@pytest.mark.parametrize(
    ("options", "assignment"),
    [
        ((), "assigned"),
        (("--layer", "ranking", "1/3", "1"), "assigned"),
        (("--layer", "ranking", "0", "1/3"), "other_slice"),
        (("--traffic", "0"), "not_enrolled"),
        (("--layer", "ranking", "0", "1/3", "--holdout", "2026-h2", "0.05"), "holdout"),
    ],
)
def test_the_assignment_is_that_of_the_first_step_that_does_not_let_the_key_pass(invoke, options, assignment):
    found = json.loads(invoke(*ENROLLED, *options, "--json").stdout)
    assert found["assignment"] == assignment
    assert (found["arm"] is None) == (assignment != "assigned")
    assert [step["passes"] for step in found["gates"]].count(False) == (
        0 if assignment == "assigned" else 2 if len(options) > 5 else 1
    )


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--layer", "l", "0.5", "0.2"), "'layer': no key lies in the slice"),
        (("--layer", "l", "much", "1"), "'layer': 'from' must be a share"),
        (("--holdout", "h", "2"), "'holdout': 'share' must be a share"),
    ],
)
def test_what_is_no_slice_and_no_share_is_told_in_one_line(invoke, options, words):
    found = invoke(*ENROLLED, *options)
    assert (found.exit_code, found.stdout) == (1, "")
    assert words in found.stderr


def test_a_key_that_is_no_text(shell):
    run = shell("edgerun split explain salt $'\\xff' --weights a=1")
    assert (run.returncode, run.stdout) == (1, "")
    assert run.stderr.startswith(r"edgerun: the key '\udcff' (str) is no Unicode text")
