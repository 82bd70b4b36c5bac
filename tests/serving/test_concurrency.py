"""One runner serves many threads and coroutines, and closing it loses no call that was under way."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from edgerun import BreakerPolicy, ClosedError
from support import models, oracle
from support.serve import CHALLENGED, WATCHED, assert_same, open_bundle, wait_until

X = np.array([[1, 2]], np.float32)
TROUBLE = np.array([[-1, 2]], np.float32)
TIMEOUT_S = 100
THREADS = 6

NODES = {
    "watch": {"kind": "shadow_deploy", "champion": "ab", "shadows": ["c"]},
    "ab": {"kind": "random_split", "weights": {"a": 1, "b": 1, "bad": 1}, "split_key": "user"},
}
FACTORS = {"a": 2, "b": 3}
MODELS = {"a": models.steady(2), "b": models.steady(3), "c": models.steady(4), "bad": models.raises()}


def in_threads(work, count=THREADS):
    """Run ``work(number)`` in threads that start together; return what each returned."""
    barrier = threading.Barrier(count)

    def started(number):
        barrier.wait(TIMEOUT_S)
        return work(number)

    with ThreadPoolExecutor(count) as pool:
        return [future.result(TIMEOUT_S) for future in [pool.submit(started, number) for number in range(count)]]


def test_threads_each_get_their_own_answers(serve):
    runner = serve(MODELS, NODES, breaker=BreakerPolicy(failures=3, retry_after_s=0.001, trials=2))

    def work(number):
        random, ids = np.random.default_rng(number), []
        for _ in range(300):
            x = random.uniform(-1, 9, size=(int(random.integers(1, 4)), 2)).astype(np.float32)
            way = int(random.integers(4))
            key = int(random.integers(100))
            if way == 0:
                found = runner.predict_batch(x, keys=[key] * len(x))
                for row, each in enumerate(found.rows):
                    check(each, x[row : row + 1])
                ids += found.ids
            else:
                options = {1: {}, 2: {}, 3: {"deadline_s": TIMEOUT_S}}[way]
                found = runner.predict(x.tolist() if way == 2 else x, key=key, **options)
                check(found, x)
                ids.append(found.id)
        return ids

    def check(found, x):
        factor = 1 if found.model == "bad" else FACTORS[found.model]
        assert_same(found, {"y": x * np.float32(factor)})
        assert found.arm == found.model or (found.arm == "bad" and found.fallback in {"error", "breaker_open"})

    ids = [each for batch in in_threads(work) for each in batch]
    assert len(set(ids)) == len(ids)
    runner.shadows(TIMEOUT_S)


def test_threads_and_many_shapes_of_a_network(serve):
    runner, session = serve(models.mlp()), oracle.session(models.mlp())
    inputs = [np.random.default_rng(rows).normal(size=(rows, 30)).astype(np.float32) for rows in range(1, 30)]
    expected = [session.run(None, {"x": x})[0] for x in inputs]

    def work(number):
        for turn in np.random.default_rng(number).integers(0, len(inputs), 300):
            assert_same(runner.predict(inputs[turn]), {"y": expected[turn]})

    in_threads(work)


def test_threads_and_outputs_whose_shape_depends_on_the_data(serve):
    runner = serve(models.dynamic_output())

    def work(number):
        random = np.random.default_rng(number)
        for _ in range(300):
            x = random.integers(0, 2, 5).astype(np.float32)
            assert_same(runner.predict(x), {"y": np.array(np.nonzero(x), np.int64)})

    in_threads(work)


def test_coroutines_each_get_their_own_answers(serve):
    runner = serve(MODELS, NODES)

    async def ask(number):
        x = np.full((1, 2), number, np.float32)
        found = await runner.apredict(x, key=number, deadline_s=TIMEOUT_S if number % 3 == 0 else None)
        assert_same(found, {"y": x * np.float32(FACTORS.get(found.model, 1))})
        assert found.arm == runner.predict(x, key=number).arm
        return found.id

    async def ask_all():
        return await asyncio.gather(*(ask(number) for number in range(200)))

    assert len(set(asyncio.run(ask_all()))) == 200


def test_a_coroutine_leaves_the_loop_free_while_the_model_runs(serve):
    runner = serve(models.stalls())

    async def ask():
        answer = asyncio.ensure_future(runner.apredict(TROUBLE))
        turns = 0
        while not answer.done():
            await asyncio.sleep(0)
            turns += 1
        assert_same(await answer, {"y": TROUBLE})
        return turns

    assert asyncio.run(ask()) > 10


def test_a_cancelled_coroutine_disturbs_nobody(serve):
    runner = serve(models.stalls(steps=100))

    async def ask():
        tasks = [asyncio.ensure_future(runner.apredict(TROUBLE)) for _ in range(10)]
        await asyncio.sleep(0)
        for task in tasks[::2]:
            task.cancel()
        found = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(each) is asyncio.CancelledError for each in found] == [True, False] * 5
        for each in found[1::2]:
            assert_same(each, {"y": TROUBLE})
        assert_same(await runner.apredict(X), {"y": X})

    asyncio.run(ask())


# ---- closing ----


def test_closing_twice_is_closing_once(serve):
    runner = serve(models.steady())
    runner.close()
    runner.close()
    in_threads(lambda _: runner.close())


USES = {
    "predict": lambda runner: runner.predict(X),
    "predict a list": lambda runner: runner.predict(X.tolist()),
    "predict by a deadline": lambda runner: runner.predict(X, deadline_s=1),
    "predict_batch": lambda runner: runner.predict_batch(X),
    "apredict": lambda runner: asyncio.run(runner.apredict(X)),
    "apredict by a deadline": lambda runner: asyncio.run(runner.apredict(X, deadline_s=1)),
    "shadows": lambda runner: runner.shadows(),
    "stats": lambda runner: runner.stats(),
    "bundle": lambda runner: runner.bundle,
    "signature": lambda runner: runner.signature,
}


@pytest.mark.parametrize("use", USES)
def test_a_closed_runner_says_so_whatever_is_asked_of_it(serve, use):
    runner = serve({"champion": models.steady(), "shadow": models.steady()}, WATCHED)
    USES[use](runner)
    with runner as entered:
        assert entered is runner
    with pytest.raises(ClosedError, match=r"closed.*open the bundle again"):
        USES[use](runner)
    assert repr(runner) == "EdgeRunner(closed)"


@pytest.mark.parametrize("options", [{}, {"deadline_s": TIMEOUT_S}], ids=["at once", "by a deadline"])
@pytest.mark.parametrize("x", [X, TROUBLE], ids=["good", "falls back"])
def test_closing_loses_no_call_under_way(serve, options, x):
    for _ in range(5):
        runner = serve({"control": models.steady(), "challenger": models.raises()}, CHALLENGED)
        begun = threading.Semaphore(0)

        def call_until_closed(_, runner=runner, begun=begun):
            answered = 0
            try:
                while True:
                    found = runner.predict(x, key="a", **options)
                    assert_same(found, {"y": x if found.model == "challenger" else 2 * x})
                    answered += 1
                    begun.release()
            except ClosedError:
                return answered

        def close(_, runner=runner, begun=begun):
            for _ in range(20):
                assert begun.acquire(timeout=TIMEOUT_S)
            runner.close()
            return 20

        assert sum(in_threads(lambda n: (close if n == 0 else call_until_closed)(n))) >= 40


def test_long_calls_under_way_end_well(serve):
    runner = serve(models.stalls(steps=100))

    def call_until_closed(number):
        options = {"deadline_s": TIMEOUT_S} if number % 2 else {}
        try:
            while True:
                assert_same(runner.predict(TROUBLE, **options), {"y": TROUBLE})
        except ClosedError:
            return

    def close(_):
        wait_until(lambda: runner.stats().models["model"].runs >= 4)
        runner.close()

    in_threads(lambda n: (close if n == 0 else call_until_closed)(n), count=4)


def test_coroutines_that_wait_when_the_runner_closes_get_an_answer_or_hear_of_it(serve):
    runner = serve(models.stalls(steps=100))

    async def ask_and_close():
        tasks = [
            asyncio.ensure_future(runner.apredict(TROUBLE, deadline_s=TIMEOUT_S if n % 2 else None)) for n in range(30)
        ]
        await asyncio.to_thread(lambda: wait_until(lambda: runner.stats().models["model"].runs > 2))
        await asyncio.to_thread(runner.close)
        return await asyncio.gather(*tasks, return_exceptions=True)

    found = asyncio.run(ask_and_close())
    assert {type(each) for each in found if isinstance(each, BaseException)} <= {ClosedError}
    for each in found:
        if not isinstance(each, BaseException):
            assert_same(each, {"y": TROUBLE})
    assert not isinstance(found[0], BaseException)


def test_no_thread_outlives_a_closed_runner(serve):
    before = set(threading.enumerate())
    runner = serve({"champion": models.steady(), "shadow": models.steady()}, WATCHED)
    runner.predict(X)
    runner.predict(X, deadline_s=TIMEOUT_S)
    asyncio.run(runner.apredict(X))
    asyncio.run(runner.apredict(X, deadline_s=TIMEOUT_S))
    runner.shadows(TIMEOUT_S)
    assert len(set(threading.enumerate()) - before) >= 4
    runner.close()
    assert set(threading.enumerate()) <= before


def test_a_runner_that_nobody_closed_is_collected_with_its_threads(tmp_path):
    before = set(threading.enumerate())
    runner = open_bundle(tmp_path / "b", {"champion": models.steady(), "shadow": models.steady()}, WATCHED)
    runner.predict(X)
    runner.predict(X, deadline_s=TIMEOUT_S)
    asyncio.run(runner.apredict(X))
    runner.shadows(TIMEOUT_S)
    gone = weakref.ref(runner)
    del runner
    gc.collect()
    assert gone() is None
    wait_until(lambda: set(threading.enumerate()) <= before)
