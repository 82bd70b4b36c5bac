"""``edgerun log ls``: a line for each segment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
import numpy as np

from edgerun.cli.log import asked
from edgerun.cli.output import columns, examples, json_line
from edgerun.log.listing import list_segments

if TYPE_CHECKING:
    from edgerun.log.listing import Segment


@click.command(
    short_help="List the segments of a log.", epilog=examples("edgerun log ls log/", "edgerun log ls log/ --json")
)
@asked.folder
@asked.as_json
def ls(folder: str, as_json: bool) -> None:
    """List the segments of the log in DIR: rows, times, bytes, and whether any are damaged."""
    found = list_segments(folder)
    if as_json:
        click.echo(json_line({"segments": [_document(segment) for segment in found]}))
        return
    heads = [("segment", "content", "rows", "from", "to", "bytes", "a row", "state")]
    click.echo(columns([*heads, *map(_line, found), _total(found)]))


def time_text(time: np.datetime64) -> str | None:
    """Return a time as ISO 8601, in UTC; None for no time."""
    return None if np.isnat(time) else f"{time}Z"


def _second(time: np.datetime64) -> str:
    return time_text(time.astype("datetime64[s]")) or ""


def _document(segment: Segment) -> dict[str, Any]:
    return {
        "file": segment.file,
        "content": segment.content,
        "epoch": None if segment.epoch is None else f"{segment.epoch:016x}",
        "rows": segment.rows,
        "bytes": segment.size,
        "first": time_text(segment.first),
        "last": time_text(segment.last),
        "sealed": not segment.is_open,
        "bytes_dropped": segment.bytes_dropped,
    }


def _line(segment: Segment) -> tuple[str, ...]:
    damage = f", {segment.bytes_dropped:,} bytes damaged" if segment.bytes_dropped else ""
    return (
        segment.file,
        segment.content or "unknown",
        f"{segment.rows:,}",
        _second(segment.first),
        _second(segment.last),
        f"{segment.size:,}",
        _each(segment.size, segment.rows),
        ("open" if segment.is_open else "sealed") + damage,
    )


def _total(found: list[Segment]) -> tuple[str, ...]:
    rows, size = sum(segment.rows for segment in found), sum(segment.size for segment in found)
    return "total", "", f"{rows:,}", "", "", f"{size:,}", _each(size, rows), ""


def _each(size: int, rows: int) -> str:
    return f"{size / rows:.1f}" if rows else ""
