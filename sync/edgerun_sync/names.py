"""Names that both ends of the wire check: devices and segments."""

from __future__ import annotations

import re

from edgerun_sync.errors import WireError
from edgerun_sync.limits import LIMITS

SEGMENT_TYPE = "application/vnd.edgerun.log.v1"
"""Of a sealed segment, as it lies on the disk."""

DEVICE = rf"[A-Za-z0-9_-][A-Za-z0-9._-]{{0,{LIMITS.device_name_max_bytes - 1}}}"
"""What a device's name is, as a regular expression."""

SEGMENT = r"[0-9a-f]{16}-[0-9a-f]{16}"
"""What a segment's name is, likewise."""

_DEVICE, _SEGMENT = re.compile(DEVICE), re.compile(SEGMENT)


def is_device(name: str) -> bool:
    """Whether a text can be the name of a device."""
    return _DEVICE.fullmatch(name) is not None


def is_segment(name: str) -> bool:
    """Whether a text can be the name of a segment."""
    return _SEGMENT.fullmatch(name) is not None


def check_device(name: str) -> str:
    """Return a device's name.

    Raises:
        WireError: it is none.
    """
    if not is_device(name):
        allowed = f"1 to {LIMITS.device_name_max_bytes} of A-Z a-z 0-9 . _ -, with no dot first"
        raise WireError(f"a device's name is {allowed}; got {name[:80]!r}")
    return name


def check_segment(name: str) -> str:
    """Return a segment's name.

    Raises:
        WireError: it is none.
    """
    if not is_segment(name):
        raise WireError(f"a segment's name is EPOCH-ROW, each 16 lower-case hex digits; got {name[:80]!r}")
    return name
