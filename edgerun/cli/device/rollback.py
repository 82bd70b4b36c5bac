"""``edgerun device rollback``: goes back to the bundle before, by hand."""

from __future__ import annotations

import click

from edgerun.cli.device import asked
from edgerun.cli.output import examples, json_line, printable


@click.command(
    short_help="Go back to the bundle before.",
    epilog=examples('edgerun device rollback --store /var/lib/edgerun --reason "it refuses every card"'),
)
@click.option("--reason", required=True, metavar="TEXT", help="Why, in a few words.")
@asked.store_folder
@asked.as_json
def rollback(reason: str, folder: str, as_json: bool) -> None:
    """Make the previous bundle current again; the one that was current is remembered as bad, and not taken again."""
    store = asked.opened(folder)
    bad = store.state().current
    store.rollback(reason)
    found = store.current()
    assert found is not None  # there is no going back to nothing
    if as_json:
        click.echo(json_line({"current": asked.document(found), "bad": bad}))
    else:
        click.echo(printable(f"{asked.full_name(found)} is current again, and {asked.short(bad or '')} is bad"))
