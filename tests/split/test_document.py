"""edgerun.split._document: a split as a JSON object; whatever is not exactly one is refused."""

from __future__ import annotations

import json
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgerun.errors import SplitError
from edgerun.split import Split, Weight
from strategies import some_weights


def document(**changes: Any) -> dict[str, Any]:
    """A good document, with changed fields; a field that is `del` is left out."""
    good = {
        "version": 1,
        "salt": "s",
        "weights": {"a": 3, "b": "1/1"},
        "ranges": [[0, "b"], [2**30, "a"]],
    }
    return {field: value for field, value in (good | changes).items() if value is not del_}


del_ = object()


@given(st.lists(some_weights, min_size=1, max_size=4))
def test_what_was_written_reads_back_the_same(history: list[dict[str, Any]]) -> None:
    split = Split("sält", history[0])
    for weights in history[1:]:
        split = split.reweight(weights)
    twin = Split.from_dict(json.loads(json.dumps(split.to_dict(), allow_nan=False)))
    assert twin == split
    assert twin.weights == split.weights
    assert twin.to_dict() == split.to_dict()


def test_a_document_is_short_and_plain() -> None:
    weights: dict[str, Weight] = {
        "a": 3,
        "b": 0.5,
        "c": Fraction(1, 4),
        "d": Decimal("0.25"),
        "e": 0,
        "f": 2**60,
    }
    assert Split("s", weights).to_dict()["weights"] == {
        "a": 3,
        "b": 0.5,
        "c": "1/4",
        "d": "1/4",
        "e": 0,
        "f": "1152921504606846976/1",
    }
    assert Split("s", {"b": 1, "a": 3}).to_dict() == {
        "version": 1,
        "salt": "s",
        "weights": {"b": 1, "a": 3},
        "ranges": [[0, "a"], [3221225472, "b"]],
    }


def test_the_document_that_the_specification_shows_is_the_one_written() -> None:
    specification = (Path(__file__).parents[2] / "native" / "SPLIT.md").read_text(encoding="utf-8")
    shown = json.loads(specification.partition("```json")[2].partition("```")[0])
    split = Split("checkout-2025", {"red": 90, "blue": 2.5, "green": Fraction(1, 3)})
    assert split.to_dict() == shown
    assert Split.from_dict(shown) == split


def test_ranges_that_a_reweight_left_are_kept() -> None:
    split = Split.from_dict(document())
    assert split.ranges == ((0, 2**30, "b"), (2**30, 2**32, "a"))
    assert split.weights == {"a": 3, "b": 1}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": 2}, "a split of version 2 cannot be read; this edgerun reads 1"),
        ({"version": True}, "version True"),
        ({"version": 1.0}, "version 1.0"),
        ({"version": "1"}, "version '1'"),
        ({"version": del_}, "version None"),
        ({"salt": del_}, r"missing or unknown: \['salt'\]"),
        ({"color": "red"}, r"missing or unknown: \['color'\]"),
        ({"salt": "s" * 1025}, "at most 1024 bytes"),
        ({"salt": 7}, "a salt is a str"),
        ({"weights": [["a", 3], ["b", 1]]}, "they are a list"),
        ({"weights": {"a": "3", "b": 1}}, "arm 'a': the weight '3' is not written as numerator/denominator"),
        ({"weights": {"a": "3/0", "b": 1}}, "not written as numerator/denominator"),
        ({"weights": {"a": "-3/1", "b": 1}}, "not written as numerator/denominator"),
        ({"weights": {"a": "3/1\n", "b": 1}}, "not written as numerator/denominator"),
        ({"weights": {"a": "\u0663/1", "b": 1}}, "not written as numerator/denominator"),
        ({"weights": {"a": "9" * 3000 + "/1", "b": 1}}, "more than 8192 bits"),
        ({"weights": {"a": "9" * 5000 + "/1", "b": 1}}, "not written as numerator/denominator"),
        ({"weights": {"a": None, "b": 1}}, "not NoneType"),
        ({"weights": {"a": 3, "b": -1}}, "negative"),
        (
            {"weights": {"a": 1, "b": 1}},
            "arm 'a': its ranges have 3221225472 points, its weight gives 2147483648",
        ),
        ({"weights": {"a": 3, "c": 1}}, "arm 'b': its ranges have 1073741824 points, its weight gives 0"),
        ({"ranges": [[0, "a"]]}, "arm 'a': its ranges have 4294967296 points"),
        ({"ranges": []}, "1 to 65536 ranges"),
        ({"ranges": "a"}, "range 0 is not"),
        ({"ranges": {}}, "list of 1 to 65536"),
        ({"ranges": [[1, "b"], [2**30, "a"]]}, "range 0 starts at 1"),
        ({"ranges": [[0, "b"], [2**30, "a"], [2**30, "b"]]}, "range 1 starts at 1073741824"),
        ({"ranges": [[0, "b"], [2**31, "a"], [2**30, "b"]]}, "starts ascend"),
        ({"ranges": [[0, "b"], [2**32, "a"]]}, "range 1 is not"),
        ({"ranges": [[-1, "b"], [2**30, "a"]]}, "range 0 is not"),
        ({"ranges": [[False, "b"], [2**30, "a"]]}, "range 0 is not"),
        ({"ranges": [[0.0, "b"], [2**30, "a"]]}, "range 0 is not"),
        ({"ranges": [[0, "b"], [2**30, 1]]}, "range 1 is not"),
        ({"ranges": [[0, "b", 2**30], [2**30, "a"]]}, "range 0 is not"),
        ({"ranges": [[0, "b"], [2**29, "b"], [2**30, "a"]]}, "ranges 0 and 1 both belong to 'b'"),
    ],
)
def test_a_document_that_is_not_exactly_a_split_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(SplitError, match=message):
        Split.from_dict(document(**change))


@pytest.mark.parametrize("thing", [None, [], "{}", 1])
def test_what_is_no_mapping_is_refused(thing: Any) -> None:
    with pytest.raises(SplitError, match="document is a mapping"):
        Split.from_dict(thing)
