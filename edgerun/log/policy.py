"""How a log is kept: how soon it is safe, how large it may grow, and whether inputs are stored."""

from __future__ import annotations

from typing import Any, NamedTuple

from edgerun._shown import shown
from edgerun.errors import InputError
from edgerun.log.rows import LATENCY_BITS


class Capture(NamedTuple):
    """Which calls' inputs are stored. By default none are.

    Attributes:
        inputs: "none" or "sample".
        rate: the share of calls whose inputs are stored, 0 to 1; each row says it.
        redact: names of inputs that are never stored.
    """

    inputs: str = "none"
    rate: float = 0.0
    redact: tuple[str, ...] = ()


class LogPolicy(NamedTuple):
    """How a log is kept.

    Attributes:
        durability: "event" (a call returns when its row is on the disk), "group" (rows are synced together) or "seal"
            (synced when a segment is sealed).
        group_s: seconds that a row waits at most for others before the group is written.
        group_rows: rows after which a group is written at once.
        seal_s: seconds after which a segment is sealed.
        segment_bytes: bytes after which it is sealed.
        budget_bytes: bytes of all files of the folder; beyond, the oldest sealed measurements go first, the journal
            last.
        profile_s: seconds after which profiles are written, if the hour does not end before.
        ring_bytes: bytes of the ring in memory, a power of two.
        capture: which inputs are stored.
        time_step_us: microseconds of which the time of a call or shadow is a multiple, rounded down: a power of two. 1
            keeps every microsecond, and takes 10 more bits a call.
        latency_bits: significant bits that a latency keeps: 9 are right to 1 in 400, and 11, two bits more, to 1 in
            2048.
    """

    durability: str = "group"
    group_s: float = 1.0
    group_rows: int = 4096
    seal_s: float = 300.0
    segment_bytes: int = 2**20
    budget_bytes: int = 256 * 2**20
    profile_s: float = 900.0
    ring_bytes: int = 2**21
    capture: Capture = Capture()
    time_step_us: int = 1024
    latency_bits: int = 9


DEFAULT_LOG_POLICY = LogPolicy()

_DURABILITIES = ("event", "group", "seal")
_CAPTURED = ("none", "sample")
_NUMBERS = {  # field: least, greatest
    "group_s": (0, 3600),
    "group_rows": (1, 2**20),
    "seal_s": (0.1, 7 * 86400),
    "segment_bytes": (4096, 2**30),
    "budget_bytes": (2**16, 2**50),
    "profile_s": (1, 3600),
    "ring_bytes": (2**16, 2**30),
    "time_step_us": (1, 2**20),
    "latency_bits": (4, LATENCY_BITS),
}


def check_policy(policy: LogPolicy) -> None:
    """Raise InputError unless every field of a policy is in its range."""
    if not isinstance(policy, LogPolicy):
        raise InputError(f"log_policy must be a LogPolicy, got {shown(policy)}")
    _check_choice("durability", policy.durability, _DURABILITIES)
    for name, (least, greatest) in _NUMBERS.items():
        number = getattr(policy, name)
        if isinstance(number, bool) or not isinstance(number, int | float) or not least <= number <= greatest:
            raise InputError(f"LogPolicy: {name} must be a number from {least} to {greatest}, got {shown(number)}")
    for name in ("group_rows", "segment_bytes", "budget_bytes", "ring_bytes", "time_step_us", "latency_bits"):
        if not isinstance(getattr(policy, name), int):
            raise InputError(f"LogPolicy: {name} must be a whole number, got {shown(getattr(policy, name))}")
    for name in ("ring_bytes", "time_step_us"):
        number = getattr(policy, name)
        if number & (number - 1):
            raise InputError(f"LogPolicy: {name} must be a power of two, got {number}")
    _check_capture(policy.capture)


def _check_capture(capture: Capture) -> None:
    if not isinstance(capture, Capture):
        raise InputError(f"LogPolicy: capture must be a Capture, got {shown(capture)}")
    _check_choice("capture.inputs", capture.inputs, _CAPTURED)
    rate = capture.rate
    if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 <= rate <= 1:
        raise InputError(f"LogPolicy: capture.rate must be a number from 0 to 1, got {shown(rate)}")
    redact: Any = capture.redact
    if not isinstance(redact, tuple) or not all(isinstance(name, str) for name in redact):
        raise InputError(f"LogPolicy: capture.redact must be a tuple of names of inputs, got {shown(capture.redact)}")


def _check_choice(name: str, value: Any, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise InputError(f"LogPolicy: {name} must be one of {', '.join(map(repr, choices))}, got {shown(value)}")
