"""``edgerun bundle push`` and ``pull``: bundles to OCI registries and back."""

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
from edgerun_bundles.layout_write import write_layout
from edgerun_bundles.opening import open_packed

if TYPE_CHECKING:
    from edgerun_bundles.layout import Layout
    from edgerun_bundles.registry import Reference, Transport

_PLAIN = click.option("--plain-http", is_flag=True, help="Speak HTTP without TLS; to this machine that is so anyway.")
_JSON = click.option("--json", "as_json", is_flag=True, help="Print one line of JSON.")


def parse_target(ctx: click.Context, param: click.Parameter, text: str) -> Reference:
    """Return an argument as the reference that it is."""
    from edgerun_bundles.registry import parse_reference  # noqa: PLC0415 - the HTTP library is slow to load

    try:
        return parse_reference(text)
    except (InputError, BundleError) as error:
        raise click.BadParameter(str(error), ctx, param) from error


def _connect(reference: Reference, is_plain: bool) -> Transport:
    from edgerun_bundles.registry import Transport, find_credentials  # noqa: PLC0415 - as above

    return Transport(reference, find_credentials(reference.host), is_plain=is_plain)


@click.command(
    short_help="Send BUNDLE to an OCI registry.",
    epilog=examples(
        "edgerun bundle push cards-1.0.0.tar oci://registry.example/team/cards",
        "edgerun bundle push layout/ oci://localhost:5000/cards:candidate",
    ),
)
@click.argument("bundle", type=click.Path(path_type=Path))
@click.argument("target", callback=parse_target, metavar="oci://HOST/NAME[:TAG]")
@_PLAIN
@_JSON
def push(bundle: Path, target: Reference, plain_http: bool, as_json: bool) -> None:
    """Send BUNDLE to a registry; blobs that are there already are not sent again.

    Without a TAG, the tag is the bundle's version. Names and passwords are those that docker, podman or skopeo know, or
    EDGERUN_REGISTRY_HOST, EDGERUN_REGISTRY_USERNAME and EDGERUN_REGISTRY_PASSWORD.
    """
    from edgerun_bundles.registry import push as push_layout  # noqa: PLC0415 - as above

    with TemporaryDirectory() as scratch, _connect(target, plain_http) as transport:
        layout = _layout_of(bundle, Path(scratch))
        done = push_layout(layout, target, transport, lambda length: progress_bar(length, "sending"))
    reference = target._replace(tag=done.tag, digest=done.digest)
    if as_json:
        click.echo(json_line({"reference": str(reference), **_pushed(done)}))
        return
    if done.replaced:
        click.echo(f"edgerun: warning: the tag {done.tag} led to another bundle before: {done.replaced}", err=True)
    sent, known = sum(done.sent.values()), sum(done.known.values())
    click.echo(f"{reference}: {sent:,} bytes in {len(done.sent)} blobs sent, {known:,} bytes were there")


def _pushed(done: Any) -> dict[str, Any]:
    fields = {"digest": done.digest, "tag": done.tag, "replaced": done.replaced}
    return {**fields, "sent": dict(done.sent), "known": dict(done.known)}


def _layout_of(bundle: Path, scratch: Path) -> Layout:
    """The layout of a bundle in any form, every byte of it verified."""
    if (bundle / DESCRIPTION).is_file():
        return write_layout(bundle, scratch / "layout")
    return open_packed(bundle, scratch)


@click.command(
    short_help="Get a bundle from an OCI registry.",
    epilog=examples(
        "edgerun bundle pull oci://registry.example/team/cards:1.0.0 -o cards-1.0.0.tar",
        "edgerun bundle pull oci://localhost:5000/cards:candidate -o layout/ --provenance",
    ),
)
@click.argument("source", callback=parse_target, metavar="oci://HOST/NAME:TAG")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    required=True,
    help="A file whose name ends in .tar, or a folder for an OCI image layout.",
)
@click.option("--provenance", is_flag=True, help="Get what tells where the bundle came from, too.")
@_PLAIN
@_JSON
def pull(source: Reference, output: Path, provenance: bool, plain_http: bool, as_json: bool) -> None:
    """Get a bundle from a registry; every byte is verified before anything appears at the output."""
    from edgerun_bundles import registry  # noqa: PLC0415 - as above

    get = registry.pull_with_provenance if provenance else registry.pull
    with TemporaryDirectory() as scratch, _connect(source, plain_http) as transport:
        is_archive = output.suffix == ARCHIVE_SUFFIX
        place = Path(scratch) / "layout" if is_archive else output
        layout = get(source, place, transport, lambda length: progress_bar(length, "fetching"))
        if is_archive:
            write_archive(layout, output)
    manifest = layout.manifest
    if as_json:
        document = {"name": manifest.name, "version": manifest.version, "digest": manifest.digest}
        more = {"bytes": manifest.content_bytes, "provenance": [found.digest for found in layout.referrers]}
        click.echo(json_line({"output": str(output), **document, **more}))
        return
    click.echo(f"{output}: {manifest.name} {manifest.version}, {manifest.content_bytes:,} bytes, {manifest.digest}")
