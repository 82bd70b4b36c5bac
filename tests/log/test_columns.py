"""Columns: every code against plain Python, floats in their order, and what is no column."""

from __future__ import annotations

import contextlib
import math
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgerun import LIMITS, LogError
from edgerun.log.columns import decode, elements, integers, texts, values
from vectors.log import log_reference as reference

UNSIGNED = st.integers(0, 2**64 - 1)
SIGNED = st.integers(-(2**63), 2**63 - 1)
CODES = [reference.up, reference.down, reference.around, reference.steps, reference.choice]


@pytest.mark.parametrize("code", CODES, ids=lambda code: code.__name__)
@given(numbers=st.lists(SIGNED, min_size=1))
def test_every_code_gives_back_signed_integers(code, numbers):
    # The reference leaves differences whole, which a column holds modulo 2^64.
    column = code([number // 4 for number in numbers])
    found = decode(column, len(numbers), signed=True)
    assert found.dtype == np.int64
    assert found.tolist() == [number // 4 for number in numbers]


@pytest.mark.parametrize("code", [reference.up, reference.down, reference.choice], ids=lambda code: code.__name__)
@given(numbers=st.lists(UNSIGNED, min_size=1))
def test_every_code_gives_back_unsigned_integers(code, numbers):
    if code is reference.choice:
        numbers = [number // 2 for number in numbers]
    found = decode(code(numbers), len(numbers))
    assert found.dtype == np.uint64
    assert found.tolist() == numbers


@given(numbers=st.lists(st.integers(-(2**61), 2**61), min_size=1), step=st.integers(-(2**60), 2**60))
def test_a_line_gives_back_what_is_beside_it(numbers, step):
    assert decode(reference.line(numbers, step), len(numbers), signed=True).tolist() == numbers


@pytest.mark.parametrize("step", [2**63 - 1, -(2**63), 65535, -1, 0])
def test_a_line_is_exact_however_steep(step):
    n = 1000
    column = [4, 5, step, *reference.packed([0] * n)]
    assert decode(column, n).tolist() == [(5 + i * step // 65536) % 2**64 for i in range(n)]


def test_arithmetic_is_modulo_two_to_the_64():
    assert decode([0, 2**64 - 1, *reference.packed([2])], 1).tolist() == [1]
    assert decode([1, 0, *reference.packed([1])], 1).tolist() == [2**64 - 1]
    assert decode([0, -1, *reference.packed([0])], 1).tolist() == [2**64 - 1]


@pytest.mark.parametrize("value", [0, 7, -1, 2**64 - 1])
def test_one_integer_may_stand_for_all_rows(value):
    assert decode(value, 3).tolist() == [value % 2**64] * 3


def test_a_float_or_nil_may_stand_for_all_rows():
    assert decode(0.5, 2).tolist() == [0.5, 0.5]
    assert decode(None, 2).tolist() == [None, None]


def test_what_all_rows_share_takes_no_memory_a_row():
    assert decode(7, 10**12).strides == (0,)
    assert decode([5, reference.up([3]), 0], 10**12).strides == (0,)
    assert decode([6, ["a"], 0], 10**12).strides == (0,)
    assert decode([8, 1, [5, reference.up([3]), 0]], 10**12).strides == (0,)


@given(st.lists(st.integers(-(2**40), 2**40), min_size=1), st.integers(1, 22))
def test_multiples_of_a_power_of_two_come_back_from_what_was_shifted(numbers, shift):
    values = [number << shift for number in numbers]
    for column in (reference.multiples(values, shift), [8, shift, reference.choice(numbers)]):
        assert decode(column, len(numbers), signed=True).tolist() == values


def test_what_is_shifted_out_of_64_bits_is_gone():
    assert decode([8, 63, reference.up([2, 3])], 2).tolist() == [0, 2**63]
    assert decode([8, 63, reference.up([2, 3])], 2, signed=True).tolist() == [0, -(2**63)]


@given(st.lists(st.text()))
def test_texts_come_back(found):
    assert texts(reference.texts(found), len(found)).tolist() == found


def test_values_come_back_lists_as_lists():
    found = [[1, 2], [3, 4], {"a": None}, "x"]
    assert values(reference.listed(found), 4).tolist() == found


@pytest.mark.parametrize(
    ("form", "type_", "dtype"), [("d", 11, np.float64), ("f", 1, np.float32), ("e", 10, np.float16)]
)
@given(data=st.data())
def test_floats_come_back_bit_by_bit(form, type_, dtype, data):
    width = np.dtype(dtype).itemsize
    bits = data.draw(st.lists(st.integers(0, 2 ** (8 * width) - 1), min_size=1))
    given_ = np.array(bits, f"u{width}").view(dtype)
    column = reference.up([order_of(number, 8 * width) for number in bits])
    found = elements(column, len(bits), type_)
    assert found.dtype == dtype
    assert found.view(f"u{width}").tolist() == given_.view(f"u{width}").tolist()


def order_of(bits: int, width: int) -> int:
    return bits ^ (2**width - 1) if bits >> (width - 1) else bits | 1 << (width - 1)


@given(st.lists(st.floats(allow_nan=False), min_size=2))
def test_the_integers_of_floats_have_their_order(numbers):
    ordered = sorted(numbers, key=lambda number: (number, math.copysign(1, number)))
    assert sorted(map(reference.order, numbers)) == [reference.order(number) for number in ordered]
    assert elements(reference.up([reference.order(x) for x in numbers]), len(numbers), 11).tolist() == numbers


@pytest.mark.parametrize(
    ("type_", "dtype", "extremes"),
    [
        (2, np.uint8, [0, 255]),
        (3, np.int8, [-128, 127]),
        (4, np.uint16, [0, 65535]),
        (5, np.int16, [-32768, 32767]),
        (6, np.int32, [-(2**31), 2**31 - 1]),
        (7, np.int64, [-(2**62), 2**62]),
        (9, np.bool_, [0, 1]),
        (12, np.uint32, [0, 2**32 - 1]),
        (13, np.uint64, [0, 2**64 - 1]),
    ],
)
def test_integers_have_the_dtype_of_their_type(type_, dtype, extremes):
    found = elements(reference.up(extremes), 2, type_)
    assert found.dtype == dtype
    assert found.tolist() == extremes


LONG = bytes([255]) * 3


@pytest.mark.parametrize(
    "column",
    [
        "text",
        b"bytes",
        True,
        {},
        [],
        [9, 0, b"", b""],
        [0, 0, b""],
        [0, 0, b"", b"", b""],
        ["0", 0, b"", b""],
        [0, 0.5, *reference.packed([1, 2])],
        [0, 2**64, *reference.packed([1, 2])],
        [4, 0, 2**63, *reference.packed([1, 2])],
        [4, 0, *reference.packed([1, 2])],
        [0, 0, *reference.packed([1, 2, 3])],
        [0, 0, "ab", b""],
        [0, 0, b"\x41\x00", b"\xff" * 8],
        [0, 0, b"\x02\x02", b""],
        [0, 0, b"\x02\x02", b"\x00\x00"],
        [0, 0, b"\x01\x01", b"\x00"],
        [5, 3, reference.up([0, 0])],
        [5, reference.up([7]), reference.up([0, 1])],
        [5, reference.up([7]), -1],
        [5, reference.listed([7]), reference.up([0, 0])],
        [5, [], 0],
        [6, ["a", 1], reference.up([0, 0])],
        [6, ["a"], None],
        [6, [], 0],
        [6, "ab", reference.up([0, 1])],
        [7, [1]],
        [7, [1, 2, 3]],
        [7, b"ab"],
        [8, 0, reference.up([1, 2])],
        [8, 64, reference.up([1, 2])],
        [8, True, reference.up([1, 2])],
        [8, 1, reference.up([1])],
        [8, 1, 7],
        [8, 1, []],
        [8, 1, [[], 0, b"", b""]],
        [8, 1, [8, 1, reference.up([1, 2])]],
        [8, 1, reference.texts(["a", "b"])],
        [8, 1, reference.listed([1, 2])],
        [8, 1],
    ],
    ids=repr,
)
def test_what_is_no_column_of_two_values_is_refused(column):
    with pytest.raises(LogError):
        decode(column, 2)


def nested(depth: int) -> list:
    column = reference.up([0, 0])
    for _ in range(depth):
        column = [5, reference.up([0]), column]
    return column


def test_columns_nest_as_deep_as_the_limit_and_no_deeper():
    assert decode(nested(LIMITS.log_column_depth_max), 2).tolist() == [0, 0]
    with pytest.raises(LogError, match="nests deeper than 4"):
        decode(nested(LIMITS.log_column_depth_max + 1), 2)
    assert decode([8, 1, nested(LIMITS.log_column_depth_max - 1)], 2).tolist() == [0, 0]
    with pytest.raises(LogError, match="nests deeper than 4"):
        decode([8, 1, nested(LIMITS.log_column_depth_max)], 2)


@pytest.mark.parametrize(
    ("column", "type_"),
    [
        (256, 2),
        (-1, 2),
        (128, 3),
        (2, 9),
        (2**32, 1),
        (2**16, 10),
        (None, 1),
        (None, 7),
        (0.5, 7),
        (0, 8),
        (None, 8),
        (reference.texts(["a"]), 1),
        (0, 16),
        (0, 0),
        (reference.listed([1]), 7),
    ],
    ids=repr,
)
def test_a_value_that_is_not_of_its_type_is_refused(column, type_):
    with pytest.raises(LogError):
        elements(column, 1, type_)


def test_a_float_that_all_rows_share_is_one_of_its_type():
    assert elements(0.5, 2, 1).tolist() == [0.5, 0.5]
    assert math.isinf(elements(1e300, 1, 1)[0])


@pytest.mark.parametrize("column", [0.5, None, reference.listed([1, 2]), reference.texts(["a", "b"])])
def test_integers_are_nothing_else(column):
    with pytest.raises(LogError):
        integers(column, 2)


COLUMNS = st.recursive(
    st.none()
    | st.integers(-(2**65), 2**65)
    | st.floats()
    | st.binary(max_size=12)
    | st.text(max_size=3)
    | st.builds(lambda us: [0, 3, *reference.packed(us)], st.lists(st.integers(0, 2**64 - 1), max_size=4)),
    lambda inner: st.lists(st.integers(0, 9) | inner, max_size=6),
)


@given(column=COLUMNS, n=st.integers(0, 4), signed=st.booleans(), type_=st.integers(0, 17))
def test_anything_is_a_column_of_n_values_or_a_log_error(column, n, signed, type_):
    for found in (lambda: decode(column, n, signed=signed), lambda: elements(column, n, type_)):
        with contextlib.suppress(LogError):
            assert found().shape == (n,)


def test_the_reference_knows_the_floats_of_the_format():
    for value in (0.0, -0.0, 1.5, -math.inf):
        bits = int.from_bytes(struct.pack("<d", value), "little")
        assert reference.order(value) == order_of(bits, 64)
