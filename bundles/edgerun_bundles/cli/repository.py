"""``edgerun bundle repository``: making one, trusting one, seeing what is in it, keeping it alive."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgerun.cli.output import columns, examples, json_line, share_text
from edgerun.errors import BundleError
from edgerun.limits import LIMITS
from edgerun_bundles.cli.signing import (
    JSON_OPTION,
    KEYID_SHOWN,
    KEYS_OPTION,
    PASSPHRASE_OPTION,
    REPOSITORY_OPTION,
    asking,
    new_passphrase,
    reading,
    signing,
    signing_options,
)
from edgerun_bundles.errors import RepositoryError
from edgerun_bundles.index import read_small

if TYPE_CHECKING:
    from edgerun_bundles.repository.keys import KeyFile
    from edgerun_bundles.repository.metadata import State
    from edgerun_bundles.repository.workplace import Workplace

OWN_KEYS = ("root", "targets", "online")
"""The keys that `init` makes where the folder lacks them; ``online`` is that of snapshot and timestamp."""


@click.group(
    short_help="Make, trust, show and renew a repository of bundles.",
    epilog=examples(
        "edgerun bundle repository init /srv/bundles --keys ~/keys",
        "edgerun bundle repository show --json",
        "edgerun bundle repository renew",
    ),
)
def repository() -> None:
    """Make, trust, show and renew a repository: signed metadata over the blobs of bundles, as plain files anywhere."""


@repository.command(
    short_help="Make a repository.",
    epilog=examples(
        "edgerun bundle repository init /srv/bundles --keys ~/keys",
        "edgerun bundle repository init s3://models/bundles --keys ~/keys",
        "edgerun bundle repository init https://fleet.example/v1/repository --keys ~/keys",
        "edgerun bundle repository init /srv/bundles --keys ~/keys --root-key bob.pub.json --root-threshold 2",
        "edgerun bundle repository init /srv/bundles --keys ~/keys --root 1.root.json",
    ),
)
@click.argument("place")
@click.option("--keys", type=click.Path(path_type=Path), required=True, metavar="FOLDER", help="Your keys.")
@click.option(
    "--root-key",
    "root_keys",
    type=click.Path(path_type=Path),
    multiple=True,
    metavar="FILE",
    help="The public key of somebody else who may change keys, too.",
)
@click.option("--root-threshold", type=click.IntRange(1), default=1, show_default=True, help="Signatures of a root.")
@click.option("--root", "root_file", type=click.Path(path_type=Path), help="The first root, signed by all who must.")
@PASSPHRASE_OPTION
@JSON_OPTION
def init(
    place: str,
    keys: Path,
    root_keys: tuple[Path, ...],
    root_threshold: int,
    root_file: Path | None,
    passphrase_file: Path | None,
    as_json: bool,
) -> None:
    """Make a repository at PLACE: a path, file://, s3://, or https:// where a collector serves it.

    Keys named root, targets and online are made in the folder where they are missing. Where the root needs signatures
    of others, 1.root.json is written: hand it on, have it signed with `keys sign`, and give it to --root.
    """
    from edgerun_bundles.repository import founding, rotation, trust  # noqa: PLC0415 - the TUF library is slow to load
    from edgerun_bundles.repository.keys import KeyFolder, read_public_key  # noqa: PLC0415 - as above
    from edgerun_bundles.repository.metadata import TOP_ROLES, RoleKeys, raw_of  # noqa: PLC0415 - as above
    from edgerun_bundles.repository.pushing import utc_now  # noqa: PLC0415 - as above
    from edgerun_bundles.repository.storage import open_storage  # noqa: PLC0415 - as above

    where = trust.place_of(place)
    storage = open_storage(where)
    own = _own_keys(keys, passphrase_file)
    held = KeyFolder(keys, asking(passphrase_file))
    if root_file is None:
        online, roots = RoleKeys((own["online"].key,)), (own["root"].key, *(read_public_key(f).key for f in root_keys))
        roles = dict.fromkeys(TOP_ROLES, online)
        roles |= {"root": RoleKeys(roots, root_threshold), "targets": RoleKeys((own["targets"].key,))}
        root = founding.first_root(roles, held, utc_now())
    else:
        root = rotation.read_pending(read_root(root_file), str(root_file))
    missing = rotation.missing_own(root)
    if missing:
        draft = Path("1.root.json")
        draft.write_bytes(raw_of(root))
        if as_json:
            click.echo(json_line({"pending": str(draft), "missing": missing}))
            return
        click.echo(
            f"{draft} needs {missing} more signature{'s' if missing > 1 else ''}; hand it on for: edgerun bundle keys "
            f"sign {draft}\nthen: edgerun bundle repository init {place} --keys {keys} --root {draft}"
        )
        return
    founding.found(storage, root, held, utc_now())
    trust.trust(where, raw_of(root), keys)
    if as_json:
        click.echo(json_line({"repository": where, "keys": {name: file.key.keyid for name, file in own.items()}}))
        return
    click.echo(f"{where} is a repository, and this workstation trusts it; keep a copy of {keys} where nothing burns")
    click.echo("give devices its root: edgerun bundle repository show --root > root.json")


def _own_keys(folder: Path, passphrase_file: Path | None) -> dict[str, KeyFile]:
    from edgerun_bundles.repository.keys import PUBLIC_SUFFIX, make_key, read_public_key  # noqa: PLC0415 - as above

    found, passphrase = {}, b""
    for name in OWN_KEYS:
        public = folder / f"{name}{PUBLIC_SUFFIX}"
        if public.exists():
            found[name] = read_public_key(public)
            continue
        passphrase = passphrase or new_passphrase(passphrase_file)
        found[name] = make_key(folder, name, passphrase)
    return found


@repository.command(
    "trust",
    short_help="Trust a repository's root on this workstation.",
    epilog=examples(
        "edgerun bundle repository trust https://models.example/bundles --root root.json",
        "edgerun bundle repository trust s3://models/bundles --root root.json --keys ~/keys",
    ),
)
@click.argument("place")
@click.option("--root", type=click.Path(path_type=Path), required=True, help="A root, from somebody whom you trust.")
@KEYS_OPTION
@JSON_OPTION
def trust_command(place: str, root: Path, keys: Path | None, as_json: bool) -> None:
    """Trust the repository at PLACE from now on, beginning with a root that its owner gave you."""
    from edgerun_bundles.repository import trust  # noqa: PLC0415 - as above
    from edgerun_bundles.repository.reading import read_state  # noqa: PLC0415 - as above
    from edgerun_bundles.repository.storage import open_source  # noqa: PLC0415 - as above

    where, content = trust.place_of(place), read_root(root)
    state = read_state(open_source(where), content)
    trust.trust(where, content, keys)
    if as_json:
        click.echo(json_line({"repository": where, "root": state.root.signed.version}))
        return
    click.echo(f"{where} is trusted here, by root {state.root.signed.version}")


def read_root(path: Path) -> bytes:
    """Return the bytes of a root's file."""
    try:
        return read_small(path, LIMITS.metadata_max_bytes)
    except BundleError as error:
        raise RepositoryError(str(error)) from error


@repository.command(
    short_help="Show bundles, channels, who signs, and what expires when.",
    epilog=examples(
        "edgerun bundle repository show",
        "edgerun bundle repository show --repository https://models.example/bundles --json",
        "edgerun bundle repository show --root > root.json",
    ),
)
@REPOSITORY_OPTION
@click.option("--root", "is_root", is_flag=True, help="Print the root that is trusted here, for a device to join with.")
@JSON_OPTION
def show(repository: str | None, is_root: bool, as_json: bool) -> None:
    """Show what a repository offers to whom, who signs for it, and what expires when. All of it is verified."""
    place = reading(repository)
    from edgerun_bundles.repository.pushing import utc_now  # noqa: PLC0415 - as above

    if is_root:
        click.echo(place.root, nl=False)
        return
    state = place.read()
    document = _document(place, state)
    for role, expires in state.expiries.items():
        if expires <= utc_now():
            click.echo(f"edgerun: warning: {role} expired on {expires:%Y-%m-%d}; renew it", err=True)
    click.echo(json_line(document) if as_json else _page(document))


def _document(place: Workplace, state: State) -> dict[str, Any]:
    from edgerun_bundles.repository import catalogue, channels, rotation  # noqa: PLC0415 - as above
    from edgerun_bundles.repository.drafting import Draft  # noqa: PLC0415 - as above

    draft = Draft(state)
    return {
        "repository": place.place,
        "roles": {
            role: {
                "version": state.versions[role],
                "expires": f"{state.expiries[role]:%Y-%m-%dT%H:%M:%SZ}",
                "keys": keyids,
                "threshold": threshold,
            }
            for role, (keyids, threshold) in rotation.role_keys(state).items()
        },
        "bundles": {
            name: [
                {"version": found.version, "digest": found.digest, "published": found.published}
                for found in catalogue.versions(state, name)
            ]
            for name in catalogue.names(state)
        },
        "channels": [
            {
                "channel": channel,
                "bundle": name,
                "releases": [
                    {"version": release.version, "share_ppm": release.share_ppm, "groups": list(release.groups)}
                    for release in channels.read_channel(place.source, draft, channel, name).releases
                ],
            }
            for channel, name in channels.channels_of(draft)
        ],
    }


def _page(document: dict[str, Any]) -> str:
    rows = [
        (
            "role",
            role,
            f"version {found['version']}, expires {found['expires'][:10]}",
            f"{found['threshold']} of {', '.join(keyid[:KEYID_SHOWN] for keyid in found['keys'])}",
        )
        for role, found in document["roles"].items()
    ]
    rows += [
        ("bundle", f"{name}@{found['version']}", found["published"], found["digest"])
        for name, listed in document["bundles"].items()
        for found in listed
    ]
    rows += [
        ("channel", found["channel"], f"{found['bundle']}@{release['version']}", _audience(release))
        for found in document["channels"]
        for release in found["releases"]
    ]
    return "\n".join([document["repository"], columns(rows)])


def _audience(release: dict[str, Any]) -> str:
    whom = f"of {', '.join(release['groups'])}" if release["groups"] else "of all devices"
    return f"{share_text(release['share_ppm'] / 1_000_000)} {whom}"


@repository.command(
    short_help="Sign again what will expire.",
    epilog=examples(
        "edgerun bundle repository renew",
        "edgerun bundle repository renew --repository s3://models/bundles --passphrase-file /run/secrets/edgerun",
        "edgerun bundle repository renew --root",
    ),
)
@signing_options
@click.option("--root", "is_root", is_flag=True, help="Make a new root, with the same keys, for another year.")
@JSON_OPTION
def renew(
    repository: str | None, keys: Path | None, passphrase_file: Path | None, is_root: bool, as_json: bool
) -> None:
    """Sign again snapshot and timestamp, and what is in the second half of its life, as far as your keys go.

    Run it every week, from a timer: snapshot and timestamp hold for 14 days.
    """
    from edgerun_bundles.cli.keys import change_root  # noqa: PLC0415 - as above
    from edgerun_bundles.repository import renewal  # noqa: PLC0415 - as above
    from edgerun_bundles.repository.pushing import utc_now  # noqa: PLC0415 - as above

    place = signing(repository, keys, passphrase_file)
    if is_root:
        change_root(place, {}, None, as_json)
        return
    done = renewal.renew(place.storage, place.read(), place.keys, utc_now())
    place.remember(done.state)
    expires = {role: f"{done.state.expiries[role]:%Y-%m-%d}" for role in done.signed}
    if as_json:
        click.echo(json_line({"renewed": expires, "left": list(done.left)}))
        return
    for role in done.left:
        click.echo(
            f"edgerun: warning: {role} expires on {done.state.expiries[role]:%Y-%m-%d}; its key is not here", err=True
        )
    click.echo(columns([(role, f"until {until}") for role, until in expires.items()]))


@repository.command(
    short_help="Remove what nothing refers to.",
    epilog=examples("edgerun bundle repository clean"),
)
@REPOSITORY_OPTION
@JSON_OPTION
def clean(repository: str | None, as_json: bool) -> None:
    """Remove blobs and metadata that nothing refers to and that are older than a day.

    Publications that died leave them, and versions that were withdrawn. In an object store, nobody may publish
    meanwhile.
    """
    from edgerun_bundles.repository import cleaning  # noqa: PLC0415 - as above

    place = reading(repository)
    done = cleaning.clean(place.storage, place.read(), time.time())
    if as_json:
        click.echo(json_line({"removed": [found.name for found in done.removed], "bytes": done.size}))
        return
    click.echo(f"{len(done.removed)} files of {done.size:,} bytes removed")
