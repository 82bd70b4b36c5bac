"""Times as texts: RFC 3339 in UTC, to the second."""

from __future__ import annotations

from datetime import UTC, datetime


def now_text() -> str:
    """Return what time it is."""
    return time_text(datetime.now(UTC))


def time_text(time: datetime) -> str:
    """Return a time that has a zone as text; such texts sort as their times do."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
