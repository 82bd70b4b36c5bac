"""Profiles of arrays, made by the C core as a recorder would make them; and the data that they are tried on."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgerun._core import profile as core
from edgerun.log.columns import DTYPES
from edgerun.log.profiles import Profile, read_profile

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

RECIPES = Path(__file__).parents[2] / "bundles" / "recipes"
TYPES = {dtype: number for number, dtype in DTYPES.items()}

NAMES: dict[str, Any] = {"bundle": "digits", "version": "1.0.0", "model": "champion", "arm": "a", "node": None}


def read(handle: Any, inputs: Sequence[str] = ("x",), outputs: Sequence[str] = (), **others: Any) -> Profile:
    """What a profile of the core holds, under names that do not matter."""
    return read_profile(core.take(handle), inputs, outputs, **{**NAMES, "begin": 0, "end": 1, **others})


def of_numbers(values: NDArray[Any], at_once: int = 0, pages_max: int = core.PAGES_MAX, **others: Any) -> Profile:
    """The profile of one input, [rows, columns], given in so many rows at once; all of them for 0."""
    handle = core.new_profile(1, 0, pages_max)
    at_once = at_once or max(len(values), 1)
    for start in range(0, len(values), at_once):
        core.update(handle, 0, TYPES[values.dtype], np.ascontiguousarray(values[start : start + at_once]))
    return read(handle, **others)


def of_texts(texts: Sequence[str], columns: int = 1, **others: Any) -> Profile:
    """The profile of one input of texts, one call a row."""
    handle = core.new_profile(1, 0)
    raw = [text.encode() for text in texts]
    for start in range(0, len(raw), columns):
        core.update_texts(handle, 0, columns, raw[start : start + columns])
    return read(handle, **others)


def plain(value: Any) -> Any:
    """A profile, or part of one, with lists for arrays: to be compared."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    return [plain(item) for item in value] if isinstance(value, tuple) else value


@cache
def digits() -> NDArray[np.float32]:
    """The images of the digits recipe, float32 [600, 64]: many zeros, small whole numbers."""
    return np.ascontiguousarray(np.load(RECIPES / "digits" / "test.npz")["image"])


@cache
def cards() -> tuple[NDArray[np.float64], list[str]]:
    """Amounts, distances and hours of the cards recipe, float64 [n, 3], and the merchants."""
    lines = (RECIPES / "cards" / "test.jsonl").read_text("utf-8").splitlines()
    inputs = [json.loads(line)["inputs"] for line in lines]
    numbers = [[row[name][0][0] for name in ("amount", "distance_km", "hour")] for row in inputs]
    return np.array(numbers, np.float64), [row["merchant"][0][0] for row in inputs]


@cache
def data() -> dict[str, NDArray[Any]]:
    """Numbers of every kind that breaks a summary, [rows, columns], by what they are."""
    source = np.random.default_rng(3)
    holes = source.normal(size=(3000, 5)).astype(np.float32)
    holes[source.random(holes.shape) < 0.3] = np.nan
    holes[source.random(holes.shape) < 0.1] = np.inf
    holes[source.random(holes.shape) < 0.1] = -np.inf
    holes[:, 1] = np.nan
    return {
        "digits": digits(),
        "cards": cards()[0],
        "normal": source.normal(size=(5000, 30)).astype(np.float32),
        "log-normal": source.lognormal(3, 2, (5000, 3)),
        "heavy-tailed": source.standard_cauchy((5000, 3)).astype(np.float32),
        "negative": -source.lognormal(0, 1, (2000, 2)),
        "far from 0": 1e9 + source.normal(size=(5000, 2)),
        "subnormal": (source.normal(size=(2000, 2)) * 1e-40).astype(np.float32),
        "subnormal float64": source.normal(size=(500, 2)) * 1e-310,
        "huge": source.normal(size=(2000, 2)) * 1e300,
        "the largest": np.where(source.random((500, 2)) < 0.5, -1, 1) * np.finfo(np.float64).max,
        "constant": np.full((1000, 3), 0.1, np.float32),
        "zeros": np.zeros((1000, 3), np.float32),
        "negative zeros": np.where(source.random((300, 9)) < 0.5, -0.0, 0.0),
        "holes": holes,
        "float16": source.normal(size=(1000, 4)).astype(np.float16),
        "float16 of every kind": np.arange(65536, dtype=np.uint16).view(np.float16).reshape(-1, 4),
        "bool": source.random((1000, 3)) < 0.2,
        "uint8": source.integers(0, 256, (1000, 7)).astype(np.uint8),
        "int8": source.integers(-128, 128, (1000, 1)).astype(np.int8),
        "uint16": source.integers(0, 65536, (1000, 8)).astype(np.uint16),
        "int16": source.integers(-(2**15), 2**15, (1000, 13)).astype(np.int16),
        "int32": source.integers(-(2**31), 2**31, (1000, 2)).astype(np.int32),
        "uint32": source.integers(0, 2**32, (1000, 2)).astype(np.uint32),
        "int64": source.integers(-(2**63), 2**63 - 1, (1000, 2)),
        "uint64": source.integers(0, 2**64 - 1, (1000, 2), dtype=np.uint64),
        "256 columns": source.normal(size=(200, 256)).astype(np.float32),
        "one row": source.normal(size=(1, 6)),
    }
