"""What a log holds against what the caller kept: a million calls, and processes that fork while they log."""

from __future__ import annotations

import multiprocessing

import numpy as np
import pytest

from edgerun import EdgeRunner, log
from edgerun_bundles import recipes
from support import models

X = np.array([[1, 2]], np.float32)
CALLS = 1_000_000
TIMEOUT_S = 100
RIGHT_TO = 400
"""One in so many: how a latency stands in the log."""


@pytest.mark.slow
def test_a_million_calls_are_read_back_as_they_were_answered(tmp_path):
    folder = recipes.folder("digits")
    with np.load(folder / "test.npz") as file:
        images, ids = file["image"], file["image_id"].tolist()
    inputs = [images[i : i + 1] for i in range(len(ids))]
    sequences, arms, labels, latencies = [], [], [], []
    with EdgeRunner.open(folder / "bundle", log=tmp_path / "log") as runner:
        for call in range(CALLS):
            row = call % len(ids)
            prediction = runner.predict(inputs[row], key=ids[row])
            sequences.append(prediction.sequence)
            arms.append(prediction.arm)
            labels.append(prediction["label"][0])
            latencies.append(prediction.latency_ns)
            if call % 1000 == 0:
                runner.flush()  # a caller that never pauses may fill the ring, where this one would lose calls
        lost = runner.stats().log.lost["ring_full"]
        epoch = int(runner.stats().log.epoch, 16)
    assert lost.get("call", 0) == 0
    calls = log.read(tmp_path / "log").calls
    assert calls.rows == CALLS
    assert (calls["epoch"] == np.uint64(epoch)).all()
    assert np.array_equal(calls["sequence"], sequences)
    assert calls["arm"].tolist() == arms
    assert np.array_equal(calls["label.value"], labels)
    found = np.round(calls["latency_s"] * 1e9)
    assert np.all(np.abs(found - latencies) <= np.array(latencies) / RIGHT_TO)


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="this system cannot fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_a_forked_child_logs_a_stream_of_its_own_beside_its_parents(serve, tmp_path):
    runner = serve(models.steady(2), log=tmp_path / "log")
    ids = [runner.predict(X).id for _ in range(10)]
    fork = multiprocessing.get_context("fork")
    here, there = fork.Pipe()

    def run():
        there.send([runner.predict(X).id for _ in range(10)])
        runner.close()

    child = fork.Process(target=run)
    child.start()
    assert here.poll(TIMEOUT_S), "the child hangs"
    of_child = here.recv()
    child.join(TIMEOUT_S)
    assert child.exitcode == 0
    ids += [runner.predict(X).id for _ in range(10)]
    runner.close()
    kept = log.read(tmp_path / "log")
    assert sorted(kept.calls["id"].tolist()) == sorted(ids + of_child)
    assert len({*kept.calls["epoch"].tolist()}) == 2
