"""Bundles whose answers tell their version, and runners that go from one to the next, as those on a store do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edgerun import bundle
from edgerun.guard import DEFAULT_POLICY
from edgerun.serving import Serving
from edgerun.swapping import warm_up
from support import models
from support.serve import assert_same

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from edgerun import EdgeRunner, Prediction

SPLIT = {"ab": {"kind": "random_split", "weights": {"a": 1, "b": 1}, "split_key": "user"}}
WATCHED = {**SPLIT, "watch": {"kind": "shadow_deploy", "champion": "ab", "shadows": ["a", "b"]}}


def factor(version: str, model: str) -> np.float32:
    """What a model of a version multiplies by: no two have the same."""
    return np.float32(2 * int(version) + (model == "b"))


def write_version(folder: Path, version: int, nodes: Mapping[str, Any] = SPLIT) -> Path:
    """Write a bundle of two arms, each of which multiplies by a factor of its own."""
    place = folder / f"version-{version}"
    place.mkdir(parents=True)
    paths = {}
    for name in "ab":
        paths[name] = place / f"{name}.onnx"
        paths[name].write_bytes(models.steady(float(factor(str(version), name))))
    golden = [{"inputs": {"x": [[1.0, 2.0]]}}]
    given = {"name": "swapped", "version": str(version), "models": paths, "nodes": nodes, "golden": golden}
    bundle.write(place / "bundle", **given, route=next(reversed(nodes)))
    return place / "bundle"


def load(runner: EdgeRunner, folder: Path) -> Serving:
    """Open and warm a bundle beside the one that a runner serves."""
    serving = Serving(bundle.read(folder), threads=1, policy=DEFAULT_POLICY, recorder=runner._recorder)
    warm_up(serving, runner._served)
    return serving


def swap(runner: EdgeRunner, folder: Path) -> bool:
    """Load a bundle and swap to it; returns whether the runner was open, and all former bundles are released."""
    serving = load(runner, folder)
    if not runner._swap(serving):
        serving.release()
        return False
    del serving
    return runner._tenure.tidy()


def assert_whole(prediction: Prediction, x: np.ndarray) -> str:
    """Fail unless version, model and outputs of an answer belong together; return the version."""
    assert_same(prediction, {"y": x * factor(prediction.version, prediction.model)})
    return prediction.version
