"""A watched model never changes or delays what is served, and its comparison is the one that numpy makes."""

from __future__ import annotations

import math
import os
import threading
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from onnx import TensorProto, helper

from edgerun import LIMITS, ClosedError, InputError
from support import models, oracle
from support.serve import WATCHED, assert_same, wait_until

X = np.array([[1, 2]], np.float32)
TROUBLE = np.array([[-1, 2]], np.float32)
HOURS = 10**7
TIMEOUT_S = 100
"""The shadow runs when nobody else wants to, so on a busy machine it may be long in coming."""


def chooses(which, dtype, *, shape=("n", "m"), labels=None):
    """``y`` is the input ``a`` or ``b``, whichever is chosen; with labels, as a list of maps."""
    ends = [models._tensor(name, dtype, shape) for name in "ab"]
    if labels is None:
        return models._model([models._node("Identity", which, "y")], ends, [models._tensor("y", dtype, shape)])
    kind = "strings" if isinstance(labels[0], str) else "int64s"
    node = helper.make_node("ZipMap", [which], ["y"], domain="ai.onnx.ml", **{f"classlabels_{kind}": labels})
    key = TensorProto.STRING if kind == "strings" else TensorProto.INT64
    each = helper.make_map_type_proto(key, helper.make_tensor_type_proto(TensorProto.FLOAT, []))
    out = helper.make_value_info("y", helper.make_sequence_type_proto(each))
    opsets = [helper.make_opsetid("", models.OPSET), helper.make_opsetid("ai.onnx.ml", 3)]
    graph = helper.make_graph([node], "chooses", ends, [out])
    return helper.make_model(graph, opset_imports=opsets, ir_version=models.IR_VERSION).SerializeToString()


@pytest.fixture(scope="module")
def compared(serve_all):
    """Return how ``b``, watched, compares with ``a``, served, by a runner that is made at the first call."""
    made = {}

    def compare(a, b, *, dtype, shape=("n", "m"), labels=None, tolerance=LIMITS.shadow_tolerance):
        key = (dtype, shape, labels, tolerance)
        if key not in made:
            pair = {"champion": "a", "shadow": "b"}
            watch = WATCHED["watch"] | {"tolerance": tolerance}
            makers = {name: chooses(which, dtype, shape=shape, labels=labels) for name, which in pair.items()}
            made[key] = serve_all(makers, {"watch": watch})
        prediction = made[key].predict({"a": a, "b": b})
        (result,) = made[key].shadows(TIMEOUT_S)
        assert (result.id, result.node, result.model) == (prediction.id, "watch", "shadow")
        assert not result.failed
        assert result.latency_s > 0
        return result

    return compare


def expected(a, b, tolerance=LIMITS.shadow_tolerance):
    """Whether two finite float arrays disagree, and by how much at most; by numpy, in float64."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    distance = np.abs(a - b)
    if a.ndim and a.shape[-1] > 1:
        disagree = bool((a.argmax(-1) != b.argmax(-1)).any())
    else:
        disagree = bool((distance > np.float32(tolerance)).any())
    return disagree, distance.max(initial=0)


def floats(dtype):
    """Numbers that are often equal, close, or tied for the largest."""
    width = np.dtype(dtype).itemsize * 8
    return st.sampled_from([0, 1, 1.001, 1.005, 1.02, 2]).map(lambda x: float(np.dtype(dtype).type(x))) | st.floats(
        -1000, 1000, width=width
    )


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@given(data=st.data(), rows=st.integers(1, 4), width=st.integers(1, 4))
@settings(max_examples=40)
def test_floats_disagree_where_numpy_says_so(compared, dtype, data, rows, width):
    a, b = (data.draw(npst.arrays(dtype, (rows, width), elements=floats(dtype))) for _ in "ab")
    result = compared(a, b, dtype=dtype)
    disagree, distance = expected(a, b)
    assert result.disagree == disagree
    assert result.max_abs_diff == distance
    assert not result.nonfinite


@pytest.mark.parametrize("dtype", [name for name in models.DTYPES if "float" not in name])
@given(data=st.data(), rows=st.integers(1, 3), width=st.integers(1, 3))
@settings(max_examples=15)
def test_labels_disagree_where_any_differs(compared, dtype, data, rows, width):
    if dtype == "string":
        texts = st.sampled_from(["", "a", "b", "ab", "ä", "ba"])
        a, b = (data.draw(npst.arrays(object, (rows, width), elements=texts)) for _ in "ab")
    else:
        few = st.sampled_from([0, 1]) if dtype == "bool" else st.sampled_from([0, 1, np.iinfo(dtype).max])
        a, b = (data.draw(npst.arrays(dtype, (rows, width), elements=few)) for _ in "ab")
    result = compared(a, b, dtype=dtype)
    assert result.disagree == bool((a != b).any())
    assert result.max_abs_diff == 0


@pytest.mark.parametrize("labels", [("no", "yes", "maybe"), (3, 1, 2)], ids=["text", "int"])
@given(data=st.data(), rows=st.integers(1, 3))
@settings(max_examples=40)
def test_maps_disagree_where_their_best_label_differs(compared, labels, data, rows):
    a, b = (data.draw(npst.arrays(np.float32, (rows, 3), elements=floats("float32"))) for _ in "ab")
    result = compared(a, b, dtype="float32", shape=("n", 3), labels=labels)
    order = np.argsort(labels)
    disagree, distance = expected(a[:, order], b[:, order])
    assert result.max_abs_diff == distance
    if (np.sort(a, -1)[:, -2:] != np.sort(a, -1)[:, -1:]).sum() == rows and (
        np.sort(b, -1)[:, -2:] != np.sort(b, -1)[:, -1:]
    ).sum() == rows:  # the order of a map's labels decides between equals
        assert result.disagree == disagree


@given(a=st.floats(-10, 10, width=32), b=st.floats(-10, 10, width=32), tolerance=st.sampled_from([0.0, 0.5, 3.0]))
@settings(max_examples=40)
def test_single_values_agree_within_the_tolerance(compared, a, b, tolerance):
    a, b = np.array(a, np.float32), np.array(b, np.float32)
    result = compared(a, b, dtype="float32", shape=(), tolerance=tolerance)
    assert (result.disagree, result.max_abs_diff) == expected(a, b, tolerance)


@pytest.mark.parametrize(
    ("a", "b", "distance", "nonfinite"),
    [
        (1.0, math.nan, math.inf, True),
        (math.nan, 1.0, math.inf, False),
        (math.nan, math.nan, 0, True),
        (math.inf, math.inf, 0, True),
        (math.inf, -math.inf, math.inf, True),
        (1.0, math.inf, math.inf, True),
    ],
    ids=str,
)
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_what_is_not_finite(compared, dtype, a, b, distance, nonfinite):
    result = compared(np.array([[a]], dtype), np.array([[b]], dtype), dtype=dtype)
    assert (result.max_abs_diff, result.nonfinite) == (distance, nonfinite)
    assert result.disagree == (distance > 0)


def test_an_output_of_another_shape_disagrees(compared):
    result = compared(np.ones((1, 2), np.float32), np.ones((2, 2), np.float32), dtype="float32")
    assert (result.disagree, result.max_abs_diff) == (True, math.inf)
    result = compared(np.array([["a"]], object), np.array([["a", "b"]], object), dtype="string")
    assert (result.disagree, result.max_abs_diff) == (True, math.inf)


def test_real_classifiers_with_text_labels_are_compared(serve):
    runner = serve({"champion": models.strings_to_map(), "shadow": models.strings_to_map(("yes", "no"))}, WATCHED)
    for word, disagree in (("good", True), ("bad", True)):
        runner.predict({"word": [[word]]})
        (result,) = runner.shadows(TIMEOUT_S)
        assert result.disagree == disagree
    same = serve({"champion": models.strings_to_map(), "shadow": models.strings_to_map()}, WATCHED)
    same.predict({"word": [["good"]]})
    (result,) = same.shadows(TIMEOUT_S)
    assert (result.disagree, result.max_abs_diff) == (False, 0)


def test_the_answer_is_the_same_to_the_bit_with_and_without_a_shadow(serve):
    plain = serve(models.mlp(1))
    watched = serve({"champion": models.mlp(1), "shadow": models.mlp(2)}, WATCHED)
    random = np.random.default_rng(0)
    for rows in (1, 1, 2, 5, 1):
        x = random.normal(size=(rows, 30)).astype(np.float32)
        assert_same(watched.predict(x), plain.predict(x))
        assert_same(watched.predict(x.tolist(), cast="safe"), plain.predict(x.tolist(), cast="safe"))


def test_the_watched_model_sees_the_inputs_as_they_were(serve):
    runner = serve({"champion": models.steady(2), "shadow": models.steady(3)}, WATCHED)
    for _ in range(20):
        x = X.copy()
        answer = runner.predict(x)
        x[:] = 1000
        answer["y"][:] = -1000
    results = runner.shadows(TIMEOUT_S)
    assert {result.max_abs_diff for result in results} == {2}
    assert len(results) == 20


def test_several_models_watch_one_call_each_with_its_own_counters(serve):
    nodes = {"watch": {"kind": "shadow_deploy", "champion": "champion", "shadows": ["same", "other", "raises"]}}
    served = {"champion": models.steady(1), "same": models.steady(1), "other": models.steady(5)}
    runner = serve(served | {"raises": models.raises()}, nodes)
    ids = [runner.predict(x).id for x in (X, TROUBLE, X)]
    results = runner.shadows(TIMEOUT_S)
    assert [(r.id, r.model) for r in results] == [(i, m) for i in ids for m in ("same", "other", "raises")]
    assert {(r.model, r.max_abs_diff) for r in results if not r.failed} == {("same", 0), ("other", 8), ("raises", 0)}
    assert [(r.id, r.model) for r in results if r.failed] == [(ids[1], "raises")]
    counts = {s.model: s.counts for s in runner.stats().shadows}
    assert {model: (c.offered, c.done, c.failed) for model, c in counts.items()} == {
        "same": (3, 3, 0),
        "other": (3, 3, 0),
        "raises": (3, 3, 1),
    }


@pytest.mark.parametrize(
    ("make", "flag"), [(models.raises, "failed"), (models.non_finite, "nonfinite")], ids=["raises", "non-finite"]
)
def test_a_watched_model_that_fails_is_flagged_and_nobody_else_notices(serve, make, flag):
    runner = serve({"champion": models.steady(), "shadow": make()}, WATCHED)
    for x in (X, TROUBLE, X):
        prediction = runner.predict(x)
        assert (prediction.model, prediction.fallback) == ("champion", None)
        assert_same(prediction, {"y": 2 * x})
    results = runner.shadows(TIMEOUT_S)
    assert [getattr(result, flag) for result in results] == [False, True, False]
    counts = runner.stats().shadows[0].counts
    assert (counts.done, getattr(counts, flag)) == (3, 1)
    assert not runner.stats().models["shadow"].breaker_open


NESTED = {
    "by-card": {"kind": "key_split", "field": "card", "cases": {"gold": "a"}, "default": "outer"},
    "outer": {"kind": "shadow_deploy", "champion": "ab", "shadows": ["c"]},
    "ab": {"kind": "random_split", "weights": {"a": 1, "inner": 1}, "split_key": "user"},
    "inner": {"kind": "shadow_deploy", "champion": "b", "shadows": ["c", "a"]},
}


def test_watches_of_nested_nodes_each_see_the_calls_that_pass_them(serve):
    runner = serve({"a": models.steady(1), "b": models.steady(2), "c": models.steady(3)}, NESTED)
    seen, answered = [], {}
    for key in range(30):
        meta = {"card": "gold" if key % 3 == 0 else "blue", "user": key}
        prediction = runner.predict(X, meta=meta)
        answered[prediction.id] = prediction
        seen += runner.shadows(TIMEOUT_S)
    assert {"a", "inner"} <= {p.arm for p in answered.values()}
    for prediction in answered.values():
        watches = [(r.node, r.model) for r in seen if r.id == prediction.id]
        if "outer" not in prediction.path:
            assert watches == []
        elif prediction.arm == "a":
            assert watches == [("outer", "c")]
        else:
            assert watches == [("outer", "c"), ("inner", "c"), ("inner", "a")]


# ---- sampling ----

KEYS = 3000


@pytest.fixture(scope="module")
def sampled(serve_all):
    """A split with a watch above it that samples 30%, and which of KEYS keys are sampled."""
    nodes = {
        "watch": {"kind": "shadow_deploy", "champion": "ab", "shadows": ["c"], "sample": 0.3},
        "ab": {"kind": "random_split", "weights": {"a": 1, "b": 1}, "split_key": "user"},
    }
    runner = serve_all({name: models.steady() for name in "abc"}, nodes)
    return runner, [is_offered(runner, key=key) for key in range(KEYS)]


def is_offered(runner, **call):
    before = runner.stats().shadows[0].counts.offered
    runner.predict(X, **call)
    return runner.stats().shadows[0].counts.offered > before


def test_the_share_of_sampled_keys_is_the_nodes(sampled):
    deviation = (KEYS * 0.3 * 0.7) ** 0.5
    assert abs(sum(sampled[1]) - KEYS * 0.3) < 5 * deviation


def test_a_key_is_sampled_always_or_never_however_it_is_given(sampled):
    runner, chosen = sampled
    for key in range(100):
        assert is_offered(runner, key=key) == chosen[key]
        assert is_offered(runner, key=str(key)) == chosen[key]
        assert is_offered(runner, meta={"user": key}) == chosen[key]
        assert is_offered(runner, meta={"user": key}, key="another") == chosen[key]


def test_sampling_does_not_depend_on_the_arm(sampled):
    runner, chosen = sampled
    arms = [runner.predict(X, key=key).arm for key in range(KEYS)]
    table = np.array(
        [
            [sum(a == arm and c == is_in for a, c in zip(arms, chosen, strict=True)) for is_in in (True, False)]
            for arm in "ab"
        ]
    )
    product = table.sum(1, keepdims=True) * table.sum(0, keepdims=True) / table.sum()
    assert ((table - product) ** 2 / product).sum() < 20  # chi-square with one degree of freedom


def test_calls_without_a_key_are_sampled_one_by_one(sampled):
    runner, _ = sampled
    offered = sum(is_offered(runner) for _ in range(500))
    assert 80 < offered < 220


@pytest.mark.parametrize(("sample", "offered"), [(0, 0), (1, 20), (0.0, 0), (1.0, 20)])
def test_none_or_all_are_sampled(serve, sample, offered):
    runner = serve(
        {"champion": models.steady(), "shadow": models.steady()}, {"watch": WATCHED["watch"] | {"sample": sample}}
    )
    for key in range(20):
        runner.predict(X, key=key)
    assert runner.stats().shadows[0].counts.offered == offered


# ---- the queue ----


def queued(counts):
    return counts.offered - counts.done - counts.dropped_full - counts.dropped_bytes - counts.dropped_closed


def test_a_full_queue_drops_and_counts_and_delays_nobody(serve):
    runner = serve({"champion": models.steady(), "shadow": models.slow(steps=5)}, WATCHED)
    runner.predict(X)
    (first,) = runner.shadows(TIMEOUT_S)
    calls, started = 1000, time.monotonic()
    for n in range(calls):
        assert_same(runner.predict(X), {"y": 2 * X})
        if n % 50 == 0:
            assert 0 <= queued(runner.stats().shadows[0].counts) <= LIMITS.shadow_queue_max
    taken_s = time.monotonic() - started
    results = runner.shadows(TIMEOUT_S)
    assert taken_s < calls * min(r.latency_s for r in [first, *results])
    counts = runner.stats().shadows[0].counts
    assert counts.offered == calls + 1
    assert counts.dropped_full > 0
    assert queued(counts) == 0
    assert counts.done == len(results) + 1
    assert counts.dropped_bytes == counts.dropped_closed == counts.results_lost == 0


def test_tensors_too_large_for_the_queue_are_dropped_by_their_bytes(serve):
    end = models._tensor("x", "float32", ["n"]), models._tensor("y", "float32", ["n"])
    echo = models._model([models._node("Identity", "x", "y")], [end[0]], [end[1]])
    runner = serve({"champion": echo, "shadow": echo}, WATCHED)
    fits = LIMITS.shadow_queue_max_bytes // 8  # as many bytes in as out
    for size, dropped in ((fits, 0), (fits + 1, 1), (fits, 1), (8, 1)):
        x = np.arange(size, dtype=np.float32)
        assert_same(runner.predict(x), {"y": x})
        runner.shadows(TIMEOUT_S)
        counts = runner.stats().shadows[0].counts
        assert (counts.dropped_bytes, counts.dropped_full, queued(counts)) == (dropped, 0, 0)
    assert counts.done == 3


def test_counters_add_up_at_every_moment_whatever_the_threads_do(serve):
    runner = serve({"champion": models.steady(), "shadow": models.steady(3)}, WATCHED)
    runner.predict(X)
    stop = threading.Event()

    def call():
        while not stop.is_set():
            runner.predict(X)

    threads = [threading.Thread(target=call) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(2000):
            assert queued(runner.stats().shadows[0].counts) >= 0
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    runner.shadows(TIMEOUT_S)
    assert queued(runner.stats().shadows[0].counts) == 0


@pytest.mark.slow
def test_only_the_newest_results_are_kept_and_the_counters_miss_none(serve):
    runner = serve({"champion": models.steady(), "shadow": models.steady(3)}, WATCHED)
    kept, calls = 4096, 4500
    ids = []
    for n in range(calls):
        ids.append(runner.predict(X).id)
        if n % 50 == 49:
            wait_until(lambda: not queued(runner.stats().shadows[0].counts), TIMEOUT_S)
    assert [result.id for result in runner.shadows(TIMEOUT_S)] == ids[-kept:]
    assert runner.stats().shadows[0].counts.done == calls


# ---- waiting and closing ----


def test_shadows_waits_no_longer_than_told(serve):
    runner = serve({"champion": models.steady(), "shadow": models.stalls(steps=HOURS)}, WATCHED)
    runner.predict(TROUBLE)
    for timeout_s in (0, 0.0, 0.05):
        started = time.monotonic()
        assert runner.shadows(timeout_s) == []
        assert timeout_s <= time.monotonic() - started < 10
    assert_same(runner.predict(X), {"y": 2 * X})
    counts = runner.stats().shadows[0].counts
    assert (counts.offered, counts.done, queued(counts)) == (2, 0, 2)


@pytest.mark.parametrize("timeout_s", [-1, math.nan, "1", True, -math.inf])
def test_what_is_no_time_to_wait_is_refused(serve, timeout_s):
    with pytest.raises(InputError, match="timeout_s must be a number of seconds, 0 or more, or None"):
        serve(models.steady()).shadows(timeout_s)


@pytest.mark.parametrize("timeout_s", [None, math.inf, 1e300, 10**400], ids=["none", "infinite", "ages", "integer"])
def test_shadows_waits_as_long_as_it_takes(serve, timeout_s):
    runner = serve({"champion": models.steady(), "shadow": models.steady()}, WATCHED)
    runner.predict(X)
    assert len(runner.shadows(timeout_s)) == 1
    assert runner.shadows(timeout_s) == []


def test_without_a_watch_there_is_nothing_to_wait_for(serve):
    runner = serve(models.steady())
    runner.predict(X)
    assert runner.shadows() == []
    assert runner.stats().shadows == ()


def test_closing_stops_a_watched_run_and_drops_the_queue(serve):
    runner = serve({"champion": models.steady(), "shadow": models.stalls(steps=HOURS)}, WATCHED)
    before = set(threading.enumerate())
    for _ in range(10):
        runner.predict(TROUBLE)
    assert len(set(threading.enumerate()) - before) == 1
    runner.close()  # would take hours if it waited
    assert set(threading.enumerate()) == before
    with pytest.raises(ClosedError):
        runner.shadows()


def test_closing_does_not_hold_up_who_waits_for_results(serve):
    runner = serve({"champion": models.steady(), "shadow": models.stalls(steps=HOURS)}, WATCHED)
    for _ in range(10):
        runner.predict(TROUBLE)
    found = []
    waiter = threading.Thread(target=lambda: found.append(runner.shadows()))
    waiter.start()
    wait_until(lambda: runner.stats().shadows[0].counts.offered == 10)
    runner.close()
    waiter.join(TIMEOUT_S)
    assert not waiter.is_alive()


@pytest.mark.skipif(not hasattr(os, "SCHED_IDLE"), reason="only Linux has the idle priority")
def test_the_shadow_runs_at_the_lowest_priority_and_nobody_else(serve):
    runner = serve({"champion": models.steady(), "shadow": models.steady()}, WATCHED)
    others = {thread.native_id for thread in threading.enumerate()}
    runner.predict(X)
    runner.shadows(TIMEOUT_S)
    (shadow,) = [t for t in threading.enumerate() if t.name == "edgerun-shadow" and t.native_id not in others]
    assert os.sched_getscheduler(shadow.native_id) == os.SCHED_IDLE
    assert os.sched_getscheduler(threading.get_native_id()) != os.SCHED_IDLE


def test_the_watched_model_answers_as_onnxruntime_does(serve):
    served = {"champion": models.mlp(1, sizes=(30, 8, 2)), "shadow": models.mlp(2, sizes=(30, 8, 2))}
    runner = serve(served, WATCHED)
    random = np.random.default_rng(0)
    for rows in (1, 3, 1, 4):
        x = random.normal(size=(rows, 30)).astype(np.float32)
        runner.predict(x)
        (result,) = runner.shadows(TIMEOUT_S)
        a, b = (oracle.run(model, {"x": x})["y"] for model in served.values())
        assert (result.disagree, result.max_abs_diff) == expected(a, b)
