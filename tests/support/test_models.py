"""The test models do what they say: onnxruntime loads them, and they fail where they should."""

from __future__ import annotations

import numpy as np
import pytest

from support import models, oracle

PAIR = [("x", "tensor(float)", ["batch", 2])], [("y", "tensor(float)", ["batch", 2])]
X = np.array([[1, 2]], np.float32)
TROUBLE = np.array([[1, 2], [-1, 2]], np.float32)


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (models.steady(3), 3 * X),
        (models.slow(), 2 * X),
        (models.non_finite(), np.log(X)),
        (models.wrong_shape(), X),
        (models.raises(), X),
        (models.stalls(), X),
    ],
)
def test_the_models_of_one_signature_answer_to_positive_numbers(model, expected):
    assert oracle.signature(model) == PAIR
    np.testing.assert_allclose(oracle.run(model, {"x": X})["y"], expected, rtol=1e-6)


def test_non_finite_is_nan_for_a_negative_number_and_minus_infinity_for_zero():
    answer = oracle.run(models.non_finite(), {"x": np.array([[-1, 0]], np.float32)})["y"]
    assert np.isnan(answer[0, 0])
    assert answer[0, 1] == -np.inf


def test_wrong_shape_is_twice_as_wide_as_declared():
    assert oracle.run(models.wrong_shape(), {"x": TROUBLE})["y"].shape == (2, 4)


def test_raises_fails_in_the_run():
    with pytest.raises(Exception, match="out of data bounds"):
        oracle.run(models.raises(), {"x": TROUBLE})


def test_stalls_still_answers_in_the_end():
    np.testing.assert_array_equal(oracle.run(models.stalls(steps=3), {"x": TROUBLE})["y"], TROUBLE)


def test_the_mlp_is_that_of_the_benchmarks_and_its_seed_decides():
    rows = np.ones((3, 30), np.float32)
    first, again, other = (oracle.run(models.mlp(seed), {"x": rows})["y"] for seed in (0, 0, 1))
    assert first.shape == (3, 2)
    np.testing.assert_array_equal(first, again)
    assert not np.allclose(first, other)


def test_a_fixed_batch_is_one_row():
    assert oracle.signature(models.fixed_batch())[0] == [("x", "tensor(float)", [1, 30])]


@pytest.mark.parametrize("dtype", models.DTYPES)
def test_identity_gives_back_every_dtype(dtype):
    value = np.array(["", "ß"], object) if dtype == "string" else np.array([0, 1], dtype)
    answer = oracle.run(models.identity(dtype), {"x": value})["y"]
    assert answer.dtype == value.dtype
    np.testing.assert_array_equal(answer, value)


@pytest.mark.parametrize(
    ("model", "inputs", "expected"),
    [
        (models.scalar_input(), {"x": np.array(3, np.float32)}, np.float32(3)),
        (models.unknown_rank(), {"x": np.ones((1, 1, 2), np.float32)}, np.ones((1, 1, 2), np.float32)),
        (models.shared_dim(), {"a": np.ones((2, 3), np.float32), "b": np.ones((2, 3), np.float32)}, 2.0),
        (models.default_input(), {"x": np.ones(2, np.float32)}, np.full(2, 3.0)),
        (models.dynamic_output(), {"x": np.array([0, 5, 6], np.float32)}, [[1, 2]]),
        (models.scalar_output(), {"x": np.array([1, 2], np.float32)}, np.float32(3)),
        (models.constant_output(), {"x": np.zeros(3, np.float32)}, [1, 2]),
        (models.no_input(), {}, [1, 2]),
        (models.sequence_output(), {"x": np.ones(2, np.float32)}, [[1, 1], [1, 1]]),
        (models.optional_input(), {"x": np.ones(2, np.float32)}, True),
    ],
)
def test_the_models_of_unusual_shape_answer(model, inputs, expected):
    np.testing.assert_array_equal(oracle.run(model, inputs)["y"], expected)


def test_an_output_may_be_an_input():
    np.testing.assert_array_equal(oracle.run(models.output_is_input(), {"x": X[0]})["x"], X[0])


def test_an_empty_optional_output_is_none():
    assert oracle.run(models.empty_optional_output(), {"x": X[0]})["y"] is None


def test_two_inputs_that_disagree_on_a_shared_dim_fail_in_the_run():
    with pytest.raises(Exception, match="broadcast"):
        oracle.run(models.shared_dim(), {"a": np.ones((2, 3), np.float32), "b": np.ones((3, 3), np.float32)})


def test_a_sparse_output_is_no_array_whatever_its_declared_type():
    assert oracle.signature(models.sparse_output())[1][0][1] == "tensor(float)"
    assert type(oracle.run(models.sparse_output(), {"x": X[0]})["y"]).__name__ == "SparseTensor"


def test_a_model_without_output_cannot_be_run():
    with pytest.raises(Exception, match="At least one output"):
        oracle.run(models.no_output(), {"x": X[0]})


def test_heavy_weighs_what_it_says():
    assert len(models.heavy(3)) == pytest.approx(3e6, rel=0.01)
    assert oracle.signature(models.heavy(3)) == PAIR


@pytest.mark.parametrize("labels", [("no", "yes"), (0, 1)])
def test_strings_to_map_takes_strings_and_gives_a_map_for_each(labels):
    words = np.array([["good"], ["awful"], ["never seen"]], object)
    answer = oracle.run(models.strings_to_map(labels), {"word": words})
    assert answer["output_label"].tolist()[:2] == [labels[1], labels[0]]
    assert [set(each) for each in answer["output_probability"]] == [set(labels)] * 3


def test_an_unknown_operator_cannot_be_loaded():
    with pytest.raises(Exception, match="NoSuchOperator"):
        oracle.session(models.unknown_operator())


def test_outside_weights_are_read_from_beside_the_model_and_nowhere_else(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "weights.bin").write_bytes(np.array([2, 3], np.float32).tobytes())
    (tmp_path / "weights.bin").write_bytes(bytes(8))
    inside, outside = tmp_path / "in" / "inside.onnx", tmp_path / "in" / "outside.onnx"
    inside.write_bytes(models.outside_weights("weights.bin"))
    outside.write_bytes(models.outside_weights("../weights.bin"))
    np.testing.assert_array_equal(oracle.run(inside, {"x": X})["y"], [[2, 6]])
    with pytest.raises(Exception, match="outside"):
        oracle.session(outside)
