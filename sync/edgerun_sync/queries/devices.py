"""How devices are: what they said last, and how far behind their rows are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ibis

from edgerun_sync.errors import QueryError
from edgerun_sync.queries.tables import DEVICES, EVENTS, microseconds

if TYPE_CHECKING:
    from datetime import datetime

_MICROSECONDS = 10**6


def device_states(at: datetime, devices: Any = DEVICES, events: Any = EVENTS) -> Any:
    """Ask how each device is.

    The answer has a row for each device that ever checked in or sent an event: ``device``; ``seen``, when it checked in
    last, and ``silent_s``, how long ago; ``bundle``, ``version`` and ``state`` that it serves; ``edgerun``;
    ``backlog_segments``, ``backlog_bytes`` and ``backlog_oldest``, what it had not handed over then; ``flags``;
    ``events``; ``last_event``, the time of its last event in the table, and ``behind_s``, how long ago; ``lag_s``, how
    long the last event took from when it happened to the batch that put it into the table.

    Args:
        at: what time it is, with a zone.
        devices: the table of devices, or some of its rows.
        events: the table of events, or some of its rows.

    Raises:
        QueryError: the time has no zone.
    """
    if at.tzinfo is None:
        raise QueryError(f"the time {at.isoformat()} has no zone; write one, such as +00:00")
    order = [events.time.desc(), events.epoch.desc(), events.row.desc()]
    ranked = events.mutate(
        place=ibis.row_number().over(ibis.window(group_by="device", order_by=order)),
        count_of_device=events.device.count().over(ibis.window(group_by="device")),
    )
    last = ranked.filter(ranked.place == 0)
    sent = last.select(sender="device", events="count_of_device", last_event="time", arrived="batch_time")
    joined = devices.outer_join(sent, devices.device == sent.sender)
    said = ("bundle", "version", "state", "edgerun", "backlog_segments", "backlog_bytes", "backlog_oldest", "flags")
    now = ibis.literal(at)
    return joined.select(
        device=ibis.coalesce(joined.device, joined.sender),
        seen=joined.seen,
        silent_s=_seconds(now, joined.seen),
        **{name: joined[name] for name in said},
        events=ibis.coalesce(joined.events, 0),
        last_event=joined.last_event,
        behind_s=_seconds(now, joined.last_event),
        lag_s=_seconds(joined.arrived, joined.last_event),
    )


def _seconds(later: Any, earlier: Any) -> Any:
    return (microseconds(later) - microseconds(earlier)).cast("float64") / _MICROSECONDS
