"""Golden examples hold what onnxruntime answers, exactly, and refuse what no device could compare."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from edgerun.errors import BundleError, ModelError
from edgerun_bundles import golden
from support import models, oracle


@pytest.fixture
def model_file(tmp_path):
    def write(name, model):
        path = tmp_path / f"{name}.onnx"
        path.write_bytes(model)
        return path

    return write


def test_an_example_holds_every_models_answer(model_file):
    files = {"two": model_file("two", models.steady(2)), "three": model_file("three", models.steady(3))}
    example = golden.example(files, {"x": np.array([[1, 0.1]], np.float32)}, tolerance=1e-5)
    assert json.loads(json.dumps(example)) == {
        "inputs": {"x": [[1.0, 0.1]]},
        "outputs": {"two": {"y": [[2.0, 0.2]]}, "three": {"y": [[3.0, 0.3]]}},
        "tolerance": 1e-5,
    }


def test_an_answer_is_that_of_onnxruntime(model_file):
    rows = np.random.default_rng(0).normal(size=(4, 30)).astype(np.float32)
    answer = golden.answers(model_file("mlp", models.mlp()), {"x": rows})
    np.testing.assert_array_equal(np.array(answer["y"], np.float32), oracle.run(models.mlp(), {"x": rows})["y"])


def test_maps_are_golden_with_their_keys_as_text(model_file):
    path = model_file("map", models.strings_to_map((0, 1)))
    answer = golden.answers(path, {"word": np.array([["good"], ["bad"]], object)})
    assert answer["output_label"] == [1, 0]
    assert [sorted(each) for each in answer["output_probability"]] == [["0", "1"], ["0", "1"]]
    assert json.loads(json.dumps(answer)) == answer


def test_an_output_that_is_not_finite_cannot_be_golden(model_file):
    with pytest.raises(BundleError, match=r"'y'.* cannot be golden: it holds NaN or an infinity"):
        golden.answers(model_file("log", models.non_finite()), {"x": np.array([[0, 1]], np.float32)})


@pytest.mark.parametrize(
    ("model", "kind"),
    [(models.sparse_output(), "SparseTensor"), (models.empty_optional_output(), "NoneType")],
)
def test_an_output_of_another_kind_cannot_be_golden(model_file, model, kind):
    with pytest.raises(BundleError, match=f"cannot be golden: it holds a {kind}"):
        golden.answers(model_file("odd", model), {"x": np.ones(2, np.float32)})


@pytest.mark.parametrize(
    ("content", "inputs"),
    [
        (b"no model", {"x": np.ones((1, 2), np.float32)}),
        (models.steady(), {}),
        (models.steady(), {"y": np.ones((1, 2), np.float32)}),
        (models.steady(), {"x": np.ones((1, 2))}),
        (models.raises(), {"x": -np.ones((1, 2), np.float32)}),
    ],
    ids=["corrupt", "no input", "other input", "other dtype", "failing"],
)
def test_what_onnxruntime_raises_becomes_an_error_of_ours(model_file, content, inputs):
    with pytest.raises(ModelError, match=r"odd\.onnx: ") as caught:
        golden.answers(model_file("odd", content), inputs)
    assert caught.value.__cause__ is not None


@pytest.mark.parametrize("value", [float("nan"), [{"a": float("inf")}], np.array(np.nan)])
def test_what_is_not_finite_is_not_nested(value):
    with pytest.raises(ValueError, match="NaN or an infinity"):
        golden.nested(value)


def finite(dtype):
    is_float = np.dtype(dtype).kind == "f"
    return {"allow_nan": False, "allow_infinity": False} if is_float else None


@given(
    st.sampled_from([np.float16, np.float32, np.float64, np.int8, np.uint64, np.bool_]).flatmap(
        lambda dtype: arrays(dtype, array_shapes(min_dims=0, min_side=0), elements=finite(dtype))
    )
)
def test_nested_lists_read_back_as_the_same_array_after_json(array):
    text = json.dumps(golden.nested(array))
    np.testing.assert_array_equal(np.array(json.loads(text), array.dtype).reshape(array.shape), array)
