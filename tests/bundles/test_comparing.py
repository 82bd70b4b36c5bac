"""The share of keys that move is what really moves: checked against keys, one by one."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgerun.nodes import RandomSplit, purpose_salt
from edgerun.routing import in_share, share_split
from edgerun.split import Split
from edgerun_bundles.comparing import keys_moved, least_moved

KEYS = [f"user-{i}".encode() for i in range(20_000)]
FIVE_SIGMA = 5 * (0.25 / len(KEYS)) ** 0.5

WEIGHTS = st.dictionaries(st.sampled_from("abcd"), st.integers(0, 20), min_size=1).filter(lambda w: any(w.values()))


def node(weights, *, salt="s", traffic=1.0, control=None, split_key="user", split=None):
    split = split or Split(salt, weights)
    return RandomSplit(split, split_key, control or split.arms[0], traffic, {})


def served(found, key):
    """Where a key goes, as the routing does it."""
    enrol = share_split(purpose_salt(found.split.salt, "traffic"), found.traffic)
    return found.split.assign(key) if enrol is None or in_share(enrol, key) else found.control


def counted(before, after):
    return sum(served(before, key) != served(after, key) for key in KEYS) / len(KEYS)


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
    ],
)
def test_the_share_is_that_of_the_keys_that_are_served_elsewhere(before, after):
    assert counted(before, after) == pytest.approx(float(keys_moved(before, after)), abs=FIVE_SIGMA)


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
