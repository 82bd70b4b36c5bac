"""Every limit of the fleet package, in one frozen record; each is tested at the limit and one past it."""

from __future__ import annotations

from typing import NamedTuple


class Limits(NamedTuple):
    """What edgerun_sync takes at most. Going past a limit is an error that names it."""

    looks_max: int = 100
    """Looks at a sequential experiment that a plan counts: more hardly change its sample, and take seconds."""


LIMITS = Limits()
