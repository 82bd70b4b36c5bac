"""``edgerun device join``: makes a store, or takes one that is there, and lets it follow a repository."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from edgerun.cli.device import asked
from edgerun.cli.output import examples, json_line, printable

if TYPE_CHECKING:
    from typing import BinaryIO

ROOT_MAX_BYTES = 2**20


@click.command(
    short_help="Make a store that follows a repository.",
    epilog=examples(
        "edgerun device join https://a.example/fleet --root root.json --bundle cards",
        "edgerun device join stick.tar --root root.json --bundle cards --group lab",
    ),
)
@click.argument("repository")
@click.option("--root", type=click.File("rb"), required=True, metavar="FILE", help="The root to trust first.")
@click.option("--bundle", required=True, metavar="NAME", help="The bundle to follow.")
@click.option("--channel", default="stable", show_default=True, metavar="NAME", help="The channel to follow it in.")
@click.option("--group", "groups", multiple=True, metavar="NAME", help="A group that the device is in.")
@click.option("--device", metavar="ID", help="Who the device is; by default 32 random digits.")
@asked.store_folder
@asked.as_json
def join(
    repository: str,
    root: BinaryIO,
    bundle: str,
    channel: str,
    groups: tuple[str, ...],
    device: str | None,
    folder: str,
    as_json: bool,
) -> None:
    """Make a store that follows a bundle in a channel of REPOSITORY: http://, https://, file:// or a path.

    The root comes from whoever runs the repository, by another way than the repository itself: all trust starts there.
    Joining again changes what a device follows; its bundles, floors and root stay.
    """
    from edgerun.store import Store, Subscription  # noqa: PLC0415 - other commands need none
    from edgerun.store.documents import check_subscription  # noqa: PLC0415 - likewise
    from edgerun.update.source import check_repository  # noqa: PLC0415 - likewise
    from edgerun.update.trust import check_root  # noqa: PLC0415 - it loads cryptography

    where = repository if check_repository(repository) else os.path.abspath(repository)
    subscription = check_subscription(Subscription(where, bundle, channel, groups))
    trusted = root.read(ROOT_MAX_BYTES)
    check_root(trusted)
    store = Store.create(folder, device=device)
    store.subscribe(subscription, trusted)
    if as_json:
        click.echo(json_line({"device": store.device, "store": store.path, **subscription._asdict()}))
    else:
        click.echo(
            printable(
                f"{store.device} follows {bundle} in {channel} of {where}; "
                "now run: edgerun device update, or where it is enrolled with a collector: edgerun agent"
            )
        )
