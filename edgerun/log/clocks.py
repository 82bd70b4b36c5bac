"""The two clocks of a log, and the boot they belong to."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

BOOT_ID_BYTES = 16
_SINCE_BOOT = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class Clocks(NamedTuple):
    """Where a log takes its times from.

    Attributes:
        monotonic_us: microseconds since boot, sleep included where the system can tell.
        wall_us: microseconds since 1970, as the clock says.
        boot: the kernel's UUID of this boot, zeros where it has none.
    """

    monotonic_us: Callable[[], int]
    wall_us: Callable[[], int]
    boot: bytes


def system_clocks() -> Clocks:
    """Return the clocks of this system."""
    return Clocks(lambda: time.clock_gettime_ns(_SINCE_BOOT) // 1000, lambda: time.time_ns() // 1000, _boot())


def _boot() -> bytes:
    try:
        with open("/proc/sys/kernel/random/boot_id", "rb") as file:
            boot = bytes.fromhex(file.read(64).decode().strip().replace("-", ""))
    except (OSError, ValueError):
        return bytes(BOOT_ID_BYTES)
    return boot if len(boot) == BOOT_ID_BYTES else bytes(BOOT_ID_BYTES)
