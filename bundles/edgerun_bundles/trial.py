"""Runs a user's own test of a bundle, with a time-out, its output passed on as it comes."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import time
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

GRACE_S = 5.0
"""Seconds that a command has to end once it is told to."""
_STDERR = 2


class Trial(NamedTuple):
    """How a test command ended."""

    status: int | None
    """Its exit code, minus the signal that ended it, or None where its time was over."""
    seconds: float
    """How long it took, or might have taken."""
    problem: str = ""
    """Why it could not be started."""


def try_out(command: str, variables: Mapping[str, str], timeout_s: float) -> Trial:
    """Run a command without a shell; what it writes goes to stderr as it comes.

    It runs in a process group of its own, which ends with it where its time is over or the user interrupts.

    Args:
        command: program and arguments, quoted as a shell would.
        variables: environment variables on top of this process's.
        timeout_s: seconds that it may take.
    """
    try:
        words = shlex.split(command)
        started = time.monotonic()
        process = subprocess.Popen(  # noqa: S603 - the user's own command, and no shell
            words or [""],
            stdin=subprocess.DEVNULL,
            stdout=_STDERR,
            stderr=_STDERR,
            env={**os.environ, **variables},
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        return Trial(None, 0.0, f"the command cannot be started: {error}")
    try:
        status = process.wait(timeout_s)
    except subprocess.TimeoutExpired:
        _end(process)
        return Trial(None, timeout_s)
    except BaseException:  # Ctrl-C: the command has another process group, and would not hear it
        _end(process)
        raise
    return Trial(status, time.monotonic() - started)


def _end(process: subprocess.Popen[bytes]) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(GRACE_S)
