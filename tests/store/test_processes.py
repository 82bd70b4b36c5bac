"""Real processes on a real disk: killed at random moments, and several at once. The store is whole, and floors stay."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from random import Random

import pytest

from edgerun.errors import StoreError
from edgerun.store import Store
from support.stores import assert_whole, give, make_current, serves, toy, unheard

PROCESS = Path(__file__).parents[1] / "support" / "store_process.py"


class Living:
    """A process that lives with a store, and says after every step which floor it was promised last."""

    def __init__(self, folder: Path, seed: int) -> None:
        command = [sys.executable, os.fspath(PROCESS), os.fspath(folder), str(seed)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert self._process.stdout.readline() == b"open\n"

    def kill_after(self, steps: int, seconds: float) -> int:
        """Let it take so many steps, and live for so long after them, then kill it; returns the floor it promised."""
        said = [self._process.stdout.readline() for _ in range(steps)]
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)
        self._process.kill()
        said += self._process.stdout.read().splitlines(keepends=True)
        self._process.stdout.close()
        assert self._process.wait() == -9, "it was killed, and did not fail before"
        return max((int(line) for line in said if line.endswith(b"\n")), default=0)


def left_over(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob("*.new")]


@pytest.mark.slow
def test_a_process_that_is_killed_at_any_moment_leaves_a_whole_store(tmp_path):
    store, random, floor = Store.create(tmp_path, say=unheard), Random(3), 0
    for round_ in range(10):
        floor = max(floor, Living(tmp_path, round_).kill_after(random.randint(0, 14), random.random() * 0.02))
        assert_whole(store)
        assert store.state().floors.get("timestamp", 0) >= floor
    assert floor > 3
    make_current(store, toy("last"))
    assert store.metadata_folder() is not None
    assert left_over(tmp_path) == []


@pytest.mark.slow
def test_several_processes_may_live_with_one_store(tmp_path):
    store, floor = Store.create(tmp_path, say=unheard), 0
    living = [Living(tmp_path, 100 + i) for i in range(3)]
    for one in living:
        floor = max(floor, one.kill_after(12, 0))
    assert_whole(store)
    assert store.state().floors["timestamp"] >= floor > 0


def test_threads_that_start_at_once_use_up_one_start(tmp_path):
    store = Store.create(tmp_path, say=unheard)
    give(store, toy("1"))
    gate, starts = threading.Barrier(4), []

    def start() -> None:
        mine = Store(tmp_path, say=unheard)
        gate.wait()
        starts.append(mine.start())

    threads = [threading.Thread(target=start) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.state().candidate.starts_left == 2
    for found in starts:
        found.close()
    store.start().close()
    assert store.state().candidate.starts_left == 1


def test_a_store_is_made_once_however_many_make_it(tmp_path):
    for turn in range(30):
        gate, devices = threading.Barrier(6), []

        def make(folder: Path, gate: threading.Barrier, devices: list[str]) -> None:
            gate.wait()
            devices.append(Store.create(folder, say=unheard).device)

        threads = [threading.Thread(target=make, args=(tmp_path / f"{turn}", gate, devices)) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(devices) == 6
        assert len({*devices}) == 1
    assert left_over(tmp_path) == []


def test_a_start_outlives_a_forked_child_that_closes_it(tmp_path):
    store = Store.create(tmp_path, say=unheard)
    give(store, toy("1"))
    start = store.start()
    child = os.fork()
    if child == 0:  # pragma: no cover - in another process
        start.close()
        os._exit(0)
    os.waitpid(child, 0)
    Store(tmp_path, say=unheard).start().close()
    assert store.state().candidate.starts_left == 2, "the parent serves it still"
    start.close()
    store.start().close()
    assert store.state().candidate.starts_left == 1


def test_a_store_in_a_folder_that_is_read_only_still_serves(tmp_path):
    store = Store.create(tmp_path / "store", say=unheard)
    make_current(store, toy("1"))
    for path in [tmp_path / "store", *(tmp_path / "store").rglob("*")]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        again = Store(tmp_path / "store", say=unheard)
        assert again.start().bundle.version == "1"
        if os.geteuid():  # the superuser may write all the same
            with pytest.raises(StoreError, match="Permission denied"):
                again.activate(toy("2").digest, rehearse=serves)
    finally:
        for path in [tmp_path / "store", *(tmp_path / "store").rglob("*")]:
            path.chmod(0o755)
