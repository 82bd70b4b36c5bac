"""EdgeRunner.open takes a number of threads and a policy, and refuses what is neither."""

from __future__ import annotations

import math

import numpy as np
import pytest

from edgerun import LIMITS, BreakerPolicy, EdgeRunner, InputError
from support import models, oracle
from support.serve import assert_same, write_bundle


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_a_model_may_run_on_several_threads(serve, threads):
    runner = serve(models.mlp(), threads=threads)
    for rows in (1, 64, 64, 1):
        x = np.random.default_rng(rows).normal(size=(rows, 30)).astype(np.float32)
        np.testing.assert_allclose(runner.predict(x)["y"], oracle.run(models.mlp(), {"x": x})["y"], atol=1e-5)


@pytest.mark.parametrize("threads", [0, -1, 1.0, "2", True, None, LIMITS.threads_max + 1, 10**30])
def test_a_number_of_threads_out_of_range_is_refused(tmp_path, threads):
    folder = write_bundle(tmp_path / "b", models.steady())
    with pytest.raises(InputError, match=f"threads must be a whole number from 1 to {LIMITS.threads_max}"):
        EdgeRunner.open(folder, threads=threads)


def test_as_many_threads_as_are_allowed(serve):
    x = np.ones((1, 2), np.float32)
    assert_same(serve(models.steady(), threads=LIMITS.threads_max).predict(x), {"y": 2 * x})


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        ({"failures": 0}, "failures must be an integer of 1 or more, got 0"),
        ({"failures": 2.5}, "failures must be"),
        ({"trials": -1}, "trials must be"),
        ({"trials": True}, "trials must be"),
        ({"retry_after_s": -1}, "retry_after_s must be a number of seconds, 0 or more, got -1"),
        ({"retry_after_s": math.nan}, "retry_after_s must be"),
        ({"retry_after_s": math.inf}, "retry_after_s must be"),
        ({"retry_after_s": "30"}, "retry_after_s must be"),
    ],
    ids=str,
)
def test_a_policy_that_makes_no_sense_is_refused(tmp_path, policy, message):
    folder = write_bundle(tmp_path / "b", models.steady())
    with pytest.raises(InputError, match=message):
        EdgeRunner.open(folder, breaker=BreakerPolicy(**policy))
