"""predict_batch answers each row as predict would answer it alone, and refuses what has no rows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgerun import LIMITS, BreakerPolicy, InputError, ModelError
from support import models, published
from support.serve import CHALLENGED, WATCHED, assert_same, same_value

PATIENT = BreakerPolicy(failures=10**9)

NODES = {
    "by-card": {
        "kind": "key_split",
        "field": "card",
        "cases": {"gold": "a", "black": "ab", "blue": "watch"},
        "default": "outer",
    },
    "outer": {"kind": "random_split", "weights": {"ab": 2, "c": 1}, "split_key": "session", "traffic": 0.7},
    "ab": {
        "kind": "random_split",
        "weights": {"a": 1, "b": 2},
        "split_key": "user",
        "force": {"5": "b"},
    },
    "watch": {"kind": "shadow_deploy", "champion": "ab", "shadows": ["c"], "sample": 0.5},
}
MODELS = {"a": models.steady(2), "b": models.steady(3), "c": models.steady(4)}

METAS = st.none() | st.fixed_dictionaries(
    {},
    optional={
        "card": st.sampled_from(["gold", "black", "blue", "green"]),
        "user": st.integers(0, 9) | st.sampled_from(["5", "eve"]),
        "session": st.integers(0, 9),
    },
)


@pytest.fixture(scope="module")
def nested(serve_all):
    return serve_all(MODELS, NODES)


def assert_rows_as_alone(runner, x, *, metas=None, keys=None):
    batch = runner.predict_batch({"x": x}, metas=metas, keys=keys)
    assert len(batch.rows) == len(x)
    for row, found in enumerate(batch.rows):
        alone = runner.predict(
            {"x": x[row : row + 1]},
            meta=None if metas is None else metas[row],
            key=None if keys is None else keys[row],
        )
        assert_same(found, alone)
        assert (found.arm, found.model, found.path) == (alone.arm, alone.model, alone.path)
        assert (found.assignment, found.fallback) == (alone.assignment, alone.fallback)
        assert same_value(batch["y"][row : row + 1], alone["y"])
    return batch


@given(metas=st.lists(METAS, min_size=1, max_size=30))
@settings(max_examples=50)
def test_rows_are_answered_as_alone_whatever_the_graph(nested, metas):
    x = np.arange(2 * len(metas), dtype=np.float32).reshape(-1, 2)
    batch = assert_rows_as_alone(nested, x, metas=metas)
    assert batch.arms == tuple(row.arm for row in batch.rows)
    assert batch.models == tuple(row.model for row in batch.rows)
    assert batch.ids == tuple(row.id for row in batch.rows)


@given(data=st.data(), keys=st.lists(st.none() | st.integers(0, 50) | st.text(max_size=3), min_size=1, max_size=20))
@settings(max_examples=50)
def test_rows_that_fail_fall_back_alone(challenged, data, keys):
    bad = data.draw(st.lists(st.booleans(), min_size=len(keys), max_size=len(keys)))
    x = np.array([[-1 if is_bad else 1, row] for row, is_bad in enumerate(bad)], np.float32)
    batch = assert_rows_as_alone(challenged, x, keys=keys)
    for row, found in enumerate(batch.rows):
        fell = bad[row] and found.arm == "challenger"
        assert (found.fallback, found.model) == (("error", "control") if fell else (None, found.arm or "control"))


@pytest.fixture(scope="module")
def challenged(serve_all):
    nodes = {
        "ab": {
            "kind": "random_split",
            "weights": {"control": 1, "challenger": 1},
            "split_key": "user",
        }
    }
    return serve_all({"control": models.steady(), "challenger": models.raises()}, nodes, breaker=PATIENT)


@pytest.mark.parametrize(
    ("trouble", "problem"),
    [(models.raises, "error"), (models.non_finite, "nonfinite"), (models.wrong_shape, "shape")],
    ids=["raises", "non-finite", "wrong-shape"],
)
def test_one_bad_row_in_a_large_group(serve, trouble, problem):
    runner = serve({"control": models.steady(), "challenger": trouble()}, CHALLENGED, breaker=PATIENT)
    x = np.ones((500, 2), np.float32)
    x[123, 1] = -1
    batch = runner.predict_batch(x, keys=range(500))
    assert [row for row, found in enumerate(batch.rows) if found.fallback] == [123]
    assert batch.rows[123].fallback == problem
    assert set(batch.arms) == {"challenger"}
    np.testing.assert_array_equal(batch["y"][123], 2 * x[123])
    assert runner.stats().models["challenger"].fallbacks == {problem: 1}


def test_a_row_that_fails_without_a_control_fails_the_batch_with_the_models_name(serve):
    runner = serve(models.raises())
    with pytest.raises(ModelError, match="model 'model'"):
        runner.predict_batch(np.array([[1, 1], [-1, 1]], np.float32))
    np.testing.assert_array_equal(runner.predict_batch(np.ones((2, 2), np.float32))["y"], np.ones((2, 2)))


def test_ten_thousand_rows_in_order(nested):
    rows = 10_000
    x = np.arange(2 * rows, dtype=np.float32).reshape(rows, 2)
    metas = [{"card": "black", "user": row} for row in range(rows)]
    batch = nested.predict_batch({"x": x}, metas=metas)
    factors = np.array([{"a": 2, "b": 3}[model] for model in batch.models], np.float32)
    np.testing.assert_array_equal(batch["y"], x * factors[:, None])
    assert batch.ids == tuple(row.id for row in batch.rows)
    numbers = [row.sequence for row in batch.rows]
    assert numbers == list(range(numbers[0], numbers[0] + rows))
    for row in (0, 1, rows // 2, rows - 1):
        np.testing.assert_array_equal(batch.rows[row]["y"], batch["y"][row : row + 1])


def test_one_row_and_lists_and_one_input_alone(nested):
    batch = nested.predict_batch([[1.0, 2.0]], metas=[{"card": "gold"}])
    np.testing.assert_array_equal(batch["y"], [[2, 4]])
    assert list(batch) == ["y"]
    assert len(batch) == 1


def test_a_model_with_a_fixed_batch_of_one_serves_any_number_of_rows(serve):
    runner = serve(models.fixed_batch())
    x = np.random.default_rng(0).normal(size=(7, 30)).astype(np.float32)
    assert_rows_as_alone(runner, x)


def test_strings_and_maps_come_row_by_row(serve):
    runner = serve(models.strings_to_map())
    words = np.array([["good"], ["bad"], ["unknown"], ["great"]], object)
    batch = runner.predict_batch({"word": words})
    assert batch["output_label"].tolist() == ["yes", "no", batch["output_label"][2], "yes"]
    for row, found in enumerate(batch.rows):
        alone = runner.predict({"word": words[row : row + 1]})
        assert_same(found, alone)
        assert batch["output_probability"][row] == alone["output_probability"][0]


def test_rows_whose_outputs_differ_in_shape_come_as_a_list(serve):
    runner = serve(models.dynamic_output())
    batch = runner.predict_batch(np.array([0, 5, 6], np.float32))
    assert [np.shape(each) for each in batch["y"]] == [(0,), (1,), (1,)]
    assert [row["y"].shape for row in batch.rows] == [(1, 0), (1, 1), (1, 1)]


@pytest.mark.parametrize("as_column", [list, tuple, np.array, lambda keys: dict.fromkeys(keys).keys()])
def test_keys_come_in_any_column(challenged, as_column):
    keys = ["a", "b", "c", "d", "e"]
    x = np.ones((5, 2), np.float32)
    expected = tuple(challenged.predict(x[:1], key=key).arm for key in keys)
    assert challenged.predict_batch(x, keys=as_column(keys)).arms == expected


def test_integer_keys_of_numpy_are_the_same_units_as_integers_and_texts(challenged):
    x = np.ones((20, 2), np.float32)
    arms = challenged.predict_batch(x, keys=range(20)).arms
    assert len(set(arms)) == 2
    assert challenged.predict_batch(x, keys=np.arange(20)).arms == arms
    assert challenged.predict_batch(x, keys=[str(key) for key in range(20)]).arms == arms


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"keys": ["a"]}, "keys has 1 entries for 2 rows"),
        ({"keys": []}, "keys has 0 entries for 2 rows"),
        ({"metas": [None] * 3}, "metas has 3 entries for 2 rows"),
        ({"keys": "ab"}, "keys must be a list with an entry for each row, got 'ab'"),
        ({"metas": {"user": "a", "card": "b"}}, "metas must be a list"),
        ({"keys": 5}, "keys must be a list"),
        ({"metas": [{"user": 1.5, "card": "black"}, None]}, "a key is a str, an int or bytes, not float 1.5"),
        ({"metas": ["gold", None]}, "meta must be a mapping"),
    ],
    ids=str,
)
def test_keys_and_metas_that_do_not_fit_the_rows_are_refused(nested, options, message):
    with pytest.raises(InputError, match=message):
        nested.predict_batch(np.ones((2, 2), np.float32), **options)


SILERO = {
    "input": np.zeros((2, 576), np.float32),
    "state": np.zeros((2, 2, 128), np.float32),
    "sr": np.array(16000, np.int64),
}


@pytest.mark.parametrize(
    ("make", "inputs", "message"),
    [
        (models.scalar_input, np.float32(1), "input x: float32 [] has no free first axis"),
        (models.scalar_output, np.ones(2, np.float32), "output y: float32 [] has no free first axis"),
        (models.constant_output, np.ones(2, np.float32), "output y: float32 [2] has no free first axis"),
        (models.no_input, {}, "it has no inputs"),
        (published.SILERO_VAD_5.path, SILERO, "input state: float32 [2, ?, 128] has no free first axis"),
    ],
    ids=["scalar-input", "scalar-output", "fixed-output", "no-input", "state"],
)
def test_a_model_without_an_axis_for_rows_is_refused(serve, make, inputs, message):
    with pytest.raises(InputError) as caught:
        serve(make()).predict_batch(inputs)
    assert message in str(caught.value)
    assert "use predict()" in str(caught.value)


@pytest.mark.parametrize("rows", [1, 2, 3])
def test_a_list_of_tensors_is_never_taken_for_rows(serve, rows):
    with pytest.raises(ModelError, match="an output has no row for each input row"):
        serve(models.sequence_output()).predict_batch(np.ones(rows, np.float32))


@pytest.mark.parametrize(
    ("make", "shape"),
    [(models.steady, (0, 2)), (models.unknown_rank, (0, 2)), (models.unknown_rank, ())],
    ids=["empty", "empty-of-unknown-rank", "scalar-of-unknown-rank"],
)
def test_a_batch_without_rows_is_refused(serve, make, shape):
    with pytest.raises(InputError, match=r"input 'x'.*shape \[0?"):
        serve(make()).predict_batch(np.zeros(shape, np.float32))


def test_inputs_that_disagree_on_the_rows_are_refused_by_name(serve):
    with pytest.raises(InputError, match="'a': 2, 'b': 3"):
        serve(models.shared_dim()).predict_batch({"a": np.ones((2, 3), np.float32), "b": np.ones((3, 3), np.float32)})


def test_batches_of_many_sizes_leave_the_fast_way_to_single_calls(serve):
    runner = serve(models.steady())
    for rows in range(2, 3 * LIMITS.lane_shapes_max):
        runner.predict_batch(np.ones((rows, 2), np.float32))
    runs = runner.stats().models["model"].runs
    assert runs == 3 * LIMITS.lane_shapes_max - 2  # none was repeated to prepare for a size


def test_rows_watched_with_strings_are_compared_with_their_own_inputs(serve):
    runner = serve({"champion": models.strings_to_map(), "shadow": models.strings_to_map()}, WATCHED)
    words = np.array([["good"], ["bad"], ["great"], ["awful"]], object)
    for _ in range(5):
        runner.predict_batch({"word": words})
    results = runner.shadows(60)
    assert len(results) == 20
    assert [r for r in results if r.disagree or r.max_abs_diff or r.failed] == []


def test_rows_watched_with_strings_and_numbers_are_compared_with_their_own_inputs(serve):
    ends = [models._tensor("x", "string", ["n"]), models._tensor("z", "float32", ["n"])]
    outs = [models._tensor("y", "string", ["n"]), models._tensor("w", "float32", ["n"])]
    nodes = [models._node("Identity", "x", "y"), models._node("Identity", "z", "w")]
    echo = models._model(nodes, ends, outs)
    runner = serve({"champion": echo, "shadow": echo}, WATCHED)
    for turn in range(5):
        texts = np.array([f"{turn}-{row}" for row in range(4)], object)
        runner.predict_batch({"x": texts, "z": np.arange(4, dtype=np.float32) + turn})
    results = runner.shadows(60)
    assert len(results) == 20
    assert [r for r in results if r.disagree or r.max_abs_diff or r.failed] == []
