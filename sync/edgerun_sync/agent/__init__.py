"""The device's half: what it recorded goes up, bundles come down. It needs only what edgerun itself needs.

Example::

    from edgerun_sync import Agent

    with Agent("/var/lib/edgerun"):
        ...  # serve; the agent syncs in a thread of its own
"""

from __future__ import annotations

from edgerun_sync.agent.agent import Agent
from edgerun_sync.agent.policy import SyncPolicy

__all__ = ["Agent", "SyncPolicy"]

Agent.__module__ = SyncPolicy.__module__ = __name__
