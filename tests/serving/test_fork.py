"""A forked child goes on with what its parent opened, as a stream of its own, or says that it must open it again."""

from __future__ import annotations

import asyncio
import faulthandler
import gc
import multiprocessing
import os
import shutil
import signal
import tempfile
import threading
import traceback
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from edgerun import BreakerPolicy, BundleError, ClosedError, EdgeRunner
from edgerun._core.runtime import Model
from support import models
from support.serve import CHALLENGED, WATCHED, assert_same, write_bundle

X = np.array([[1, 2]], np.float32)
TROUBLE = np.array([[-1, 2]], np.float32)
HOURS = 10**7
TIMEOUT_S = 100

pytestmark = [
    pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="this system cannot fork"),
    pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning"),
]


def in_child(work):
    """Return what ``work()`` returns in a forked child; fail if it fails there, or never returns."""
    fork = multiprocessing.get_context("fork")
    here, there = fork.Pipe()
    stacks = tempfile.TemporaryFile()  # noqa: SIM115 - the child writes into it

    def run():
        faulthandler.register(signal.SIGUSR1, file=stacks)
        try:
            there.send((work(), None))
        except BaseException:  # noqa: BLE001 - whatever it is, the parent shall see it
            there.send((None, traceback.format_exc()))

    child = fork.Process(target=run)
    child.start()
    try:
        assert here.poll(TIMEOUT_S), f"the child hangs:\n{_stacks_of(child, stacks)}"
        found, failure = here.recv()
        assert failure is None, failure
        child.join(TIMEOUT_S)
        assert child.exitcode == 0, f"the child ended with {child.exitcode}"
        return found
    finally:
        child.kill()
        child.join()
        stacks.close()


def _stacks_of(child, stacks):
    os.kill(child.pid, signal.SIGUSR1)
    child.join(1)
    stacks.seek(0)
    return stacks.read().decode()


@pytest.fixture(params=[False, True], ids=["one thread", "threads"], autouse=True)
def has_threads(request):
    """Whether the parent has another thread at the fork, which might be inside a model."""
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait)
    if request.param:
        thread.start()
    yield
    stop.set()
    if request.param:
        thread.join()


@pytest.fixture
def watched(serve):
    return serve({"champion": models.steady(2), "shadow": models.steady(3)}, WATCHED)


def answer_in_every_way(runner):
    """Call a runner in every way, check each answer, and return the ids."""
    predictions = [
        runner.predict(X),
        runner.predict(X.tolist()),
        runner.predict(X, deadline_s=TIMEOUT_S),
        asyncio.run(runner.apredict(X)),
        asyncio.run(runner.apredict(X, deadline_s=TIMEOUT_S)),
        *runner.predict_batch(np.concatenate([X, X])).rows,
    ]
    for prediction in predictions:
        assert_same(prediction, {"y": 2 * X})
    return [prediction.id for prediction in predictions]


def test_ids_are_unique_over_parent_and_children(watched):
    ids = answer_in_every_way(watched)
    for _ in range(3):
        ids += in_child(lambda: answer_in_every_way(watched))
        ids += answer_in_every_way(watched)
    assert len(set(ids)) == len(ids)
    assert len({each.partition("-")[0] for each in ids}) == 4


@pytest.mark.parametrize("used", [False, True], ids=["before its first use", "after use"])
def test_a_child_has_a_shadow_of_its_own(watched, used):
    if used:
        watched.predict(X)
        watched.shadows(TIMEOUT_S)

    def child():
        ids = [watched.predict(X).id for _ in range(5)]
        assert [result.id for result in watched.shadows(TIMEOUT_S)] == ids
        counts = watched.stats().shadows[0].counts
        assert (counts.offered, counts.done) == (5, 5)
        watched.close()

    in_child(child)
    watched.predict(X)
    assert len(watched.shadows(TIMEOUT_S)) == 1


def test_a_shadow_that_is_busy_at_the_fork_keeps_the_child_waiting_for_nothing(serve):
    runner = serve({"champion": models.steady(2), "shadow": models.stalls(steps=HOURS)}, WATCHED)
    for _ in range(5):
        runner.predict(TROUBLE)

    def child():
        assert runner.shadows(TIMEOUT_S) == []
        runner.predict(X)
        assert len(runner.shadows(TIMEOUT_S)) == 1
        runner.close()

    in_child(child)


@pytest.mark.parametrize("end", ["close", "collect", "leave"])
@pytest.mark.parametrize("threads", [1, 2])
def test_a_child_can_let_go_of_its_parents_runner(tmp_path, end, threads):
    folder = write_bundle(tmp_path / "b", {"champion": models.steady(), "shadow": models.steady()}, WATCHED)
    held = [EdgeRunner.open(folder, threads=threads)]
    held[0].predict(X)
    held[0].shadows(TIMEOUT_S)

    def child():
        if end == "close":
            held[0].close()
            held[0].close()
        if end == "collect":
            held.clear()
            gc.collect()

    in_child(child)
    assert_same(held[0].predict(X), {"y": 2 * X})
    held[0].close()


@pytest.mark.parametrize("threads", [1, 2])
def test_a_child_goes_on_whatever_threads_its_parent_has(serve, threads):
    runner = serve({"champion": models.steady(2), "shadow": models.steady(3)}, WATCHED, threads=threads)
    ids = answer_in_every_way(runner)  # leaves threads that wait for the next call
    ids += in_child(lambda: answer_in_every_way(runner))
    ids += answer_in_every_way(runner)
    assert len(set(ids)) == len(ids)


def test_a_child_that_asks_nothing_knows_what_it_serves(watched):
    expected = repr(watched)
    assert in_child(lambda: repr(watched)) == expected
    assert in_child(lambda: (watched.bundle.name, watched.bundle.version)) == ("test", "1")


def test_a_child_that_closes_stays_closed(watched):
    def child():
        watched.close()
        with pytest.raises(ClosedError):
            watched.predict(X)
        return repr(watched)

    assert in_child(child) == "EdgeRunner(closed)"


def test_a_child_whose_bundle_is_gone_says_so_where_it_must_be_opened_again(tmp_path):
    folder = write_bundle(tmp_path / "b", models.steady())
    runner = EdgeRunner.open(folder, threads=2)
    shutil.rmtree(folder)

    def child():
        for _ in range(2):
            with pytest.raises(BundleError, match="missing"):
                runner.predict(X)
        runner.close()
        with pytest.raises(ClosedError):
            runner.predict(X)

    in_child(child)
    assert_same(runner.predict(X), {"y": 2 * X})
    runner.close()


def test_a_child_can_open_the_bundle_again(serve, tmp_path):
    folder = write_bundle(tmp_path / "b", models.steady())
    parent = EdgeRunner.open(folder, threads=2)
    parent.predict(X)

    def child():
        with EdgeRunner.open(folder, threads=2) as runner:
            return answer_in_every_way(runner)

    assert in_child(child)
    parent.close()


def test_threads_of_a_child_may_all_be_the_first_to_ask(watched):
    watched.predict(X)

    def child():
        barrier = threading.Barrier(4)

        def ask(_):
            barrier.wait(TIMEOUT_S)
            return [watched.predict(X).id for _ in range(50)]

        with ThreadPoolExecutor(4) as pool:
            return [each for ids in pool.map(ask, range(4)) for each in ids]

    ids = in_child(child)
    assert len(set(ids)) == 200
    assert len({each.partition("-")[0] for each in ids}) == 1


def test_a_grandchild_goes_on_too(watched):
    ids = answer_in_every_way(watched)
    ids += in_child(lambda: answer_in_every_way(watched) + in_child(lambda: answer_in_every_way(watched)))
    assert len(set(ids)) == len(ids)


def test_a_runner_that_was_closed_stays_closed_in_the_child(watched):
    watched.close()

    def child():
        with pytest.raises(ClosedError):
            watched.predict(X)

    in_child(child)


@pytest.mark.slow
@pytest.mark.parametrize("has_threads", [True], indirect=True)
def test_a_fork_at_any_moment_of_other_threads_calls(serve):
    """Whatever lock another thread holds when the fork comes: edgerun's, and those inside onnxruntime."""
    patient = BreakerPolicy(failures=10**9)
    challenged = serve({"control": models.steady(), "challenger": models.raises()}, CHALLENGED, breaker=patient)
    texts = serve(models.identity("string"))
    network = serve({"champion": models.mlp(1), "shadow": models.mlp(2)}, WATCHED)
    stop = threading.Event()

    def answer_all(rows):
        assert challenged.predict(TROUBLE, key="a").fallback == "error"
        assert texts.predict(["a", "b"])["y"].tolist() == ["a", "b"]
        network.predict(np.ones((rows, 30), np.float32))
        network.predict(np.ones((1, 30), np.float32))
        challenged.stats()

    def call(number):
        random = np.random.default_rng(number)
        while not stop.is_set():
            answer_all(int(random.integers(1, 40)))

    def child():
        for rows in (1, 1, 50, 60):
            answer_all(rows)
        network.shadows(0)

    answer_all(1)
    threads = [threading.Thread(target=call, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(15):
            in_child(child)
    finally:
        stop.set()
        for thread in threads:
            thread.join()


SERVED = []


def ask_the_served(value):
    return SERVED[0].predict(np.full((1, 2), value, np.float32))


def test_a_pool_of_forked_workers_serves_and_sends_predictions_home(watched):
    watched.predict(X)
    watched.shadows(TIMEOUT_S)
    SERVED[:] = [watched]
    with multiprocessing.get_context("fork").Pool(3) as pool:
        answers = pool.map_async(ask_the_served, range(60), chunksize=1).get(TIMEOUT_S)
    for value, answer in enumerate(answers):
        assert_same(answer, {"y": np.full((1, 2), 2 * value, np.float32)})
    assert len({answer.id for answer in answers}) == 60
    assert watched.predict(X).epoch not in {answer.epoch for answer in answers}


def test_a_child_waits_for_no_thread_of_a_model_that_its_parent_left_to_the_garbage_collector(tmp_path):
    path = tmp_path / "model.onnx"
    path.write_bytes(models.steady())
    gc.collect()
    left: list[object] = [Model("left", str(path), 3)]
    left.append(left)
    gc.disable()
    try:
        del left
        assert in_child(lambda: gc.collect() > 0)
    finally:
        gc.enable()
