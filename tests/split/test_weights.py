"""edgerun.split._weights: exact widths from weights, and what is refused."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgerun.errors import SplitError
from edgerun.limits import LIMITS
from edgerun.split import Split
from edgerun.split._weights import POINTS, Weight, widths_of_weights
from strategies import some_weights


class Pairs(Mapping[str, Weight]):
    """A mapping that lists a name twice, as a careless one may."""

    def __getitem__(self, key: str) -> Weight:
        return 1

    def __iter__(self) -> Iterator[str]:
        return iter(["a", "a"])

    def __len__(self) -> int:
        return 2


@given(some_weights)
def test_widths_cover_all_points_and_are_less_than_one_from_the_exact_quota(
    weights: dict[str, Weight],
) -> None:
    widths = widths_of_weights(weights)
    total = sum(Fraction(weight) for weight in weights.values())
    assert sum(widths.values()) == POINTS
    assert all(abs(widths[arm] - Fraction(weight) * POINTS / total) < 1 for arm, weight in weights.items())
    assert list(widths) == list(weights)


@given(some_weights)
def test_shares_match_weights_to_one_point(weights: dict[str, Weight]) -> None:
    total = sum(Fraction(weight) for weight in weights.values())
    for arm, share in Split("s", weights).shares.items():
        assert abs(Fraction(share) - Fraction(weights[arm]) / total) < Fraction(1, POINTS)


@given(some_weights, st.integers(1, 10**12))
def test_only_the_proportions_of_weights_matter(weights: dict[str, Weight], factor: int) -> None:
    scaled = {arm: Fraction(weight) * factor for arm, weight in weights.items()}
    assert widths_of_weights(scaled) == widths_of_weights(weights)


@given(some_weights, st.randoms())
def test_the_order_of_arms_does_not_matter(weights: dict[str, Weight], random: Any) -> None:
    names = list(weights)
    random.shuffle(names)
    assert widths_of_weights({name: weights[name] for name in names}) == widths_of_weights(weights)


def test_among_equal_remainders_the_name_that_sorts_first_gets_the_point() -> None:
    assert widths_of_weights({"c": 1, "b": 1, "a": 1}) == {"c": 1431655765, "b": 1431655765, "a": 1431655766}
    assert widths_of_weights({"z": 1, "é": 1, "日": 1})["z"] == 1431655766


def test_a_float_counts_as_its_binary_value_and_a_decimal_as_its_decimal_one() -> None:
    tiny = Fraction(0.1) - Fraction(1, 10)
    assert tiny > 0
    assert widths_of_weights({"a": 0.1, "b": Fraction(0.1)}) == {"a": 2**31, "b": 2**31}
    assert widths_of_weights({"a": Decimal("0.1"), "b": Fraction(1, 10)}) == {"a": 2**31, "b": 2**31}
    assert widths_of_weights({"a": 0.1 - 0.1, "b": tiny}) == {"a": 0, "b": POINTS}


def test_numpy_scalars_count_as_the_numbers_they_hold() -> None:
    weights = Split("s", {"a": np.int64(3), "b": np.float32(0.5)}).weights  # type: ignore[dict-item]
    assert dict(weights) == {"a": 3, "b": 0.5}
    assert [type(weight) for weight in weights.values()] == [int, float]


def test_weights_of_extreme_floats_are_exact() -> None:
    assert widths_of_weights({"a": 5e-324, "b": 5e-324}) == {"a": 2**31, "b": 2**31}
    assert widths_of_weights({"a": 1.7e308, "b": 5e-324}) == {"a": POINTS, "b": 0}


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"a": math.nan, "b": 1}, "arm 'a': the weight nan is not a finite number"),
        ({"a": math.inf}, "arm 'a': the weight inf is not a finite"),
        ({"a": Decimal("NaN")}, "not a finite"),
        ({"a": Decimal("sNaN")}, "not a finite"),
        ({"a": Decimal("Infinity")}, "not a finite"),
        ({"a": Decimal("1e999999999")}, "out of all proportion"),
        ({"a": Decimal("1e-999999999"), "b": 1}, "out of all proportion"),
        ({"ok": 1, "a": -1}, "arm 'a': the weight -1 is negative"),
        ({"a": -0.5}, "negative"),
        ({"a": Fraction(-1, 3)}, "negative"),
        ({"a": -(10**5000)}, "negative"),
        ({"a": 0, "b": 0.0}, "every weight is zero"),
        ({"a": True}, "not bool True"),
        ({"a": np.True_}, "not bool"),
        ({"a": "1"}, "not str '1'"),
        ({"a": None}, "not NoneType None"),
        ({"a": 1j}, "not complex"),
        ({"a": np.longdouble(1)}, "not longdouble"),
        ({}, "weights are empty"),
        ([("a", 1)], "they are a list"),
        (None, "they are a NoneType"),
        ({"": 1}, "an arm's name is empty"),
        ({1: 1}, "not int 1"),
        ({b"a": 1}, "not bytes b'a'"),
        ({"\ud800": 1}, "lone surrogate"),
        (Pairs(), "arm 'a' has two weights"),
        ({f"arm-{index}": 1 for index in range(10**5)}, "at most 1024 arms, but 100000"),
    ],
)
def test_bad_weights_are_refused_with_the_reason(weights: Any, message: str) -> None:
    with pytest.raises(SplitError, match=message):
        Split("s", weights)


def test_an_arm_name_may_have_the_limit_of_bytes_and_not_one_more() -> None:
    assert Split("s", {"é" * (LIMITS.arm_name_max_bytes // 2): 1}).arms[0].startswith("é")
    with pytest.raises(SplitError, match=f"at most {LIMITS.arm_name_max_bytes} bytes"):
        Split("s", {"x" + "é" * (LIMITS.arm_name_max_bytes // 2): 1})


def test_a_split_may_have_the_limit_of_arms_and_not_one_more() -> None:
    weights = {f"arm-{index}": 1 for index in range(LIMITS.arms_max)}
    assert len(Split("s", weights).ranges) == LIMITS.arms_max
    with pytest.raises(SplitError, match=f"at most {LIMITS.arms_max} arms"):
        Split("s", {**weights, "one more": 1})


def test_a_weight_may_have_the_limit_of_bits_over_the_common_denominator_and_not_one_more() -> None:
    most = 2**LIMITS.weight_max_bits - 1
    assert widths_of_weights({"a": most, "b": most}) == {"a": 2**31, "b": 2**31}
    assert widths_of_weights({"a": Fraction(1, most), "b": Fraction(1, most)}) == {"a": 2**31, "b": 2**31}
    for weight in (most + 1, Fraction(1, most + 1)):
        with pytest.raises(SplitError, match=f"arm 'a': .*more than {LIMITS.weight_max_bits} bits"):
            widths_of_weights({"a": weight})
