"""edgerun.split._keys: which bytes of a key are hashed, and what is refused."""

from __future__ import annotations

import enum
import uuid
from decimal import Decimal

import numpy as np
import pytest

from edgerun.errors import InputError
from edgerun.limits import LIMITS
from edgerun.split import Key, Split, key_bytes

SPLIT = Split("keys", {"a": 1, "b": 1, "c": 1})


class Level(enum.IntEnum):
    GOLD = 7


class Unprintable:
    def __repr__(self) -> str:
        raise RuntimeError("no repr")


@pytest.mark.parametrize(
    "text", ["", " a ", "user-7", "USER-7", "é", "e\u0301", "日本", "🙂", "a\0b", "\ufeff", np.str_("n")]
)
def test_a_text_is_its_utf8_untouched(text: str) -> None:
    assert key_bytes(text) == text.encode()


@pytest.mark.parametrize(
    "number",
    [0, -0, 7, -7, 2**63 - 1, -(2**63), 2**64, -(10**400), Level.GOLD, np.int8(-5), np.uint64(2**64 - 1)],
)
def test_an_integer_is_its_decimal_text(number: int) -> None:
    assert key_bytes(number) == str(int(number)).encode()


@pytest.mark.parametrize("data", [b"", b"\0", b"\xff\xfe", b"abc\0", np.bytes_(b"n")])
def test_bytes_are_themselves(data: bytes) -> None:
    assert key_bytes(data) == data


def test_42_as_text_number_and_bytes_is_one_unit() -> None:
    keys: list[Key] = ["42", 42, b"42", np.int64(42)]
    assert len({SPLIT.explain(key).hash for key in keys}) == 1


@pytest.mark.parametrize(
    ("key", "named"),
    [
        (True, "bool True"),
        (False, "bool False"),
        (np.True_, "bool"),
        (1.0, "float 1.0"),
        (float("nan"), "float nan"),
        (np.float32(1), "float32"),
        (None, "NoneType None"),
        (Decimal(1), "Decimal"),
        (uuid.UUID(int=1), "UUID"),
        (bytearray(b"abc"), "bytearray"),
        (memoryview(b"abc"), "memoryview"),
        (np.array(5), "ndarray"),
        (["a"], "list"),
        (Unprintable(), "Unprintable"),
    ],
)
def test_anything_else_is_refused_by_type_and_value(key: Key, named: str) -> None:
    for call in (key_bytes, SPLIT.assign, SPLIT.explain):
        with pytest.raises(InputError, match=f"not {named}"):
            call(key)


@pytest.mark.parametrize("key", ["\ud800", "a\udfffb"])
def test_a_lone_surrogate_is_refused(key: str) -> None:
    for call in (key_bytes, SPLIT.assign, SPLIT.explain):
        with pytest.raises(InputError, match=r"\\ud.*lone surrogate at index"):
            call(key)


def test_an_integer_too_long_for_decimal_text_is_refused() -> None:
    for call in (key_bytes, SPLIT.assign):
        with pytest.raises(InputError, match="int of 33220 bits"):
            call(10**10_000)


@pytest.mark.parametrize("size", [0, 10**6, LIMITS.key_max_bytes])
def test_keys_of_no_bytes_and_of_a_million_bytes_are_assigned(size: int) -> None:
    assert SPLIT.assign("x" * size) == SPLIT.assign(b"x" * size) == SPLIT.explain("x" * size).arm


@pytest.mark.parametrize("key", [b"x" * (LIMITS.key_max_bytes + 1), "é" * (LIMITS.key_max_bytes // 2 + 1)])
def test_a_key_one_byte_past_the_limit_is_refused(key: Key) -> None:
    for call in (key_bytes, SPLIT.assign, SPLIT.explain):
        with pytest.raises(InputError, match=f"at most {LIMITS.key_max_bytes} bytes"):
            call(key)
