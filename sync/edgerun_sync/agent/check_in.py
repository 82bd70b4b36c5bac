"""What a device says of itself at the beginning of a sync. See sync/PROTOCOL.md, section 2."""

from __future__ import annotations

import ctypes
import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from edgerun.log.handover import segment_files
from edgerun_sync.agent.uplink import backlog

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edgerun_sync.agent.enrolment import Enrolment

ERRORS_MAX = 8
ERROR_MAX_CHARS = 500
BOOT_ID = "/proc/sys/kernel/random/boot_id"
_TIME_ERROR = 5
"""What adjtimex returns while nobody keeps the clock right."""


def check_in_document(
    enrolment: Enrolment,
    log: str,
    *,
    edgerun: str,
    onnxruntime: str | None,
    bundle: Mapping[str, Any] | None,
    errors: Sequence[str],
) -> dict[str, Any]:
    """Return the document.

    Args:
        enrolment: the device's, its check-ins counted with this check-in.
        log: the log's folder.
        edgerun: its version.
        onnxruntime: its version; None where it is not installed.
        bundle: ``name``, ``version``, ``digest`` and ``state`` of what is served.
        errors: since the last check-in.

    Raises:
        LogError: the log cannot be listed.
    """
    segments, size, oldest_us = backlog(segment_files(log))
    return {
        "machine": enrolment.machine,
        "boot": _boot_id(),
        "instance": enrolment.instance,
        "count": enrolment.check_ins,
        "time": _text(datetime.now(UTC)),
        "synchronised": is_clock_synchronised(),
        "edgerun": edgerun,
        "onnxruntime": onnxruntime,
        "arch": os.uname().machine,
        "bundle": None if bundle is None else dict(bundle),
        "backlog": {"segments": segments, "bytes": size, "oldest": None if oldest_us is None else _time_of(oldest_us)},
        "lost": {},
        "errors": [error[:ERROR_MAX_CHARS] for error in errors[-ERRORS_MAX:]],
    }


def is_clock_synchronised() -> bool:
    """Whether the kernel says that something keeps the clock right."""
    size = 1024  # struct timex is smaller on every platform
    try:
        return int(ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(size))) not in {-1, _TIME_ERROR}
    except (OSError, AttributeError):
        return False


def _boot_id() -> str:
    try:
        with open(BOOT_ID, encoding="ascii") as file:
            return file.read(64).strip()
    except OSError:
        return ""


def _time_of(microseconds: int) -> str:
    try:
        return _text(datetime.fromtimestamp(microseconds / 1e6, UTC))
    except (OverflowError, ValueError, OSError):
        return _text(datetime.fromtimestamp(0, UTC))


def _text(time: datetime) -> str:
    return f"{time:%Y-%m-%dT%H:%M:%S}Z"
