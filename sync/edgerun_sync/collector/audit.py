"""The audit log: who changed what, each entry naming the digest of the one before it.

An entry that is changed, taken out or put in between breaks the chain from there on. Whoever may delete objects can cut
off the last entries, which is why the head is worth writing down elsewhere.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any, NamedTuple

from edgerun.artifact import canonical_json
from edgerun_sync.errors import CollectorError
from edgerun_sync.times import now_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from edgerun_sync.collector.objects import Objects

PREFIX = "audit/"
NOTHING = "0" * 64
"""What the first entry names as the one before it."""
_FIELDS = {"n", "time", "who", "action", "subject", "details", "previous"}
_TRIES = 1000


class Verified(NamedTuple):
    """What a walk along the chain found."""

    entries: int
    """How many entries hold together, from the first on."""

    head: str
    """SHA-256 of the last of them."""

    problem: str | None
    """What breaks the chain after them; None where nothing does."""


class Audit:
    """The audit log of one collector's store; several processes may append to it.

    Args:
        objects: where it is kept.
    """

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._last = 0
        self._head = NOTHING

    def append(self, who: str, action: str, subject: str, details: Mapping[str, Any] | None = None) -> int:
        """Write down what happened; returns the entry's number.

        Args:
            who: the name of a credential, or a device.
            action: what was done, such as ``token.revoke``.
            subject: to what.
            details: whatever canonical JSON can hold besides.

        Raises:
            CollectorError: the store fails, or so many others append that there is no getting in between.
        """
        for _ in range(_TRIES):
            self._catch_up()
            number = self._last + 1
            entry = {
                "n": number,
                "time": now_text(),
                "who": who,
                "action": action,
                "subject": subject,
                "details": dict(details or {}),
                "previous": self._head,
            }
            raw = canonical_json(entry)
            if self._objects.put_new(_key(number), raw):
                self._last, self._head = number, hashlib.sha256(raw).hexdigest()
                return number
        raise CollectorError("the audit log cannot be appended to: others do so all the time")

    def entries(self) -> Iterator[dict[str, Any]]:
        """Yield the entries, oldest first, whether they hold together or not.

        Raises:
            CollectorError: the store fails, or an entry is no JSON object.
        """
        number = 1
        while (raw := self._objects.get(_key(number))) is not None:
            yield _parsed(number, raw)
            number += 1

    def verify(self) -> Verified:
        """Walk the chain.

        Raises:
            CollectorError: the store fails.
        """
        number, head = 0, NOTHING
        while (raw := self._objects.get(_key(number + 1))) is not None:
            problem = _problem(number + 1, raw, head)
            if problem is not None:
                return Verified(number, head, problem)
            number, head = number + 1, hashlib.sha256(raw).hexdigest()
        behind = [key for key in self._objects.list(PREFIX) if key > _key(number)]
        gap = f"entry {number + 1} is missing, and {len(behind)} stand behind it" if behind else None
        return Verified(number, head, gap)

    def _catch_up(self) -> None:
        while (raw := self._objects.get(_key(self._last + 1))) is not None:
            self._last, self._head = self._last + 1, hashlib.sha256(raw).hexdigest()


def _key(number: int) -> str:
    return f"{PREFIX}{number:012d}.json"


def _parsed(number: int, raw: bytes) -> dict[str, Any]:
    try:
        entry = json.loads(raw)
    except ValueError as error:
        raise CollectorError(f"entry {number} of the audit log is no JSON: {error}") from error
    if not isinstance(entry, dict):
        raise CollectorError(f"entry {number} of the audit log is no JSON object")
    return entry


def _problem(number: int, raw: bytes, head: str) -> str | None:
    try:
        entry = _parsed(number, raw)
    except CollectorError as error:
        return str(error)
    if entry.keys() != _FIELDS or canonical_json(entry) != raw:
        return f"entry {number} is not written as entries are"
    if entry["n"] != number:
        return f"entry {number} says that it is entry {entry['n']}"
    if entry["previous"] != head:
        return f"entry {number} follows another entry {number - 1} than the one that is there"
    return None
