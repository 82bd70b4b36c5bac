"""A runner on a store serves what the store names, takes up what it comes to name, and goes back from what fails."""

from __future__ import annotations

import asyncio
import gc
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import traceback
import weakref
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from edgerun import BreakerPolicy, ClosedError, EdgeRunner, HealthPolicy, InputError, LogError, ModelError, StoreError
from edgerun.log import read
from edgerun.rehearsal import rehearse
from edgerun.store import Store
from support import models
from support.activated import activate, install, lay_out
from support.serve import CHALLENGED, assert_same, wait_until

X = np.array([[1, 2]], np.float32)
TROUBLE = np.array([[-1, 2]], np.float32)
TIMEOUT_S = 100
FAST = HealthPolicy(healthy_after_s=0, calls_min=20, window_s=0.2, poll_s=0.005)
NEVER = FAST._replace(healthy_after_s=10**6)


@pytest.fixture
def store(tmp_path):
    return Store.create(tmp_path / "store")


@pytest.fixture
def make(tmp_path):
    """Lay out a bundle of one model, or of several."""

    def make(version, model=None, nodes=None, **fields):
        named = model if isinstance(model, dict) else {"m": model or models.steady(float(version))}
        return lay_out(tmp_path, str(version), named, nodes, **fields)

    return make


def open_store(store, **options):
    return EdgeRunner.open(store.path, **{"health": FAST, "log": False, **options})


def serves(runner, digest):
    return runner.bundle.folder.name == digest.removeprefix("sha256:")


def call_until(runner, condition, x=X):
    """Call over and over until something is so; return every answer, None where a call raised."""
    found = []

    def called():
        try:
            found.append(runner.predict(x))
        except (ModelError, InputError):
            found.append(None)
        return condition()

    wait_until(called)
    return found


def events(store):
    kept = read(f"{store.path}/log")
    return [{"event": e, **d} for e, d in zip(kept.lifecycle["event"], kept.lifecycle["details"], strict=True)]


def names(store):
    return [each["event"] for each in events(store)]


# ---- the start ----


def test_a_store_without_a_bundle_says_what_to_do(store):
    with pytest.raises(StoreError, match="no bundle has been activated"):
        open_store(store)


def test_what_is_current_is_served(store, make):
    digest = install(store, make(2))
    with open_store(store) as runner:
        assert_same(runner.predict(X), {"y": 2 * X})
        assert serves(runner, digest)
    assert store.state().current == digest


def test_a_candidate_is_served_and_becomes_current_once_it_has_answered(store, make):
    former = install(store, make(2))
    digest = activate(store, make(3), rehearse)
    with open_store(store) as runner:
        assert_same(runner.predict(X), {"y": 3 * X})
        wait_until(lambda: store.state().current == digest)
        assert store.state().previous == former
        assert store.state().candidate is None


def test_a_candidate_that_answers_nothing_stays_one(store, make):
    digest = activate(store, make(2))
    with open_store(store) as runner:
        looks = runner._follower._judge
        seen = threading.Semaphore(0)
        runner._follower._judge = lambda: (looks(), seen.release())
        for _ in range(5):
            assert seen.acquire(timeout=TIMEOUT_S)
        assert store.state().candidate.digest == digest
        runner.predict(X)
        wait_until(lambda: store.state().current == digest)


def test_a_candidate_proves_itself_for_as_long_as_the_policy_says(store, make):
    digest = activate(store, make(2))
    with open_store(store, health=NEVER) as runner:
        runner.predict(X)
        seen = threading.Semaphore(0)
        looks = runner._follower._judge
        runner._follower._judge = lambda: (looks(), seen.release())
        for _ in range(5):
            assert seen.acquire(timeout=TIMEOUT_S)
        assert store.state().candidate.digest == digest


def spoil(store, digest):
    """Damage the models of a bundle in the store, as a disk does."""
    for layer in store._holdings.bundle(digest).manifest.layers:
        if layer.path.startswith("models/"):
            (Path(store.path) / "blobs" / "sha256" / layer.digest.removeprefix("sha256:")).write_bytes(b"rust")


def test_a_candidate_that_cannot_be_loaded_is_rejected_and_the_current_one_served(store, make):
    former = install(store, make(2))
    digest = activate(store, make(3))
    spoil(store, digest)
    with open_store(store, log=None) as runner:
        assert serves(runner, former)
    assert store.state().why_bad(digest)
    assert "bundle_rejected" in names(store)


def test_a_current_bundle_that_rots_gives_way_to_the_previous_one(store, make):
    former = install(store, make(2))
    digest = install(store, make(3))
    spoil(store, digest)
    with open_store(store) as runner:
        assert serves(runner, former)
    assert store.state().current == former


def test_a_store_of_which_nothing_can_be_loaded_says_why(store, make):
    spoil(store, install(store, make(2)))
    with pytest.raises(StoreError, match=r"kept@2 cannot be served .*cannot be loaded"):
        open_store(store)


@pytest.mark.parametrize(
    "wrong",
    [
        {"calls_min": 0},
        {"calls_min": 1.5},
        {"calls_min": True},
        {"healthy_after_s": -1},
        {"window_s": float("nan")},
        {"poll_s": 0},
        {"poll_s": float("inf")},
    ],
    ids=str,
)
def test_a_policy_out_of_range_is_refused_by_the_name_of_its_field(store, make, wrong):
    with pytest.raises(InputError, match=next(iter(wrong))):
        open_store(store, health=HealthPolicy(**wrong))


def test_a_policy_that_is_none_is_refused(store):
    with pytest.raises(InputError, match="must be a HealthPolicy"):
        open_store(store, health=1.0)


# ---- following ----


def test_a_new_candidate_takes_over_while_calls_go_on_and_becomes_current(store, make):
    install(store, make(2))
    with open_store(store) as runner:
        found = [runner.predict(X)]
        digest = activate(store, make(3), rehearse)
        found += call_until(runner, lambda: store.state().current == digest)
        assert {each.version for each in found} == {"2", "3"}
        for each in found:
            assert_same(each, {"y": X * np.float32(float(each.version))})
        assert serves(runner, digest)


def test_every_step_is_an_event_of_the_stores_log(store, make):
    install(store, make(2))
    with open_store(store, log=None) as runner:
        runner.predict(X)
        digest = activate(store, make(3), rehearse)
        call_until(runner, lambda: store.state().current == digest)
    found = {each["event"]: each for each in events(store)}
    assert {"opened", "bundle_rehearsed", "bundle_activated", "candidate_started", "swapped", "closed"} <= found.keys()
    assert found["swapped"] == {
        "event": "swapped",
        "bundle": "kept",
        "version": "3",
        "digest": digest,
        "former": "kept@2",
    }
    assert found["bundle_confirmed"]["digest"] == digest
    kept = read(f"{store.path}/log")
    assert {*kept.calls["version"].tolist()} == {"2", "3"}


def test_a_log_elsewhere_or_none_is_what_one_asks_for(store, make, tmp_path):
    install(store, make(2))
    with open_store(store, log=tmp_path / "log") as runner:
        runner.predict(X)
    assert len(read(tmp_path / "log").calls["id"]) == 1
    before = {*(Path(store.path) / "log").iterdir()}
    with open_store(store, log=False) as runner:
        runner.predict(X)
        with pytest.raises(LogError, match="keeps no log"):
            runner.label(runner.predict(X).id, 1)
    assert {*(Path(store.path) / "log").iterdir()} == before


def test_a_rollback_by_hand_is_followed(store, make):
    former = install(store, make(2))
    install(store, make(3))
    with open_store(store) as runner:
        assert_same(runner.predict(X), {"y": 3 * X})
        Store(store.path).rollback("a change of mind")
        wait_until(lambda: serves(runner, former))
        assert_same(runner.predict(X), {"y": 2 * X})


def test_a_candidate_that_cannot_be_loaded_while_it_runs_is_rejected_and_what_serves_goes_on(store, make):
    former = install(store, make(2))
    layout = make(3)
    with open_store(store, health=FAST._replace(poll_s=0.2)) as runner:
        digest = activate(store, layout)
        spoil(store, digest)
        found = call_until(runner, lambda: store.state().why_bad(digest))
        assert {each.version for each in found} == {"2"}
        assert serves(runner, former)


def test_a_candidate_that_takes_other_inputs_waits_for_the_next_start(store, make, tmp_path):
    former = install(store, make(2))
    wide = make(3, models.mlp(), golden=[])
    with open_store(store, log=tmp_path / "log") as runner:
        digest = activate(store, wide)
        call_until(
            runner, lambda: "swap_deferred" in (runner.flush(TIMEOUT_S), *read(tmp_path / "log").lifecycle["event"])
        )
        assert_same(runner.predict(X), {"y": 2 * X})
        assert serves(runner, former)
        assert store.state().candidate.digest == digest
    with open_store(store) as runner:
        assert serves(runner, digest)
        assert runner.predict(np.ones((1, 30), np.float32))["y"].shape == (1, 2)


def test_a_candidate_that_refuses_what_the_app_sends_is_rejected(store, make):
    former = install(store, make(2))
    digest = activate(store, make(3, models.mlp(), golden=[]))
    with open_store(store, health=NEVER) as runner:
        assert serves(runner, digest)
        found = call_until(runner, lambda: serves(runner, former))
        assert found[0] is None
        assert_same(runner.predict(X), {"y": 2 * X})
    assert "went wrong" in store.state().why_bad(digest)


def test_a_state_that_cannot_be_read_stops_nothing_and_is_told_once(store, make, tmp_path):
    install(store, make(2))
    with open_store(store, log=tmp_path / "log") as runner:
        content = (tmp_path / "store" / "state").read_bytes()
        (tmp_path / "store" / "state").write_bytes(b"rust")
        told = runner._follower
        wait_until(lambda: told._trouble)
        assert_same(runner.predict(X), {"y": 2 * X})
        (tmp_path / "store" / "state").write_bytes(content)
        wait_until(lambda: told._trouble is None)
        digest = activate(store, make(3))
        call_until(runner, lambda: serves(runner, digest))
    assert read(tmp_path / "log").lifecycle["event"].tolist().count("follow_failed") == 1


def test_a_candidate_whose_start_cannot_be_written_down_is_left_alone_for_a_while(store, make, tmp_path):
    former = install(store, make(2))
    lock = Path(store.path) / "serving"
    with open_store(store, log=tmp_path / "log") as runner:
        lock.unlink(missing_ok=True)
        lock.mkdir()  # which cannot be opened as the file that it ought to be
        digest = activate(store, make(3))
        follower = runner._follower
        call_until(runner, lambda: follower._postponed)
        looks, seen = follower._look, threading.Semaphore(0)
        follower._look = lambda: (looks(), seen.release())
        for _ in range(5):
            assert seen.acquire(timeout=TIMEOUT_S)
        assert serves(runner, former)
        lock.rmdir()
        follower._postponed = digest, 0.0
        call_until(runner, lambda: serves(runner, digest))
    assert read(tmp_path / "log").lifecycle["event"].tolist().count("start_failed") == 1


# ---- failing ----


def test_a_candidate_that_fails_calls_is_rejected_and_never_tried_again(store, make):
    former = install(store, make(2))
    with open_store(store, health=NEVER) as runner:
        digest = activate(store, make(3, models.raises()))
        call_until(runner, lambda: serves(runner, digest))
        found = call_until(runner, lambda: serves(runner, former), TROUBLE)
        assert found[0] is None
        assert_same(runner.predict(TROUBLE), {"y": 2 * TROUBLE})
        with pytest.raises(StoreError, match="was found bad before"):
            store.activate(digest)
    assert store.state().current == former


def test_an_old_good_bundle_that_starts_to_fail_is_rolled_back(store, make):
    former = install(store, make(2))
    digest = install(store, make(3, models.raises()))
    with open_store(store) as runner:
        for _ in range(3000):
            runner.predict(X)
        assert serves(runner, digest)
        call_until(runner, lambda: serves(runner, former), TROUBLE)
    assert (store.state().current, store.state().previous) == (former, None)
    assert "went wrong" in store.state().why_bad(digest)


def test_a_wrong_input_is_no_fault_of_a_bundle_that_has_proven_itself(store, make):
    install(store, make(2))
    digest = install(store, make(3))
    with open_store(store) as runner:
        for _ in range(500):
            with pytest.raises(InputError):
                runner.predict(np.ones((1, 3), np.float32))
        seen = threading.Semaphore(0)
        looks = runner._follower._judge
        runner._follower._judge = lambda: (looks(), seen.release())
        for _ in range(3):
            assert seen.acquire(timeout=TIMEOUT_S)
        assert store.state().current == digest


@pytest.mark.parametrize(("limit", "stays"), [(0.5, False), (1, True)], ids=["passed", "not passed"])
def test_calls_that_fall_back_count_up_to_the_limit_of_the_bundle(store, make, limit, stays):
    former = install(store, make(1, {"control": models.steady(1)}))
    arms = {"control": models.steady(2), "challenger": models.raises()}
    digest = install(store, make(2, arms, CHALLENGED, limits={"error_rate": limit}))
    with open_store(store, breaker=BreakerPolicy(failures=5)) as runner:
        if stays:
            for _ in range(500):
                assert_same(runner.predict(TROUBLE, key="a"), {"y": 2 * TROUBLE})
            wait_until(lambda: runner._follower._served._health.calls >= 20)
            assert serves(runner, digest)
        else:
            wait_until(lambda: (runner.predict(TROUBLE, key="a"), serves(runner, former))[1])


def test_a_failing_bundle_without_a_previous_one_goes_on_serving(store, make):
    digest = install(store, make(3, models.raises()))
    with open_store(store) as runner:
        call_until(runner, lambda: runner._follower._trouble, TROUBLE)
        assert "no previous bundle" in runner._follower._trouble
        assert_same(runner.predict(X), {"y": X})
    assert store.state().current == digest


# ---- crashes and other processes ----

CRASH = """
import os, signal, sys
import numpy as np
from edgerun import EdgeRunner, HealthPolicy
runner = EdgeRunner.open(sys.argv[1], health=HealthPolicy(healthy_after_s=3600), log=False)
version = runner.predict(np.ones((1, 2), np.float32)).version
print(version, flush=True)
if version == sys.argv[2]:
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_candidate_that_crashes_three_times_leads_back_and_is_never_tried_again(store, make):
    former = install(store, make(2))
    digest = activate(store, make(3))

    def start():
        command = [sys.executable, "-c", CRASH, store.path, "3"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
        return done.stdout.strip(), done.returncode

    assert [start() for _ in range(3)] == [("3", -signal.SIGKILL)] * 3
    assert start() == ("2", 0)
    assert store.state().current == former
    assert store.state().why_bad(digest) == "3 starts without proof of health"
    with pytest.raises(StoreError, match="was found bad before"):
        store.activate(digest)
    assert start() == ("2", 0)


FOLLOW = """
import sys
import numpy as np
from edgerun import EdgeRunner, HealthPolicy
health = HealthPolicy(healthy_after_s=3600, poll_s=0.005)
with EdgeRunner.open(sys.argv[1], health=health, log=False) as runner:
    while True:
        version = runner.predict(np.ones((1, 2), np.float32)).version
        print(version, flush=True)
        if not sys.stdin.readline():
            break
"""


class Process:
    """A process that serves, and predicts when asked."""

    def __init__(self, store):
        self.process = subprocess.Popen(
            [sys.executable, "-c", FOLLOW, store.path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.version = self.process.stdout.readline().strip()

    def serves(self, version):
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        self.version = self.process.stdout.readline().strip()
        return self.version == version

    def end(self):
        self.process.kill()
        self.process.communicate()


def test_several_processes_that_swap_use_up_one_start_together(store, make):
    install(store, make(2))
    processes = [Process(store) for _ in range(3)]
    try:
        digest = activate(store, make(3))
        for process in processes:
            wait_until(lambda process=process: process.serves("3"))
        assert store.state().candidate == (digest, 2)
        processes.pop().end()
        processes.append(Process(store))
        assert processes[-1].version == "3"
        assert store.state().candidate == (digest, 2)
    finally:
        for process in processes:
            process.end()


def test_several_processes_that_start_together_use_up_one_start(store, make):
    install(store, make(2))
    digest = activate(store, make(3))
    with ThreadPoolExecutor(3) as pool:
        processes = list(pool.map(lambda _: Process(store), range(3)))
    try:
        assert [process.version for process in processes] == ["3"] * 3
        assert store.state().candidate == (digest, 2)
    finally:
        for process in processes:
            process.end()


def test_what_one_process_rejects_others_leave(store, make):
    former = install(store, make(2))
    other = Process(store)
    try:
        with open_store(store, health=NEVER) as runner:
            digest = activate(store, make(3, models.raises()))
            call_until(runner, lambda: serves(runner, digest))
            wait_until(lambda: other.serves("3"))
            call_until(runner, lambda: serves(runner, former), TROUBLE)
            wait_until(lambda: other.serves("2"))
    finally:
        other.end()


def test_a_process_killed_between_start_and_confirm_leaves_a_candidate_with_fewer_starts(store, make):
    digest = activate(store, make(2))
    process = Process(store)
    process.end()
    assert store.state().candidate == (digest, 2)
    with open_store(store) as runner:
        runner.predict(X)
        wait_until(lambda: store.state().current == digest)


# ---- the runner's own life ----


def test_closing_ends_the_thread_and_lets_go_of_the_start(store, make):
    activate(store, make(2))
    before = set(threading.enumerate())
    runner = open_store(store, health=NEVER)
    runner.predict(X)
    runner.close()
    assert set(threading.enumerate()) <= before
    with pytest.raises(ClosedError):
        runner.predict(X)
    with open_store(store, health=NEVER):
        assert store.state().candidate.starts_left == 1


def test_an_app_that_runs_for_seconds_proves_a_candidate_by_many_calls_that_went_well(store, make):
    digest = activate(store, make(2))
    with open_store(store, health=NEVER) as runner:
        for _ in range(NEVER.calls_min - 1):
            runner.predict(X)
    assert store.state().candidate == (digest, 2)
    with open_store(store, health=NEVER) as runner:
        for _ in range(NEVER.calls_min):
            runner.predict(X)
    assert (store.state().current, store.state().candidate) == (digest, None)


def test_an_app_that_fails_proves_nothing_by_the_calls_before(store, make):
    digest = activate(store, make(2))
    with pytest.raises(KeyError), open_store(store, health=NEVER) as runner:  # noqa: PT012 - what fails is the app
        for _ in range(NEVER.calls_min):
            answer = runner.predict(X)
        answer["an output that this version has no more"]
    assert store.state().candidate == (digest, 2)


def test_a_candidate_that_fails_too_often_is_not_proven_by_closing(store, make):
    digest = activate(store, make(2))
    with open_store(store, health=NEVER._replace(poll_s=100.0)) as runner:
        for number in range(3 * NEVER.calls_min):
            if number % 2:
                runner.predict(X)
            else:
                with pytest.raises(InputError):
                    runner.predict({"nosuch": X})
    assert store.state().candidate == (digest, 2)


def test_a_runner_that_nobody_closed_is_collected_with_its_thread(store, make):
    install(store, make(2))
    before = set(threading.enumerate())
    runner = open_store(store)
    runner.predict(X)
    gone = weakref.ref(runner)
    del runner
    gc.collect()
    wait_until(lambda: gone() is None and set(threading.enumerate()) <= before)


def test_closing_while_a_candidate_is_being_loaded_ends_well(store, make):
    layouts = [make(number) for number in range(2, 8)]
    install(store, layouts[0])
    for layout in layouts[1:]:
        runner = open_store(store)
        runner.predict(X)
        activate(store, layout)
        call_until(runner, lambda runner=runner: runner._follower._refused or runner.bundle.version != "2")
        runner.close()
        with pytest.raises(ClosedError):
            runner.predict(X)


def test_coroutines_and_deadlines_are_answered_while_bundles_change(store, make):
    layouts = [make(number) for number in range(2, 6)]
    install(store, layouts[0])
    with open_store(store) as runner:

        async def ask(options):
            return await asyncio.gather(*(runner.apredict(X, **options) for _ in range(4)))

        for layout in layouts[1:]:
            digest = activate(store, layout)
            for options in ({}, {"deadline_s": TIMEOUT_S}):
                for each in asyncio.run(ask(options)):
                    assert_same(each, {"y": X * np.float32(float(each.version))})
            call_until(runner, lambda digest=digest: store.state().current == digest)


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="this system cannot fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
@pytest.mark.parametrize("log", [False, None], ids=["without a log", "with a log"])
@pytest.mark.parametrize("threads", [1, 2])
def test_a_forked_child_follows_too(store, make, log, threads):
    fork = multiprocessing.get_context("fork")
    install(store, make(2))
    layout = make(3)
    with open_store(store, log=log, threads=threads) as runner:
        runner.predict(X)
        runner.flush(TIMEOUT_S)  # the log's thread has imported all that it needs
        here, there = fork.Pipe()

        def child():
            try:
                there.send(runner.predict(X).version)
                wait_until(lambda: runner.predict(X).version == "3")
                runner.close()
                there.send(None)
            except BaseException:  # noqa: BLE001 - whatever it is, the parent shall see it
                there.send(traceback.format_exc())

        process = fork.Process(target=child)
        process.start()
        try:
            assert here.poll(TIMEOUT_S), "the child hangs"
            assert here.recv() == "2"
            digest = activate(store, layout)
            call_until(runner, lambda: serves(runner, digest))
            assert here.poll(TIMEOUT_S), "the child hangs"
            assert here.recv() is None
        finally:
            process.kill()
            process.join()


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="this system cannot fork")
def test_a_child_proves_the_candidate_that_its_parent_started(store, make):
    fork = multiprocessing.get_context("fork")
    digest = activate(store, make(2))
    with open_store(store) as runner:
        done = fork.Event()

        def child():
            runner.predict(X)
            done.wait(TIMEOUT_S)
            os._exit(0)

        process = fork.Process(target=child)
        process.start()
        try:
            wait_until(lambda: store.state().current == digest)
            done.set()
        finally:
            process.kill()
            process.join()
