"""Every limit of the fleet's package, in one frozen record; each is tested at the limit and one past it."""

from __future__ import annotations

from typing import NamedTuple


class Limits(NamedTuple):
    """What the collector accepts at most. Going past a limit is an answer that names it, never a truncation."""

    segment_max_bytes: int = 16 * 2**20
    """Bytes of a segment on the wire."""

    document_max_bytes: int = 64 * 2**10
    """Bytes of a JSON body."""

    body_timeout_s: float = 60.0
    """Seconds that a body may take to come."""

    headers_timeout_s: float = 15.0
    """Seconds that a connection may take to say what it wants."""

    requests_per_s: float = 50.0
    """Requests of one caller a second, in the long run."""

    requests_burst: int = 500
    """Requests of one caller at once."""

    connections_max: int = 10_000
    """Connections at once, those of one collector."""


LIMITS = Limits()
