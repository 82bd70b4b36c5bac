"""``edgerun log dump``: rows as JSON lines or a table, and those that come while one waits."""

from __future__ import annotations

import io
import itertools
import select
import sys
import time
from typing import TYPE_CHECKING, Any

import click

from edgerun.cli.log import asked
from edgerun.cli.log.records import records
from edgerun.cli.output import duration_text, examples, json_line, printable, short_text
from edgerun.log import Reader

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgerun.cli.log.records import Record

POLL_S = 0.25
"""How often a log that is followed is looked at."""
_SAID = frozenset(
    {"kind", "time", "boot", "row", "id", "bundle", "version", "model", "arm", "latency_s", "path", "route"}
)
_NOTHING: tuple[Any, ...] = (False, [], {})


@click.command(
    short_help="Print the rows of a log.",
    epilog=examples(
        "edgerun log dump log/ --since 10m",
        "edgerun log dump log/ --kind label --kind outcome --json",
        "edgerun log dump log/ --follow --arm challenger | jq .latency_s",
    ),
)
@asked.folder
@asked.times
@asked.arm
@click.option(
    "--kind", "kinds", multiple=True, type=click.Choice(asked.KINDS), help="Only rows of this kind; repeatable."
)
@click.option("--limit", type=click.IntRange(min=0), metavar="N", help="Print at most N rows.")
@click.option("--follow", is_flag=True, help="Go on with what is written from now on, until Ctrl-C.")
@click.option(
    "--json", "as_json", is_flag=True, help="Print JSON lines, as is done anyway where stdout is no terminal."
)
def dump(
    folder: str,
    since: float | None,
    until: float | None,
    arm: str | None,
    kinds: tuple[str, ...],
    limit: int | None,
    follow: bool,
    as_json: bool,
) -> None:
    """Print the rows of the log in DIR, in the order in which they were recorded.

    A line is a row: JSON, or a table on a terminal. With an arm, only calls, shadows, errors, captures and profiles are
    printed, for nothing else has one.
    """
    reader = Reader(folder, kinds=kinds or None, since=since, until=until, arm=arm)
    text = _json if as_json or not sys.stdout.isatty() else _line
    found = _followed(reader) if follow else records(reader.poll())
    for record in itertools.islice(found, limit):
        click.echo(text(record))


def _followed(reader: Reader) -> Iterator[Record]:
    """Rows, for ever; until nobody reads them any more."""
    while True:
        yield from records(reader.poll())
        sys.stdout.flush()
        if _is_closed_after_waiting():
            return


def _is_closed_after_waiting() -> bool:
    """Wait for POLL_S; return at once, and True, where whoever reads stdout has gone."""
    try:
        descriptor = sys.stdout.fileno()
    except (io.UnsupportedOperation, ValueError, AttributeError):
        time.sleep(POLL_S)
        return False
    watched = select.poll()
    watched.register(descriptor, 0)  # an error is told whatever one asks for
    return bool(watched.poll(POLL_S * 1000))


def _json(record: Record) -> str:
    return json_line(record)


def _line(record: Record) -> str:
    where = "/".join(str(record[name]) for name in ("model", "arm") if name in record)
    latency = duration_text(record["latency_s"]) if "latency_s" in record else ""
    rest = "  ".join(
        f"{name}={short_text(value)}"
        for name, value in [*_outputs(record), *record.items()]
        if name not in _SAID and name != "outputs" and value not in _NOTHING
    )
    head = f"{record['time']}  {record['kind']:9}  {record.get('id', ''):22}  {where:24}  {latency:8}  {rest}"
    return printable(head.rstrip())


def _outputs(record: Record) -> Iterator[tuple[str, Any]]:
    for name, parts in record.get("outputs", {}).items():
        for part, value in parts.items():
            yield f"{name}.{part}", value
