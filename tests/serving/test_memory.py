"""Memory stays where it is, however often and in whatever way a runner is called."""

from __future__ import annotations

import gc
import itertools

import numpy as np
import psutil
import pytest

from edgerun import LIMITS, BreakerPolicy, ModelError
from support import models
from support.serve import CHALLENGED, WATCHED

X = np.array([[1, 2]], np.float32)
TROUBLE = np.array([[-1, 2]], np.float32)
TIMEOUT_S = 100
GROWTH_MAX_MB = 8
"""What allocators may keep. One leaked array, lane or result a call would be far more."""

BATCH = np.ones((20, 2), np.float32)


def raising(runner):
    with pytest.raises(ModelError):
        runner.predict(TROUBLE)


def every_shape():
    shapes = itertools.cycle((a, b) for a in range(1, 60) for b in range(1, 60))
    return lambda runner: runner.predict(np.zeros(next(shapes), np.float32))


def every_count():
    counts = itertools.count()
    return lambda runner: runner.predict(np.arange(next(counts) % 200 + 1, dtype=np.float32) % (next(counts) % 7 + 1))


# name: models, nodes, the call, and how many of them
WAYS = {
    "arrays": (models.steady(), None, lambda runner: runner.predict(X), 100_000),
    "arrays with a shadow": (
        {"champion": models.steady(), "shadow": models.steady(3)},
        WATCHED,
        lambda runner: runner.predict(X),
        100_000,
    ),
    "lists": (models.steady(), None, lambda runner: runner.predict([[1.0, 2.0]]), 10_000),
    "lists with a shadow": (
        {"champion": models.steady(), "shadow": models.steady(3)},
        WATCHED,
        lambda runner: runner.predict([[1.0, 2.0]]),
        10_000,
    ),
    "strings with a shadow": (
        {"champion": models.identity("string"), "shadow": models.identity("string")},
        WATCHED,
        lambda runner: runner.predict(["a", "b" * 100]),
        8_000,
    ),
    "every shape": (models.identity(shape=("a", "b")), None, every_shape(), 10_000),
    "shapes that depend on the data": (models.dynamic_output(), None, every_count(), 10_000),
    "an output that is its input": (models.output_is_input(), None, every_count(), 10_000),
    "lists of tensors": (models.sequence_output(), None, lambda runner: runner.predict(X[0]), 8_000),
    "batches with a shadow": (
        {"champion": models.steady(), "shadow": models.steady(3)},
        WATCHED,
        lambda runner: runner.predict_batch(BATCH),
        1_000,
    ),
    "fallbacks": (
        {"control": models.steady(), "challenger": models.non_finite()},
        CHALLENGED,
        lambda runner: runner.predict(TROUBLE, key="a"),
        8_000,
    ),
    "trials": (
        {"control": models.steady(), "challenger": models.wrong_shape()},
        CHALLENGED,
        lambda runner: runner.predict(TROUBLE, key="b"),
        8_000,
    ),
    "errors": (models.raises(), None, raising, 2_000),
    "deadlines": (models.steady(), None, lambda runner: runner.predict(X, deadline_s=TIMEOUT_S), 3_000),
    "large tensors": (
        models.identity(),
        None,
        lambda runner: runner.predict(np.ones(LIMITS.lane_max_bytes // 4, np.float32)),
        1_000,
    ),
}


def resident_mb():
    return psutil.Process().memory_info().rss / 2**20


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_memory_does_not_grow(serve, way):
    served, nodes, call, times = WAYS[way]
    patience = 1 if way == "trials" else 10**9
    runner = serve(served, nodes, breaker=BreakerPolicy(failures=patience, retry_after_s=0))
    for _ in range(times // 5):
        call(runner)
    runner.shadows(TIMEOUT_S)
    before = resident_mb()
    for _ in range(times):
        call(runner)
    runner.shadows(TIMEOUT_S)
    assert resident_mb() - before < GROWTH_MAX_MB


def test_large_calls_that_were_watched_leave_no_copies_behind(serve):
    runner = serve({"champion": models.identity(), "shadow": models.identity()}, WATCHED)
    x = np.ones(LIMITS.shadow_queue_max_bytes // 16, np.float32)
    for turn in range(LIMITS.shadow_queue_max + 5):
        runner.predict(x)
        runner.shadows(TIMEOUT_S)
        if turn == 5:
            before = resident_mb()
    assert runner.stats().shadows[0].counts.done == LIMITS.shadow_queue_max + 5
    assert resident_mb() - before < LIMITS.shadow_queue_max_bytes / 2**20 + GROWTH_MAX_MB


@pytest.mark.slow
def test_runners_that_are_closed_give_back_their_memory(serve):
    model = models.heavy(4)
    for turn in range(15):
        runner = serve({"champion": model, "shadow": model}, WATCHED)
        runner.predict(X)
        runner.close()
        del runner
        if turn == 4:
            gc.collect()
            before = resident_mb()
    gc.collect()
    assert resident_mb() - before < 60  # ten runners of 12 MB each
