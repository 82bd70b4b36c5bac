"""How a device syncs: how often, in which order, and how much of the network it may take."""

from __future__ import annotations

from typing import NamedTuple

from edgerun_sync.errors import WireError


class SyncPolicy(NamedTuple):
    """How a device syncs.

    Attributes:
        interval_s: seconds between two syncs, each moved by chance by up to a quarter, or a fleet would come in step.
        bytes_per_s: what the uplink may take; None for all there is.
        newest_first: hand over a backlog from its new end; by default from its old one, after one fresh segment.
        timeout_s: seconds without a byte after which a connection counts as broken.
        backlog_max: segments that are looked at in one sync; the next one goes on.
    """

    interval_s: float = 300.0
    bytes_per_s: int | None = None
    newest_first: bool = False
    timeout_s: float = 30.0
    backlog_max: int = 100_000


DEFAULT_SYNC_POLICY = SyncPolicy()


def check_policy(policy: SyncPolicy) -> SyncPolicy:
    """Return a policy.

    Raises:
        WireError: a number is out of range.
    """
    if not 1 <= policy.interval_s <= 86_400 * 7:
        raise WireError(f"interval_s must be from 1 to 604800 seconds, got {policy.interval_s}")
    if policy.bytes_per_s is not None and policy.bytes_per_s < 100:
        raise WireError(f"bytes_per_s must be at least 100, got {policy.bytes_per_s}")
    if not 0.1 <= policy.timeout_s <= 3600:
        raise WireError(f"timeout_s must be from 0.1 to 3600, got {policy.timeout_s}")
    if policy.backlog_max < 1:
        raise WireError(f"backlog_max must be at least 1, got {policy.backlog_max}")
    return policy
