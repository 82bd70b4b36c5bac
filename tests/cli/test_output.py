"""How commands show numbers, texts and columns."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from edgerun.cli.output import columns, duration_text, json_line, json_value, printable, share_text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0.00 us"),
        (4.2e-8, "0.0420 us"),
        (9.87e-6, "9.87 us"),
        (4.2e-5, "42.0 us"),
        (9.999e-5, "100 us"),
        (9.996e-4, "1.00 ms"),
        (0.0123, "12.3 ms"),
        (0.9996, "1.00 s"),
        (1234.5, "1234 s"),
    ],
    ids=str,
)
def test_durations_have_three_digits_and_a_fitting_unit(seconds, text):
    assert duration_text(seconds) == text


@pytest.mark.parametrize(
    ("share", "text"),
    [(0, "0 %"), (1, "100 %"), (0.8, "80 %"), (1 / 3, "33.33 %"), (0.97512, "97.51 %"), (1e-5, "0.001 %")],
    ids=str,
)
def test_shares_are_per_cent(share, text):
    assert share_text(share) == text


def test_columns_are_as_wide_as_their_widest_cell_and_lines_have_no_blank_end():
    assert columns([("a", "bb", ""), ("ccc", "", "d")]) == "a    bb\nccc      d"


def test_what_could_steer_a_terminal_is_escaped():
    assert printable("grün \x1b[31m\r\n\u202e") == r"grün \x1b[31m\r\n\u202e"
    assert printable("\udcff") == r"\udcff"


def test_json_is_one_ascii_line_and_never_a_bare_nan():
    assert json_line({"é": "\n"}) == '{"\\u00e9": "\\n"}'
    with pytest.raises(ValueError, match="not JSON compliant"):
        json_line([float("nan")])


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@given(data=st.data())
def test_json_numbers_read_back_the_same(dtype, data):
    array = data.draw(arrays.arrays(dtype, (2, 2)))
    back = np.array(json.loads(json_line(json_value(array))))
    np.testing.assert_array_equal(back.astype(dtype), array)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.array([1, 2]), [1, 2]),
        (np.array([True]), [True]),
        (np.array([["a"]], object), [["a"]]),
        (np.float32(0.1) * np.ones(1, np.float32), [0.1]),
        ([{1: 0.5}, {"a": float("inf")}], [{"1": 0.5}, {"a": "Infinity"}]),
        (np.array(3.0), 3.0),
        (np.array(np.nan), "NaN"),
    ],
    ids=["int64", "bool", "texts", "float32", "maps", "a scalar", "a scalar NaN"],
)
def test_every_kind_of_output_has_a_json_form(value, expected):
    assert json_value(value) == expected
