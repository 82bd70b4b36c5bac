"""The time that expiry is judged by, on devices whose clock may stand anywhere."""

from __future__ import annotations

import datetime as dt

BUILT_S = 1_793_491_200
"""The day on which this edgerun was made, in seconds since 1970: 2026-11-01. It is set with each release."""


def reference_time_s(now_s: float, seen_s: int) -> int:
    """Return the time that expiry is judged by, in seconds since 1970.

    Args:
        now_s: what the system's clock says.
        seen_s: when metadata was last found fresh.
    """
    return max(int(now_s), seen_s, BUILT_S)


def moment_of(time_s: int) -> dt.datetime:
    """Return a time in UTC; one that no calendar has is the last moment of the year 9999."""
    try:
        return dt.datetime.fromtimestamp(time_s, dt.UTC)
    except (OverflowError, ValueError, OSError):
        return dt.datetime.max.replace(tzinfo=dt.UTC)
