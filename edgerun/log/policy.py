"""How a log is kept: how soon it is safe, how large it may grow, and whether inputs are stored."""

from __future__ import annotations

from typing import NamedTuple


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
    """

    durability: str = "group"
    group_s: float = 1.0
    group_rows: int = 256
    seal_s: float = 300.0
    segment_bytes: int = 2**20
    budget_bytes: int = 256 * 2**20
    profile_s: float = 900.0
    ring_bytes: int = 2**20
    capture: Capture = Capture()


DEFAULT_LOG_POLICY = LogPolicy()
