"""A runner goes from bundle to bundle while it serves: every call is answered, and by one whole bundle."""

from __future__ import annotations

import asyncio
import gc
import multiprocessing
import sys
import threading
import traceback
import weakref
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle
from pathlib import Path

import numpy as np
import pytest

from edgerun import ClosedError, EdgeRunner, InputError
from edgerun.log import LogPolicy, read
from support import models
from support.serve import assert_same, open_bundle, wait_until, write_bundle
from support.swaps import SPLIT, WATCHED, assert_whole, factor, load, swap, write_version

X = np.array([[1, 2]], np.float32)
TIMEOUT_S = 100
SWAPS = 15
THREADS = 4


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    folder = tmp_path_factory.mktemp("plain")
    return [write_version(folder, number, SPLIT) for number in (1, 2, 3)]


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
    folder = tmp_path_factory.mktemp("watched")
    return [write_version(folder, number, WATCHED) for number in (1, 2, 3)]


def swap_while(runner, folders, work, swaps=SWAPS):
    """Swap from bundle to bundle while threads call ``work(number)`` over and over; return what they returned."""
    stop = threading.Event()
    begun = threading.Semaphore(0)

    def call(number):
        found = []
        while not stop.is_set():
            found += work(number)
            begun.release()
        return found

    with ThreadPoolExecutor(THREADS) as pool:
        calls = [pool.submit(call, number) for number in range(THREADS)]
        try:
            turns = cycle([*folders[1:], folders[0]])
            for _ in range(swaps):
                assert begun.acquire(timeout=TIMEOUT_S)
                swap(runner, next(turns))
        finally:
            stop.set()
        return [each for future in calls for each in future.result(TIMEOUT_S)]


def random_rows(random):
    return random.uniform(-9, 9, size=(int(random.integers(1, 4)), 2)).astype(np.float32)


def predict(runner, random):
    x = random_rows(random)
    found = runner.predict(x, key=int(random.integers(100)))
    return [(assert_whole(found, x), found.id)]


def predict_lists(runner, random):
    x = random_rows(random)
    found = runner.predict({"x": x.tolist()}, key=int(random.integers(100)))
    return [(assert_whole(found, x), found.id)]


def predict_by_deadline(runner, random):
    x = random_rows(random)
    found = runner.predict(x, key=int(random.integers(100)), deadline_s=TIMEOUT_S)
    return [(assert_whole(found, x), found.id)]


def predict_batch(runner, random):
    x = random.uniform(-9, 9, size=(5, 2)).astype(np.float32)
    batch = runner.predict_batch(x, keys=random.integers(100, size=5))
    versions = {assert_whole(found, x[row : row + 1]) for row, found in enumerate(batch.rows)}
    assert len(versions) == 1
    return [(found.version, found.id) for found in batch.rows]


def apredict(runner, random):
    x = random_rows(random)

    async def ask():
        keys = random.integers(100, size=4).tolist()
        return await asyncio.gather(*(runner.apredict(x, key=key) for key in keys))

    return [(assert_whole(found, x), found.id) for found in asyncio.run(ask())]


WAYS = [predict, predict_lists, predict_by_deadline, predict_batch, apredict]


@pytest.mark.parametrize("way", WAYS, ids=[way.__name__ for way in WAYS])
@pytest.mark.parametrize("kind", ["plain", "watched"])
def test_no_call_is_lost_or_torn_while_bundles_change(request, way, kind):
    folders = request.getfixturevalue(kind)
    randoms = [np.random.default_rng(number) for number in range(THREADS)]
    with EdgeRunner.open(folders[0]) as runner:
        found = swap_while(runner, folders, lambda number: way(runner, randoms[number]))
        assert {version for version, _ in found} == {"1", "2", "3"}
        ids = [each for _, each in found]
        assert len(set(ids)) == len(ids)
        wait_until(runner._tenure.tidy)
        assert runner.bundle.folder == folders[SWAPS % 3]


def test_every_call_of_every_bundle_is_in_the_log(watched, tmp_path):
    randoms = [np.random.default_rng(number) for number in range(THREADS)]
    policy = LogPolicy(ring_bytes=2**28)
    with EdgeRunner.open(watched[0], log=tmp_path / "log", log_policy=policy) as runner:
        found = swap_while(runner, watched, lambda number: predict(runner, randoms[number]), swaps=12)
        wait_until(runner._tenure.tidy)
        assert "ring_full" not in runner.stats().log.lost or not runner.stats().log.lost["ring_full"]
    kept = read(tmp_path / "log")
    logged = dict(zip(kept.calls["id"].tolist(), kept.calls["version"].tolist(), strict=True))
    assert logged == {each: version for version, each in found}


def test_a_former_bundle_is_freed_without_the_garbage_collector_and_not_by_a_call(plain):
    with EdgeRunner.open(plain[0]) as runner:
        for key in range(20):
            runner.predict(X, key=key)
        sessions = [weakref.ref(session) for session in runner._served.sessions.values()]
        gc.disable()
        try:
            assert swap(runner, plain[1])
            assert [session() for session in sessions] == [None, None]
        finally:
            gc.enable()


def test_a_former_bundle_lives_until_its_last_call_has_ended(tmp_path, plain):
    slow = write_bundle(tmp_path / "slow", models.stalls())
    trouble = np.array([[-1, 2]], np.float32)
    with EdgeRunner.open(slow) as runner, ThreadPoolExecutor(1) as pool:
        runner.predict(X)
        former = weakref.ref(runner._served)
        references = sys.getrefcount(runner._served)
        answer = pool.submit(runner.predict, trouble)
        wait_until(lambda: sys.getrefcount(runner._served) > references)
        swap(runner, plain[0])
        assert_whole(runner.predict(X, key=1), X)
        assert answer.done() or former() is not None
        assert_same(answer.result(TIMEOUT_S), {"y": trouble})
        wait_until(runner._tenure.tidy)
        assert former() is None


def test_the_shadow_of_a_former_bundle_is_stopped(watched):
    with EdgeRunner.open(watched[0]) as runner:
        runner.predict(X, key=1)
        runner.shadows(TIMEOUT_S)
        before = threading.active_count()
        for folder in watched[1:]:
            runner.predict(X, key=1)
            assert swap(runner, folder)
            assert threading.active_count() == before
        runner.predict(X, key=1)
        (result,) = {(found.node, found.failed) for found in runner.shadows(TIMEOUT_S)}
        assert result == ("watch", False)


def test_what_the_shadow_of_a_former_bundle_dropped_stays_counted(tmp_path, plain):
    busy = tmp_path / "busy"
    nodes = {"watch": {"kind": "shadow_deploy", "champion": "quick", "shadows": ["stuck"]}}
    stuck = write_bundle(busy, {"quick": models.steady(), "stuck": models.stalls(steps=10**7)}, nodes)
    with EdgeRunner.open(stuck, log=tmp_path / "log") as runner:
        for _ in range(5):
            runner.predict(np.array([[-1, 2]], np.float32))
        assert swap(runner, plain[0])
        assert sum(runner.stats().log.lost["shadow_closed"].values()) >= 4


def test_the_first_call_after_a_swap_finds_a_lane_for_each_thread(plain):
    barrier = threading.Barrier(THREADS)
    with EdgeRunner.open(plain[0]) as runner:

        def call(_):
            for _ in range(50):
                barrier.wait(TIMEOUT_S)
                runner.predict(X, key=1)

        with ThreadPoolExecutor(THREADS) as pool:
            list(pool.map(call, range(THREADS)))
        lanes = max(len(lanes) for session in runner._served.sessions.values() for lanes in session._lanes.values())
        swap(runner, plain[1])
        for session in runner._served.sessions.values():
            assert {len(free) for free in session._free.values()} == {lanes}
            assert (1, 2) in session._free


def test_a_swap_to_models_of_another_shape_warms_what_it_can(plain, tmp_path):
    with EdgeRunner.open(plain[0]) as runner:
        runner.predict(np.ones((7, 2), np.float32), key=1)
        fixed = write_bundle(tmp_path / "fixed", models.fixed_batch())
        swap(runner, fixed)
        with pytest.raises(InputError, match="x"):
            runner.predict(X)
        assert runner.predict(np.ones((1, 30), np.float32))["y"].shape == (1, 2)


def test_a_closed_runner_is_not_swapped(plain):
    runner = EdgeRunner.open(plain[0])
    serving = load(runner, plain[1])
    runner.close()
    assert not runner._swap(serving)
    serving.release()


@pytest.mark.parametrize("options", [{}, {"deadline_s": TIMEOUT_S}], ids=["at once", "by a deadline"])
def test_closing_during_swaps_loses_no_call_under_way(watched, options):
    for _ in range(5):
        runner = EdgeRunner.open(watched[0])
        begun = threading.Semaphore(0)

        def call_until_closed(_, runner=runner, begun=begun):
            try:
                while True:
                    assert_whole(runner.predict(X, key=3, **options), X)
                    begun.release()
            except ClosedError:
                return True

        def swap_until_closed(runner=runner):
            turns = cycle(watched)
            while runner._served is not None:
                try:
                    swap(runner, next(turns))
                except AttributeError:  # closed before it was warmed against what serves
                    return True
            return True

        before = set(threading.enumerate())
        with ThreadPoolExecutor(THREADS + 1) as pool:
            calls = [pool.submit(call_until_closed, number) for number in range(THREADS)]
            swaps = pool.submit(swap_until_closed)
            for _ in range(40):
                assert begun.acquire(timeout=TIMEOUT_S)
            runner.close()
            assert all(future.result(TIMEOUT_S) for future in [*calls, swaps])
        wait_until(lambda before=before: set(threading.enumerate()) <= before)


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="this system cannot fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_a_child_forked_during_swaps_goes_on_with_one_whole_bundle(watched, tmp_path):
    fork = multiprocessing.get_context("fork")
    randoms = [np.random.default_rng(number) for number in range(THREADS)]
    with EdgeRunner.open(watched[0], log=tmp_path / "log") as runner, ThreadPoolExecutor(1) as pool:
        runner.flush(TIMEOUT_S)  # the log's thread has imported all that it needs

        def child(pipe):
            try:
                versions = {assert_whole(runner.predict(X, key=key), X) for key in range(20)}
                runner.close()
                pipe.send(versions)
            except BaseException:  # noqa: BLE001 - whatever it is, the parent shall see it
                pipe.send(traceback.format_exc())

        def fork_some():
            found = []
            for _ in range(4):
                here, there = fork.Pipe()
                process = fork.Process(target=child, args=(there,))
                process.start()
                assert here.poll(TIMEOUT_S), "the child hangs"
                found.append(here.recv())
                process.kill()
                process.join(TIMEOUT_S)
            return found

        forks = pool.submit(fork_some)
        swap_while(runner, watched, lambda number: predict(runner, randoms[number]))
        for versions in forks.result(TIMEOUT_S):
            assert versions in ({"1"}, {"2"}, {"3"}), versions


def test_the_threads_of_deadlines_end_with_their_model(plain):
    with EdgeRunner.open(plain[0]) as runner:
        for folder in (plain[1], plain[2]):
            runner.predict(X, key=1, deadline_s=TIMEOUT_S)
            assert swap(runner, folder)
        wait_until(lambda: not [t for t in threading.enumerate() if t.name.startswith("edgerun-run-")])


def test_a_profile_is_of_one_set_of_inputs_though_two_bundles_have_one_version(tmp_path):
    named = write_bundle(tmp_path / "named", models.mlp())
    with open_bundle(tmp_path / "first", models.steady(), log=tmp_path / "log") as runner:
        runner.predict(X)
        swap(runner, named)
        runner.predict(np.ones((1, 30), np.float32))
        runner.flush(TIMEOUT_S)
        ports = sorted(len(arm.profile.ports) for arm in runner.stats().arms)
        assert ports == [2]


@pytest.mark.slow
def test_memory_stays_as_it_is_over_many_swaps(watched):
    def resident_mb():
        return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20

    with EdgeRunner.open(watched[0]) as runner:
        turns = cycle([*watched[1:], watched[0]])

        def some(count):
            for _ in range(count):
                runner.predict(X, key=1)
                assert swap(runner, next(turns))

        some(30)
        before = resident_mb()
        some(120)
        assert resident_mb() - before < 15
        assert factor("1", "a") == 2
