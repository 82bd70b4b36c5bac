"""Moments as callers give them, to microseconds since 1970."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

import numpy as np

from edgerun._shown import shown
from edgerun.errors import LogError

Moment: TypeAlias = datetime | np.datetime64 | str | int | float
"""An aware datetime, a datetime64 (UTC), ISO text (UTC where it names no zone), or seconds since 1970."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECONDS_MAX = 2**62 / 1e6


def microseconds(moment: Moment) -> int:
    """Return a moment as microseconds since 1970.

    Raises:
        LogError: it is none, or a datetime without a zone.
    """
    match moment:
        case np.datetime64() if not np.isnat(moment):
            return int(moment.astype("datetime64[us]").astype(np.int64))
        case datetime() if moment.tzinfo is not None:
            return (moment - _EPOCH) // timedelta(microseconds=1)
        case str():
            return microseconds(_parsed(moment))
        case int() | float() if not isinstance(moment, bool) and math.isfinite(moment) and abs(moment) < _SECONDS_MAX:
            return round(moment * 1_000_000)
    raise LogError(f"{shown(moment)} is no time: give ISO text, seconds since 1970, or a datetime that has a zone")


def _parsed(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise LogError(f"{shown(text)} is no time in ISO 8601, such as 2025-11-23T09:30") from error
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found
