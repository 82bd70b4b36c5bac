"""The tables' columns and their types: PROTOCOL.md, section 5."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

MOMENT = pa.timestamp("us", "UTC")
TIME_MIN_US, TIME_MAX_US = -62_135_596_800_000_000, 253_402_300_799_999_999
"""The years 1 to 9999: what every engine can show."""
PARTITION = "day"

_WHERE = [
    ("device", pa.string()),
    (PARTITION, pa.date32()),
    ("time", MOMENT),
    ("clock", MOMENT),
    ("boot", pa.string()),
    ("epoch", pa.string()),
    ("row", pa.int64()),
    ("batch_time", MOMENT),
]
_TEXTS_OF_A_SOURCE = ("bundle", "version", "model", "arm", "assignment", "fallback", "route", "node")

SAID = [
    *((name, pa.string()) for name in ("edgerun", "onnxruntime", "arch")),
    *((name, pa.string()) for name in ("bundle", "version", "digest", "state")),
    ("backlog_segments", pa.int64()),
    ("backlog_bytes", pa.int64()),
    ("backlog_oldest", MOMENT),
    ("lost", pa.map_(pa.string(), pa.int64())),
    ("errors", pa.list_(pa.string())),
    ("flags", pa.list_(pa.string())),
]
"""What a check-in says of its device, and what is odd about it."""

SCHEMAS: dict[str, pa.Schema] = {
    "events": pa.schema(
        [
            *_WHERE,
            ("id", pa.string()),
            ("sequence", pa.int64()),
            ("kind", pa.string()),
            *((name, pa.string()) for name in _TEXTS_OF_A_SOURCE),
            ("latency_s", pa.float64()),
            ("unit", pa.int64()),
            ("nonfinite", pa.bool_()),
            ("failed", pa.bool_()),
            ("disagrees", pa.bool_()),
            ("difference", pa.float64()),
            ("label", pa.string()),
            ("score", pa.float64()),
            ("outputs", pa.map_(pa.string(), pa.float64())),
            ("texts", pa.map_(pa.string(), pa.string())),
            ("error", pa.string()),
            ("message", pa.string()),
        ]
    ),
    "labels": pa.schema(
        [
            *_WHERE,
            ("kind", pa.string()),
            ("id", pa.string()),
            ("unit", pa.int64()),
            ("name", pa.string()),
            ("value", pa.float64()),
            ("text", pa.string()),
            ("details", pa.string()),
        ]
    ),
    "profiles": pa.schema(
        [
            *_WHERE,
            *((name, pa.string()) for name in ("bundle", "version", "model", "arm", "node")),
            ("begin", MOMENT),
            ("end", MOMENT),
            ("profile", pa.binary()),
        ]
    ),
    "lifecycle": pa.schema([*_WHERE, ("event", pa.string()), ("details", pa.string())]),
    "captures": pa.schema(
        [
            *_WHERE,
            *((name, pa.string()) for name in ("id", "bundle", "version", "model", "arm")),
            ("probability", pa.float64()),
            ("inputs", pa.string()),
        ]
    ),
    "devices": pa.schema(
        [
            *_WHERE,
            ("machine", pa.string()),
            ("synchronised", pa.bool_()),
            *SAID,
        ]
    ),
}
"""The tables, by name."""


CODED = pa.dictionary(pa.int32(), pa.string())
"""Texts of which few are distinct, before they are in a file."""
_FEW = {"device", "boot", "epoch", "kind", "label", *_TEXTS_OF_A_SOURCE}
"""Columns of few distinct texts: they are written from their codes, without a look at each text."""
CODED_MAPS = {"outputs": pa.map_(CODED, pa.float64()), "texts": pa.map_(CODED, pa.string())}
"""Maps of few distinct names, likewise; only those that are made here, for nothing makes them of maps of texts."""


_KNOWN = {"device", "time", "clock", "epoch", "row", "batch_time"}
"""What is known of every row of a segment."""
_KNOWN_OF_EVENTS = {"id", "sequence", "kind"}
"""What is known of every event besides."""


def sliced_schema(table: str) -> pa.Schema:
    """Return what a file of rows of segments is written from: as `file_schema`, and names in maps as codes.

    What no row lacks is required there, so that no bit of each row says that it is not missing; a table has it as
    nullable all the same.
    """
    known = _KNOWN | (_KNOWN_OF_EVENTS if table == "events" else set())
    fields = (field.with_nullable(field.name not in known) for field in file_schema(SCHEMAS[table]))
    return pa.schema([field.with_type(CODED_MAPS.get(field.name, field.type)) for field in fields])


def file_schema(schema: pa.Schema) -> pa.Schema:
    """Return what a file is written from: all but the partition, which its path says; few texts as codes.

    What a reader finds in the file is the schema itself.
    """
    rest = schema.remove(schema.get_field_index(PARTITION))
    return pa.schema([coded(field) for field in rest])


def coded(field: pa.Field) -> pa.Field:
    """Return a field as it is written: a text of few distinct ones has codes."""
    return field.with_type(CODED) if field.name in _FEW and field.type == pa.string() else field


def as_schema(schema: Any) -> pa.Schema:
    """Return whatever says that it is a schema of Arrow as one of pyarrow."""
    return pa.schema(schema)
