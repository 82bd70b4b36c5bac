"""A challenger that fails never fails the caller: the control answers, the breaker opens, trials close it."""

from __future__ import annotations

import time

import numpy as np
import pytest

from edgerun import LIMITS, BreakerPolicy, ModelError
from support import models, oracle
from support.serve import CHALLENGED, assert_same

X = np.array([[1, 2]], np.float32)
TROUBLE = np.array([[-1, 2]], np.float32)
ZERO = np.array([[0, 2]], np.float32)
PATIENT = BreakerPolicy(failures=10**9)
TIMEOUT_S = 60

TROUBLEMAKERS = {
    "raises": (models.raises, TROUBLE, "error"),
    "nan": (models.non_finite, TROUBLE, "nonfinite"),
    "infinite": (models.non_finite, ZERO, "nonfinite"),
    "wrong shape": (models.wrong_shape, TROUBLE, "shape"),
}


def unary(operator, dtype="float32", *, sequence=False):
    """``y = operator(x)`` for ``x`` [n] of a float dtype; as a list of two tensors where that is asked for."""
    end = models._tensor("x", dtype, ["n"])
    if not sequence:
        return models._model([models._node(operator, "x", "y")], [end], [models._tensor("y", dtype, ["n"])])
    out = models.helper.make_tensor_sequence_value_info("y", models.DTYPES[dtype], None)
    nodes = [models._node(operator, "x", "z"), models._node("SequenceConstruct", "x z", "y")]
    return models._model(nodes, [end], [out])


@pytest.mark.parametrize("case", TROUBLEMAKERS)
def test_the_control_answers_for_a_challenger_that_fails(serve, case):
    make, trouble, problem = TROUBLEMAKERS[case]
    runner = serve({"control": models.steady(), "challenger": make()}, CHALLENGED, breaker=PATIENT)
    for turn in range(1, 5):
        good = runner.predict(X, key="a")
        assert (good.arm, good.model, good.fallback) == ("challenger", "challenger", None)
        assert_same(good, oracle.run(make(), {"x": X}))
        bad = runner.predict(trouble, key="a")
        assert (bad.arm, bad.model, bad.fallback) == ("challenger", "control", problem)
        assert bad.path == ("ab", "challenger")
        assert_same(bad, {"y": 2 * trouble})
        assert runner.stats().models["challenger"].fallbacks == {problem: turn}
    assert runner.stats().models["control"].fallbacks == {}


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("sequence", [False, True], ids=["tensor", "list"])
@pytest.mark.parametrize("value", [-1, 0], ids=["nan", "infinity"])
def test_every_kind_of_float_is_checked(serve, dtype, sequence, value):
    control, challenger = (unary(operator, dtype, sequence=sequence) for operator in ("Neg", "Log"))
    runner = serve({"control": control, "challenger": challenger}, CHALLENGED, breaker=PATIENT)
    trouble = np.array([1] * 100 + [value], dtype)
    for _ in range(3):
        assert runner.predict(np.ones(101, dtype), key="a").model == "challenger"
        bad = runner.predict(trouble, key="a")
        assert (bad.model, bad.fallback) == ("control", "nonfinite")
        assert_same(bad, oracle.run(control, {"x": trouble}))


def test_a_control_that_is_not_finite_answers_as_it_is(serve):
    nodes = {"ab": CHALLENGED["ab"] | {"weights": {"control": 1, "challenger": 0}}}
    runner = serve({"control": models.non_finite(), "challenger": models.steady()}, nodes)
    for _ in range(10):
        prediction = runner.predict(TROUBLE, key="a")
        assert (prediction.arm, prediction.model, prediction.fallback) == ("control", "control", None)
        assert np.isnan(prediction["y"][0, 0])
    assert not runner.stats().models["control"].breaker_open


def test_a_control_that_is_not_finite_stands_in_as_it_is(serve):
    runner = serve({"control": models.non_finite(), "challenger": models.raises()}, CHALLENGED)
    prediction = runner.predict(TROUBLE, key="a")
    assert (prediction.model, prediction.fallback) == ("control", "error")
    assert np.isnan(prediction["y"][0, 0])


def test_when_both_fail_the_error_has_both_reasons(serve):
    runner = serve({"control": models.raises(), "challenger": models.non_finite()}, CHALLENGED)
    for _ in range(3):
        with pytest.raises(ModelError) as caught:
            runner.predict(TROUBLE, key="a")
        assert "model 'control': " in str(caught.value)
        assert "out of data bounds" in str(caught.value)
        assert "model 'challenger': an output holds NaN or infinity" in str(caught.value)
    assert_same(runner.predict(X, key="a"), {"y": np.log(X)})


NESTED = {
    "outer": {"kind": "random_split", "weights": {"safe": 0, "inner": 1}, "control": "safe", "split_key": "user"},
    "inner": {
        "kind": "random_split",
        "weights": {"control": 0, "challenger": 1},
        "control": "control",
        "split_key": "user",
    },
}


@pytest.mark.parametrize(
    ("control", "expected"), [(models.steady(3), "control"), (models.raises(), "safe"), (models.non_finite(), "safe")]
)
def test_the_control_of_a_nested_split_may_fall_back_to_that_of_the_outer_one(serve, control, expected):
    runner = serve({"safe": models.steady(2), "control": control, "challenger": models.raises()}, NESTED)
    for _ in range(3):
        prediction = runner.predict(TROUBLE, key="a")
        assert (prediction.arm, prediction.model, prediction.fallback) == ("challenger", expected, "error")
        assert_same(prediction, {"y": {"control": 3, "safe": 2}[expected] * TROUBLE})


def test_when_a_whole_chain_fails_the_error_has_every_reason(serve):
    runner = serve({"safe": models.raises(), "control": models.raises(), "challenger": models.non_finite()}, NESTED)
    with pytest.raises(ModelError, match=r"'safe': .*'control': .*'challenger': "):
        runner.predict(TROUBLE, key="a")


def test_a_control_may_be_a_split_of_its_own(serve):
    nodes = {
        "ab": {"kind": "random_split", "weights": {"old": 0, "new": 1}, "control": "old", "split_key": "user"},
        "old": {"kind": "random_split", "weights": {"a": 1, "b": 1}, "split_key": "user"},
    }
    runner = serve({"new": models.raises(), "a": models.steady(2), "b": models.steady(3)}, nodes, breaker=PATIENT)
    served = {key: runner.predict(TROUBLE, key=key) for key in range(50)}
    assert {p.model for p in served.values()} == {"a", "b"}
    for key, prediction in served.items():
        assert (prediction.arm, prediction.fallback) == ("new", "error")
        assert prediction["y"][0, 1] == {"a": 4, "b": 6}[prediction.model]
        assert runner.predict(TROUBLE, key=key).model == prediction.model


def test_a_model_never_stands_in_for_itself(serve):
    nodes = {
        "aa": {"kind": "random_split", "weights": {"watch": 1, "champion": 1}, "control": "watch", "split_key": "user"},
        "watch": {"kind": "shadow_deploy", "champion": "champion", "shadows": ["shadow"]},
    }
    runner = serve(
        {"champion": models.non_finite(), "shadow": models.steady()}, nodes, breaker=BreakerPolicy(failures=2)
    )
    for key in range(40):
        prediction = runner.predict(TROUBLE, key=key)
        assert (prediction.model, prediction.fallback) == ("champion", None)
        assert np.isnan(prediction["y"][0, 0])
    assert not runner.stats().models["champion"].breaker_open


def test_a_model_that_is_its_own_control_keeps_failing_with_its_own_reason(serve):
    nodes = {
        "aa": {"kind": "random_split", "weights": {"watch": 0, "champion": 1}, "control": "watch", "split_key": "user"},
        "watch": {"kind": "shadow_deploy", "champion": "champion", "shadows": ["shadow"]},
    }
    runner = serve({"champion": models.raises(), "shadow": models.steady()}, nodes, breaker=BreakerPolicy(failures=2))
    for _ in range(5):
        with pytest.raises(ModelError, match="out of data bounds"):
            runner.predict(TROUBLE, key="a")
    assert runner.predict(X, key="a").model == "champion"


# ---- the breaker ----


def challenged(serve, make, **policy):
    return serve({"control": models.steady(), "challenger": make()}, CHALLENGED, breaker=BreakerPolicy(**policy))


def fail(runner, times, trouble=TROUBLE):
    for _ in range(times):
        assert runner.predict(trouble, key="a").model == "control"


@pytest.mark.parametrize("failures", [1, 2, 5])
def test_the_breaker_opens_after_so_many_failures_in_a_row(serve, failures):
    runner = challenged(serve, models.raises, failures=failures, retry_after_s=3600)
    runner.predict(X, key="a")
    for _ in range(failures):
        assert not runner.stats().models["challenger"].breaker_open
        fail(runner, 1)
    before = runner.stats().models["challenger"]
    assert before.breaker_open
    for x in (X, TROUBLE, X):
        prediction = runner.predict(x, key="a")
        assert (prediction.arm, prediction.model, prediction.fallback) == ("challenger", "control", "breaker_open")
        assert_same(prediction, {"y": 2 * x})
    after = runner.stats().models["challenger"]
    assert after.runs == before.runs
    assert after.fallbacks == {"error": failures, "breaker_open": 3}


@pytest.mark.parametrize("given_as", [np.asarray, np.ndarray.tolist], ids=["array", "list"])
def test_a_success_forgets_the_failures(serve, given_as):
    runner = challenged(serve, models.raises, failures=3)
    for _ in range(5):
        fail(runner, 2)
        assert runner.predict(given_as(X), key="a").model == "challenger"
    assert not runner.stats().models["challenger"].breaker_open


@pytest.mark.parametrize("trials", [1, 3])
def test_good_trials_in_the_shadow_close_the_breaker(serve, trials):
    runner = challenged(serve, models.raises, failures=2, retry_after_s=0, trials=trials)
    fail(runner, 2)
    for _ in range(trials):
        prediction = runner.predict(X, key="a")
        assert (prediction.model, prediction.fallback) == ("control", "breaker_open")
        assert runner.shadows(TIMEOUT_S) == []  # a trial is no watch
    assert not runner.stats().models["challenger"].breaker_open
    prediction = runner.predict(X, key="a")
    assert (prediction.model, prediction.fallback) == ("challenger", None)


@pytest.mark.parametrize("case", TROUBLEMAKERS)
def test_a_bad_trial_leaves_it_open_and_the_good_ones_start_anew(serve, case):
    make, trouble, problem = TROUBLEMAKERS[case]
    runner = challenged(serve, make, failures=2, retry_after_s=0, trials=2)
    fail(runner, 2, trouble)
    for x in (X, trouble, X, trouble, trouble, X):
        assert runner.predict(x, key="a").fallback == "breaker_open"
        runner.shadows(TIMEOUT_S)
        assert runner.stats().models["challenger"].breaker_open
    assert runner.predict(X, key="a").fallback == "breaker_open"
    runner.shadows(TIMEOUT_S)
    assert not runner.stats().models["challenger"].breaker_open
    assert runner.stats().models["challenger"].fallbacks == {problem: 2, "breaker_open": 7}


@pytest.mark.parametrize("options", [{}, {"deadline_s": TIMEOUT_S}], ids=["at once", "by a deadline"])
def test_inputs_that_fail_the_control_too_are_not_held_against_the_challenger(serve, options):
    served = {"control": models.shared_dim(), "challenger": models.shared_dim()}
    runner = serve(served, CHALLENGED, breaker=BreakerPolicy(failures=2))
    unequal = {"a": np.ones((2, 3), np.float32), "b": np.ones((3, 3), np.float32)}
    for _ in range(5):
        with pytest.raises(ModelError):
            runner.predict(unequal, key="a", **options)
    stats = runner.stats().models["challenger"]
    assert (stats.breaker_open, stats.fallbacks) == (False, {})
    assert stats.failures == 5


def test_no_trial_runs_before_its_time(serve):
    runner = challenged(serve, models.raises, failures=1, retry_after_s=3600)
    fail(runner, 1)
    runs = runner.stats().models["challenger"].runs
    for _ in range(20):
        runner.predict(X, key="a")
        runner.shadows(TIMEOUT_S)
    assert runner.stats().models["challenger"].runs == runs
    assert runner.stats().models["challenger"].breaker_open


@pytest.mark.parametrize("call", ["predict", "deadline", "batch"])
def test_every_way_of_calling_runs_trials(serve, call):
    runner = challenged(serve, models.raises, failures=1, retry_after_s=0, trials=2)
    ways = {
        "predict": lambda: runner.predict(X, key="a"),
        "deadline": lambda: runner.predict(X, key="a", deadline_s=TIMEOUT_S),
        "batch": lambda: runner.predict_batch(X, keys=["a"]).rows[0],
    }
    fail(runner, 1)
    for _ in range(2):
        assert ways[call]().fallback == "breaker_open"
        runner.shadows(TIMEOUT_S)
    assert ways[call]().model == "challenger"


def test_each_model_has_a_breaker_of_its_own(serve):
    nodes = {
        "ab": {
            "kind": "random_split",
            "weights": {"control": 1, "bad": 1, "good": 1},
            "split_key": "user",
        }
    }
    runner = serve(
        {"control": models.steady(), "bad": models.raises(), "good": models.steady(3)},
        nodes,
        breaker=BreakerPolicy(failures=2, retry_after_s=3600),
    )
    served = [runner.predict(TROUBLE, key=key) for key in range(60)]
    assert {(p.arm, p.model) for p in served} == {("control", "control"), ("bad", "control"), ("good", "good")}
    stats = runner.stats().models
    assert {name: model.breaker_open for name, model in stats.items()} == {"control": False, "bad": True, "good": False}
    bad = sum(p.arm == "bad" for p in served)
    assert stats["bad"].fallbacks == {"error": 2, "breaker_open": bad - 2}


def texts_and_number(body):
    """``x`` string [n] and ``z`` float32 [n] to ``y = x``, ``w = z``; where ``body`` says so, it raises for z >= 1."""
    ends = [models._tensor("x", "string", ["n"]), models._tensor("z", "float32", ["n"])]
    outs = [models._tensor("y", "string", ["n"]), models._tensor("w", "float32", ["n"])]
    nodes = [models._node("Identity", "x", "y")]
    if body == "raises":
        nodes += [
            models._node("Cast", "z", "index", to=models.TensorProto.INT64),
            models._node("Gather", "one index", "factor"),
            models._node("Mul", "z factor", "w"),
        ]
    else:
        nodes += [models._node("Identity", "z", "w")]
    return models._model(nodes, ends, outs, {"one": np.ones(1, np.float32)})


def test_a_call_can_be_watched_and_a_trial_at_once_even_with_strings(serve):
    nodes = CHALLENGED | {"watch": {"kind": "shadow_deploy", "champion": "ab", "shadows": ["watched"]}}
    runner = serve(
        {
            "control": texts_and_number("echo"),
            "challenger": texts_and_number("raises"),
            "watched": texts_and_number("echo"),
        },
        nodes,
        "watch",
        breaker=BreakerPolicy(failures=1, retry_after_s=0, trials=3),
    )

    def call(z):
        return runner.predict({"x": ["ä", "b"], "z": np.full(2, z, np.float32)}, key="a")

    assert call(1).fallback == "error"
    for _ in range(3):
        assert call(0).fallback == "breaker_open"
        runner.shadows(TIMEOUT_S)
    assert call(0).model == "challenger"
    runner.shadows(TIMEOUT_S)
    counts = runner.stats().shadows[0].counts
    assert (counts.offered, counts.done, counts.disagreed, counts.failed) == (5, 5, 0, 0)


def test_a_trial_that_the_shadow_had_no_room_for_is_due_again_at_once(serve):
    retry_after_s = 0.5
    runner = challenged(serve, models.raises, failures=1, retry_after_s=retry_after_s, trials=1)
    too_large = np.ones((LIMITS.shadow_queue_max_bytes // X.nbytes, 2), np.float32)
    fail(runner, 1)
    until = time.monotonic() + 1.2 * retry_after_s
    while time.monotonic() < until:
        assert runner.predict(too_large, key="a").fallback == "breaker_open"
    assert runner.predict(X, key="a").fallback == "breaker_open"
    runner.shadows(TIMEOUT_S)
    assert not runner.stats().models["challenger"].breaker_open


def test_the_counters_of_each_model(serve):
    runner = challenged(serve, models.non_finite, failures=100)
    for _ in range(10):
        runner.predict(X, key="a")
    fail(runner, 4)
    stats = runner.stats()
    assert (stats.name, stats.version) == ("test", "1")
    challenger, control = stats.models["challenger"], stats.models["control"]
    assert challenger.runs >= 14
    assert challenger.nonfinite >= 4
    assert challenger.failures == 0
    assert control.runs >= 4
    assert (control.failures, control.nonfinite, control.fallbacks) == (0, 0, {})
    assert 0 < challenger.latency_s < TIMEOUT_S
    assert 0 < control.latency_s < TIMEOUT_S
