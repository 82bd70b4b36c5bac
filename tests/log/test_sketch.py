"""Sketches: cells by golden vectors, quantiles against numpy, distinct and frequent texts against true counts."""

from __future__ import annotations

import math
from collections import Counter
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgerun._core import profile as core
from edgerun.errors import LogError
from edgerun.log.profiles import Numbers, Texts
from edgerun.log.sketch import RELATIVE_ERROR, cell_quantile, cell_values, cells_of, distinct, frequent, quantile
from support.profiled import cards, data, of_numbers, of_texts

VECTORS = Path(__file__).parents[1] / "vectors" / "log" / "cells.tsv"
ROWS = [line.split("\t") for line in VECTORS.read_text(encoding="utf-8").splitlines()[1:]]

SHARES = [0, 0.001, 0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99, 0.999, 1]


def cells_and_weights(values: np.ndarray[Any, Any]) -> tuple[list[int], list[int]]:
    what = of_numbers(values).ports[0].what
    assert isinstance(what, Numbers)
    cells, weights = cells_of(what, 0)
    return cells.tolist(), weights.tolist()


# Cells.


def test_every_number_is_in_the_cell_of_the_vectors() -> None:
    for number, cell, _, _ in ROWS:
        cells, weights = cells_and_weights(np.array([[float.fromhex(number)]]))
        assert cells == ([] if cell == "-" else [int(cell)]), number
        assert weights == [1] * len(cells)
    assert len(ROWS) > 1000


def test_the_value_of_a_cell_is_between_its_borders_and_as_near_as_promised_to_both() -> None:
    for number, cell, low, high in ROWS:
        if cell != "-":
            value = Fraction(float(cell_values(np.array([int(cell)]))[0]))
            a, b = Fraction(low), Fraction(high)
            assert a < value < b
            for border in (a, b):
                assert abs(value - border) / abs(border) <= Fraction(RELATIVE_ERROR) * (1 + Fraction(1, 2**40)), number


def test_a_full_counter_carries() -> None:
    values = np.full((3 * 65536 + 5, 1), 1.5, np.float32)
    values[:7] = 1.75
    assert cells_and_weights(values) == ([8160, 8176], [3 * 65536 - 2, 7])


# Quantiles.


def nearest_rank(values: np.ndarray[Any, Any], q: float) -> float:
    ordered = np.sort(values)
    return float(ordered[max(math.ceil(q * len(ordered)), 1) - 1])


@pytest.mark.parametrize("name", data())
def test_a_quantile_is_within_the_promised_error_of_the_number_of_that_rank(name: str) -> None:
    values = data()[name]
    port = of_numbers(values).ports[0]
    assert isinstance(port.what, Numbers)
    for column in range(values.shape[1]):
        seen = values[:, column].astype(np.float64)
        seen = seen[np.isfinite(seen)]
        if port.what.unsketched[column]:
            assert np.abs(seen).max() > np.finfo(np.float32).max
            continue
        for q in SHARES:
            found = quantile(port, column, q)
            if len(seen) == 0:
                assert math.isnan(found)
                continue
            true = nearest_rank(seen, q)
            if q in {0, 1}:
                assert found == true
            elif abs(true) < 2.0**-126:
                assert abs(found) <= 2.0**-126
            else:
                assert abs(found - true) <= 0.0078 * abs(true)


def test_what_is_too_large_for_the_sketch_is_counted_and_the_ends_are_exact() -> None:
    port = of_numbers(np.array([[1e300], [2.0], [2.0], [-1e39], [3e300]])).ports[0]
    assert isinstance(port.what, Numbers)
    assert port.what.unsketched.tolist() == [3]
    assert quantile(port, 0, 0.5) == pytest.approx(2, rel=0.0078)
    assert (quantile(port, 0, 0), quantile(port, 0, 1)) == (-1e39, 3e300)


def test_pages_are_bounded_and_what_finds_none_is_counted() -> None:
    values = (2.0 ** np.arange(-100, 100)).reshape(-1, 1)
    port = of_numbers(values, pages_max=10).ports[0]
    assert isinstance(port.what, Numbers)
    assert (int(port.what.weight.sum()), int(port.what.unsketched[0])) == (10, 190)
    full = np.full((70_000, 1), 1.5, np.float32)  # a page is there, but none for what it carries
    port = of_numbers(full, pages_max=4).ports[0]
    assert isinstance(port.what, Numbers)
    assert (int(port.what.weight.sum()), int(port.what.unsketched[0])) == (65535, 70_000 - 65535)
    assert quantile(port, 0, 0.5) == pytest.approx(1.5, rel=0.0078)


@given(st.lists(st.integers(-(2**62), 2**62), min_size=1, max_size=50), st.floats(0, 1))
def test_any_integers_have_quantiles_within_the_error(values: list[int], q: float) -> None:
    port = of_numbers(np.array(values, np.int64).reshape(-1, 1)).ports[0]
    true = nearest_rank(np.array(values, np.float64), q)
    assert abs(quantile(port, 0, q) - true) <= 0.0078 * abs(true)


def test_a_quantile_of_texts_or_of_no_share_is_refused() -> None:
    with pytest.raises(LogError, match="x holds texts"):
        quantile(of_texts(["a"]).ports[0], 0, 0.5)
    for q in (-0.1, 1.1, math.nan):
        with pytest.raises(LogError, match="0 to 1"):
            quantile(of_numbers(np.ones((1, 1))).ports[0], 0, q)


# Latencies.


def test_latencies_have_quantiles_and_strange_ones_are_at_the_edges() -> None:
    source = np.random.default_rng(5)
    latencies = source.lognormal(9, 1, 5000).astype(np.int64)
    handle = core.new_profile(0, 0)
    for latency in latencies.tolist():
        core.count_latency(handle, latency)
    cells, weights = core.read_latencies(core.copy(handle))
    for q in SHARES[1:-1]:
        true = nearest_rank(latencies, q)
        assert cell_quantile(cells.astype(np.int64), weights, q) == pytest.approx(true, rel=0.0078)
    handle = core.new_profile(0, 0)
    for latency in (-5, 0, 1, 63, 64, 2**37 - 1, 2**37, 2**63 - 1):
        core.count_latency(handle, latency)
    cells, weights = core.read_latencies(core.copy(handle))
    assert cells.tolist() == [(127 + 6) * 64, (127 + 37) * 64 - 1]
    assert weights.tolist() == [5, 3]


def test_latencies_stay_where_they_were_when_the_rest_is_taken() -> None:
    handle = core.new_profile(1, 0)
    core.count_latency(handle, 1000)
    assert [part.tolist() for part in core.read_latencies(core.take(handle))] == [[], []]
    assert core.read_latencies(core.copy(handle))[1].tolist() == [1]


# Texts.


@pytest.mark.parametrize("n", [0, 1, 5, 30, 100, 500, 1000, 2500, 5000, 10_000, 100_000])
def test_distinct_texts_are_estimated_within_four_standard_errors(n: int) -> None:
    for salt in range(3 if n < 100_000 else 1):
        port = of_texts([f"{salt}-{i}" for i in range(n)] * (2 if n < 10_000 else 1) or [""])
        true = max(n, 1)
        assert abs(distinct(port.ports[0], 0) - true) <= max(4 * 0.033 * true, 0.5)


def test_the_estimate_of_distinct_texts_has_no_bias() -> None:
    errors = [
        distinct(of_texts([f"{salt}/{i}" for i in range(n)]).ports[0], 0) / n - 1
        for n in (300, 1200, 2600, 4000)
        for salt in range(40)
    ]
    assert abs(np.mean(errors)) < 4 * 0.033 / math.sqrt(len(errors))
    assert np.std(errors) < 0.04


def check_frequent(texts: list[str]) -> None:
    port = of_texts(texts).ports[0]
    assert isinstance(port.what, Texts)
    counts, error = Counter(texts), int(port.what.error[0])
    found = frequent(port, 0)
    assert len(found) <= 32
    assert error <= len(texts) / 33
    assert all(item.least <= counts[item.text] <= item.most for item in found)
    missed = counts.keys() - {item.text for item in found}
    assert all(counts[text] <= error for text in missed)
    assert [item.least for item in found] == sorted((item.least for item in found), reverse=True)


@given(st.lists(st.sampled_from([*"abcdefghij", *map(str, range(60))]), min_size=1, max_size=600))
def test_frequent_texts_are_within_their_bounds(texts: list[str]) -> None:
    check_frequent(texts)


def test_frequent_texts_of_a_long_tail_are_within_their_bounds() -> None:
    source = np.random.default_rng(9)
    check_frequent([f"item-{i}" for i in source.zipf(1.3, 20_000)])


def test_the_merchants_of_the_cards_are_all_found() -> None:
    merchants = cards()[1]
    port = of_texts(merchants).ports[0]
    assert {item.text: item.least for item in frequent(port, 0)} == Counter(merchants)
    assert distinct(port, 0) == pytest.approx(len({*merchants}), rel=0.05)


def test_a_long_text_is_cut_where_a_character_ends() -> None:
    texts = ["ä" * 40, "x" * 64, "x" * 65, "x" + "日" * 30, "", "𝄞" * 17]
    port = of_texts(texts).ports[0]
    assert isinstance(port.what, Texts)
    assert port.what.frequent[0] == {"x" * 64: 2, "ä" * 32: 1, "x" + "日" * 21: 1, "": 1, "𝄞" * 16: 1}
    assert (port.what.total.tolist(), port.what.empty.tolist()) == ([6], [1])
    assert distinct(port, 0) == pytest.approx(6, rel=0.05)


def test_texts_that_are_no_utf8_are_shown_all_the_same() -> None:
    handle = core.new_profile(1, 0)
    core.update_texts(handle, 0, 1, [b"\xff\xfe", b"a\x80", b"\x80" * 100])
    found = core.read_port(core.take(handle), 0)
    assert found is not None
    assert isinstance(found.what, core.PortTexts)
    assert sorted(len(raw) for raw, _ in found.what.frequent[0]) == [2, 2, 60]


def test_columns_of_texts_are_counted_apart() -> None:
    port = of_texts(["a", "1", "b", "1", "a", "1"], columns=2).ports[0]
    assert isinstance(port.what, Texts)
    assert port.what.frequent == ({"a": 2, "b": 1}, {"1": 3})
    assert (port.seen, port.columns) == (3, 2)


def test_texts_of_numbers_are_refused() -> None:
    port = of_numbers(np.ones((1, 1))).ports[0]
    for ask in (distinct, frequent):
        with pytest.raises(LogError, match="holds numbers"):
            ask(port, 0)
