"""Check-ins as columns of the table `devices`: PROTOCOL.md, sections 2 and 5."""

from __future__ import annotations

import uuid
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from edgerun_sync.collector.arrow.schemas import SCHEMAS, file_schema

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edgerun.log.columns import Array
    from edgerun_sync.collector.check_ins import CheckedIn

_START, _FIRST_DAY = datetime(1970, 1, 1, tzinfo=UTC), date(1970, 1, 1)
_SAID = ("machine", "synchronised", "edgerun", "onnxruntime", "arch", "errors")


def check_in_columns(at_us: int, check_ins: Sequence[CheckedIn]) -> tuple[pa.Table, Array]:
    """Return check-ins as a table without its partition, and the day of each, int32 since 1970."""
    batch_time = _START + timedelta(microseconds=at_us)
    listed = [_row(taken, batch_time) for taken in check_ins]
    days = [(row["time"].date() - _FIRST_DAY).days for row in listed]
    schema = SCHEMAS["devices"]
    plain = pa.Table.from_pylist(listed, schema=pa.schema([field for field in schema if field.name != "day"]))
    return plain.cast(file_schema(schema)), np.array(days, np.int32)


def _row(taken: CheckedIn, batch_time: datetime) -> dict[str, Any]:
    said = taken.said
    bundle: Mapping[str, Any] = said.get("bundle") or {}
    backlog: Mapping[str, Any] = said.get("backlog") or {}
    return {
        "device": taken.device,
        "time": _moment(taken.received),
        "clock": _moment(said["time"]),
        "boot": _boot(said["boot"]),
        "epoch": said["instance"],
        "row": said["count"],
        "batch_time": batch_time,
        **{name: said.get(name) for name in _SAID},
        "bundle": bundle.get("name"),
        **{name: bundle.get(name) for name in ("version", "digest", "state")},
        **{f"backlog_{name}": backlog.get(name) for name in ("segments", "bytes")},
        "backlog_oldest": _moment(backlog.get("oldest")),
        "lost": [*(said.get("lost") or {}).items()],
        "flags": [*taken.flags],
    }


def _moment(text: str | None) -> datetime | None:
    """A time; none where it is no day of any year, as devices may say."""
    try:
        return datetime.fromisoformat(text) if text else None
    except ValueError:
        return None


def _boot(text: str) -> str | None:
    """A boot's id as the other tables have it."""
    try:
        return str(uuid.UUID(text)) if text else None
    except ValueError:
        return text
