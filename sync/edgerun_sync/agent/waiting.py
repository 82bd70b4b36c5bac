"""What an answer of the service asks of a device, and how long it waits before it tries again. Pure, but for chance."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from random import Random

WAIT_FIRST_S = 1.0
WAIT_MAX_S = 600.0
RETRY_AFTER_MAX_S = 3600.0
"""A service that asks for more is asked again all the same."""


class Verdict(Enum):
    """What is to be done with a request, by its answer."""

    DONE = "done"
    """It was taken; what it carried may be deleted."""

    REFUSED = "refused"
    """It is never taken: keep it, flag it, and go on with others."""

    LATER = "later"
    """Not now."""

    LOCKED_OUT = "locked out"
    """The token is worth nothing, and only a person can help."""


def verdict(status: int) -> Verdict:
    """Return what an answer asks for; a redirect is followed by nobody and counts as none."""
    if status in {200, 201, 204}:
        return Verdict.DONE
    if status in {401, 403}:
        return Verdict.LOCKED_OUT
    if status in {409, 413, 415, 422}:
        return Verdict.REFUSED
    return Verdict.LATER


def wait_s(failures: int, retry_after: str | None, now: datetime, random: Random) -> float:
    """Return how long to wait.

    Args:
        failures: how many there were in a row, at least 1.
        retry_after: what the service said, in seconds or as a date.
        now: the time.
        random: chance: a wait is anything up to one that doubles, so that a fleet does not come back in step.
    """
    asked_s = _seconds(retry_after, now)
    if asked_s is not None:
        return min(asked_s, RETRY_AFTER_MAX_S) * (1 + random.random() / 4)
    return random.uniform(0, min(WAIT_MAX_S, WAIT_FIRST_S * 2.0 ** min(failures - 1, 32)))


def _seconds(retry_after: str | None, now: datetime) -> float | None:
    text = (retry_after or "").strip()
    if text.isascii() and text.isdecimal() and len(text) < 10:
        return float(text)
    try:
        then = parsedate_to_datetime(text)
    except ValueError:
        return None
    return max(0.0, ((then if then.tzinfo else then.replace(tzinfo=UTC)) - now).total_seconds())
