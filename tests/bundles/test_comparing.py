"""The share of keys that move is what really moves: checked against keys, one by one."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgerun.enrolment import Holdout, Layer, gates_of
from edgerun.nodes import RandomSplit
from edgerun.split import Split
from edgerun_bundles.comparing import keys_moved, least_moved
from vectors.split import split_reference as reference

KEYS = [f"user-{i}".encode() for i in range(20_000)]
FIVE_SIGMA = 5 * (0.25 / len(KEYS)) ** 0.5

WEIGHTS = st.dictionaries(st.sampled_from("abcd"), st.integers(0, 20), min_size=1).filter(lambda w: any(w.values()))


def node(weights, *, salt="s", traffic=1.0, control=None, split_key="user", split=None, layer=None):
    split = split or Split(salt, weights)
    return RandomSplit(split, split_key, control or split.arms[0], traffic, {}, layer)


def slice_of(start, end, name="search"):
    return Layer(name, Fraction(start), Fraction(end))


HALVES = {"a": 1, "b": 1}


def served(found, key, holdout=None):
    """Where a key goes, as the reference has it."""
    for gate in gates_of(found, holdout):
        if not gate.passes(reference.point_of(gate.salt, key)):
            return found.control
    return found.split.assign(key)


def counted(before, after, holdouts=(None, None)):
    moved = sum(served(before, key, holdouts[0]) != served(after, key, holdouts[1]) for key in KEYS)
    return moved / len(KEYS)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (node({"a": 90, "b": 10}), node({"a": 50, "b": 50})),
        (node({"a": 1, "b": 1, "c": 1}), node({"a": 1, "b": 1, "c": 1, "d": 1})),
        (node({"a": 1, "b": 1}, traffic=0.2), node({"a": 1, "b": 1}, traffic=0.7)),
        (node({"a": 1, "b": 1}, traffic=0.7), node({"a": 1, "b": 3}, traffic=0.2)),
        (node({"a": 1, "b": 1}, traffic=0.5), node({"a": 1, "b": 1}, traffic=0.5, control="b")),
        (node({"a": 1, "b": 1}, traffic=0.0), node({"a": 1, "b": 1}, traffic=1.0, control="b")),
        (node({"a": 1, "b": 1}), node({"a": 1, "b": 1}, salt="other")),
        (node({"a": 9, "b": 1}, traffic=0.5), node({"a": 1, "b": 1}, salt="other", traffic=0.9, control="b")),
        (node(HALVES, layer=slice_of(0, 0.5)), node(HALVES, layer=slice_of(0, 0.75))),
        (node(HALVES, layer=slice_of(0, 0.5)), node(HALVES, layer=slice_of(0.25, 1), control="b")),
        (node(HALVES, layer=slice_of(0, 0.5)), node(HALVES, layer=slice_of(0.5, 1), traffic=0.5)),
        (node(HALVES, layer=slice_of(0, 0.5)), node(HALVES, layer=slice_of(0, 0.5, "ads"))),
        (node(HALVES), node({"a": 1, "b": 3}, layer=slice_of(0.1, 0.9))),
        (node(HALVES, layer=slice_of(0, 0.5)), node(HALVES, salt="other", layer=slice_of(0.25, 0.75))),
    ],
)
def test_the_share_is_that_of_the_keys_that_are_served_elsewhere(before, after):
    assert counted(before, after) == pytest.approx(float(keys_moved(before, after)), abs=FIVE_SIGMA)


HELD = Holdout("2026-h2", Fraction(1, 5), "user")


@pytest.mark.parametrize(
    ("before", "after", "holdouts"),
    [
        (node(HALVES), node(HALVES), (None, HELD)),
        (node(HALVES), node({"a": 1, "b": 3}), (HELD, HELD._replace(share=Fraction(1, 2)))),
        (node(HALVES), node(HALVES, layer=slice_of(0, 0.5)), (HELD, HELD._replace(name="other"))),
        (node(HALVES), node(HALVES, salt="other", control="b"), (HELD, HELD)),
    ],
)
def test_the_share_allows_for_who_is_held_out(before, after, holdouts):
    found = float(keys_moved(before, after, holdouts))
    assert counted(before, after, holdouts) == pytest.approx(found, abs=FIVE_SIGMA)
    assert float(least_moved(before, after, holdouts)) <= found


def test_a_slice_that_grows_moves_the_keys_it_takes_in_and_no_other():
    before, after = node(HALVES, layer=slice_of(0, 0.5)), node(HALVES, layer=slice_of(0, 0.75))
    assert keys_moved(before, after) == Fraction(1, 8)
    assert keys_moved(after, before) == Fraction(1, 8)


@given(WEIGHTS, WEIGHTS)
def test_a_reweight_moves_no_more_than_it_must(first, second):
    split = Split("s", first)
    before, after = node(first, split=split), node(second, split=split.reweight(second))
    if before.split_key == after.split_key:
        assert keys_moved(before, after) == least_moved(before, after)


@given(WEIGHTS, WEIGHTS, st.sampled_from([0.0, 0.25, 1.0]), st.sampled_from([0.0, 0.5, 1.0]))
def test_no_change_moves_less_than_it_must_or_more_than_all(first, second, traffic, more):
    before, after = node(first, traffic=traffic), node(second, traffic=more)
    assert least_moved(before, after) <= keys_moved(before, after) <= 1


@given(WEIGHTS, st.floats(0, 1))
def test_what_does_not_change_moves_nothing(weights, traffic):
    same = node(weights, traffic=traffic)
    assert keys_moved(same, node(weights, traffic=traffic)) == 0


def test_another_split_key_draws_every_key_anew():
    before, after = node({"a": 1, "b": 1}), node({"a": 1, "b": 1}, split_key="session")
    assert keys_moved(before, after) == Fraction(1, 2)
