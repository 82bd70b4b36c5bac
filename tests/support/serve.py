"""Bundles of test models, written and opened in one step, and the routing graphs that many tests share."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgerun import EdgeRunner, bundle

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Model = bytes | Path

CHALLENGED = {
    "ab": {
        "kind": "random_split",
        "weights": {"control": 0, "challenger": 1},
        "control": "control",
        "split_key": "user",
    }
}
"""Every key is assigned to ``challenger``; ``control`` only stands in for it."""

WATCHED = {"watch": {"kind": "shadow_deploy", "champion": "champion", "shadows": ["shadow"]}}
"""``champion`` answers, ``shadow`` is watched."""


def write_bundle(
    folder: Path,
    models: Model | Mapping[str, Model],
    nodes: Mapping[str, Any] | None = None,
    route: str | None = None,
) -> Path:
    """Write a bundle named "test", version "1"; the route is the first node, or the first model where none is."""
    named = {"model": models} if isinstance(models, Model) else dict(models)
    folder.mkdir(parents=True)
    paths = {}
    for name, model in named.items():
        paths[name] = model if isinstance(model, Path) else folder / f"{name}.onnx"
        if isinstance(model, bytes):
            paths[name].write_bytes(model)
    start = route if route is not None else next(iter(nodes or named))
    bundle.write(folder / "bundle", name="test", version="1", models=paths, nodes=nodes or {}, route=start)
    return folder / "bundle"


def open_bundle(
    folder: Path,
    models: Model | Mapping[str, Model],
    nodes: Mapping[str, Any] | None = None,
    route: str | None = None,
    **options: Any,
) -> EdgeRunner:
    """Write a bundle as write_bundle() does, and open it with the options of EdgeRunner.open()."""
    return EdgeRunner.open(write_bundle(folder, models, nodes, route), **options)


def same_value(found: Any, expected: Any) -> bool:
    """Whether two outputs are equal to the bit, in type, dtype and shape too; NaN equals NaN."""
    if isinstance(expected, np.ndarray):
        if not isinstance(found, np.ndarray) or (found.dtype, found.shape) != (expected.dtype, expected.shape):
            return False
        return found.tolist() == expected.tolist() if found.dtype == object else found.tobytes() == expected.tobytes()
    if isinstance(expected, list):
        return isinstance(found, list) and len(found) == len(expected) and all(map(same_value, found, expected))
    return type(found) is type(expected) and found == expected


def assert_same(found: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    """Fail unless all outputs are equal to the bit, as same_value() says."""
    assert list(found) == list(expected)
    for name, value in expected.items():
        assert same_value(found[name], value), f"output {name!r}: expected {value!r}, found {found[name]!r}"


def wait_until(condition: Callable[[], Any], timeout_s: float = 60) -> Any:
    """Return what a condition gives as soon as it gives something true; fail if it never does."""
    until = time.monotonic() + timeout_s
    while not (found := condition()):
        assert time.monotonic() < until, f"not within {timeout_s} s"
        time.sleep(0.002)
    return found
