"""Times as texts: RFC 3339 in UTC, to the second."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from edgerun_sync.errors import WireError


def now_text() -> str:
    """Return what time it is."""
    return time_text(datetime.now(UTC))


def time_text(time: datetime) -> str:
    """Return a time that has a zone as text; such texts sort as their times do."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_time(text: Any) -> float:
    """Return a time as seconds since 1970.

    Raises:
        WireError: it is no RFC 3339 text with a zone.
    """
    try:
        time = datetime.fromisoformat(text)
    except (TypeError, ValueError) as error:
        raise WireError(f"a time must be RFC 3339, got {str(text)[:80]!r}") from error
    if time.tzinfo is None:
        raise WireError(f"the time {text!r} has no zone")
    return time.timestamp()
