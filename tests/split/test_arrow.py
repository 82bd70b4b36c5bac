"""edgerun.split._arrow: keys are read in place from every Arrow layout, and pyarrow is never imported for it."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgerun.errors import InputError
from edgerun.limits import LIMITS
from edgerun.split import Split

SPLIT = Split("arrow", {"a": 3, "b": 2, "c": 1})

TEXTS = ["a", "", "é", "日本", "a\0b", "user-7", "x" * 300]
INTEGERS = [0, 1, 7, 42, 100, 127]


def assert_same_as_one_by_one(keys: Any) -> None:
    arms = SPLIT.assign_many(keys)
    assert arms.dtype == np.int32
    assert arms.tolist() == [SPLIT.arms.index(SPLIT.assign(key)) for key in keys.to_pylist()]


def arrays() -> list[Any]:
    return [
        *(pa.array(TEXTS, type_) for type_ in (pa.string(), pa.large_string(), pa.binary(), pa.large_binary())),
        pa.array([text.encode()[:4].ljust(4, b"\0") for text in TEXTS], pa.binary(4)),
        pa.array([b"", b"", b""], pa.binary(0)),
        *(pa.array(INTEGERS, type_) for type_ in (pa.int8(), pa.uint16(), pa.int32(), pa.int64(), pa.uint64())),
        pa.array([2**64 - 1, 5, 6], pa.uint64()),
        pa.array([*TEXTS, *TEXTS]).dictionary_encode(),
        pa.array([7, 8, 7]).dictionary_encode(),
    ]


@pytest.mark.parametrize("array", arrays(), ids=lambda array: str(array.type))
def test_every_type_of_key_whole_sliced_and_empty(array: Any) -> None:
    for keys in (array, array[1:], array[2:-1], array[1:][1:], array[:0], array[len(array) :]):
        assert_same_as_one_by_one(keys)


@pytest.mark.parametrize("array", arrays(), ids=lambda array: str(array.type))
def test_chunks_are_assigned_in_their_order(array: Any) -> None:
    assert_same_as_one_by_one(pa.chunked_array([array[2:], array[:0], array, array[1:2]]))
    assert_same_as_one_by_one(pa.chunked_array([], array.type))


@given(st.lists(st.text()), st.integers(0, 5), st.integers(0, 5))
def test_any_texts_in_any_slice(texts: list[str], skipped: int, dropped: int) -> None:
    assert_same_as_one_by_one(pa.array(texts, pa.string())[skipped : len(texts) - dropped])


def test_arrays_that_buffers_were_never_made_for() -> None:
    assert_same_as_one_by_one(pa.array([], pa.string()))
    assert_same_as_one_by_one(pa.array([], pa.int64()))
    assert_same_as_one_by_one(pa.array(["", ""], pa.string()))
    assert_same_as_one_by_one(pa.Array.from_buffers(pa.string(), 0, [None, None, pa.py_buffer(b"")]))


@pytest.mark.parametrize(
    "array",
    [
        pa.array(["a", None, "b", None]),
        pa.array([1, None, 2, None]),
        pa.array([b"ab", None, b"cd", None], pa.binary(2)),
        pa.array(["a", None, "b", None]).dictionary_encode(),
    ],
    ids=lambda array: str(array.type),
)
def test_a_null_is_refused_with_its_index(array: Any) -> None:
    for keys in (array, pa.chunked_array([array])):
        with pytest.raises(InputError, match=r"keys\[1\] is null, as 2 of 4 are.*drop_null"):
            SPLIT.assign_many(keys)
    assert_same_as_one_by_one(array[2:3])


def test_a_null_that_hides_in_a_dictionary_is_refused() -> None:
    with pytest.raises(InputError, match=r"keys\[1\] is null"):
        SPLIT.assign_many(pa.DictionaryArray.from_arrays(pa.array([0, 1]), pa.array(["a", None])))


@pytest.mark.parametrize(
    "array",
    [
        pa.array([True]),
        pa.array([1.5]),
        pa.nulls(0),
        pa.array([["a"]]),
        pa.array([{"a": 1}]),
        pa.array([1], pa.date32()),
        pa.array([1], pa.timestamp("s")),
        pa.array(["a"], pa.string_view()),
    ],
    ids=lambda array: str(array.type),
)
def test_a_type_that_holds_no_keys_is_refused_by_name(array: Any) -> None:
    with pytest.raises(InputError, match=r"Arrow array of type .* holds no keys"):
        SPLIT.assign_many(array)


def test_keys_of_an_arrow_array_have_the_same_limit_as_one_key() -> None:
    longest = "x" * LIMITS.key_max_bytes
    assert_same_as_one_by_one(pa.array(["a", longest, longest]))
    for array in (
        pa.array(["a", longest + "x"]),
        pa.array([(longest + "x").encode()], pa.binary(len(longest) + 1)),
    ):
        with pytest.raises(InputError, match=f"at most {LIMITS.key_max_bytes} bytes"):
            SPLIT.assign_many(array)


def test_an_arrow_scalar_is_not_a_key() -> None:
    with pytest.raises(InputError, match="not StringScalar"):
        SPLIT.assign(pa.scalar("a"))


def test_pyarrow_is_never_imported_for_other_keys() -> None:
    program = (
        "import sys, numpy; from edgerun.split import Split; s = Split('s', {'a': 1});"
        "s.assign('k'); s.assign_many(['k', 1]); s.assign_many(numpy.arange(3)); s.explain(1);"
        "sys.exit('pyarrow' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
