"""edgerun.split._batch: a batch answers as its keys do one by one, in every layout of a list or a numpy array."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgerun._core import split as _core
from edgerun.errors import CoreError, InputError
from edgerun.limits import LIMITS
from edgerun.split import Key, Split
from edgerun.split._batch import LIST_CHUNK_KEYS

if TYPE_CHECKING:
    from collections.abc import Sequence

SPLIT = Split("batch", {"a": 3, "b": 2, "c": 1, "d": 1})


def one_by_one(keys: Sequence[Key]) -> list[int]:
    return [SPLIT.arms.index(SPLIT.assign(key)) for key in keys]


def assert_same_as_one_by_one(keys: Any) -> None:
    arms = SPLIT.assign_many(keys)
    assert arms.dtype == np.int32
    assert arms.shape == (len(keys),)
    assert arms.tolist() == one_by_one(list(keys))


@given(st.lists(st.text()))
def test_a_list_of_texts(keys: list[str]) -> None:
    assert_same_as_one_by_one(keys)


@given(st.lists(st.integers()))
def test_a_list_of_integers(keys: list[int]) -> None:
    assert_same_as_one_by_one(keys)


@given(st.lists(st.one_of(st.text("ab\0é"), st.binary(max_size=40), st.integers())))
def test_a_list_of_every_kind_of_key(keys: list[Key]) -> None:
    assert_same_as_one_by_one(keys)


@given(st.lists(st.integers(-(2**63), 2**63 - 1)))
def test_an_array_of_int64(keys: list[int]) -> None:
    assert_same_as_one_by_one(np.array(keys, np.int64))


@given(st.lists(st.binary(min_size=16, max_size=16)))
def test_an_array_of_16_byte_digests(keys: list[bytes]) -> None:
    assert SPLIT.assign_many(np.frombuffer(b"".join(keys), "V16")).tolist() == one_by_one(keys)


@pytest.mark.parametrize("size", [0, 1, LIST_CHUNK_KEYS - 1, LIST_CHUNK_KEYS, LIST_CHUNK_KEYS + 1])
@pytest.mark.parametrize("last", ["text", "with\0NUL", 7, b"\xff"])
def test_a_list_around_the_size_of_its_chunks(size: int, last: Key) -> None:
    assert_same_as_one_by_one([*(f"user-{number}" for number in range(size)), last])


@pytest.mark.parametrize(
    "keys",
    [
        [],
        (),
        [""],
        ["", "", ""],
        ["\0"],
        ["a\0b"],
        ["a", "b\0", "c"],
        ("a", "b", 3),
        range(-5, 5000),
        [1, 2**63, -(2**63) - 1],
        [np.int64(3), np.str_("x"), np.bytes_(b"y")],
        np.array(["é", "", "日本"]),
        np.array(["a", 1, b"\xff"], object),
        np.array([2**63, 2**64 - 1, 5], np.uint64),
        np.array([5, 6], ">i8"),
        np.array([], np.int32),
        np.arange(20, dtype=np.int64)[::-3],
        np.arange(20, dtype=np.uint64)[1::2],
    ],
    ids=str,
)
def test_sequences_and_arrays_of_other_forms(keys: Any) -> None:
    assert_same_as_one_by_one(keys)


@pytest.mark.parametrize("dtype", ["i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8"])
def test_integers_of_every_width(dtype: str) -> None:
    info = np.iinfo(dtype)
    assert_same_as_one_by_one(np.array([info.min, 0, 1, info.max], dtype))


def test_a_numpy_array_of_variable_width_strings() -> None:
    assert_same_as_one_by_one(np.array(["a", "日本" * 20], np.dtypes.StringDType()))


def test_digests_of_no_bytes() -> None:
    assert SPLIT.assign_many(np.zeros(2, "V0")).tolist() == one_by_one([b"", b""])


def test_strided_digests() -> None:
    digests = np.frombuffer(np.random.default_rng(1).bytes(16 * 50), "V16")
    assert SPLIT.assign_many(digests[::-2]).tolist() == one_by_one([bytes(key) for key in digests[::-2].tolist()])


def test_a_pandas_series() -> None:
    assert SPLIT.assign_many(pd.Series(["a", "b"])).tolist() == one_by_one(["a", "b"])
    assert SPLIT.assign_many(pd.Series([1, 2])).tolist() == one_by_one([1, 2])
    assert SPLIT.assign_many(pd.Series([1, 2], dtype="Int64")).tolist() == one_by_one([1, 2])
    with pytest.raises(InputError, match=r"keys\[1\]: .*not float nan"):
        SPLIT.assign_many(pd.Series(["a", None]))


def test_a_masked_array_without_masked_keys() -> None:
    assert_same_as_one_by_one(np.ma.array([1, 2, 3]))


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ("abc", "keys are one str"),
        (b"abc", "keys are one bytes"),
        (bytearray(b"abc"), "keys are one bytearray"),
        (memoryview(b"abc"), "keys are one memoryview"),
        (None, "not NoneType"),
        (7, "not int"),
        ({"a"}, "not set"),
        ({"a": 1}, "not dict"),
        (iter(["a"]), "not list_iterator"),
        (np.array([True]), "dtype bool"),
        (np.array([1.0]), "dtype float64 holds no keys; convert them to the integers or texts"),
        (np.array([1j]), "dtype complex128"),
        (np.array(["2020-01-01"], "M8[D]"), "dtype datetime64"),
        (np.array([b"ab"]), r"dtype \|S2 .*NUL bytes.*keys.view\('V2'\)"),
        (np.zeros(2, "i4,i4"), "holds no keys"),
        (np.zeros((2, 2), int), r"its shape is \(2, 2\)"),
        (np.array(5), r"its shape is \(\)"),
        (np.ma.array([1, 2], mask=[False, True]), "masked array has missing keys"),
        (["a", True], r"keys\[1\]: .*not bool True"),
        (["a", None, "b"], r"keys\[1\]: .*not NoneType None"),
        ([1, 2.5], r"keys\[1\]: .*not float 2.5"),
        ([True, False], r"keys\[0\]: .*not bool True"),
        (["a"] * 5000 + ["\ud800"], r"keys\[5000\]: .*lone surrogate"),
        (np.array(["a", 1.5], object), r"keys\[1\]: .*not float 1.5"),
        (pd.Series([1.0, None]), "dtype float64"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_bad_batches_are_refused_whole_with_the_reason(keys: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        SPLIT.assign_many(keys)


@pytest.mark.parametrize("make", [str.encode, str], ids=["bytes", "text"])
def test_keys_of_a_batch_have_the_same_limit_as_one_key(make: Any) -> None:
    longest = "x" * LIMITS.key_max_bytes
    assert_same_as_one_by_one([make("a"), make(longest), make("b")])
    with pytest.raises(InputError, match=rf"keys\[1\]: .*at most {LIMITS.key_max_bytes} bytes"):
        SPLIT.assign_many([make("a"), make(longest + "x")])


def test_digests_have_the_same_limit_as_one_key() -> None:
    assert_same_as_one_by_one_bytes = SPLIT.assign_many(np.zeros(2, f"V{LIMITS.key_max_bytes}"))
    assert assert_same_as_one_by_one_bytes.tolist() == one_by_one([bytes(LIMITS.key_max_bytes)] * 2)
    with pytest.raises(InputError, match=f"at most {LIMITS.key_max_bytes} bytes"):
        SPLIT.assign_many(np.zeros(2, f"V{LIMITS.key_max_bytes + 1}"))


def test_the_core_is_never_handed_buffers_that_do_not_fit() -> None:
    arms = np.zeros(3, np.int32)
    with pytest.raises(CoreError, match="3 keys of 16 bytes do not lie in 32 bytes"):
        _core.split_assign_fixed(SPLIT.handle, bytes(32), 16, arms)
    with pytest.raises(CoreError, match="3 keys need 4 offsets, not 3"):
        _core.split_assign_offsets(SPLIT.handle, b"abc", np.arange(3), arms)
    with pytest.raises(CoreError, match="outside its domain"):
        _core.split_assign_offsets(SPLIT.handle, b"abc", np.array([0, 1, 2, 4]), arms)
    with pytest.raises(CoreError, match="2 keys, but room for 3 arms"):
        _core.split_assign_int64(SPLIT.handle, np.arange(2), arms)
