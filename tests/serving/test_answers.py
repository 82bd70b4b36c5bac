"""EdgeRunner.predict answers what onnxruntime's own Python package answers, to the bit, whatever the model."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from onnx import TensorProto, helper

from edgerun import LIMITS
from support import models, oracle
from support.serve import CHALLENGED, assert_same

NUMERIC = [name for name in models.DTYPES if name != "string"]
TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))


def values(dtype, shape):
    """Arrays of a dtype; floats include NaN, infinities and subnormal numbers."""
    if dtype == "string":
        return npst.arrays(object, shape, elements=TEXTS, fill=st.nothing())
    return npst.arrays(np.dtype(dtype), shape)


class Pair:
    """A runner and the oracle's session of one model."""

    def __init__(self, runner, model):
        self.runner, self.session = runner, oracle.session(model)

    def check(self, inputs, **options):
        names = [output.name for output in self.session.get_outputs()]
        expected = dict(zip(names, self.session.run(names, inputs), strict=True))
        found = self.runner.predict(inputs, **options)
        assert_same(found, expected)
        return found


@pytest.fixture(scope="module")
def pair(serve_all):
    """Return the Pair of a model, made at the first call."""
    made = {}

    def get(model):
        if model not in made:
            made[model] = Pair(serve_all(model), model)
        return made[model]

    return get


@pytest.fixture(scope="module", params=models.DTYPES)
def dtype(request):
    return request.param


@given(data=st.data())
@settings(max_examples=25)
def test_every_dtype_comes_back_to_the_bit(pair, dtype, data):
    identity = pair(models.identity(dtype))
    identity.check({"x": data.draw(values(dtype, st.tuples(st.integers(1, 4))))})


@given(x=npst.arrays(np.float32, npst.array_shapes(min_dims=0, max_dims=5, min_side=0, max_side=4)))
def test_a_model_of_unknown_rank_takes_scalars_and_empty_axes_too(pair, x):
    pair(models.unknown_rank()).check({"x": x})


@given(x=npst.arrays(np.float32, ()))
def test_a_scalar_model_gives_an_array_without_axes(pair, x):
    pair(models.scalar_input()).check({"x": x})
    pair(models.scalar_output()).check({"x": x.reshape(1)})


@given(x=npst.arrays(np.float32, st.tuples(st.integers(1, 6)), elements=st.sampled_from([0.0, 1.0, 2.0])))
@settings(max_examples=200)
def test_an_output_whose_shape_depends_on_the_data(pair, x):
    pair(models.dynamic_output()).check({"x": x})


def test_an_output_whose_shape_changes_from_call_to_call_at_one_input_shape(pair):
    dynamic = pair(models.dynamic_output())
    for nonzero in (5, 2, 2, 0, 5, 5, 1, 2, 2):
        x = np.zeros(5, np.float32)
        x[:nonzero] = 1
        for _ in range(3):
            assert dynamic.check({"x": x})["y"].shape == (1, nonzero)


@given(
    x=npst.arrays(np.float32, st.tuples(st.integers(1, 3), st.just(30)), elements=st.floats(-9, 9, width=32)),
)
def test_a_network_at_any_batch_size(pair, x):
    pair(models.mlp()).check({"x": x})


@given(data=st.data(), rows=st.integers(1, 4))
def test_several_inputs_in_any_order(pair, data, rows):
    shape = (rows, 3)
    a, b = data.draw(values("float32", shape)), data.draw(values("float32", shape))
    pair(models.shared_dim()).check({"b": b, "a": a})
    pair(models.shared_dim()).check({"a": a, "b": b})


@given(x=npst.arrays(np.float32, st.tuples(st.integers(1, 4))))
@pytest.mark.parametrize(
    "make",
    [models.constant_output, models.output_is_input, models.sequence_output, models.default_input],
    ids=lambda make: make.__name__,
)
def test_a_model_of_unusual_outputs(pair, make, x):
    pair(make()).check({"x": x})


def test_a_model_without_inputs(pair):
    for _ in range(3):
        pair(models.no_input()).check({})


def branches():
    """``y`` is ``x`` itself where its sum is positive, else twice ``x``, else of another length."""

    def branch(name, nodes, constants=()):
        return helper.make_graph(nodes, name, [], [models._tensor("out", "float32", None)], list(constants))

    two = models._weight("two", np.float32(2))
    nodes = [
        models._node("ReduceSum", "x", "sum", keepdims=0),
        models._node("Greater", "sum zero", "positive"),
        models._node(
            "If",
            "positive",
            "y",
            then_branch=branch("then", [models._node("Identity", "x", "out")]),
            else_branch=branch("else", [models._node("Mul", "x two", "out")], [two]),
        ),
    ]
    ends = [models._tensor("x", "float32", ["n"])], [models._tensor("y", "float32", ["m"])]
    return models._model(nodes, *ends, {"zero": np.float32(0)})


@given(x=npst.arrays(np.float32, st.tuples(st.integers(1, 2)), elements=st.floats(-9, 9, width=32)))
def test_an_output_that_is_the_input_in_one_branch_only(pair, x):
    pair(branches()).check({"x": x})


def test_an_output_that_is_the_input_is_never_taken_from_an_older_call(pair):
    end = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["a", "b"])
    echo = pair(models._model([], [end], [end]))
    for shape in ((2, 3), (3, 2), (6, 1), (1, 6), (2, 3)):
        for value in (0, 0, 1, 2):
            echo.check({"x": np.full(shape, value, np.float32)})


@given(words=npst.arrays(object, st.tuples(st.integers(1, 4), st.just(1)), elements=TEXTS | st.just("good")))
@pytest.mark.parametrize("labels", [("no", "yes"), (0, 1)], ids=["text", "int"])
@settings(max_examples=25)
def test_strings_in_and_maps_out(pair, labels, words):
    pair(models.strings_to_map(labels)).check({"word": words})


def test_tensors_too_large_for_a_prepared_call(pair):
    side = int(LIMITS.lane_max_bytes**0.5)
    identity = pair(models.identity(shape=("a", "b")))
    for value in range(3):
        identity.check({"x": np.full((side, side), value, np.float32)})


def test_more_shapes_than_are_prepared(pair):
    identity = pair(models.identity(shape=("a", "b")))
    for turn in range(3):
        for width in range(1, 2 * LIMITS.lane_shapes_max):
            identity.check({"x": np.full((2, width), turn, np.float32)})


GRID = np.arange(48, dtype=np.float32).reshape(6, 8)
READ_ONLY = GRID.copy()
READ_ONLY.flags.writeable = False


@pytest.mark.parametrize(
    "x",
    [
        pytest.param(GRID[::2, ::3], id="steps"),
        pytest.param(GRID[::-1, ::-1], id="backwards"),
        pytest.param(GRID.T, id="transposed"),
        pytest.param(np.asfortranarray(GRID), id="fortran"),
        pytest.param(np.broadcast_to(np.float32(3), (6, 8)), id="broadcast"),
        pytest.param(READ_ONLY, id="read-only"),
        pytest.param(np.frombuffer(b"\0" + GRID.tobytes(), np.float32, offset=1).reshape(6, 8), id="unaligned"),
        pytest.param(GRID.view(np.matrix), id="subclass"),
    ],
)
def test_arrays_of_any_layout(pair, x):
    session = pair(models.identity(shape=("a", "b")))
    for _ in range(3):
        found = session.runner.predict({"x": x})
        assert_same(found, {"y": np.array(x, order="C", subok=False)})


def test_a_list_or_an_array_alone_where_there_is_one_input(pair):
    runner = pair(models.identity()).runner
    for _ in range(3):
        assert_same(runner.predict([1.0, 2.0]), {"y": np.array([1, 2], np.float32)})
        assert_same(runner.predict(np.array([3, 4], np.float32)), {"y": np.array([3, 4], np.float32)})


ALIASING = {
    "identity": (models.identity, lambda n: {"x": np.full(4, n, np.float32)}),
    "large identity": (models.identity, lambda n: {"x": np.full(LIMITS.lane_max_bytes, n, np.float32)}),
    "output is input": (models.output_is_input, lambda n: {"x": np.full(4, n, np.float32)}),
    "constant": (models.constant_output, lambda n: {"x": np.full(4, n, np.float32)}),
    "data-dependent": (models.dynamic_output, lambda n: {"x": np.arange(4, dtype=np.float32) % (n + 2)}),
    "scalar": (models.scalar_input, lambda n: {"x": np.full((), n, np.float32)}),
}


@pytest.mark.parametrize("case", ALIASING)
def test_answers_share_no_memory_with_each_other_or_with_the_inputs(pair, case):
    make, inputs_of = ALIASING[case]
    held = []
    for n in range(4):
        inputs = inputs_of(n)
        held.append((pair(make()).check(inputs), inputs))
    arrays = [array for found, inputs in held for array in (*found.values(), *inputs.values())]
    for i, array in enumerate(arrays):
        assert array.flags.writeable
        assert not any(np.may_share_memory(array, other) for other in arrays[:i])
    for array in arrays:
        array[...] = 99
    for n in range(4):
        pair(make()).check(inputs_of(n))


def test_a_list_of_tensors_and_a_map_share_no_memory_with_later_answers(pair):
    x = np.ones(3, np.float32)
    first = pair(models.sequence_output()).check({"x": x})
    first["y"][0][:] = 7
    assert pair(models.sequence_output()).check({"x": x})["y"][0].tolist() == [1, 1, 1]
    np.testing.assert_array_equal(first["y"][1], [1, 1, 1])
    maps = pair(models.strings_to_map()).check({"word": np.array([["good"]], object)})
    maps["output_probability"][0].clear()
    pair(models.strings_to_map()).check({"word": np.array([["good"]], object)})


def test_a_challenger_whose_output_cannot_be_read_leaves_the_answer_to_its_control(serve):
    ends = [models._tensor("x", "float32", ["n"])], [models._tensor("y", "float32", [2, 2])]
    control = models._model([], *ends, {"y": np.eye(2, dtype=np.float32)})
    runner = serve({"control": control, "challenger": models.sparse_output()}, CHALLENGED)
    for _ in range(3):
        prediction = runner.predict({"x": np.ones(1, np.float32)}, key="a")
        assert (prediction.model, prediction.fallback) == ("control", "error")
