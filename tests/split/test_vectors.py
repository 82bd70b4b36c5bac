"""The golden vectors of tests/vectors/split, which an independent implementation made, through every API."""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pytest

from edgerun.split import Key, Split
from edgerun.split._ranges import Range, first_ranges, reweighted_ranges
from edgerun.split._weights import POINTS, Weight, widths_of_weights

if TYPE_CHECKING:
    from collections.abc import Callable

VECTORS = Path(__file__).parents[1] / "vectors" / "split"

Row = dict[str, str]

READ_KEY: dict[str, Callable[[str], Key]] = {
    "str": lambda text: bytes.fromhex(text).decode(),
    "bytes": bytes.fromhex,
    "int": int,
}

READ_WEIGHT: dict[str, Callable[[str], Weight]] = {
    "int": int,
    "float": float.fromhex,
    "decimal": Decimal,
    "fraction": Fraction,
}


def rows(file: str) -> list[Row]:
    header, *lines = (VECTORS / file).read_text(encoding="utf-8").splitlines()
    columns = header.split("\t")
    return [dict(zip(columns, line.split("\t"), strict=True)) for line in lines]


def read_ranges(text: str) -> tuple[Range, ...]:
    parts = [part.partition(":") for part in text.split(";")]
    ends = [*(int(start) for start, _, _ in parts[1:]), POINTS]
    return tuple(Range(int(start), end, arm) for (start, _, arm), end in zip(parts, ends, strict=True))


def read_weights(text: str) -> dict[str, Weight]:
    weights = {}
    for item in text.split(";"):
        name, _, typed = item.partition("=")
        kind, _, value = typed.partition(":")
        weights[name] = READ_WEIGHT[kind](value)
    return weights


def split_of(salt: str, ranges: str) -> Split:
    """The split of some ranges, whose arms are named by their indexes."""
    parts = read_ranges(ranges)
    weights = {str(index): 0 for index in range(1 + max(int(part.arm) for part in parts))}
    for part in parts:
        weights[part.arm] += part.end - part.start
    starts = [[part.start, part.arm] for part in parts]
    return Split.from_dict({"version": 1, "salt": bytes.fromhex(salt).decode(), "weights": weights, "ranges": starts})


@pytest.fixture(scope="module", params=["assign.tsv", "cuts.tsv", "purposes.tsv"])
def cases(request: pytest.FixtureRequest) -> list[tuple[Split, list[Row]]]:
    """Every split of a file, with the rows of its keys."""
    by_split: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in rows(request.param):
        by_split[row["salt"], row["ranges"]].append(row)
    return [(split_of(*parts), of_split) for parts, of_split in by_split.items()]


def keys_of(some: list[Row]) -> list[Key]:
    return [READ_KEY[row["key_type"]](row["key"]) for row in some]


def test_there_are_at_least_2000_rows_of_keys() -> None:
    assert len(rows("assign.tsv")) + len(rows("cuts.tsv")) >= 2000


def test_single_keys(cases: list[tuple[Split, list[Row]]]) -> None:
    for split, some in cases:
        assert [split.assign(key) for key in keys_of(some)] == [row["arm"] for row in some]


def test_explained_keys(cases: list[tuple[Split, list[Row]]]) -> None:
    for split, some in cases:
        for row, key in zip(some, keys_of(some), strict=True):
            explanation = split.explain(key)
            assert explanation.seed == int(row["seed"], 16)
            assert explanation.hash == int(row["hash"], 16)
            assert explanation.point == int(row["point"])
            assert explanation.range.start <= explanation.point < explanation.range.end
            assert explanation.arm == explanation.range.arm == row["arm"]


def test_lists_of_mixed_keys_and_of_one_type(cases: list[tuple[Split, list[Row]]]) -> None:
    for split, some in cases:
        for key_type in [None, "str", "int", "bytes"]:
            chosen = [row for row in some if key_type in {None, row["key_type"]}]
            assert split.assign_many(keys_of(chosen)).tolist() == [int(row["arm"]) for row in chosen]


def test_arrow_arrays(cases: list[tuple[Split, list[Row]]]) -> None:
    types = [
        ("str", pa.string()),
        ("str", pa.large_string()),
        ("bytes", pa.binary()),
        ("bytes", pa.large_binary()),
    ]
    for split, some in cases:
        for key_type, arrow_type in types:
            chosen = [row for row in some if row["key_type"] == key_type]
            keys = pa.array(keys_of(chosen), arrow_type)
            assert split.assign_many(keys).tolist() == [int(row["arm"]) for row in chosen]


def test_arrays_of_int64(cases: list[tuple[Split, list[Row]]]) -> None:
    for split, some in cases:
        chosen = [row for row in some if row["key_type"] == "int" and abs(int(row["key"])) < 2**63]
        keys = np.array(keys_of(chosen), np.int64)
        assert split.assign_many(keys).tolist() == [int(row["arm"]) for row in chosen]


def test_digests_of_one_width(cases: list[tuple[Split, list[Row]]]) -> None:
    for split, some in cases:
        by_width: dict[int, list[Row]] = defaultdict(list)
        for row in some:
            if row["key_type"] == "bytes":
                by_width[len(row["key"]) // 2].append(row)
        for width, chosen in by_width.items():
            data = bytes.fromhex("".join(row["key"] for row in chosen))
            keys = np.ndarray(len(chosen), f"V{width}", data)
            assert split.assign_many(keys).tolist() == [int(row["arm"]) for row in chosen]


@pytest.mark.parametrize("row", rows("widths.tsv"), ids=lambda row: row["case"])
def test_widths_and_first_ranges(row: Row) -> None:
    weights = read_weights(row["weights"])
    widths = widths_of_weights(weights)
    assert ";".join(f"{arm}={width}" for arm, width in widths.items()) == row["widths"]
    assert Split("s", weights).ranges == first_ranges(widths) == read_ranges(row["ranges"])


@pytest.mark.parametrize("row", rows("reweight.tsv"), ids=lambda row: row["case"])
def test_reweights(row: Row) -> None:
    before, after = read_ranges(row["ranges_before"]), read_ranges(row["ranges_after"])
    assert reweighted_ranges(before, widths_of_weights(read_weights(row["weights_after"]))) == after


@pytest.mark.parametrize("row", rows("traffic.tsv"), ids=lambda row: row["share"])
def test_traffic_is_a_split_of_enrolled_and_rest(row: Row) -> None:
    share = Fraction(read_weights(f"share={row['share']}")["share"])
    widths = widths_of_weights({"enrolled": share, "rest": 1 - share})
    assert widths["enrolled"] == int(row["enrolled_width"])
