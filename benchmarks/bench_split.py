"""The split against its peers: ``pytest benchmarks/bench_split.py``.

One key: the GrowthBook SDK, which hashes a key to a variation in Python. Many keys: a loop over the xxhash
package, the fastest way to the same arms without edgerun.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest
import xxhash
from growthbook import Experiment, GrowthBook
from side_by_side import side_by_side

from edgerun.split import Split

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pytest_benchmark.fixture import BenchmarkFixture

SPLIT = Split("checkout-button", {"control": 50, "green": 30, "red": 20})
SEED = SPLIT.explain("").seed
STARTS = [part.start for part in SPLIT.ranges]
OWNERS = [SPLIT.arms.index(part.arm) for part in SPLIT.ranges]

KEYS = 2**18
NUMBERS = np.random.default_rng(1).integers(0, 10**9, KEYS)
TEXTS = [f"user-{number:011d}" for number in NUMBERS]
DIGESTS = np.frombuffer(np.random.default_rng(2).bytes(16 * KEYS), "V16")


def loop_over_texts(keys: Sequence[str]) -> list[int]:
    """The arms of `keys` by the xxhash package."""
    digest = xxhash.xxh64_intdigest
    return [OWNERS[bisect_right(STARTS, digest(key.encode(), SEED) >> 32) - 1] for key in keys]


def loop_over_bytes(keys: Sequence[bytes]) -> list[int]:
    """The arms of `keys` by the xxhash package."""
    digest = xxhash.xxh64_intdigest
    return [OWNERS[bisect_right(STARTS, digest(key, SEED) >> 32) - 1] for key in keys]


def loop_over_integers(keys: Sequence[int]) -> list[int]:
    """The arms of `keys` by the xxhash package."""
    digest = xxhash.xxh64_intdigest
    return [OWNERS[bisect_right(STARTS, digest(b"%d" % key, SEED) >> 32) - 1] for key in keys]


@pytest.mark.parametrize("weights", [[0.5, 0.3, 0.2], None], ids=["the same weights", "equal weights"])
def test_assign_one_key_against_growthbook(benchmark: BenchmarkFixture, weights: list[float] | None) -> None:
    growthbook = GrowthBook(attributes={"id": "user-123456"})
    experiment = Experiment(key="checkout-button", variations=["control", "green", "red"], weights=weights)
    assert growthbook.run(experiment).inExperiment
    calls = 5000

    def assign() -> None:
        for _ in range(calls):
            SPLIT.assign("user-123456")

    def run() -> None:
        for _ in range(calls):
            growthbook.run(experiment)

    comparison = side_by_side(f"Split.assign against GrowthBook.run, weights {weights}", assign, run, items=calls)
    benchmark.extra_info["ratio"] = comparison.ratio
    benchmark(SPLIT.assign, "user-123456")


BATCHES: dict[str, tuple[Any, Callable[[Any], list[int]], Any]] = {
    "list of str": (TEXTS, loop_over_texts, TEXTS),
    "Arrow strings of 16 bytes": (pa.array(TEXTS), loop_over_texts, TEXTS),
    "numpy V16": (DIGESTS, loop_over_bytes, DIGESTS.tolist()),
    "numpy int64": (NUMBERS, loop_over_integers, NUMBERS.tolist()),
    "list of int": (NUMBERS.tolist(), loop_over_integers, NUMBERS.tolist()),
}


@pytest.mark.parametrize("name", BATCHES)
def test_assign_many_keys_against_a_loop_over_xxhash(benchmark: BenchmarkFixture, name: str) -> None:
    keys, loop, loop_keys = BATCHES[name]
    assert SPLIT.assign_many(keys).tolist() == loop(loop_keys)
    comparison = side_by_side(
        f"Split.assign_many, {name}, against a loop over xxhash",
        lambda: SPLIT.assign_many(keys),
        lambda: loop(loop_keys),
        items=KEYS,
    )
    benchmark.extra_info["ratio"] = comparison.ratio
    benchmark.extra_info["keys_per_s"] = 1 / comparison.product_s
    benchmark(SPLIT.assign_many, keys)
