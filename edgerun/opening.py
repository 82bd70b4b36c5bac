"""What a runner is given when it is opened: a bundle's folder or a store, with a log or without one."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Literal, NamedTuple

from edgerun import bundle as bundles
from edgerun._shown import shown
from edgerun.errors import InputError
from edgerun.health import HealthPolicy, check_health
from edgerun.limits import LIMITS
from edgerun.recording import open_log
from edgerun.serving import Serving

if TYPE_CHECKING:
    from edgerun.following import Follower
    from edgerun.guard import BreakerPolicy
    from edgerun.log.policy import LogPolicy
    from edgerun.log.recorder import Recorder


class Opened(NamedTuple):
    """A bundle that can serve, where its calls are recorded, and what may give another one to serve."""

    serving: Serving
    recorder: Recorder | None
    follower: Follower | None


def is_store(path: str | os.PathLike[str]) -> bool:
    """Whether a path is a store's, and not of a bundle's folder."""
    return os.path.isfile(os.path.join(path, "state"))


def open_path(
    path: str | os.PathLike[str],
    *,
    threads: int,
    breaker: BreakerPolicy,
    log: str | os.PathLike[str] | Literal[False] | None,
    log_policy: LogPolicy | None,
    health: HealthPolicy,
) -> Opened:
    """Open a bundle's folder or what a store names; see EdgeRunner.open().

    Raises:
        EdgerunError: as EdgeRunner.open().
    """
    if isinstance(threads, bool) or not isinstance(threads, int) or not 1 <= threads <= LIMITS.threads_max:
        raise InputError(f"threads must be a whole number from 1 to {LIMITS.threads_max}, got {shown(threads)}")
    check_health(health)
    if log is None and is_store(path):
        log = os.path.join(path, "log")
    recorder = None if log is None or log is False else open_log(log, log_policy)
    try:
        serving, follower = _open(path, threads, breaker, health, recorder)
    except BaseException:
        if recorder is not None:
            recorder.close()
        raise
    serving.recording.lifecycle("opened", bundle=serving.bundle.name, version=serving.bundle.version, threads=threads)
    return Opened(serving, recorder, follower)


def _open(
    path: str | os.PathLike[str],
    threads: int,
    breaker: BreakerPolicy,
    health: HealthPolicy,
    recorder: Recorder | None,
) -> tuple[Serving, Follower | None]:
    if not is_store(path):
        return Serving(bundles.read(path), threads=threads, policy=breaker, recorder=recorder), None
    from edgerun.following import Follower, Options  # noqa: PLC0415 - a bundle's folder needs no store

    follower = Follower(Options(os.fspath(path), threads, breaker, health), recorder)
    return follower.open(), follower
