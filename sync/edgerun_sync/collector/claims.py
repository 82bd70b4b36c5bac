"""Which collector looks after which lane, so that several do not do the same work.

Nothing rests on it: whoever believes wrongly that a lane is theirs, as with a clock that is wrong, repeats steps that
may be repeated.
"""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING

from edgerun_sync.errors import CollectorError

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgerun_sync.collector.objects import Objects

LEASE_S = 15.0
"""How long a lane stays without a committer when one dies."""


class Claims:
    """The claims of one collector.

    Args:
        objects: that all collectors share.
        who: this one's name; no other's.
        now_s: a clock that all of them have, about.
    """

    def __init__(self, objects: Objects, who: str | None = None, *, now_s: Callable[[], float] = time.time) -> None:
        self._objects = objects
        self._who = who or os.urandom(8).hex()
        self._now_s = now_s
        self._until: dict[int, float] = {}

    def holds(self, lane: int) -> bool:
        """Whether this collector is to look after a lane; where nobody else does, from now on it is.

        Raises:
            StorageError: nobody knows.
        """
        now_s = self._now_s()
        if now_s < self._until.get(lane, 0.0) - LEASE_S / 2:
            return True
        who, until = _parsed(self._objects.get(_key(lane)))
        if who != self._who and now_s < until <= now_s + 2 * LEASE_S:
            self._until.pop(lane, None)
            return False
        self._write(lane, now_s + LEASE_S)
        self._until[lane] = now_s + LEASE_S
        return True

    def let_go(self) -> None:
        """Leave all lanes to others.

        Raises:
            StorageError: they will find out by themselves.
        """
        for lane in [*self._until]:
            del self._until[lane]
            self._write(lane, 0.0)

    def _write(self, lane: int, until: float) -> None:
        self._objects.replace(_key(lane), json.dumps({"until": until, "who": self._who}).encode())


def require_unclaimed(objects: Objects, lanes: int, *, now_s: Callable[[], float] = time.time) -> None:
    """Refuse what no collector may commit beside.

    Raises:
        CollectorError: somebody looks after a lane, or did until seconds ago.
        StorageError: nobody knows.
    """
    for lane in range(lanes):
        left_s = _parsed(objects.get(_key(lane)))[1] - now_s()
        if 0 < left_s <= 2 * LEASE_S:
            remedy = f"stop all of them, and wait {left_s:.0f} s where one was killed"
            raise CollectorError(f"a collector commits here (lane {lane}); {remedy}")


def _key(lane: int) -> str:
    return f"lanes/{lane}.json"


def _parsed(data: bytes | None) -> tuple[str, float]:
    """Who claims a lane, and until when; what is damaged claims nothing."""
    try:
        document = json.loads(data or b"")
        return str(document["who"]), float(document["until"])
    except (ValueError, KeyError, TypeError):
        return "", 0.0
