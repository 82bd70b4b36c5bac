"""Ids of calls as texts, against Python's own formatting."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from edgerun_sync.collector.arrow.ids import id_texts

EPOCHS = st.integers(0, 2**64 - 1)
SEQUENCES = st.integers(0, 19).flatmap(lambda digits: st.integers(0, min(10 ** (digits + 1), 2**64) - 1))
PARTS = st.lists(st.tuples(EPOCHS | st.just(7), st.lists(SEQUENCES, min_size=1, max_size=40)), min_size=1, max_size=5)


def made(parts: list[tuple[int, list[int]]]) -> list[str]:
    sequence = np.array([number for _, numbers in parts for number in numbers], np.uint64)
    lengths = np.array([len(numbers) for _, numbers in parts], np.int64)
    texts = id_texts([epoch for epoch, _ in parts], lengths, sequence)
    texts.validate(full=True)
    return texts.to_pylist()


def formatted(parts: list[tuple[int, list[int]]]) -> list[str]:
    return [f"{epoch:016x}-{number}" for epoch, numbers in parts for number in numbers]


@given(PARTS)
def test_ids_are_what_formatting_makes_of_epochs_and_sequences(parts: list[tuple[int, list[int]]]) -> None:
    assert made(parts) == formatted(parts)


def test_ids_of_sequences_that_gain_digits_are_right_on_both_sides() -> None:
    parts = [(2**64 - 1, [*range(8, 12), *range(9_998, 10_003)]), (1, [*range(99_999_998, 100_000_003), 2**64 - 1])]
    assert made(parts) == formatted(parts)


def test_ids_of_many_devices_of_which_each_counts_for_itself_are_right() -> None:
    parts = [(device, [*range(10 ** (device % 7), 10 ** (device % 7) + 10)]) for device in range(100)]
    assert made(parts) == formatted(parts)
    assert made([(7, numbers) for _, numbers in parts]) == formatted([(7, numbers) for _, numbers in parts])
