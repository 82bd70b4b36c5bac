"""Whatever a caller gives becomes exactly what the model takes, or is refused by the input's name before it runs."""

from __future__ import annotations

import array
import enum
import pickle
from types import MappingProxyType

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from edgerun.errors import InputError
from edgerun.inputs import check_inputs
from edgerun.limits import LIMITS
from support.ports import DTYPES, signature, tensor

NUMBERS = [name for name in DTYPES if name not in {"bool", "string"}]
INTEGERS = [name for name in NUMBERS if "int" in name]
FLOATS = [name for name in NUMBERS if "float" in name]


def checked(given_value, dtype="float32", dims=("n",), *, cast=None):
    """What a model with the one input ``x`` is fed."""
    (fed,) = check_inputs(signature(tensor("x", dtype, dims)), given_value, cast)
    return fed


def refusal(given_value, dtype="float32", dims=("n",), *, cast=None):
    """Why a model with the one input ``x`` is not fed."""
    with pytest.raises(InputError) as caught:
        checked(given_value, dtype, dims, cast=cast)
    return str(caught.value)


def examples_of(dtype):
    if dtype == "string":
        return np.array(["", "ß"], object)
    return np.array([0, 1], dtype)


# Names.


def test_one_input_may_come_without_its_name():
    np.testing.assert_array_equal(checked([1.5]), checked({"x": [1.5]}))


@pytest.mark.parametrize("mapping", [dict, MappingProxyType], ids=["dict", "proxy"])
def test_inputs_come_in_the_order_of_the_signature(mapping):
    two = signature(tensor("a", "float32", ("n",)), tensor("b", "int64", ()))
    a, b = check_inputs(two, mapping({"b": 7, "a": [1.0]}), None)
    assert (a.dtype, b.dtype) == (np.float32, np.int64)
    assert (a.tolist(), b.tolist()) == ([1.0], 7)


TWO = signature(tensor("a"), tensor("b"))


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"a": [1.0]}, "input 'b' is missing: expected 'a', 'b'; got 'a'"),
        ({}, "input 'a' is missing: expected 'a', 'b'; got none"),
        ({"a": [1.0], "b": [1.0], "c": 1}, "input 'c' is unknown: expected 'a', 'b'; got 'a', 'b', 'c'"),
        ({"a": [1.0], "B": [1.0]}, "input 'b' is missing: expected 'a', 'b'; got 'a', 'B'"),
        ({"a": [1.0], "b": [1.0], 3: [1.0]}, "input 3 is unknown: expected 'a', 'b'; got 'a', 'b', 3"),
        ([1.0], "the model has 2 inputs ('a', 'b'); give a dict of them"),
        (None, "the model has 2 inputs ('a', 'b'); give a dict of them"),
    ],
    ids=["missing", "none", "unknown", "case", "no text", "bare", "null"],
)
def test_a_wrong_name_is_said_beside_the_right_ones(inputs, message):
    with pytest.raises(InputError) as caught:
        check_inputs(TWO, inputs, None)
    assert str(caught.value) == message


def test_a_model_without_inputs_takes_an_empty_dict():
    assert check_inputs(signature(), {}, None) == ()
    with pytest.raises(InputError, match=r"the model has 0 inputs"):
        check_inputs(signature(), [1.0], None)


# Arrays answer for their dtype.


@pytest.mark.parametrize("dtype", DTYPES)
def test_an_array_of_the_models_dtype_is_fed_as_it_is(dtype):
    value = examples_of(dtype)
    fed = checked(value, dtype)
    assert fed.dtype == value.dtype
    np.testing.assert_array_equal(fed, value)
    assert dtype == "string" or np.shares_memory(fed, value)


@pytest.mark.parametrize("given_dtype", [name for name in DTYPES if name != "string"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_an_array_of_another_dtype_is_refused(dtype, given_dtype):
    if given_dtype == dtype:
        return
    message = refusal(examples_of(given_dtype), dtype)
    assert message.startswith(f"input 'x': expected {dtype} [n], got dtype {given_dtype}")
    castable = dtype != "string" and np.can_cast(given_dtype, dtype, "safe")
    assert message.endswith(' (cast="safe" would convert it)') == castable


@pytest.mark.parametrize("given_dtype", [name for name in DTYPES if name != "string"])
@pytest.mark.parametrize("dtype", [name for name in DTYPES if name != "string"])
def test_a_safe_cast_is_numpys(dtype, given_dtype):
    value = examples_of(given_dtype)
    if np.can_cast(given_dtype, dtype, "safe"):
        fed = checked(value, dtype, cast="safe")
        assert fed.dtype == dtype
        np.testing.assert_array_equal(fed, value.astype(dtype))
    else:
        message = refusal(value, dtype, cast="safe")
        assert message == f"input 'x': expected {dtype} [n], got dtype {given_dtype}"


@pytest.mark.parametrize("cast", ["unsafe", "same_kind", "no", "", True, False, 1, ["safe"], {"safe"}])
def test_another_cast_than_safe_is_refused(cast):
    assert refusal([1.0], cast=cast).startswith('cast must be None or "safe", got ')


@pytest.mark.parametrize("dtype", NUMBERS)
def test_either_byte_order_is_the_same_dtype(dtype):
    for order in "<>":
        fed = checked(np.array([0, 1], np.dtype(dtype).newbyteorder(order)), dtype)
        assert fed.dtype == dtype
        assert fed.dtype.isnative
        assert fed.tolist() == [0, 1]


def test_a_safe_cast_may_change_the_byte_order_too():
    assert checked(np.array([1.5], ">f4"), "float64", cast="safe").tolist() == [1.5]


@pytest.mark.parametrize("code", "bhilqBHILQ")
def test_every_c_integer_type_is_the_dtype_of_its_width(code):
    value = np.array([1, 2], code)
    assert checked(value, value.dtype.name).tolist() == [1, 2]


@pytest.mark.parametrize("dtype", ["complex64", "datetime64[s]", "timedelta64[s]", "V4", "S4", [("a", "f4")]], ids=str)
def test_dtypes_that_no_model_has_are_refused(dtype):
    for cast in (None, "safe"):
        assert "expected int64 [n], got dtype " in refusal(np.zeros(2, dtype), "int64", cast=cast)


@pytest.mark.parametrize("dtype", NUMBERS)
def test_objects_are_never_numbers(dtype):
    assert "got dtype object" in refusal(np.array([1, 2], object), dtype, cast="safe")


# Memory: what the core reads is contiguous and aligned, whatever came.


def memories():
    base = np.arange(24, dtype=np.float32).reshape(4, 6)
    raw = np.frombuffer(bytearray(4 * 6 + 1), np.uint8)[1:]
    unaligned = raw.view(np.float32).reshape(2, 3)
    unaligned[...] = [[1, 2, 3], [4, 5, 6]]
    readonly = base.copy()
    readonly.flags.writeable = False
    return {
        "every other": base[::2, ::3],
        "backwards": base[::-1, ::-1],
        "transposed": base.T,
        "Fortran": np.asfortranarray(base),
        "broadcast": np.broadcast_to(np.float32(3), (2, 3)),
        "read-only": readonly,
        "unaligned": unaligned,
        "big-endian Fortran": np.asfortranarray(base.astype(">f4")),
        "matrix": base.view(np.matrix),
        "field of records": np.zeros(3, [("a", np.uint8), ("b", np.float32, 2)])["b"],
        "unpickled": pickle.loads(pickle.dumps(base)),
        "masked without a hole": np.ma.array(base),
    }


@pytest.mark.parametrize("kind", memories())
def test_any_memory_layout_is_fed_with_its_values(kind):
    value = memories()[kind]
    fed = checked(value, dims=("rows", "columns"))
    assert type(fed) is np.ndarray
    assert fed.flags.c_contiguous
    assert fed.flags.aligned
    assert fed.dtype == np.float32
    np.testing.assert_array_equal(fed, np.asarray(value))


def test_a_hole_in_a_masked_array_is_no_number():
    value = np.ma.array([1, 2], mask=[False, True], dtype=np.float32)
    assert refusal(value) == "input 'x': expected float32 [n], got a masked array with missing values; fill them first"


@given(arrays(st.sampled_from([np.float32, ">f4"]), array_shapes(max_dims=5, max_side=4)), st.data())
def test_any_view_of_any_array_is_fed_with_its_values(whole, data):
    view = whole.transpose(data.draw(st.permutations(range(whole.ndim))))
    for axis in range(view.ndim):
        view = np.moveaxis(view, axis, 0)[:: data.draw(st.sampled_from([1, 2, -1, -2]))]
        view = np.moveaxis(view, 0, axis)
    fed = checked(view, dims=tuple(f"d{i}" for i in range(view.ndim)))
    assert fed.flags.c_contiguous
    np.testing.assert_array_equal(fed, view)


# Shapes.


@pytest.mark.parametrize(
    ("dims", "shape", "expected", "got"),
    [
        (("n",), (), "[n]", "rank 0, shape []"),
        (("n",), (1, 2), "[n]", "rank 2, shape [1, 2]"),
        ((), (1,), "[]", "rank 1, shape [1]"),
        (("n", 3), (2, 4), "[n, 3]", "shape [2, 4]: axis 1 is 4, not 3"),
        ((2, "", 3), (1, 5, 3), "[2, ?, 3]", "shape [1, 5, 3]: axis 0 is 1, not 2"),
    ],
    ids=["too low", "too high", "not a scalar", "fixed", "fixed first"],
)
def test_a_wrong_shape_says_what_was_expected_and_what_came(dims, shape, expected, got):
    message = f"input 'x': expected float32 {expected}, got {got}"
    assert refusal(np.zeros(shape, np.float32), dims=dims) == message
    assert refusal(np.zeros(shape).tolist(), dims=dims) == message


@pytest.mark.parametrize("shape", [(1, 1), (7, 3), (10**5, 1), (0, 3), (3, 0)])
def test_a_dynamic_dimension_takes_any_size(shape):
    assert checked(np.zeros(shape, np.float32), dims=("", "columns")).shape == shape


@pytest.mark.parametrize("shape", [(), (3,), (0,), (2, 0, 3), (1,) * 32], ids=str)
def test_a_port_of_unknown_rank_takes_every_shape(shape):
    assert checked(np.zeros(shape, np.float32), dims=None).shape == shape


def test_more_dimensions_than_the_core_has_are_refused():
    assert checked(np.zeros((1,) * LIMITS.rank_max, np.float32), dims=None).ndim == LIMITS.rank_max
    message = "input 'x': expected float32 of any shape, got rank 33, which is more than 32"
    assert refusal(np.zeros((1,) * (LIMITS.rank_max + 1), np.float32), dims=None) == message


@pytest.mark.parametrize("value", [2.5, np.float32(2.5), np.array(2.5, np.float32), np.array(2.5, ">f4")], ids=repr)
def test_a_scalar_stays_a_scalar(value):
    fed = checked(value, dims=())
    assert fed.shape == ()
    assert fed.item() == 2.5


# Python numbers have no dtype, and become the input's where they fit.


@pytest.mark.parametrize("dtype", NUMBERS)
@pytest.mark.parametrize("value", [[0, 1, 100], (0, 1, 100), range(0, 101, 50)], ids=["list", "tuple", "range"])
def test_whole_numbers_fit_every_number(value, dtype):
    fed = checked(value, dtype)
    assert fed.dtype == dtype
    assert fed.tolist() == [*value]


@pytest.mark.parametrize("dtype", FLOATS)
def test_floats_fit_floats_rounded_to_them(dtype):
    np.testing.assert_array_equal(checked([0.1, -2.5, 0.0], dtype), np.array([0.1, -2.5, 0], dtype))


@pytest.mark.parametrize("dtype", INTEGERS)
def test_floats_do_not_fit_integers_even_when_whole(dtype):
    assert refusal([1, 2.0], dtype) == f"input 'x': expected {dtype} [n], got floats in a list"


@pytest.mark.parametrize("dtype", NUMBERS)
def test_truth_values_are_no_numbers(dtype):
    assert refusal([True, False], dtype) == f"input 'x': expected {dtype} [n], got booleans in a list"
    assert refusal(True, dtype, ()).endswith("got booleans in a bool")


def test_numbers_are_no_truth_values():
    assert checked([True, False], "bool").tolist() == [True, False]
    assert refusal([1, 0], "bool") == "input 'x': expected bool [n], got integers in a list"
    assert refusal([1.0], "bool") == "input 'x': expected bool [n], got floats in a list"


@pytest.mark.parametrize("dtype", INTEGERS)
def test_an_integer_fits_within_its_bounds_and_not_one_past(dtype):
    low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
    assert checked([low], dtype).item() == low
    assert checked([high], dtype).item() == high
    for outside in (low - 1, high + 1):
        assert f"got a number outside {dtype}: {outside} to {outside}" in refusal([outside], dtype)
        assert f"got a number outside {dtype}: " in refusal([0, outside, -1 if low else 1], dtype)


def test_integers_that_share_no_type_of_numpys_are_read_exactly():
    assert np.asarray([2**63, 1]).dtype == np.float64
    assert checked([2**63 + 1, 0], "uint64").tolist() == [2**63 + 1, 0]
    assert checked([[2**64 - 1], [1]], "uint64", ("n", 1)).tolist() == [[2**64 - 1], [1]]
    assert checked([10**30, -1], "float32").tolist() == [np.float32(1e30), -1]


@pytest.mark.parametrize("dtype", FLOATS)
def test_a_float_fits_within_its_bounds_and_does_not_become_infinite(dtype):
    largest = float(np.finfo(dtype).max)
    assert checked([largest, -largest], dtype).tolist() == [largest, -largest]
    if dtype == "float64":
        return
    for outside in (largest * 2, -largest * 2):
        assert f"got a number outside {dtype}: " in refusal([outside], dtype)


def test_a_whole_number_does_not_become_infinite_either():
    assert refusal([1, 70000], "float16") == (
        "input 'x': expected float16 [n], got a number outside float16: 1 to 70000"
    )


@pytest.mark.parametrize("dtype", FLOATS)
def test_nan_and_infinity_are_floats(dtype):
    fed = checked([float("nan"), float("inf"), -float("inf")], dtype)
    np.testing.assert_array_equal(fed, np.array([np.nan, np.inf, -np.inf], dtype))


ODD_LISTS = {
    "ragged": ([[1.0], [1.0, 2.0]], "got a list that is no array: "),
    "number beside list": ([1.0, [2.0]], "got a list that is no array: "),
    "null": ([1.0, None], "got elements of type NoneType, float in a list"),
    "texts": (["1", "2"], "got strings in a list"),
    "text beside number": ([1.0, "2"], "got strings in a list"),
    "bytes": ([b"1"], "got |S1 elements in a list"),
    "complex": ([1j], "got complex numbers in a list"),
    "object": ([object()], "got elements of type object in a list"),
    "dict inside": ([{}], "got elements of type dict in a list"),
    "beyond every float": ([1, 10**400], "got a number outside float32: 1 to 10000"),
    "beyond print": ([10**5000], "got a number outside float32: "),
    "text": ("1.5", "got strings in a str"),
}


@pytest.mark.parametrize(("value", "got"), ODD_LISTS.values(), ids=ODD_LISTS)
def test_a_list_of_no_numbers_is_refused(value, got):
    assert refusal(value).startswith(f"input 'x': expected float32 [n], {got}")


def test_a_list_within_itself_is_no_array():
    endless = []
    endless.append(endless)
    assert "got a list that is no array: " in refusal(endless)
    assert "got an element of type list" in refusal(endless, "string")


@pytest.mark.parametrize("dtype", DTYPES)
def test_an_empty_list_is_an_empty_array_of_the_ports_dtype(dtype):
    for dims in (("n",), None):
        found = checked([], dtype, dims)
        assert (found.shape, found.dtype) == ((0,), examples_of(dtype).dtype)


ODD_OBJECTS = {
    "none": None,
    "object": object(),
    "set": {1.0},
    "iterator": iter([1.0]),
    "generator": (number for number in [1.0]),
    "function": print,
    "ellipsis": ...,
}


@pytest.mark.parametrize("value", ODD_OBJECTS.values(), ids=ODD_OBJECTS)
def test_what_is_neither_list_nor_array_is_refused(value):
    assert refusal(value) == f"input 'x': expected float32 [n], got a {type(value).__name__}"


# Texts.

TEXTS = ["", "a", "ß", "日本", "é", "\U0001f600", "line\nbreak"]


class Card(str, enum.Enum):  # noqa: UP042 - a StrEnum prints its text; this one does not
    GOLD = "gold"


@pytest.mark.parametrize(
    "value",
    [
        TEXTS,
        tuple(TEXTS),
        np.array(TEXTS),
        np.array(TEXTS, ">U10"),
        np.array(TEXTS, object),
        np.array(TEXTS, np.dtypes.StringDType()),
        np.array(TEXTS * 2, object)[: len(TEXTS)],
        pd.Series(TEXTS),
        pd.Series(TEXTS, dtype=object),
    ],
    ids=["list", "tuple", "U", "big-endian U", "object", "StringDType", "slice", "pandas", "pandas object"],
)
def test_texts_of_every_kind_are_fed_as_str(value):
    fed = checked(value, "string")
    assert fed.tolist() == TEXTS
    assert {type(text) for text in fed.tolist()} == {str}


def test_an_enum_that_is_a_text_is_the_text_that_it_holds():
    assert str(Card.GOLD) == "Card.GOLD"
    assert checked([Card.GOLD], "string").tolist() == ["gold"]
    assert type(checked([Card.GOLD], "string")[0]) is str


def test_texts_may_have_any_shape():
    assert checked([["a"], ["b"]], "string", ("n", 1)).shape == (2, 1)
    assert checked("a", "string", ()).shape == ()
    assert refusal("abc", "string").endswith("got rank 0, shape []")


ODD_TEXTS = {
    "bytes": ([b"a"], "an element of type bytes"),
    "bytes array": (np.array([b"a"]), "dtype |S1"),
    "null": (["a", None], "an element of type NoneType"),
    "NaN": (np.array(["a", np.nan], object), "an element of type float"),
    "number": (["a", 1], "an element of type int"),
    "ragged": ([["a"], ["b", "c"]], "an element of type list"),
    "missing": (np.array(["a", None], np.dtypes.StringDType(na_object=None)), "an element of type NoneType"),
    "NUL": (["a\0b"], "a string with a NUL character, which onnxruntime would cut short"),
    "NUL in an array": (np.array(["a\0b"]), "a string with a NUL character, which onnxruntime would cut short"),
    "surrogate": (["a", "\ud800"], "a string that is not valid Unicode: surrogates not allowed"),
    "surrogate in an array": (np.array(["\udfff"]), "a string that is not valid Unicode: surrogates not allowed"),
    "numbers": (np.array([1.0]), "dtype float64"),
    "none": (None, "a NoneType"),
    "dict": ({1: 2}.keys(), "a dict_keys"),
}


@pytest.mark.parametrize(("value", "got"), ODD_TEXTS.values(), ids=ODD_TEXTS)
def test_what_is_no_text_is_refused(value, got):
    assert refusal(value, "string") == f"input 'x': expected string [n], got {got}"


def test_texts_are_no_numbers():
    assert refusal(np.array(["1.5"]), cast="safe") == "input 'x': expected float32 [n], got dtype <U3"
    assert refusal(np.array(["1"], np.dtypes.StringDType()), cast="safe").endswith("got dtype StringDType()")


# Objects of other libraries.


class Tensor:
    """A tensor of a library that edgerun does not know: it can make itself an array, and nothing else."""

    def __init__(self, values, dtype):
        self.values = np.array(values, dtype)

    def __array__(self, dtype=None):  # without copy=, as before numpy 2
        return self.values if dtype is None else self.values.astype(dtype)


class OnAnotherDevice:
    def __init__(self, error):
        self.error = error

    def __array__(self, dtype=None, copy=None):
        raise self.error("cannot be made an array here")


def test_an_object_that_makes_itself_an_array_is_one():
    assert checked(Tensor([1, 2], np.float32)).tolist() == [1, 2]
    assert checked(Tensor(["a"], object), "string").tolist() == ["a"]
    assert checked(pd.Series([1, 2], dtype=np.float32)).tolist() == [1, 2]
    assert checked(pd.DataFrame({"a": [1.5], "b": [2.5]}, dtype=np.float32), dims=("n", 2)).tolist() == [[1.5, 2.5]]


@pytest.mark.parametrize(
    "value",
    [
        Tensor([1, 2], np.float64),
        np.float64(1),
        memoryview(np.zeros(2)),
        array.array("d", [1, 2]),
        pd.Series([1.0]),
    ],
    ids=["tensor", "numpy scalar", "memoryview", "array.array", "pandas"],
)
def test_such_an_object_answers_for_its_dtype(value):
    assert refusal(value, dims=None) == "input 'x': expected float32 of any shape, got dtype float64"
    assert refusal(value, dims=None, cast="safe") == "input 'x': expected float32 of any shape, got dtype float64"


@pytest.mark.parametrize(
    "value",
    [Tensor([1, 2], np.float32), np.float32(1), memoryview(np.zeros(2, np.float32)), array.array("f", [1, 2])],
    ids=["tensor", "numpy scalar", "memoryview", "array.array"],
)
def test_such_an_object_is_cast_as_an_array_is(value):
    assert checked(value, "float64", None, cast="safe").dtype == np.float64
    assert '(cast="safe" would convert it)' in refusal(value, "float64", None)


@pytest.mark.parametrize("error", [RuntimeError, TypeError, ValueError, OverflowError])
@pytest.mark.parametrize("dtype", ["float32", "string"])
def test_an_object_that_fails_to_make_an_array_is_refused(error, dtype):
    assert refusal(OnAnotherDevice(error), dtype).endswith(
        "got a OnAnotherDevice that is no array: cannot be made an array here"
    )


# Whatever comes, the answer is an array of the right dtype or an InputError.

anything = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.text(max_size=3),
        st.binary(max_size=3),
        st.complex_numbers(),
        st.just(10**400),
        arrays(st.sampled_from(["f4", ">f8", "i1", "u8", "?", "O", "U2", "M8[s]", "c8"]), array_shapes(min_side=0)),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.tuples(inner), st.dictionaries(st.text(max_size=2), inner, max_size=2)
    ),
    max_leaves=6,
)


@given(
    anything,
    st.sampled_from([*DTYPES]),
    st.sampled_from([None, (), ("n",), ("n", 3)]),
    st.sampled_from([None, "safe"]),
)
def test_anything_is_fed_right_or_refused(value, dtype, dims, cast):
    try:
        fed = checked({"x": value}, dtype, dims, cast=cast)
    except InputError as error:
        assert len(str(error)) < 400  # noqa: PT017 - most are refused; none may be
        return
    assert fed.dtype == examples_of(dtype).dtype
    assert fed.flags.c_contiguous
    assert dims is None or fed.ndim == len(dims)
