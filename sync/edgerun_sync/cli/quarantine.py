"""``edgerun collector quarantine``: what could not become rows, and how it is tried again."""

from __future__ import annotations

import click

from edgerun.cli.output import columns, examples, json_line
from edgerun_sync.cli.tables import DATA, JSON


@click.command(
    short_help="Show what cannot become rows.",
    epilog=examples(
        "edgerun collector quarantine --data /srv/edgerun", "edgerun collector quarantine --data /srv/edgerun --retry"
    ),
)
@DATA
@click.option("--retry", is_flag=True, help="Have all of it tried again, as after an upgrade.")
@JSON
def quarantine(data: str, retry: bool, as_json: bool) -> None:
    """List segments and check-ins that were set aside, and why; with --json, each as a line.

    Their bytes are in quarantine/DEVICE/SEGMENT. With --retry, whoever commits takes them into its next batches; what
    fails again stays, with the latest reason.
    """
    from edgerun_sync.collector import quarantine as held  # noqa: PLC0415 - the store's library is slow to load
    from edgerun_sync.collector.audit import Audit  # noqa: PLC0415 - likewise
    from edgerun_sync.collector.data import open_to_read  # noqa: PLC0415 - likewise

    objects = open_to_read(data).objects
    found, audit = [*held.held(objects)], Audit(objects)
    for one in found if retry else ():
        held.retry(objects, audit, one, who="console")
    if as_json:
        for one in found:
            click.echo(json_line(one._asdict()))
        return
    if found:
        listed = [(one.at, one.device, one.segment, f"{one.size:,} bytes", one.why) for one in found]
        click.echo(columns([[*row] for row in listed]))
    verb = "to be tried again" if retry else "in quarantine"
    click.echo(f"{len(found):,} {verb}")
