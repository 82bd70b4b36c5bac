"""Check-ins as objects: what a device said of itself, with what the collector thought of it, until it is a row.

A check-in is named by the agent's instance, its count, and a digest of all that it says, so that a disk which was
restored takes nothing away from what was said before, and the same words twice are one check-in.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any, NamedTuple

from edgerun.artifact import canonical_json
from edgerun_sync.errors import CollectorError

if TYPE_CHECKING:
    from collections.abc import Mapping

_DIGEST_CHARACTERS = 16


class CheckedIn(NamedTuple):
    """A check-in that was taken.

    Attributes:
        device: whose.
        received: when, by the collector's clock, RFC 3339.
        flags: what is odd about it.
        said: its fields, as in PROTOCOL.md.
    """

    device: str
    received: str
    flags: tuple[str, ...]
    said: Mapping[str, Any]


def check_in_name(said: Mapping[str, Any]) -> str:
    """Return the name of a check-in."""
    digest = hashlib.sha256(canonical_json(dict(said))).hexdigest()[:_DIGEST_CHARACTERS]
    return f"{said['instance']}-{said['count']:016x}-{digest}"


def check_in_bytes(taken: CheckedIn) -> bytes:
    """Return a check-in as it is stored."""
    return canonical_json({**taken._asdict(), "flags": [*taken.flags], "said": dict(taken.said)})


def parse_check_in(data: bytes) -> CheckedIn:
    """Return the check-in that an object is.

    Raises:
        CollectorError: it is none.
    """
    try:
        document = json.loads(data)
        said = document["said"]
        return CheckedIn(str(document["device"]), str(document["received"]), tuple(document["flags"]), dict(said))
    except (ValueError, KeyError, TypeError) as error:
        raise CollectorError(f"a check-in is damaged: {data[:100]!r}; remove it") from error
