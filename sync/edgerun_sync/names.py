"""Names that both ends of the wire check: devices and segments."""

from __future__ import annotations

import re

from edgerun_sync.errors import WireError

SEGMENT_TYPE = "application/vnd.edgerun.log.v1"
"""Of a sealed segment, as it lies on the disk."""

_DEVICE = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}", re.ASCII)
_SEGMENT = re.compile(r"[0-9a-f]{16}-[0-9a-f]{16}", re.ASCII)


def check_device(name: str) -> str:
    """Return a device's name.

    Raises:
        WireError: it is none.
    """
    if not _DEVICE.fullmatch(name):
        raise WireError(f"a device's name is 1 to 64 of A-Z a-z 0-9 . _ -, with no dot first; got {name[:80]!r}")
    return name


def check_segment(name: str) -> str:
    """Return a segment's name.

    Raises:
        WireError: it is none.
    """
    if not _SEGMENT.fullmatch(name):
        raise WireError(f"a segment's name is EPOCH-ROW, each 16 lower-case hex digits; got {name[:80]!r}")
    return name
