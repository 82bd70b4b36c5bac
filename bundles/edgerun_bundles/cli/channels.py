"""``edgerun bundle release``, ``withdraw``, ``export`` and ``import``: who gets which version, and sticks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgerun.cli.output import examples, json_line, share_text
from edgerun_bundles.cli.progress import progress_bar, say
from edgerun_bundles.cli.signing import (
    JSON_OPTION,
    REPOSITORY_OPTION,
    parse_pin_argument,
    parse_share,
    reading,
    signing,
    signing_options,
)

if TYPE_CHECKING:
    from edgerun.update.channel import Channel

_PIN = click.argument("pin", callback=parse_pin_argument, metavar="NAME@VERSION")


@click.command(
    short_help="Give a published version to a channel's devices.",
    epilog=examples(
        "edgerun bundle release cards@1.3.0 --channel canary --group lab",
        "edgerun bundle release cards@1.3.0 --channel stable --share 10%",
        "edgerun bundle release cards@1.3.0 --channel stable",
    ),
)
@_PIN
@click.option("--channel", required=True, help="Such as stable or canary; one that is not there is made.")
@click.option("--share", default="100%", show_default=True, callback=parse_share, help="Of the channel's devices.")
@click.option("--group", "groups", multiple=True, help="Only to devices of this group; may be repeated.")
@signing_options
@JSON_OPTION
def release(
    pin: tuple[str, str],
    channel: str,
    share: int,
    groups: tuple[str, ...],
    repository: str | None,
    keys: Path | None,
    passphrase_file: Path | None,
    as_json: bool,
) -> None:
    """Give a version to devices of a channel, or change the share that gets it.

    A share that grows keeps the devices that it had. Devices that it leaves out keep what the channel gave before.
    """
    from edgerun_bundles.repository import channels  # noqa: PLC0415 - the TUF library is slow to load

    place = signing(repository, keys, passphrase_file)
    name, version = pin
    document = place.change(
        lambda draft: channels.release(place.source, draft, channel, name, version, share_ppm=share, groups=groups)
    )
    _tell(document, as_json)


@click.command(
    short_help="Take a version from a channel, or out of the repository.",
    epilog=examples(
        "edgerun bundle withdraw cards@1.3.0 --channel stable",
        "edgerun bundle withdraw cards@1.0.0",
    ),
)
@_PIN
@click.option("--channel", help="The channel; without one, the version is no longer offered at all.")
@signing_options
@JSON_OPTION
def withdraw(
    pin: tuple[str, str],
    channel: str | None,
    repository: str | None,
    keys: Path | None,
    passphrase_file: Path | None,
    as_json: bool,
) -> None:
    """Take a version from a channel: its devices take the next release that is for them.

    Without --channel, take it out of the bundle's list; it must not be in a channel any more. Its number stays taken.
    """
    from edgerun_bundles.repository import channels  # noqa: PLC0415 - as above

    place = signing(repository, keys, passphrase_file)
    name, version = pin
    if channel is not None:
        _tell(place.change(lambda draft: channels.withdraw(place.source, draft, channel, name, version)), as_json)
        return
    place.change(lambda draft: channels.withdraw_everywhere(place.source, draft, name, version))
    click.echo(json_line({"withdrawn": f"{name}@{version}"}) if as_json else f"{name}@{version} is no longer offered")


def _tell(document: Channel, as_json: bool) -> None:
    releases = [
        {"version": found.version, "share_ppm": found.share_ppm, "groups": list(found.groups)}
        for found in document.releases
    ]
    if as_json:
        click.echo(json_line({"channel": document.channel, "bundle": document.bundle, "releases": releases}))
        return
    if not releases:
        click.echo(f"{document.channel} of {document.bundle} has no release; devices keep what they have")
        return
    click.echo(f"{document.channel} of {document.bundle}; a device takes the first that is for it:")
    for found in document.releases:
        whom = f"devices of {', '.join(found.groups)}" if found.groups else "all devices"
        click.echo(f"  {found.version}  {share_text(found.share_ppm / 1_000_000)} of {whom}")


@click.command(
    short_help="Write a repository with chosen bundles as one tar.",
    epilog=examples("edgerun bundle export cards@1.3.0 -o stick.tar"),
)
@click.argument("pins", nargs=-1, required=True, metavar="NAME@VERSION...")
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="The tar.")
@REPOSITORY_OPTION
@JSON_OPTION
def export(pins: tuple[str, ...], output: Path, repository: str | None, as_json: bool) -> None:
    """Write all signed metadata of a repository and the blobs of some bundles as one tar, for where no network goes."""
    from edgerun_bundles.repository.stick import write_stick  # noqa: PLC0415 - as above

    context = click.get_current_context()
    chosen = [parse_pin_argument(context, context.command.params[0], pin) for pin in pins]
    place = reading(repository)
    write_stick(place.source, place.read(), place.root, chosen, output, lambda length: progress_bar(length, "writing"))
    size = output.stat().st_size
    if as_json:
        click.echo(json_line({"output": str(output), "bytes": size, "bundles": list(pins)}))
        return
    click.echo(f"{output}: {len(pins)} bundle{'' if len(pins) == 1 else 's'}, {size:,} bytes")


@click.command(
    "import",
    short_help="Add a tar of a repository to a folder.",
    epilog=examples(
        "edgerun bundle import stick.tar /srv/bundles",
        "edgerun bundle import stick.tar /srv/bundles --root root.json",
    ),
)
@click.argument("source", type=click.Path(path_type=Path), metavar="IN.tar")
@click.argument("place", metavar="REPOSITORY")
@click.option(
    "--root", type=click.Path(path_type=Path), help="A root that you trust, where the folder is not known yet."
)
@JSON_OPTION
def import_(source: Path, place: str, root: Path | None, as_json: bool) -> None:
    """Add a tar that `export` wrote to the repository in a folder, or begin one there.

    Nothing is added before every signature and every byte was checked; hostile tars are refused.
    """
    from edgerun_bundles.cli.repository import read_root  # noqa: PLC0415 - as above
    from edgerun_bundles.repository import trust  # noqa: PLC0415 - as above
    from edgerun_bundles.repository.folder import FolderStorage  # noqa: PLC0415 - as above
    from edgerun_bundles.repository.stick import read_stick  # noqa: PLC0415 - as above
    from edgerun_bundles.repository.storage import folder_of  # noqa: PLC0415 - as above

    where = trust.place_of(place)
    trusted_root = trust.trusted(where).root if root is None else read_root(root)
    say("verifying")
    done = read_stick(source, FolderStorage(folder_of(where)), trusted_root)
    if root is not None:
        trust.trust(where, trusted_root, None)
    if as_json:
        click.echo(json_line({"repository": where, "blobs": done.blobs, "bytes": done.size, "newer": done.is_newer}))
        return
    news = "newer metadata" if done.is_newer else "no newer metadata"
    click.echo(f"{where}: {done.blobs} blobs of {done.size:,} bytes added, {news}")
