"""The fleet: the device agent and the collector.

The agent is at hand as `edgerun_sync.Agent`; it is loaded when it is asked for, since the collector and the statistics
do without it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgerun_sync.agent import Agent, SyncPolicy

__all__ = ["Agent", "SyncPolicy"]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from edgerun_sync import agent  # noqa: PLC0415 - brings what talks to the network

    return getattr(agent, name)
