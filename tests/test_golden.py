"""A golden example is compared exactly as it says, and whatever is wrong with it is said with its number."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from edgerun.bundle import open_sessions
from edgerun.errors import BundleError
from edgerun.golden import DEFAULT_TOLERANCE, Golden, check_golden, complete, parse_golden, plain
from edgerun.graph import parse_graph
from support import models


@pytest.fixture(scope="session")
def sessions(tmp_path_factory):
    """Open a model, given as bytes, under the name ``m``."""

    def sessions(model):
        path = tmp_path_factory.mktemp("golden") / "m.onnx"
        path.write_bytes(model)
        return open_sessions({"m": path}, parse_graph("b", {}, "m", ["m"]), threads=1)

    return sessions


def example(inputs, outputs, tolerance=DEFAULT_TOLERANCE):
    return Golden({"x": inputs}, {"m": {"y": outputs}}, tolerance)


def agrees(opened, inputs, outputs, tolerance=DEFAULT_TOLERANCE):
    try:
        check_golden(opened, [example(inputs, outputs, tolerance)])
    except BundleError as error:
        assert str(error).startswith("golden example 0: model 'm', output 'y': expected ")  # noqa: PT017 - many agree
        return False
    return True


# Reading one.


def test_an_example_has_a_tolerance_and_expects_nothing_by_default():
    assert parse_golden(0, {"inputs": {"x": [1]}}) == Golden({"x": [1]}, {}, DEFAULT_TOLERANCE)


def test_arrays_become_lists_and_keys_become_texts():
    parsed = parse_golden(
        0, {"inputs": {"x": np.ones((1, 2), np.float32)}, "outputs": {"m": {"y": ({3: np.int64(4)},)}}, "tolerance": 0}
    )
    assert parsed == Golden({"x": [[1.0, 1.0]]}, {"m": {"y": [{"3": 4}]}}, 0.0)
    assert json.loads(json.dumps(parsed._asdict())) == parsed._asdict()


MALFORMED = {
    "null": (None, "must be a table with 'inputs'"),
    "list": ([{"inputs": {}}], "must be a table with 'inputs'"),
    "no inputs": ({"outputs": {}}, "must be a table with 'inputs'"),
    "inputs of a list": ({"inputs": [1]}, "'inputs' and 'outputs' must be tables"),
    "outputs of a list": ({"inputs": {}, "outputs": [1]}, "'inputs' and 'outputs' must be tables"),
    "null outputs": ({"inputs": {}, "outputs": None}, "'inputs' and 'outputs' must be tables"),
    "outputs of no model": ({"inputs": {}, "outputs": {"y": [1]}}, "'outputs' must map a model to a table"),
    "unknown field": ({"inputs": {}, "expect": {}}, "unknown field 'expect'; known: inputs, outputs, tolerance"),
    "unknown number": ({"inputs": {}, 3: {}}, "unknown field 3; known"),
    "NaN input": ({"inputs": {"x": [[np.nan]]}}, "input 'x' holds NaN or an infinity, which JSON cannot"),
    "infinite input": ({"inputs": {"x": np.array([np.inf])}}, "input 'x' holds NaN or an infinity"),
    "NaN output": (
        {"inputs": {}, "outputs": {"m": {"y": [{"a": -np.inf}]}}},
        "model 'm', output 'y' holds NaN or an infinity",
    ),
}


@pytest.mark.parametrize(("given_example", "message"), MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_example_is_refused_by_its_number(given_example, message):
    with pytest.raises(BundleError, match=rf"^golden example 7:? ?{message}"):
        parse_golden(7, given_example)


@pytest.mark.parametrize(
    "tolerance", [-1e-9, np.nan, np.inf, "0", None, True, [0], pytest.param(10**400, id="huge")], ids=str
)
def test_a_tolerance_is_a_finite_number(tolerance):
    with pytest.raises(BundleError, match=r"^golden example 0: 'tolerance' must be a finite number, 0 or more, got "):
        parse_golden(0, {"inputs": {}, "tolerance": tolerance})


def test_an_example_nested_without_end_is_refused():
    deep = []
    for _ in range(10**5):
        deep = [deep]
    with pytest.raises(BundleError, match=r"^golden example 0 is nested too deeply$"):
        parse_golden(0, {"inputs": {"x": deep}})


# Comparing.


def test_a_float_may_lie_off_by_the_tolerance_absolute_and_relative(sessions):
    double = sessions(models.steady(2))
    for off, tolerance, fits in [(0, 0, True), (0.5, 0.5, True), (0.5, 0.3, False), (1e-6, 1e-5, True)]:
        assert agrees(double, [[0, 0]], [[off, -off]], tolerance) == fits
    for factor, fits in [(1 + 9e-4, True), (1 + 3e-3, False)]:
        assert agrees(double, [[1e6, 1e6]], [[2e6 * factor, 2e6]], 1e-3) == fits


def test_a_tolerance_may_be_as_large_as_a_float_can_be(sessions):
    assert agrees(sessions(models.steady(2)), [[1, 2]], [[1e308, -1e308]], 1.7e308)


ODD_EXPECTATIONS = {
    "other": [[2.0, 5.0]],
    "flat": [2.0, 4.0],
    "deeper": [[[2.0, 4.0]]],
    "too few": [[2.0]],
    "ragged": [[2.0], [2.0, 4.0]],
    "texts": [["2.0", "4.0"]],
    "null": None,
    "nulls": [[None, None]],
    "table": {"a": 2.0},
    "number": 2.0,
    "text": "2.0",
    "empty": [],
    "huge": [[10**400, 4.0]],
    "truth values": [[True, False]],
}


@pytest.mark.parametrize("expected", ODD_EXPECTATIONS.values(), ids=ODD_EXPECTATIONS)
def test_an_expectation_of_another_form_disagrees(sessions, expected):
    opened = sessions(models.steady(2))
    assert agrees(opened, [[1, 2]], [[2, 4.0]])
    assert not agrees(opened, [[1, 2]], expected)


def test_a_nan_never_agrees(sessions):
    opened = sessions(models.non_finite())
    for expected in ([[0.0, 0.0]], [[None, 0.0]]):
        assert not agrees(opened, [[-1, 1]], expected)


@pytest.mark.parametrize("dtype", ["int64", "uint8", "bool", "string"])
def test_all_but_floats_must_be_equal_whatever_the_tolerance(sessions, dtype):
    value = {"bool": [True, False], "string": ["a", "ß"]}.get(dtype, [1, 2])
    other = {"bool": [True, True], "string": ["a", "b"]}.get(dtype, [1, 3])
    opened = sessions(models.identity(dtype))
    assert agrees(opened, value, value, 1e9)
    for wrong in (other, value[:1], [*value, value[0]], [value], None, value[0]):
        assert not agrees(opened, value, wrong, 1e9)


def test_large_integers_are_compared_exactly(sessions):
    opened = sessions(models.identity("int64"))
    assert agrees(opened, [2**62 + 1], [2**62 + 1])
    assert not agrees(opened, [2**62 + 1], [2**62])


def test_maps_are_compared_by_their_keys_as_text(sessions):
    opened = sessions(models.strings_to_map((0, 1)))
    found = complete(opened, 0, Golden({"word": [["good"], ["bad"]]}, {})).outputs["m"]
    assert [sorted(each) for each in found["output_probability"]] == [["0", "1"], ["0", "1"]]
    good, bad = found["output_probability"]

    def check(expected):
        check_golden(opened, [Golden({"word": [["good"], ["bad"]]}, {"m": {"output_probability": expected}})])

    check([good, bad])
    check([{**good, "0": good["0"] + 1e-7}, bad])
    for wrong in ([bad, good], [good], [{**good, "2": 0.0}, bad], [{"1": good["1"]}, bad], good, [[0.5], [0.5]]):
        with pytest.raises(BundleError, match="output 'output_probability': expected "):
            check(wrong)
    with pytest.raises(BundleError, match="output 'output_probability': expected "):
        check([{**good, "0": 10**400}, bad])


@pytest.mark.parametrize(
    ("golden", "message"),
    [
        (Golden({"x": [[1, 2]]}, {"n": {"y": [[2, 4]]}}), "there is no model 'n'"),
        (Golden({"x": [[1, 2]]}, {"m": {"z": [[2, 4]]}}), "model 'm' has no output 'z'"),
        (Golden({"z": [[1, 2]]}, {"m": {"y": [[2, 4]]}}), "input 'x' is missing: expected 'x'; got 'z'"),
        (
            Golden({"x": [[1, 2, 3]]}, {"m": {"y": [[2, 4]]}}),
            r"input 'x': expected float32 \[batch, 2\], got shape \[1, 3\]",
        ),
        (Golden({"x": "text"}, {"m": {}}), r"input 'x': expected float32 \[batch, 2\], got strings in a str"),
    ],
    ids=["model", "output", "input", "shape", "text"],
)
def test_what_does_not_fit_the_models_is_said_with_the_examples_number(sessions, golden, message):
    good = example([[1, 2]], [[2, 4]])
    with pytest.raises(BundleError, match=rf"^golden example 2: {message}"):
        check_golden(sessions(models.steady(2)), [good, good, golden, good])


def test_a_model_that_fails_is_said_with_the_examples_number(sessions):
    with pytest.raises(BundleError, match=r"^golden example 0: model 'm': .*out of .*range|out of bounds"):
        check_golden(sessions(models.raises()), [example([[-1, 1]], [[0, 0]])])


def test_a_long_disagreement_is_cut_short(sessions):
    with pytest.raises(BundleError) as caught:
        check_golden(sessions(models.steady(2)), [example(np.ones((500, 2)).tolist(), np.zeros((500, 2)).tolist())])
    assert len(str(caught.value)) < 600


# Completing one.


def test_an_example_without_outputs_gets_every_models_answer(sessions):
    done = complete(sessions(models.steady(2)), 0, parse_golden(0, {"inputs": {"x": [[1, 0.1]]}, "tolerance": 0.5}))
    assert done == Golden({"x": [[1, 0.1]]}, {"m": {"y": [[2.0, float(np.float32(0.2))]]}}, 0.5)


def test_an_example_with_outputs_is_left_as_it_is(sessions):
    given_example = example([[1, 2]], [[7, 7]])
    assert complete(sessions(models.steady(2)), 0, given_example) is given_example


def test_an_answer_that_is_not_finite_cannot_be_golden(sessions):
    with pytest.raises(BundleError, match=r"^golden example 3: model 'm', output 'y' holds NaN or an infinity"):
        complete(sessions(models.non_finite()), 3, parse_golden(3, {"inputs": {"x": [[0, 1]]}}))


def test_an_input_that_does_not_fit_is_said_with_the_examples_number(sessions):
    with pytest.raises(BundleError, match=r"^golden example 3: input 'x': expected "):
        complete(sessions(models.steady(2)), 3, parse_golden(3, {"inputs": {"x": [1]}}))


@given(
    st.sampled_from(["float16", "float32", "float64", "int8", "int64", "uint64", "bool"]).flatmap(
        lambda dtype: arrays(
            dtype,
            array_shapes(min_dims=1, max_dims=1, max_side=5),
            elements={"allow_nan": False, "allow_infinity": False} if dtype.startswith("float") else None,
        )
    )
)
def test_every_answer_agrees_with_itself_after_json(sessions, array):
    opened = sessions(models.identity(array.dtype.name))
    done = complete(opened, 0, Golden({"x": plain(array)}, {}, 0.0))
    check_golden(opened, [parse_golden(0, json.loads(json.dumps(done._asdict(), allow_nan=False)))])


@pytest.mark.parametrize("count", [0, 3])
def test_an_empty_answer_agrees_with_itself(sessions, count):
    opened = sessions(models.dynamic_output())
    done = complete(opened, 0, Golden({"x": [0.0] * 3 + [1.0] * count}, {}))
    check_golden(opened, [done])
    assert agrees(sessions(models.unknown_rank()), [], [])
    assert not agrees(sessions(models.unknown_rank()), [], [1.0])
