"""Values of profiles come back whole, and what is no such value is refused."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgerun._core import profile as core
from edgerun.errors import LogError
from edgerun.limits import LIMITS
from edgerun.log.payload import pack, unpack
from edgerun.log.profile_values import as_value, from_value
from edgerun.log.profiles import Numbers, Profile
from support.profiled import cards, data, of_numbers, of_texts, plain, read


def again(profile: Profile) -> Profile:
    """A profile after it went through msgpack."""
    return from_value(unpack(pack(as_value(profile))))


@pytest.mark.parametrize("name", data())
def test_numbers_come_back(name: str) -> None:
    profile = of_numbers(data()[name])
    assert plain(again(profile)) == plain(profile)


def test_texts_come_back() -> None:
    for texts in (cards()[1], [""], ["日本" * 40, "a", "a"], [str(i) for i in range(1000)]):
        profile = of_texts(texts)
        assert plain(again(profile)) == plain(profile)


def test_texts_that_are_no_utf8_come_back_as_they_were_shown() -> None:
    handle = core.new_profile(1, 0)
    core.update_texts(handle, 0, 1, [b"\xff\xfe", b"\xff" * 64, b"\\xff\\xfe"])
    profile = read(handle)
    assert plain(again(profile)) == plain(profile)


def test_names_and_times_come_back() -> None:
    profile = of_numbers(np.ones((1, 1)), arm=None, node="watch", begin=-(2**63), end=2**63 - 1)
    assert plain(again(profile)) == plain(profile)
    assert plain(again(profile._replace(bundle=None, ports=()))) == plain(profile._replace(bundle=None, ports=()))


def test_a_key_that_is_not_known_is_ignored() -> None:
    value = as_value(of_numbers(np.ones((3, 2))))
    value["later"] = value["ports"][0]["later"] = [1, 2, 3]
    assert plain(from_value(value)) == plain(of_numbers(np.ones((3, 2))))


def wrong(port: dict[str, Any] | None = None, **others: Any) -> dict[str, Any]:
    """The value of a profile of two columns, with some of it replaced."""
    value = as_value(of_numbers(np.array([[1.0, -2.0], [3.0, 4.0], [0.0, np.nan]])))
    value["ports"][0] |= port or {}
    return value | others


def wrong_texts(**port: Any) -> dict[str, Any]:
    value = as_value(of_texts(["a", "b", "a"]))
    value["ports"][0] |= port
    return value


REFUSED: dict[str, Any] = {
    "no map": [1],
    "a name that is no text": wrong(bundle=3),
    "no ports": wrong(ports=None),
    "too many ports": wrong(ports=[{}] * (2 * LIMITS.ports_max + 1)),
    "a port that is no map": wrong(ports=[1]),
    "two ports of one name": wrong(ports=2 * wrong()["ports"]),
    "begin is no integer": wrong(begin=1.0),
    "end is too large": wrong(end=2**63),
    "a port without a name": wrong({"name": None}),
    "neither input nor output": wrong({"is_output": 1}),
    "an unknown type": wrong({"type": 99}),
    "a type that is a list": wrong({"type": []}),
    "no columns": wrong({"columns": 0}),
    "257 columns": wrong({"columns": 257}),
    "columns of another length": wrong({"columns": 3}),
    "a count that is a float": wrong({"count": 1.0}),
    "a count that is none": wrong({"count": None}),
    "a count beyond all": wrong({"missing": 2**62}),
    "seen is negative": wrong({"seen": -1}),
    "more zeros than numbers": wrong({"zero": 4}),
    "a mean that is NaN": wrong({"mean": np.nan}),
    "a mean that is infinite": wrong({"mean": np.inf}),
    "m2 is negative": wrong({"m2": -1.0}),
    "m2 is NaN": wrong({"m2": np.nan}),
    "min is above max": wrong({"min": 5.0}),
    "min is infinite": wrong({"min": -np.inf}),
    "min is NaN": wrong({"min": np.nan}),
    "more cells than there are": wrong({"cells": core.CELLS_MAX + 1}),
    "as many cells as there are, in a few bytes": wrong({"cells": core.CELLS_MAX, "cell": 8128, "weight": 1}),
    "a cell of subnormal numbers": wrong({"cells": 1, "cell": 63, "weight": 1}),
    "a cell of infinity": wrong({"cells": 1, "cell": 255 * 64, "weight": 1}),
    "a cell of minus infinity": wrong({"cells": 1, "cell": -1 - 255 * 64, "weight": 1}),
    "an empty cell": wrong({"cells": 1, "cell": 8128, "weight": 0}),
    "cells that hold too much": wrong({"cells": 1, "cell": 8128, "weight": 4}),
    "cells that do not ascend": wrong({"cells": 2, "cell": [0, 8128, b"\0\2\0\2", b"\1\1"], "weight": 1}),
    "registers that are too few": wrong_texts(registers=bytes(1023)),
    "a register beyond all": wrong_texts(registers=bytes(1023) + b"\x38"),
    "registers that are no bytes": wrong_texts(registers=[0] * 1024),
    "texts that are no list": wrong_texts(texts="ab"),
    "texts of too few columns": wrong_texts(texts=[]),
    "a text that is none": wrong_texts(texts=[["a", 1]]),
    "33 texts": wrong_texts(texts=[[str(i) for i in range(33)]], weights=1, count=33),
    "a text that is too long": wrong_texts(texts=[["a" * 257, "b"]]),
    "a text that is there twice": wrong_texts(texts=[["a", "a"]]),
    "a text without weight": wrong_texts(weights=0),
    "weights that are too large": wrong_texts(weights=3),
    "more empty texts than texts": wrong_texts(empty=4),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_the_format_does_not_allow_is_refused(name: str) -> None:
    with pytest.raises(LogError):
        from_value(REFUSED[name])


def test_the_values_that_are_refused_would_be_accepted_without_what_is_wrong() -> None:
    from_value(wrong())
    from_value(wrong_texts())
    from_value(wrong({"cells": 1, "cell": 8128, "weight": 1}))
    from_value(wrong_texts(texts=[[str(i) for i in range(32)]], weights=1, count=32))


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) of a nested value."""
    if isinstance(value, dict):
        return [place for key in value for place in [(value, key), *places(value[key])]]
    if isinstance(value, list):
        return [place for at in range(len(value)) for place in [(value, at), *places(value[at])]]
    return []


NUMBERS, TEXTS = as_value(of_numbers(data()["holes"][:50])), as_value(of_texts(["a", "b", "a", ""]))

anything = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**64 - 1),
    st.floats(),
    st.text(max_size=3),
    st.binary(max_size=40),
    st.lists(st.one_of(st.integers(-(2**63), 2**64 - 1), st.binary(max_size=30)), max_size=6),
    st.builds(dict),
)


@given(st.sampled_from([NUMBERS, TEXTS]), st.lists(st.tuples(st.integers(0, 10**6), anything), min_size=1, max_size=3))
def test_anything_anywhere_is_read_or_refused(value: dict[str, Any], changes: list[tuple[int, Any]]) -> None:
    changed = copy.deepcopy(value)
    for at, what in changes:
        found = places(changed)
        container, key = found[at % len(found)]
        container[key] = what
    try:
        profile = from_value(changed)
    except LogError:
        return
    assert plain(again(profile)) == plain(profile)
    for port in profile.ports:
        if isinstance(port.what, Numbers):
            assert len(port.what.cell) == len(port.what.weight) == port.what.cells.sum()


@given(
    st.recursive(anything, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4))
)
def test_anything_at_all_is_refused_unless_it_is_a_profile(value: Any) -> None:
    with pytest.raises(LogError):
        from_value(value)
