"""A call with a deadline returns in time, whatever the models do; late runs are stopped and disturb nobody."""

from __future__ import annotations

import asyncio
import math
import time
from contextlib import contextmanager

import numpy as np
import psutil
import pytest

from edgerun import LIMITS, BreakerPolicy, DeadlineError, InputError, ModelError
from support import models
from support.serve import CHALLENGED, WATCHED, assert_same

X = np.array([[1, 2]], np.float32)
TROUBLE = np.array([[-1, 2]], np.float32)
FALLBACK = {"y": np.zeros((1, 2), np.float32)}
PATIENT = BreakerPolicy(failures=10**9)
HOURS = 10**7
"""Steps of a stall that nobody can wait for: if it is not stopped, a test does not end."""

DEADLINE_S = 0.1
"""Where no answer is expected in time."""

CONTROL_DEADLINE_S = 0.5
TRIES = 20
"""Where a control shall answer in time, if not always: a busy machine may let it wait."""

IN_TIME_S = 5
"""How late a call may be on a busy machine. A run that was waited for would take far longer."""

TIMEOUT_S = 60


@contextmanager
def in_time(limit_s=IN_TIME_S):
    started = time.monotonic()
    yield
    assert time.monotonic() - started < limit_s


def unstoppable(boxes=25_000):
    """``y = x``, but when any ``x`` is negative only after one operator of about a second, which nothing can stop."""
    nodes = [
        *models._ANY_NEGATIVE,
        models._node("Cast", "negative", "flag", to=models.TensorProto.FLOAT),
        models._node("Mul", "flag boxes", "many"),
        models._node("Squeeze", "many", "count"),
        models._node("Range", "zero count one", "corner"),
        models._node("Unsqueeze", "corner axes", "low"),
        models._node("Add", "low half", "high"),
        models._node("Concat", "low low high high", "apart", axis=2),
        models._node("Transpose", "low", "scores", perm=[0, 2, 1]),
        models._node("NonMaxSuppression", "apart scores all", "chosen"),
        models._node("Cast", "chosen", "numbers", to=models.TensorProto.FLOAT),
        models._node("ReduceSum", "numbers", "sum", keepdims=0),
        models._node("Mul", "sum zero", "nothing"),
        models._node("Add", "x nothing", "y"),
    ]
    return models._pair_model(
        nodes,
        threshold=np.zeros(1, np.float32),
        boxes=np.float32(boxes),
        zero=np.float32(0),
        one=np.float32(1),
        half=np.float32(0.5),
        axes=np.array([0, 2]),
        all=np.array([boxes]),
    )


def test_a_model_in_time_answers_as_without_a_deadline(serve):
    runner = serve(models.mlp())
    for rows in (1, 2, 3):
        x = np.random.default_rng(rows).normal(size=(rows, 30)).astype(np.float32)
        timed = runner.predict(x, deadline_s=TIMEOUT_S)
        assert_same(timed, runner.predict(x))
        assert (timed.model, timed.fallback) == ("model", None)
        assert 0 < timed.latency_s < TIMEOUT_S


def test_the_control_answers_in_time_for_a_slow_challenger(serve):
    runner = serve({"control": models.steady(), "challenger": models.stalls(steps=HOURS)}, CHALLENGED, breaker=PATIENT)
    assert_same(runner.predict(X, key="a"), {"y": X})
    answered = []
    for _ in range(TRIES):
        with in_time():
            late = runner.predict(TROUBLE, key="a", deadline_s=CONTROL_DEADLINE_S, fallback=FALLBACK)
        assert (late.arm, late.fallback) == ("challenger", "deadline")
        assert_same(late, {"y": 2 * TROUBLE} if late.model == "control" else FALLBACK)
        answered.append(late.model)
        if answered.count("control") == 2:
            break
    assert answered.count("control") == 2
    assert runner.stats().models["challenger"].fallbacks == {"deadline": len(answered)}


def test_the_callers_fallback_is_returned_for_a_slow_control(serve):
    runner = serve(models.stalls(steps=HOURS))
    with in_time():
        late = runner.predict(TROUBLE, deadline_s=DEADLINE_S, fallback=FALLBACK)
    assert (late.model, late.fallback, late.path) == (None, "deadline", ("model",))
    assert_same(late, FALLBACK)
    assert DEADLINE_S * 0.9 < late.latency_s < IN_TIME_S
    assert "model=None" in repr(late)


def test_without_a_fallback_the_error_names_model_and_deadline(serve):
    runner = serve(models.stalls(steps=HOURS))
    with in_time(), pytest.raises(DeadlineError, match=rf"'model' gave no answer within {DEADLINE_S} s") as caught:
        runner.predict(TROUBLE, deadline_s=DEADLINE_S)
    assert isinstance(caught.value, TimeoutError)


def test_both_slow_is_in_time_too(serve):
    stalls = models.stalls(steps=HOURS)
    runner = serve({"control": stalls, "challenger": stalls}, CHALLENGED, breaker=PATIENT)
    with in_time():
        late = runner.predict(TROUBLE, key="a", deadline_s=DEADLINE_S, fallback=FALLBACK)
    assert (late.arm, late.model, late.fallback) == ("challenger", None, "deadline")


def test_the_fallback_stays_the_callers(serve):
    runner = serve(models.stalls(steps=HOURS))
    given = {"y": np.ones((1, 2), np.float32)}
    runner.predict(TROUBLE, deadline_s=DEADLINE_S, fallback=given)["y"][:] = 7
    assert_same(given, {"y": np.ones((1, 2), np.float32)})


def test_late_runs_do_not_poison_later_calls(serve):
    runner = serve({"control": models.steady(), "challenger": models.stalls(steps=HOURS)}, CHALLENGED, breaker=PATIENT)
    for turn in range(2 * LIMITS.workers_max):
        runner.predict(TROUBLE, key="a", deadline_s=DEADLINE_S, fallback=FALLBACK)
        x = np.full((1, 2), turn, np.float32)
        for options in ({}, {"deadline_s": TIMEOUT_S}):
            good = runner.predict(x, key="a", **options)
            assert (good.model, good.fallback) == ("challenger", None)
            assert_same(good, {"y": x})


def test_late_runs_are_stopped_so_that_closing_does_not_wait_for_them(serve):
    runner = serve(models.stalls(steps=HOURS))
    for _ in range(LIMITS.workers_max + 2):
        runner.predict(TROUBLE, deadline_s=DEADLINE_S, fallback=FALLBACK)
    with in_time(TIMEOUT_S):
        runner.close()


@pytest.mark.slow
def test_runs_that_cannot_be_stopped_never_keep_the_control_waiting(serve):
    runner = serve({"control": models.steady(), "challenger": unstoppable()}, CHALLENGED, breaker=PATIENT)
    late = []
    for _ in range(LIMITS.workers_max + 3):
        with in_time():
            late.append(runner.predict(TROUBLE, key="a", deadline_s=DEADLINE_S * 2, fallback=FALLBACK))
    assert {prediction.fallback for prediction in late} == {"deadline"}
    assert "control" in {prediction.model for prediction in late[LIMITS.workers_max :]}


@pytest.mark.slow
def test_calls_that_waited_in_vain_for_a_stuck_model_keep_no_inputs(serve):
    runner = serve(unstoppable())
    x = np.full((500_000, 2), -1, np.float32)  # 4 MB
    for turn in range(LIMITS.workers_max + 60):
        runner.predict(x, deadline_s=0.01, fallback=FALLBACK)
        if turn == LIMITS.workers_max:
            before = psutil.Process().memory_info().rss
    assert psutil.Process().memory_info().rss - before < 100 * 2**20  # all would be 240 MB


def test_a_challenger_that_fails_in_time_falls_back_with_its_own_problem(serve):
    runner = serve({"control": models.steady(), "challenger": models.raises()}, CHALLENGED)
    failed = runner.predict(TROUBLE, key="a", deadline_s=TIMEOUT_S)
    assert (failed.model, failed.fallback) == ("control", "error")
    runner = serve({"control": models.steady(), "challenger": models.non_finite()}, CHALLENGED)
    failed = runner.predict(TROUBLE, key="a", deadline_s=TIMEOUT_S)
    assert (failed.model, failed.fallback) == ("control", "nonfinite")


def test_both_failing_in_time_is_a_model_error_with_both_reasons(serve):
    runner = serve({"control": models.raises(), "challenger": models.non_finite()}, CHALLENGED)
    with pytest.raises(ModelError, match=r"'control': .*out of data bounds.*'challenger': an output holds NaN"):
        runner.predict(TROUBLE, key="a", deadline_s=TIMEOUT_S, fallback=FALLBACK)
    with pytest.raises(ModelError, match="out of data bounds"):
        serve(models.raises()).predict(TROUBLE, deadline_s=TIMEOUT_S)


def test_the_breaker_counts_missed_deadlines(serve):
    runner = serve(
        {"control": models.steady(), "challenger": models.stalls(steps=HOURS)},
        CHALLENGED,
        breaker=BreakerPolicy(failures=2, retry_after_s=0, trials=1),
    )
    for _ in range(2):
        assert not runner.stats().models["challenger"].breaker_open
        runner.predict(TROUBLE, key="a", deadline_s=DEADLINE_S, fallback=FALLBACK)
    assert runner.stats().models["challenger"].breaker_open
    assert runner.predict(X, key="a", deadline_s=TIMEOUT_S).fallback == "breaker_open"
    runner.shadows(TIMEOUT_S)
    assert not runner.stats().models["challenger"].breaker_open
    assert runner.predict(X, key="a", deadline_s=TIMEOUT_S).model == "challenger"


def test_a_challenger_that_was_given_no_time_is_not_blamed(serve):
    nodes = {"ab": {"kind": "random_split", "weights": {"control": 1, "challenger": 1}, "split_key": "user"}}
    models_of = {"control": models.stalls(), "challenger": models.steady()}
    runner = serve(models_of, nodes, breaker=BreakerPolicy(failures=1))
    key_of = {runner.predict(X, key=key).arm: key for key in range(20)}
    runner.predict(TROUBLE, key=key_of["control"])
    before = runner.stats().models
    deadline_s = before["control"].latency_s / 2  # the control alone needs more
    late = runner.predict(TROUBLE, key=key_of["challenger"], deadline_s=deadline_s, fallback=FALLBACK)
    assert (late.arm, late.model, late.fallback) == ("challenger", None, "deadline")
    after = runner.stats().models["challenger"]
    assert (after.runs, after.breaker_open) == (before["challenger"].runs, False)
    assert after.fallbacks == {"deadline": 1}


def test_watches_see_what_was_answered_in_time(serve):
    runner = serve({"champion": models.steady(2), "shadow": models.steady(3)}, WATCHED)
    answered = runner.predict(X, deadline_s=TIMEOUT_S)
    (result,) = runner.shadows(TIMEOUT_S)
    assert result.id == answered.id
    assert result.max_abs_diff == pytest.approx(2)


@pytest.mark.parametrize(
    "deadline_s",
    [0, -1, -1e-9, math.nan, math.inf, -math.inf, True, "1", None, [1], 1j],
    ids=repr,
)
def test_what_is_no_deadline_is_refused(serve, deadline_s):
    with pytest.raises(InputError, match="deadline_s"):
        serve(models.steady()).predict(X, deadline_s=deadline_s, fallback=FALLBACK)


@pytest.mark.parametrize("deadline_s", [1e9, 1e300, 10**400, np.float64(60)], ids=["years", "ages", "integer", "numpy"])
def test_any_long_deadline_is_one(serve, deadline_s):
    assert_same(serve(models.steady()).predict(X, deadline_s=deadline_s), {"y": 2 * X})


def test_a_deadline_that_is_over_at_once_gives_the_fallback(serve):
    runner = serve(models.steady())
    assert runner.predict(X, deadline_s=1e-12, fallback={}) == {}
    with pytest.raises(DeadlineError):
        runner.predict(X, deadline_s=1e-12)


@pytest.mark.parametrize("fallback", [5, "y", [1, 2], X])
def test_a_fallback_that_is_no_mapping_is_refused_before_it_is_needed(serve, fallback):
    with pytest.raises(InputError, match="fallback must be a mapping"):
        serve(models.steady()).predict(X, deadline_s=TIMEOUT_S, fallback=fallback)


def test_a_wrong_input_is_refused_with_a_deadline_too(serve):
    with pytest.raises(InputError, match="float64"):
        serve(models.steady()).predict(X.astype(np.float64), deadline_s=TIMEOUT_S)


def test_coroutines_that_wait_for_a_thread_return_in_time_too(serve):
    runner = serve(models.stalls(steps=HOURS))

    async def ask_often():
        calls = (runner.apredict(TROUBLE, deadline_s=1, fallback=FALLBACK) for _ in range(20 * LIMITS.workers_max))
        return await asyncio.gather(*calls)

    with in_time(1 + IN_TIME_S):
        answers = asyncio.run(ask_often())
    assert {answer.fallback for answer in answers} == {"deadline"}
    assert len({answer.id for answer in answers}) == len(answers)
