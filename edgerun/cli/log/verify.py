"""``edgerun log verify``: reads everything, and says what cannot be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from edgerun.cli.log import asked
from edgerun.cli.output import examples, json_line, printable
from edgerun.log.listing import verify as verified

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgerun.log import Gap, Log, Recovery, Table


@click.command(
    short_help="Read everything; exit with 1 if anything is damaged.",
    epilog=examples("edgerun log verify log/", "edgerun log verify log/ --json"),
)
@asked.folder
@asked.as_json
@click.pass_context
def verify(ctx: click.Context, folder: str, as_json: bool) -> None:
    """Read every row of the log in DIR, and say what is damaged or missing.

    The exit code is 1 if any bytes are damaged or any rows are lost with them. What found no room in the ring, or was
    dropped to keep the budget, is told too, and is no damage.
    """
    found = verified(folder)
    if as_json:
        click.echo(json_line(document(found.recovery) | {"losses": losses(found.losses)}))
    else:
        for line in _page(found):
            click.echo(printable(line))
    if found.recovery.damage or found.recovery.events:
        ctx.exit(1)


def document(recovery: Recovery) -> dict[str, Any]:
    """Return what was lost as JSON holds it."""
    return {
        "rows_lost": recovery.events,
        "bytes_dropped": recovery.bytes_dropped,
        "damage": [found._asdict() for found in recovery.damage],
        "gaps": [gap._asdict() | {"epoch": f"{gap.epoch:016x}"} for gap in recovery.gaps],
    }


def losses(table: Table) -> dict[str, dict[str, int]]:
    """Return how many rows the log says to be lost, by reason and kind."""
    found: dict[str, dict[str, int]] = {}
    for reason, events in zip(table["reason"], table["events"], strict=True):
        counts = found.setdefault(str(reason), {})
        for kind, count in (events if isinstance(events, dict) else {}).items():
            if type(count) is int:
                counts[str(kind)] = counts.get(str(kind), 0) + count
    return found


def _page(found: Log) -> Iterator[str]:
    recovery = found.recovery
    for damage in recovery.damage:
        yield f"{damage.file}: {damage.length:,} bytes at {damage.offset:,} cannot be read: {damage.why}"
    yield from map(_gap, recovery.gaps)
    for reason, counts in losses(found.losses).items():
        listed = ", ".join(f"{kind}={count:,}" for kind, count in counts.items())
        yield f"lost ({reason}): {listed or 'nothing counted'}"
    if recovery.damage or recovery.events:
        yield f"damaged: {recovery.bytes_dropped:,} bytes dropped, {recovery.events:,} rows known to be lost"
    else:
        yield "whole: every byte of every segment is read"


def _gap(gap: Gap) -> str:
    rows = f"stream {gap.epoch:016x}: rows {gap.first_row:,} to {gap.first_row + gap.rows - 1:,}"
    return (
        f"{rows} are lost, of {gap.file}" if gap.file else f"{rows} are not here: sent, or dropped to keep the budget"
    )
