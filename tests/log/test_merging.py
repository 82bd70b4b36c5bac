"""Merged profiles: equal to one pass where that is exact, and to the last bit the same in any order."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgerun.errors import LogError
from edgerun.log.merging import merge
from edgerun.log.profiles import Numbers, PortProfile, Profile, Texts
from edgerun.log.sketch import frequent
from support.profiled import data, of_numbers, of_texts, plain

if TYPE_CHECKING:
    import random

MOMENTS = ("mean", "m2")


def cut(values: np.ndarray[Any, Any], pieces: int) -> list[Profile]:
    return [of_numbers(part) for part in np.array_split(values, pieces)]


def without_moments(profile: Profile) -> Any:
    what = profile.ports[0].what
    assert isinstance(what, Numbers)
    port = profile.ports[0]._replace(what=what._replace(mean=what.mean * 0, m2=what.m2 * 0), seen=0)
    return plain(profile._replace(ports=(port,)))


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")  # infinity * 0 of an m2 beyond float64
@pytest.mark.parametrize("name", data())
def test_a_merge_equals_one_pass(name: str) -> None:
    values = data()[name]
    merged, whole = merge(cut(values, 7)), of_numbers(values)
    a, b = merged.ports[0].what, whole.ports[0].what
    assert isinstance(a, Numbers)
    assert isinstance(b, Numbers)
    for field in set(Numbers._fields) - {*MOMENTS}:
        assert getattr(a, field).tolist() == getattr(b, field).tolist()
    spread = np.maximum(np.abs(b.min), np.abs(b.max))
    for i in range(len(spread)):
        if np.isfinite(spread[i]):
            assert abs(a.mean[i] - b.mean[i]) <= 1e-14 * spread[i] + 5e-324
            assert a.m2[i] == pytest.approx(b.m2[i], rel=1e-9, abs=1e-20 * spread[i] ** 2 if spread[i] < 1e150 else 0)


@given(
    st.lists(
        st.lists(st.floats(-1e12, 1e12) | st.floats(allow_nan=True) | st.integers(-5, 5), min_size=0, max_size=12),
        min_size=1,
        max_size=8,
    ),
    st.randoms(use_true_random=False),
)
@settings(max_examples=200)
def test_any_order_gives_the_same_bits(parts: list[list[float]], order: random.Random) -> None:
    profiles = [of_numbers(np.array(part, np.float64).reshape(-1, 1), begin=i) for i, part in enumerate(parts)]
    shuffled = order.sample(profiles, len(profiles))
    assert repr(plain(merge(profiles))) == repr(plain(merge(shuffled)))


@given(
    st.lists(st.tuples(st.integers(0, 2**53), st.floats(-1e300, 1e300), st.floats(0, 1e300)), min_size=1, max_size=9)
)
def test_mean_and_m2_are_those_of_exact_fractions(parts: list[tuple[int, float, float]]) -> None:
    (template,) = of_numbers(np.ones((1, 1))).ports
    assert isinstance(template.what, Numbers)
    none = template.what._replace(cells=np.zeros(1, np.uint64), cell=np.array([], np.int64))
    profiles = []
    for count, mean, m2 in parts:
        what = none._replace(
            finite=np.array([count], np.uint64),
            mean=np.array([mean if count else 0.0]),
            m2=np.array([m2 if count else 0.0]),
            weight=np.array([], np.uint64),
        )
        profiles.append(of_numbers(np.ones((1, 1)))._replace(ports=(template._replace(what=what),)))
    found = merge(profiles).ports[0].what
    assert isinstance(found, Numbers)
    exact = [(n, Fraction(mean), Fraction(m2)) for n, mean, m2 in parts if n]
    count = sum(n for n, _, _ in exact)
    if count == 0:
        assert (found.mean[0], found.m2[0]) == (0, 0)
        return
    mean = sum(n * part for n, part, _ in exact) / count
    m2 = sum(rest + n * (part - mean) ** 2 for n, part, rest in exact)
    assert found.mean[0] == float(mean)
    assert found.m2[0] == (float(m2) if m2 < 2**1023 else pytest.approx(float(m2)) if m2 < 2**1024 - 2**970 else np.inf)


def test_merging_in_steps_differs_in_the_last_bits_of_mean_and_m2_alone() -> None:
    profiles = cut(data()["normal"], 12)
    steps, once = merge([merge(profiles[:5]), merge(profiles[5:])]), merge(profiles)
    assert without_moments(steps) == without_moments(once)
    a, b = steps.ports[0].what, once.ports[0].what
    assert isinstance(a, Numbers)
    assert isinstance(b, Numbers)
    np.testing.assert_allclose(a.mean, b.mean, rtol=1e-14, atol=1e-17)
    np.testing.assert_allclose(a.m2, b.m2, rtol=1e-14)


def test_what_profiles_do_not_share_becomes_none() -> None:
    one, two = (
        of_numbers(np.ones((1, 1)), arm=arm, begin=begin, end=10 + begin) for arm, begin in (("a", 3), ("b", 1))
    )
    merged = merge([one, two])
    assert (merged.arm, merged.model, merged.node, merged.begin, merged.end) == (None, "champion", None, 1, 13)
    assert merge([one, one]).arm == "a"
    assert merge([one._replace(node="n"), two]).node is None


def test_a_port_that_only_one_has_is_kept() -> None:
    one = of_numbers(np.ones((1, 1)))
    other = one._replace(ports=(one.ports[0]._replace(name="a", is_output=True), one.ports[0]._replace(name="y")))
    merged = merge([one, other])
    assert [(port.name, port.is_output) for port in merged.ports] == [("x", False), ("y", False), ("a", True)]


def test_ports_that_differ_are_refused_by_name() -> None:
    for other in (of_numbers(np.ones((1, 2))), of_numbers(np.ones((1, 1), np.float32)), of_texts(["a"])):
        with pytest.raises(LogError, match="x has another type or number of columns"):
            merge([of_numbers(np.ones((1, 1))), other])


def test_nothing_and_too_much_are_refused() -> None:
    with pytest.raises(LogError, match="no profile"):
        merge([])
    one = of_numbers(np.ones((1, 1)))
    what = one.ports[0].what
    assert isinstance(what, Numbers)
    many = one._replace(ports=(one.ports[0]._replace(what=what._replace(finite=np.array([2**61], np.uint64))),))
    with pytest.raises(LogError, match="more than can be counted"):
        merge([many, many])


# Texts.


def check_bounds(port: PortProfile, texts: list[str]) -> None:
    what = port.what
    assert isinstance(what, Texts)
    counts, error = Counter(texts), int(what.error[0])
    found = frequent(port, 0)
    assert len(found) <= 32
    assert error <= len(texts) / 33
    assert all(item.least <= counts[item.text] <= item.most for item in found)
    assert all(counts[text] <= error for text in counts.keys() - {item.text for item in found})


some_texts = st.lists(st.sampled_from([str(i) for i in range(50)]), min_size=1, max_size=200)


@given(st.lists(some_texts, min_size=1, max_size=6), st.randoms(use_true_random=False))
def test_texts_keep_their_bounds_and_do_not_depend_on_the_order(parts: list[list[str]], order: random.Random) -> None:
    profiles = [of_texts(part) for part in parts]
    together = [text for part in parts for text in part]
    merged = merge(profiles)
    check_bounds(merged.ports[0], together)
    assert plain(merge(order.sample(profiles, len(profiles)))) == plain(merged)
    whole = of_texts(together).ports[0].what
    what = merged.ports[0].what
    assert isinstance(what, Texts)
    assert isinstance(whole, Texts)
    assert what.registers.tolist() == whole.registers.tolist()
    assert (what.total.tolist(), what.empty.tolist()) == (whole.total.tolist(), whole.empty.tolist())
