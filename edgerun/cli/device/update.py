"""``edgerun device update``: looks once at the repository that the device follows."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING, Any

import click

from edgerun.cli.device import asked
from edgerun.cli.output import examples, json_line, printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@click.command(
    short_help="Look once for another bundle; fetch and activate it.",
    epilog=examples("edgerun device update --store /var/lib/edgerun", "edgerun device update --store store --json"),
)
@click.option(
    "--ca-file",
    type=click.Path(exists=True, dir_okay=False),
    envvar="EDGERUN_CA_FILE",
    metavar="FILE",
    help="Certificates that may vouch for the server, in PEM.",
)
@asked.store_folder
@asked.as_json
def update(ca_file: str | None, folder: str, as_json: bool) -> None:
    """Look once at the repository; fetch, prove and activate the bundle that its channel names for this device.

    Whatever fails, or is interrupted, the active bundle goes on serving, and the next update goes on from there.
    """
    from edgerun.update.client import update as look  # noqa: PLC0415 - it loads cryptography

    store = asked.opened(folder)
    with progress_bar() as progress:
        found = look(store, ca_file=ca_file, progress=progress)
    click.echo(json_line(found._asdict()) if as_json else printable(f"{found.what}: {found.why}"))


@contextlib.contextmanager
def progress_bar() -> Iterator[Callable[[int, int], None] | None]:
    """Give what is told of a fetch, and shows it as a bar on stderr; where nobody watches there is none."""
    if not sys.stderr.isatty():
        yield None
        return
    with contextlib.ExitStack() as stack:
        bars: list[Any] = []

        def show(done: int, total: int) -> None:
            if not bars:  # how much is missing is known only now
                bars.append(stack.enter_context(click.progressbar(length=total, label="fetching", file=sys.stderr)))
            bars[0].update(done - bars[0].pos)

        yield show
