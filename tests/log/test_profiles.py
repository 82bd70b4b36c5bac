"""Profiles: moments against numpy and exact fractions, what a port keeps, taking and copying beside an update."""

from __future__ import annotations

import threading
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgerun._core import profile as core
from edgerun.errors import CoreError
from edgerun.log.profiles import Numbers, Profile, Texts
from support.profiled import TYPES, data, of_numbers, of_texts, plain, read


def numbers_of(profile: Profile, port: int = 0) -> Numbers:
    what = profile.ports[port].what
    assert isinstance(what, Numbers)
    return what


def exact_moments(values: list[float]) -> tuple[float, float]:
    """Mean and sum of squares of differences to it, by fractions."""
    exact = [Fraction(value) for value in values]
    mean = sum(exact) / len(exact)
    m2 = sum((value - mean) ** 2 for value in exact)
    return float(mean), float(m2) if m2 < 2**1023 else np.inf


# Moments.


@pytest.mark.parametrize("at_once", [1, 7, 64, 0], ids=["one row", "7 rows", "64 rows", "all rows"])
@pytest.mark.parametrize("name", data())
def test_counts_and_extremes_are_those_of_numpy(name: str, at_once: int) -> None:
    values = data()[name]
    found = numbers_of(of_numbers(values, at_once))
    wide = values.astype(np.float64)
    finite = np.isfinite(wide)
    assert found.finite.tolist() == finite.sum(axis=0).tolist()
    assert found.missing.tolist() == np.isnan(wide).sum(axis=0).tolist()
    assert found.infinite.tolist() == np.isinf(wide).sum(axis=0).tolist()
    assert found.zero.tolist() == (wide == 0).sum(axis=0).tolist()
    assert found.min.tolist() == np.min(wide, axis=0, where=finite, initial=np.inf).tolist()
    assert found.max.tolist() == np.max(wide, axis=0, where=finite, initial=-np.inf).tolist()
    assert not np.signbit(found.min[found.min == 0]).any()
    assert not np.signbit(found.max[found.max == 0]).any()


@pytest.mark.parametrize("name", data())
def test_mean_and_m2_are_those_of_exact_fractions(name: str) -> None:
    values = data()[name]
    found = numbers_of(of_numbers(values, 1))
    for column in range(min(values.shape[1], 6)):
        seen = values[:, column].astype(np.float64)
        seen = seen[np.isfinite(seen)]
        if len(seen) == 0:
            assert (found.mean[column], found.m2[column]) == (0, 0)
            continue
        mean, m2 = exact_moments(seen.tolist())
        spread = float(np.abs(seen).max())
        assert abs(found.mean[column] - mean) <= 1e-14 * spread + 5e-324
        assert found.m2[column] == pytest.approx(m2, rel=1e-11, abs=1e-20 * spread * spread if spread < 1e150 else None)


floats = st.floats(allow_nan=True, allow_infinity=True, width=64)


@given(st.lists(st.tuples(floats, floats, floats), min_size=1, max_size=200), st.integers(1, 200))
def test_any_numbers_in_any_pieces_are_summed_up(rows: list[tuple[float, ...]], at_once: int) -> None:
    values = np.array(rows)
    found = numbers_of(of_numbers(values, at_once))
    for column in range(3):
        seen = values[:, column][np.isfinite(values[:, column])]
        assert found.finite[column] + found.missing[column] + found.infinite[column] == len(values)
        assert found.finite[column] == len(seen)
        if len(seen):
            mean, m2 = exact_moments(seen.tolist())
            spread = float(np.abs(seen).max())
            assert found.min[column] == seen.min()
            assert found.max[column] == seen.max()
            assert abs(Fraction(found.mean[column]) - Fraction(mean)) <= Fraction(1e-13) * Fraction(spread)
            assert not np.isnan(found.m2[column])
            if spread < 1e150:
                assert found.m2[column] == pytest.approx(m2, rel=1e-9, abs=1e-25 * spread * spread)
            else:
                assert found.m2[column] >= 0


def welford(values: list[float]) -> float:
    """m2 by the textbook."""
    mean = m2 = 0.0
    for n, value in enumerate(values, 1):
        difference = value - mean
        mean += difference / n
        m2 += difference * (value - mean)
    return m2


@pytest.mark.parametrize("far", [1e3, 1e6, 1e9, 1e12, 1e15])
def test_a_mean_far_from_zero_costs_m2_no_more_than_it_costs_welford(far: float) -> None:
    values = far + np.random.default_rng(8).integers(-8, 8, (6400, 1)).astype(np.float64)
    listed = values[:, 0].tolist()
    _, exact = exact_moments(listed)
    error = abs(numbers_of(of_numbers(values)).m2[0] - exact)
    assert error <= max(abs(welford(listed) - exact), 1e-12 * exact)


def test_an_outlier_that_comes_first_costs_m2_few_digits() -> None:
    source = np.random.default_rng(8)
    values = source.normal(size=(6400, 1))
    values[0] = 1e6
    assert numbers_of(of_numbers(values)).m2[0] == pytest.approx(exact_moments(values[:, 0].tolist())[1], rel=1e-12)


# What a port keeps.


def test_ports_are_the_inputs_and_then_the_outputs_and_only_those_that_were_seen() -> None:
    handle = core.new_profile(2, 2)
    core.update(handle, 1, TYPES[np.dtype(np.float32)], np.ones((1, 3), np.float32))
    core.update(handle, 3, TYPES[np.dtype(np.int64)], np.ones((4, 1), np.int64))
    core.update(handle, 3, TYPES[np.dtype(np.int64)], np.empty((0, 1), np.int64))
    found = read(handle, ["a", "b"], ["c", "d"], begin=5, end=9)
    assert [(port.name, port.is_output, port.columns, port.seen) for port in found.ports] == [
        ("b", False, 3, 1),
        ("d", True, 1, 2),
    ]
    assert numbers_of(found, 1).finite.tolist() == [4]
    assert (found.begin, found.end, found.model) == (5, 9, "champion")


def test_a_port_keeps_its_first_type_and_columns_until_it_is_taken() -> None:
    handle = core.new_profile(1, 0)
    two, three = np.ones((1, 2), np.float32), np.ones((1, 3), np.float32)
    for values in (two, three, two.astype(np.float64)):
        core.update(handle, 0, TYPES[values.dtype], values)
    core.update(handle, 0, 16, two)  # bfloat16, which has no numpy dtype
    core.update_texts(handle, 0, 2, [b"a", b"b"])
    (port,) = read(handle).ports
    assert (port.columns, port.seen, port.unlike) == (2, 1, 4)
    core.update(handle, 0, TYPES[three.dtype], three)
    assert read(handle).ports[0].columns == 3


def test_data_of_an_unknown_type_alone_is_no_port() -> None:
    handle = core.new_profile(1, 0)
    core.update(handle, 0, 14, np.ones((1, 2), np.complex64))
    assert read(handle).ports == ()


def test_256_columns_are_the_most() -> None:
    handle = core.new_profile(1, 0)
    core.update(handle, 0, 1, np.ones((2, 256), np.float32))
    with pytest.raises(CoreError):
        core.update(handle, 0, 1, np.ones((2, 257), np.float32))
    with pytest.raises(CoreError):
        core.update(handle, 1, 1, np.ones((2, 256), np.float32))
    assert read(handle).ports[0].seen == 1


@pytest.mark.parametrize(("inputs", "pages"), [(257, 10), (1, 65534)])
def test_more_ports_or_pages_than_the_limit_are_refused(inputs: int, pages: int) -> None:
    core.new_profile(inputs - 1, 0, pages - 1)
    with pytest.raises(CoreError, match="limit"):
        core.new_profile(inputs, 0, pages)


def test_what_nobody_took_cannot_be_read() -> None:
    handle = core.new_profile(1, 0)
    core.update(handle, 0, 1, np.ones((1, 2), np.float32))
    with pytest.raises(CoreError):
        core.read_port(handle, 0)


# Taking and copying.


def equal(a: Profile, b: Profile) -> bool:
    return bool(plain(a) == plain(b))


@pytest.mark.parametrize("name", data())
def test_a_copy_is_what_is_taken_afterwards_and_then_nothing_is_left(name: str) -> None:
    values = data()[name]
    handle = core.new_profile(1, 0)
    for row in values[:100]:
        core.update(handle, 0, TYPES[values.dtype], row[None])
    first, second = core.copy(handle), core.copy(handle)
    taken = read(handle)
    assert equal(read(first), taken)
    assert equal(read(second), taken)
    assert read(handle).ports == ()
    assert equal(of_numbers(values[:100], 1), taken)


def test_copies_of_texts_are_equal_too() -> None:
    texts = ["a", "b", "", "c"] * 100
    handle = core.new_profile(1, 0)
    core.update_texts(handle, 0, 2, [text.encode() for text in texts])
    copied = read(core.copy(handle))
    assert equal(copied, read(handle))
    assert isinstance(copied.ports[0].what, Texts)
    assert copied.ports[0].what.total.tolist() == [200, 200]


def test_nothing_is_lost_or_seen_twice_where_threads_take_copy_and_count_latencies() -> None:
    handle = core.new_profile(1, 1)
    values = np.arange(1, 9, dtype=np.float32)[None]
    rounds, taken, copied = 20_000, [], []
    done = threading.Event()

    def taking() -> None:
        while not done.is_set():
            taken.append(core.take(handle))
            copied.append(read(core.copy(handle), ["x"], ["y"]))

    def timing() -> None:
        for _ in range(rounds):
            core.count_latency(handle, 10_000)

    threads = [threading.Thread(target=target) for target in (taking, timing, timing)]
    for thread in threads:
        thread.start()
    for _ in range(rounds):
        core.update(handle, 0, 1, values)
    for thread in threads[1:]:
        thread.join()
    done.set()
    threads[0].join()
    taken.append(core.take(handle))
    parts = [numbers_of(read(part, ["x"], ["y"])) for part in taken if core.read_port(part, 0) is not None]
    assert sum(int(part.finite[7]) for part in parts) == rounds
    assert sum(int(part.weight.sum()) for part in parts) == 8 * rounds
    for profile in copied:
        assert all(len({*numbers_of(profile).finite.tolist()}) == 1 for _ in profile.ports)
    assert core.read_latencies(core.copy(handle))[1].tolist() == [2 * rounds]


def test_names_of_texts_are_those_that_came() -> None:
    found = of_texts(["a", "b"], begin=-5)
    assert (found.bundle, found.arm, found.node, found.begin) == ("digits", "a", None, -5)
