"""What is known of devices, as a table: a row for each, as it checked in last."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from edgerun_sync.collector.arrow.schemas import MOMENT, SAID

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from edgerun_sync.collector.devices import Known

DEVICES: pa.Schema = pa.schema(
    [
        ("device", pa.string()),
        ("enrolled", MOMENT),
        ("seen", MOMENT),
        ("clock", MOMENT),
        ("synchronised", pa.bool_()),
        *((name, pa.string()) for name in ("machine", "boot", "instance")),
        ("count", pa.int64()),
        *SAID,
    ]
)
"""The columns: those of a check-in (PROTOCOL.md, section 2). One that was never made has none but the first two."""

_NAMED = ("synchronised", "machine", "boot", "instance", "count", "edgerun", "onnxruntime", "arch", "errors")


def device_rows(devices: Iterable[tuple[str, Known]]) -> pa.Table:
    """Return devices, by name, as a table."""
    return pa.Table.from_pylist([_row(device, known) for device, known in devices], schema=DEVICES)


def _row(device: str, known: Known) -> dict[str, Any]:
    said: Mapping[str, Any] = known.last or {}
    bundle, backlog = said.get("bundle") or {}, said.get("backlog") or {}
    return {
        "device": device,
        "enrolled": _moment(known.enrolled),
        "seen": _moment(known.seen),
        "clock": _moment(said.get("time")),
        **{name: said.get(name) for name in _NAMED},
        "bundle": bundle.get("name"),
        **{name: bundle.get(name) for name in ("version", "digest", "state")},
        **{f"backlog_{name}": backlog.get(name) for name in ("segments", "bytes")},
        "backlog_oldest": _moment(backlog.get("oldest")),
        "lost": [*(said.get("lost") or {}).items()],
        "flags": [*known.flags],
    }


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
