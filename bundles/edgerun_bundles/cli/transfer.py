"""``edgerun bundle push`` and ``pull``: bundles to repositories and OCI registries, and back."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import click

from edgerun.artifact import DESCRIPTION
from edgerun.cli.output import examples, json_line
from edgerun.errors import BundleError, InputError
from edgerun_bundles.archive import write_archive
from edgerun_bundles.cli.build import ARCHIVE_SUFFIX
from edgerun_bundles.cli.progress import progress_bar
from edgerun_bundles.cli.signing import (
    JSON_OPTION,
    KEYS_OPTION,
    PASSPHRASE_OPTION,
    REPOSITORY_OPTION,
    parse_share,
    reading,
    signing,
)
from edgerun_bundles.layout_write import write_layout
from edgerun_bundles.opening import open_packed, parse_pin

if TYPE_CHECKING:
    from edgerun_bundles.layout import Layout
    from edgerun_bundles.registry import Reference, Transport

REGISTRY_SCHEME = "oci://"
_PLAIN = click.option("--plain-http", is_flag=True, help="Speak HTTP without TLS; to this machine that is so anyway.")


def parse_target(ctx: click.Context, param: click.Parameter, text: str) -> str | Reference:
    """Return an argument as the place of a repository, or as the reference of a registry that it is."""
    if not text.startswith(REGISTRY_SCHEME):
        if "://" in text and not text.startswith(("file://", "s3://", "http://", "https://")):
            raise click.BadParameter(f"{text!r} is neither a path nor a URL of oci, file, s3 or https", ctx, param)
        return text
    return _reference(ctx, param, text)


def parse_source(ctx: click.Context, param: click.Parameter, text: str) -> tuple[str, str] | Reference:
    """Return an argument as NAME@VERSION, or as the reference of a registry that it is."""
    pin = parse_pin(text)
    if pin is not None:
        return pin
    return _reference(ctx, param, text)


def _reference(ctx: click.Context, param: click.Parameter, text: str) -> Reference:
    from edgerun_bundles.registry import parse_reference  # noqa: PLC0415 - the HTTP library is slow to load

    try:
        return parse_reference(text)
    except (InputError, BundleError) as error:
        raise click.BadParameter(str(error), ctx, param) from error


def _connect(reference: Reference, is_plain: bool) -> Transport:
    from edgerun_bundles.registry import Transport, find_credentials  # noqa: PLC0415 - as above

    return Transport(reference, find_credentials(reference.host), is_plain=is_plain)


@click.command(
    short_help="Publish BUNDLE in a repository, or send it to an OCI registry.",
    epilog=examples(
        "edgerun bundle push cards-1.0.0.tar /srv/bundles",
        "edgerun bundle push cards-1.0.0.tar s3://models/bundles --channel canary --share 10%",
        "edgerun bundle push cards-1.0.0.tar oci://registry.example/team/cards",
    ),
)
@click.argument("bundle", type=click.Path(path_type=Path))
@click.argument("target", callback=parse_target)
@click.option("--channel", "channels", multiple=True, help="Give it to this channel at the same moment.")
@click.option("--share", default="100%", show_default=True, callback=parse_share, help="Of the channel's devices.")
@click.option("--group", "groups", multiple=True, help="Only to devices of this group; may be repeated.")
@KEYS_OPTION
@PASSPHRASE_OPTION
@_PLAIN
@JSON_OPTION
def push(
    bundle: Path,
    target: str | Reference,
    channels: tuple[str, ...],
    share: int,
    groups: tuple[str, ...],
    keys: Path | None,
    passphrase_file: Path | None,
    plain_http: bool,
    as_json: bool,
) -> None:
    """Publish BUNDLE in the repository TARGET, or send it to a registry, oci://HOST/NAME[:TAG].

    Blobs that are there already are not sent again. Readers see all of it or nothing. Where somebody else publishes
    at the same moment, one of you is told to do it again.

    A repository is a path, file://, s3://, or https:// where a collector serves it (EDGERUN_TOKEN has the token).

    A registry's tag is by default the bundle's version. Names and passwords are those that docker, podman or skopeo
    know, or EDGERUN_REGISTRY_HOST, EDGERUN_REGISTRY_USERNAME and EDGERUN_REGISTRY_PASSWORD.
    """
    if not isinstance(target, str):
        if channels:
            raise click.UsageError("--channel is for repositories; a registry has none")
        _push_to_registry(bundle, target, plain_http, as_json)
        return
    from edgerun_bundles.repository.workplace import Offer  # noqa: PLC0415 - the TUF library is slow to load

    place = signing(target, keys, passphrase_file)
    offers = [Offer(channel, share, groups) for channel in channels]
    with TemporaryDirectory() as scratch:
        layout = _layout_of(bundle, Path(scratch))
        done = place.push(layout, offers, lambda length: progress_bar(length, "sending"))
    if as_json:
        fields = {"name": done.name, "version": done.version, "digest": done.digest, "published": done.is_published}
        sent = {"sent": dict(done.blobs.sent), "known": dict(done.blobs.known)}
        click.echo(json_line({"repository": place.place, **fields, "channels": list(channels), **sent}))
        return
    what = f"{done.name}@{done.version}, {done.digest}"
    click.echo(f"{place.place}: {what}: {_counted(done.blobs.sent, done.blobs.known)}")
    click.echo(
        "published" + "".join(f", and given to {channel}" for channel in channels)
        if done.is_published
        else "it was published already"
    )


def _counted(sent: Any, known: Any) -> str:
    return f"{sum(sent.values()):,} bytes in {len(sent)} blobs sent, {sum(known.values()):,} bytes were there"


def _push_to_registry(bundle: Path, target: Reference, is_plain: bool, as_json: bool) -> None:
    from edgerun_bundles.registry import push as push_layout  # noqa: PLC0415 - as above

    with TemporaryDirectory() as scratch, _connect(target, is_plain) as transport:
        layout = _layout_of(bundle, Path(scratch))
        done = push_layout(layout, target, transport, lambda length: progress_bar(length, "sending"))
    reference = target._replace(tag=done.tag, digest=done.digest)
    if as_json:
        click.echo(json_line({"reference": str(reference), **_pushed(done)}))
        return
    if done.replaced:
        click.echo(f"edgerun: warning: the tag {done.tag} led to another bundle before: {done.replaced}", err=True)
    click.echo(f"{reference}: {_counted(done.sent, done.known)}")


def _pushed(done: Any) -> dict[str, Any]:
    fields = {"digest": done.digest, "tag": done.tag, "replaced": done.replaced}
    return {**fields, "sent": dict(done.sent), "known": dict(done.known)}


def _layout_of(bundle: Path, scratch: Path) -> Layout:
    """The layout of a bundle in any form, every byte of it verified."""
    if (bundle / DESCRIPTION).is_file():
        return write_layout(bundle, scratch / "layout")
    return open_packed(bundle, scratch)


@click.command(
    short_help="Get a bundle from a repository or an OCI registry.",
    epilog=examples(
        "edgerun bundle pull cards@1.0.0 -o cards-1.0.0.tar",
        "edgerun bundle pull oci://registry.example/team/cards:1.0.0 -o cards-1.0.0.tar",
        "edgerun bundle pull oci://localhost:5000/cards:candidate -o layout/ --provenance",
    ),
)
@click.argument("source", callback=parse_source, metavar="NAME@VERSION | oci://HOST/NAME:TAG")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    required=True,
    help="A file whose name ends in .tar, or a folder for an OCI image layout.",
)
@click.option("--provenance", is_flag=True, help="From a registry: get what tells where the bundle came from, too.")
@REPOSITORY_OPTION
@_PLAIN
@JSON_OPTION
def pull(
    source: tuple[str, str] | Reference,
    output: Path,
    provenance: bool,
    repository: str | None,
    plain_http: bool,
    as_json: bool,
) -> None:
    """Get a bundle; every byte is verified before anything appears at the output."""
    with TemporaryDirectory() as scratch:
        is_archive = output.suffix == ARCHIVE_SUFFIX
        place = Path(scratch) / "layout" if is_archive else output
        layout = _pull(source, place, provenance, repository, plain_http)
        if is_archive:
            write_archive(layout, output)
    manifest = layout.manifest
    if as_json:
        document = {"name": manifest.name, "version": manifest.version, "digest": manifest.digest}
        more = {"bytes": manifest.content_bytes, "provenance": [found.digest for found in layout.referrers]}
        click.echo(json_line({"output": str(output), **document, **more}))
        return
    click.echo(f"{output}: {manifest.name} {manifest.version}, {manifest.content_bytes:,} bytes, {manifest.digest}")


def _pull(source: Any, place: Path, with_provenance: bool, repository: str | None, is_plain: bool) -> Layout:
    if type(source) is tuple:
        name, version = source
        return reading(repository).fetch(name, version, place, lambda length: progress_bar(length, "fetching"))
    from edgerun_bundles import registry  # noqa: PLC0415 - as above

    get = registry.pull_with_provenance if with_provenance else registry.pull
    with _connect(source, is_plain) as transport:
        return get(source, place, transport, lambda length: progress_bar(length, "fetching"))
