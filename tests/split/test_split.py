"""edgerun.split: what a Split answers, and that it is a value."""

from __future__ import annotations

import copy
import doctest
import json
import pickle
import threading
from fractions import Fraction

import numpy as np
import pytest
import xxhash
from hypothesis import given
from hypothesis import strategies as st

from edgerun import split as split_module
from edgerun._core import split as _core
from edgerun.errors import EdgerunError, SplitError
from edgerun.limits import LIMITS
from edgerun.split import Range, Split, Weight

SPLIT = Split("checkout-button", {"control": 80, "green": 15, "red": 5, "later": 0})

# Upper 0.001 points of chi-square with 4 and 16 degrees of freedom, from the NIST/SEMATECH e-Handbook of
# Statistical Methods, table 1.3.6.7.4. The keys are fixed, so the outcome is too.
CHI_SQUARE_4_DF = 18.467
CHI_SQUARE_16_DF = 39.252


def test_an_arm_is_assigned_by_name_and_is_the_same_every_time() -> None:
    again = Split("checkout-button", {"control": 80, "green": 15, "red": 5, "later": 0})
    keys = [f"user-{number}" for number in range(1000)]
    assert [SPLIT.assign(key) for key in keys] == [again.assign(key) for key in keys]
    assert {SPLIT.assign(key) for key in keys} == {"control", "green", "red"}


def test_a_split_tells_its_parts() -> None:
    assert SPLIT.salt == "checkout-button"
    assert SPLIT.arms == ("control", "green", "red", "later")
    assert SPLIT.weights == {"control": 80, "green": 15, "red": 5, "later": 0}
    assert SPLIT.shares == {"control": 0.8, "green": 0.15, "red": 0.05, "later": 0} | {
        arm: width / 2**32 for arm, width in [("control", 3435973837), ("green", 644245094), ("red", 214748365)]
    }
    assert SPLIT.ranges == (
        (0, 3435973837, "control"),
        (3435973837, 4080218931, "green"),
        (4080218931, 2**32, "red"),
    )
    assert all(isinstance(part, Range) for part in SPLIT.ranges)


def test_the_example_in_the_documentation_is_true() -> None:
    assert doctest.testmod(split_module) == (0, 2)


def test_parts_of_a_split_cannot_be_changed() -> None:
    for name in ("salt", "arms", "weights", "shares", "ranges", "anything"):
        with pytest.raises(AttributeError):
            setattr(SPLIT, name, None)
    with pytest.raises(TypeError, match="does not support item assignment"):
        SPLIT.weights["control"] = 1  # type: ignore[index]


def test_weights_given_are_copied() -> None:
    weights = {"a": 1, "b": 1}
    split = Split("s", weights)
    weights["c"] = 1
    assert split.arms == tuple(split.weights) == ("a", "b")


def test_an_arm_of_weight_zero_keeps_its_name_and_index_and_gets_no_key() -> None:
    split = Split("s", {"none": 0, "all": 3})
    assert split.ranges == ((0, 2**32, "all"),)
    assert split.shares == {"none": 0.0, "all": 1.0}
    assert set(split.assign_many(np.arange(1000))) == {1}


def test_the_order_of_arms_changes_indexes_and_no_assignment() -> None:
    weights: dict[str, Weight] = {"c": 1, "a": Fraction(1, 3), "b": 0.5}
    one, other = Split("s", weights), Split("s", dict(reversed(weights.items())))
    keys = np.arange(10_000)
    names = [np.array(split.arms)[split.assign_many(keys)] for split in (one, other)]
    assert one.arms != other.arms
    assert (names[0] == names[1]).all()


@given(st.text(min_size=1, max_size=50), st.binary(max_size=100))
def test_hash_and_point_are_those_of_the_xxhash_package(salt: str, key: bytes) -> None:
    explanation = Split(salt, {"a": 1}).explain(key)
    assert explanation.seed == xxhash.xxh64_intdigest(salt.encode(), 42)
    assert explanation.hash == xxhash.xxh64_intdigest(key, explanation.seed)
    assert explanation.point == explanation.hash >> 32


def test_explain_tells_every_step() -> None:
    explanation = SPLIT.explain("é")
    assert explanation.salt == "checkout-button"
    assert explanation.key == "é".encode()
    assert explanation.range in SPLIT.ranges
    assert explanation.range.start <= explanation.point < explanation.range.end
    assert explanation.arm == explanation.range.arm == SPLIT.assign("é")
    assert str(explanation.point) in explanation.why
    assert repr(explanation.arm) in explanation.why
    assert "80.00% of all points" in explanation.why


def test_an_explanation_prints_a_line_for_every_step() -> None:
    lines = str(SPLIT.explain("user-1")).splitlines()
    assert [line.split()[0] for line in lines] == [
        "salt",
        "key",
        "seed",
        "hash",
        "point",
        "range",
        "arm",
        "why",
    ]
    assert lines[1] == "key    b'user-1'"


def test_reweight_keeps_the_salt_and_moves_only_what_it_must() -> None:
    grown = SPLIT.reweight({"control": 60, "green": 35, "red": 5})
    keys = np.arange(100_000)
    before = np.array(SPLIT.arms)[SPLIT.assign_many(keys)]
    after = np.array(grown.arms)[grown.assign_many(keys)]
    moved = before != after
    assert grown.salt == SPLIT.salt
    assert set(zip(before[moved], after[moved], strict=True)) == {("control", "green")}
    assert abs(moved.mean() - 0.2) < 0.005


def test_reweight_adds_and_removes_arms() -> None:
    changed = SPLIT.reweight({"control": 80, "blue": 20})
    assert changed.arms == ("control", "blue")
    assert {changed.assign(key) for key in range(1000)} == {"control", "blue"}
    assert all(SPLIT.assign(key) != "control" for key in range(1000) if changed.assign(key) == "blue")


def test_equal_splits_are_those_that_answer_alike() -> None:
    assert Split("s", {"a": 1, "b": 1}) == Split("s", {"a": 50, "b": 50.0})
    assert hash(Split("s", {"a": 1, "b": 1})) == hash(Split("s", {"a": 50, "b": 50.0}))
    assert Split("s", {"a": 1, "b": 1}) != Split("t", {"a": 1, "b": 1})
    assert Split("s", {"a": 1, "b": 1}) != Split("s", {"b": 1, "a": 1})
    assert Split("s", {"a": 1, "b": 1}) != Split("s", {"a": 1, "b": 2})
    assert Split("s", {"a": 1}) != "s"
    appended = Split("s", dict.fromkeys("abc", 1)).reweight(dict.fromkeys("abcd", 1))
    assert appended != Split("s", dict.fromkeys("abcd", 1))


@pytest.mark.parametrize("split", [SPLIT, SPLIT.reweight({"control": Fraction(1, 3), "blue": 0.1})])
def test_a_split_survives_pickling_copying_and_json(split: Split) -> None:
    keys = np.arange(1000)
    for twin in (
        *(pickle.loads(pickle.dumps(split, protocol)) for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1)),
        copy.copy(split),
        copy.deepcopy(split),
        Split.from_dict(json.loads(json.dumps(split.to_dict()))),
    ):
        assert twin == split
        assert twin.weights == split.weights
        assert (twin.assign_many(keys) == split.assign_many(keys)).all()


def test_a_repr_shows_salt_weights_and_the_number_of_ranges() -> None:
    assert repr(Split("s", {"a": 9, "b": 1})) == "<Split 's': {'a': 9, 'b': 1} in 2 ranges>"


def test_public_names_say_that_they_are_of_edgerun_split() -> None:
    assert repr(SPLIT.ranges[0]) == "Range(start=0, end=3435973837, arm='control')"
    assert {thing.__module__ for thing in (Split, Range, type(SPLIT.explain("k")))} == {"edgerun.split"}


def test_many_threads_get_the_same_answers() -> None:
    keys = [f"user-{number}" for number in range(2000)]
    expected = [SPLIT.assign(key) for key in keys]
    answers: list[bool] = []

    def ask() -> None:
        for _ in range(5):
            answers.append([SPLIT.assign(key) for key in keys] == expected)
            answers.append([SPLIT.arms[index] for index in SPLIT.assign_many(keys)] == expected)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [True] * 80


@pytest.mark.parametrize(("one", "other"), [("shop:arm", "shop:traffic"), ("exp-1", "exp-2"), ("a", "aa"), ("x", "X")])
def test_two_salts_are_independent(one: str, other: str) -> None:
    weights = {"a": 1, "b": 2, "c": 3, "d": 2, "e": 2}
    keys = np.arange(10**6)
    pairs = Split(one, weights).assign_many(keys) * 5 + Split(other, weights).assign_many(keys)
    observed = np.bincount(pairs, minlength=25).reshape(5, 5)
    expected = np.outer(observed.sum(1), observed.sum(0)) / len(keys)
    assert ((observed - expected) ** 2 / expected).sum() < CHI_SQUARE_16_DF


def test_keys_fall_to_arms_as_the_shares_say() -> None:
    split = Split("shares", {"a": 1, "b": 2, "c": 3, "d": 2, "e": 2})
    observed = np.bincount(split.assign_many(np.arange(10**6)), minlength=5)
    expected = 10**6 * np.array(list(split.shares.values()))
    assert ((observed - expected) ** 2 / expected).sum() < CHI_SQUARE_4_DF


@pytest.mark.parametrize(
    ("salt", "message"),
    [
        (7, "a salt is a str, not int 7"),
        (b"s", "not bytes b's'"),
        (None, "not NoneType None"),
        ("\ud800", "lone surrogate"),
    ],
)
def test_a_bad_salt_is_refused(salt: str, message: str) -> None:
    with pytest.raises(SplitError, match=message):
        Split(salt, {"a": 1})


def test_a_salt_may_have_the_limit_of_bytes_and_not_one_more() -> None:
    longest = "é" * (LIMITS.salt_max_bytes // 2)
    assert Split(longest, {"a": 1}).salt == longest
    with pytest.raises(SplitError, match=f"at most {LIMITS.salt_max_bytes} bytes"):
        Split(longest + "x", {"a": 1})


def test_every_error_of_a_split_is_an_edgerun_error_and_a_value_error() -> None:
    assert issubclass(SplitError, EdgerunError)
    assert issubclass(SplitError, ValueError)


def test_the_limits_of_python_and_c_agree() -> None:
    assert LIMITS.key_max_bytes == _core.KEY_MAX_BYTES
    assert LIMITS.ranges_max == _core.SPLIT_MAX_RANGES
