"""``edgerun device verify``: reads every byte of what the device keeps."""

from __future__ import annotations

import click

from edgerun.cli.device import asked
from edgerun.cli.output import examples, json_line, printable


@click.command(
    short_help="Read every byte; exit with 1 if any is damaged.",
    epilog=examples("edgerun device verify --store /var/lib/edgerun"),
)
@asked.store_folder
@asked.as_json
@click.pass_context
def verify(ctx: click.Context, folder: str, as_json: bool) -> None:
    """Read and hash every byte of the bundles that are kept, and say what is damaged or missing."""
    found = asked.opened(folder).verify()
    if as_json:
        click.echo(json_line(found._asdict()))
    else:
        for sentence in found.damaged:
            click.echo(printable(sentence))
        result = f"{len(found.damaged)} damaged" if found.damaged else "whole"
        click.echo(f"{found.blobs:,} blobs, {found.bytes:,} bytes: {result}")
    if found.damaged:
        ctx.exit(1)
