"""``edgerun bundle keys``: making keys, and saying who signs for what."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgerun.cli.output import columns, examples, json_line
from edgerun.errors import BundleError, InputError
from edgerun.limits import LIMITS
from edgerun_bundles.cli.signing import (
    JSON_OPTION,
    KEYID_SHOWN,
    KEYS_OPTION,
    PASSPHRASE_OPTION,
    REPOSITORY_OPTION,
    new_passphrase,
    reading,
    signing,
    signing_options,
)
from edgerun_bundles.errors import RepositoryError
from edgerun_bundles.index import read_small

if TYPE_CHECKING:
    from edgerun_bundles.repository.drafting import Draft
    from edgerun_bundles.repository.metadata import RootMetadata, State
    from edgerun_bundles.repository.rotation import Change
    from edgerun_bundles.repository.workplace import Workplace

ONLINE = "online"
"""What people call the roles snapshot and timestamp together."""


@click.group(
    short_help="Make keys, and say who signs for what.",
    epilog=examples(
        "edgerun bundle keys new alice --keys ~/keys",
        "edgerun bundle keys list --json",
        "edgerun bundle keys add bundle-cards bob.pub.json",
        "edgerun bundle keys revoke 3f2a9c01b7de",
    ),
)
def keys() -> None:
    """Make keys, and say who signs for what.

    A ROLE is root, targets, snapshot, timestamp, online (the last two), bundle-NAME or channel-NAME.
    """


@keys.command(short_help="Make a key.", epilog=examples("edgerun bundle keys new alice --keys ~/keys"))
@click.argument("name")
@click.option("--keys", "folder", type=click.Path(path_type=Path), required=True, metavar="FOLDER", help="Your keys.")
@PASSPHRASE_OPTION
@JSON_OPTION
def new(name: str, folder: Path, passphrase_file: Path | None, as_json: bool) -> None:
    """Make an ed25519 key: NAME.pem, encrypted with a passphrase, and NAME.pub.json, to give to others."""
    from edgerun_bundles.repository.keys import PUBLIC_SUFFIX, make_key  # noqa: PLC0415 - slow to load

    made = make_key(folder, name, new_passphrase(passphrase_file))
    public = folder / f"{name}{PUBLIC_SUFFIX}"
    if as_json:
        click.echo(json_line({"id": made.key.keyid, "private": str(made.private), "public": str(public)}))
        return
    click.echo(f"{public} is to be given to others, {made.private} to nobody; its id is {made.key.keyid}")


@keys.command(
    "list",
    short_help="List your keys and those of a repository, with their roles.",
    epilog=examples("edgerun bundle keys list", "edgerun bundle keys list --keys ~/keys --json"),
)
@REPOSITORY_OPTION
@KEYS_OPTION
@JSON_OPTION
def list_keys(repository: str | None, keys: Path | None, as_json: bool) -> None:
    """List your keys, and those of a repository: which roles each signs for."""
    from edgerun_bundles.repository import trust  # noqa: PLC0415 - as above
    from edgerun_bundles.repository.keys import KeyFolder  # noqa: PLC0415 - as above
    from edgerun_bundles.repository.rotation import keys_of, roles_of_key  # noqa: PLC0415 - as above

    try:
        place = reading(repository)
    except InputError:
        if keys is None:
            raise
        place = None
    state = place.read() if place is not None else None
    folder = keys or (trust.trusted(place.place).keys if place is not None else None)
    files = {file.key.keyid: file for file in KeyFolder(folder, lambda _: b"").files} if folder else {}
    known = {**files, **(keys_of(state) if state is not None else {})}
    listed: list[dict[str, Any]] = [
        {
            "id": keyid,
            "name": files[keyid].name if keyid in files else None,
            "private": keyid in files and files[keyid].private is not None,
            "roles": roles_of_key(state, keyid) if state is not None else [],
        }
        for keyid in known
    ]
    if as_json:
        click.echo(json_line(listed))
        return
    rows = [
        (
            str(found["id"])[:KEYID_SHOWN],
            str(found["name"] or ""),
            "private key here" if found["private"] else "",
            ", ".join(found["roles"]) or "signs for nothing",
        )
        for found in listed
    ]
    click.echo(columns(rows) if rows else "no keys")


@keys.command(
    short_help="Let a key sign for a role.",
    epilog=examples(
        "edgerun bundle keys add bundle-cards bob.pub.json",
        "edgerun bundle keys add root carol.pub.json --threshold 2",
        "edgerun bundle keys add online server.pub.json",
    ),
)
@click.argument("role")
@click.argument("public", type=click.Path(path_type=Path), metavar="KEY.pub.json")
@click.option("--threshold", type=click.IntRange(1), help="How many keys of the role must sign from now on.")
@signing_options
@JSON_OPTION
def add(
    role: str,
    public: Path,
    threshold: int | None,
    repository: str | None,
    keys: Path | None,
    passphrase_file: Path | None,
    as_json: bool,
) -> None:
    """Let a key sign for ROLE, too. A bundle or channel that is not there yet gets the keys of targets besides."""
    from edgerun_bundles.repository.keys import read_public_key  # noqa: PLC0415 - as above
    from edgerun_bundles.repository.rotation import Change  # noqa: PLC0415 - as above

    change = Change((read_public_key(public).key,), frozenset(), threshold)
    _change(signing(repository, keys, passphrase_file), dict.fromkeys(_roles(role), change), as_json)


@keys.command(
    short_help="Take a key from a role.",
    epilog=examples("edgerun bundle keys remove bundle-cards 3f2a9c01b7de"),
)
@click.argument("role")
@click.argument("key")
@click.option("--threshold", type=click.IntRange(1), help="How many keys of the role must sign from now on.")
@signing_options
@JSON_OPTION
def remove(
    role: str,
    key: str,
    threshold: int | None,
    repository: str | None,
    keys: Path | None,
    passphrase_file: Path | None,
    as_json: bool,
) -> None:
    """Take a key from ROLE. KEY is the beginning of its id, or its .pub.json."""
    from edgerun_bundles.repository.rotation import Change  # noqa: PLC0415 - as above

    place = signing(repository, keys, passphrase_file)
    change = Change((), frozenset({_keyid(place.read(), key)}), threshold)
    _change(place, dict.fromkeys(_roles(role), change), as_json)


@keys.command(
    short_help="Take a key from every role: it was lost, or is known to others.",
    epilog=examples(
        "edgerun bundle keys revoke 3f2a9c01b7de",
        "edgerun bundle keys revoke bob.pub.json --replace bob-2.pub.json",
    ),
)
@click.argument("key")
@click.option(
    "--replace", type=click.Path(path_type=Path), metavar="KEY.pub.json", help="The key that takes its place."
)
@signing_options
@JSON_OPTION
def revoke(
    key: str,
    replace: Path | None,
    repository: str | None,
    keys: Path | None,
    passphrase_file: Path | None,
    as_json: bool,
) -> None:
    """Take a key from every role. KEY is the beginning of its id, or its .pub.json."""
    from edgerun_bundles.repository.keys import read_public_key  # noqa: PLC0415 - as above
    from edgerun_bundles.repository.rotation import Change, roles_of_key  # noqa: PLC0415 - as above

    place = signing(repository, keys, passphrase_file)
    state = place.read()
    keyid = _keyid(state, key)
    added = () if replace is None else (read_public_key(replace).key,)
    _change(place, dict.fromkeys(roles_of_key(state, keyid), Change(added, frozenset({keyid}))), as_json)


@keys.command(
    short_help="Sign a root that was handed on, and store it once it is complete.",
    epilog=examples("edgerun bundle keys sign 2.root.json", "edgerun bundle keys sign 2.root.json --yes"),
)
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--yes", is_flag=True, help="Do not ask whether that is what you want to sign.")
@signing_options
@JSON_OPTION
def sign(
    file: Path, yes: bool, repository: str | None, keys: Path | None, passphrase_file: Path | None, as_json: bool
) -> None:
    """Sign the root in FILE with your keys, and store it where it has all signatures; else hand it on."""
    from edgerun_bundles.repository import rotation  # noqa: PLC0415 - as above

    pending = rotation.read_pending(_read(file), str(file))
    if pending.signed.version == 1:
        _sign_first(pending, file, keys, passphrase_file, as_json)
        return
    place = signing(repository, keys, passphrase_file)
    state = place.read_before(pending)
    for line in _difference(state, pending):
        click.echo(line, err=True)
    if not yes and sys.stdin.isatty():
        click.confirm("sign that?", abort=True, err=True)
    elif not yes:
        raise RepositoryError("nobody is there to say yes; look at what changes, and give --yes")
    _finish(place, state, rotation.sign_root(state, pending, place.keys), file, as_json)


def _sign_first(
    pending: RootMetadata, file: Path, keys: Path | None, passphrase_file: Path | None, as_json: bool
) -> None:
    """Sign the root of a repository that is not there yet."""
    from edgerun_bundles.cli.signing import asking  # noqa: PLC0415 - as above
    from edgerun_bundles.repository import rotation  # noqa: PLC0415 - as above
    from edgerun_bundles.repository.keys import KeyFolder  # noqa: PLC0415 - as above
    from edgerun_bundles.repository.metadata import raw_of  # noqa: PLC0415 - as above

    if keys is None:
        raise click.UsageError("give the folder of your keys with --keys")
    signed = rotation.sign_own(pending, KeyFolder(keys, asking(passphrase_file)))
    file.write_bytes(raw_of(signed))
    missing = rotation.missing_own(signed)
    if as_json:
        click.echo(json_line({"pending": str(file), "missing": missing}))
        return
    click.echo(f"{file} is signed; {missing or 'no'} more signatures are needed")


def _read(file: Path) -> bytes:
    try:
        return read_small(file, LIMITS.metadata_max_bytes)
    except BundleError as error:
        raise RepositoryError(str(error)) from error


def _roles(role: str) -> tuple[str, ...]:
    return ("snapshot", "timestamp") if role == ONLINE else (role,)


def _keyid(state: State, text: str) -> str:
    """Return the id of a key of the repository, by its beginning or its file."""
    from edgerun_bundles.repository.keys import PUBLIC_SUFFIX, read_public_key  # noqa: PLC0415 - as above
    from edgerun_bundles.repository.rotation import keys_of  # noqa: PLC0415 - as above

    start = read_public_key(Path(text)).key.keyid if text.endswith(PUBLIC_SUFFIX) else text
    found = [keyid for keyid in keys_of(state) if keyid.startswith(start)]
    if len(found) != 1 or len(start) < 4:
        there = "none" if not found else "more than one"
        raise RepositoryError(f"{text!r}: {there} of the repository's keys is meant; see: edgerun bundle keys list")
    return found[0]


def _change(place: Workplace, changes: dict[str, Change], as_json: bool) -> None:
    """Change who signs: for bundles and channels at once, for the top roles by a new root."""
    from edgerun_bundles.repository.metadata import TOP_ROLES  # noqa: PLC0415 - as above
    from edgerun_bundles.repository.rotation import change_role  # noqa: PLC0415 - as above

    top = {role: change for role, change in changes.items() if role in TOP_ROLES}
    below = {role: change for role, change in changes.items() if role not in TOP_ROLES}
    if below:

        def edit(draft: Draft) -> None:
            for role, change in below.items():
                change_role(draft, role, change)

        place.change(edit)
    if top:
        change_root(place, top, [*below], as_json)
    elif as_json:
        click.echo(json_line({"changed": [*below], "pending": None, "missing": {}}))
    else:
        click.echo(f"{', '.join(below)}: changed and published")


def change_root(place: Workplace, changes: dict[str, Change], changed: list[str] | None, as_json: bool) -> None:
    """Make the root that follows, and store it or hand it on."""
    from edgerun_bundles.repository import rotation  # noqa: PLC0415 - as above
    from edgerun_bundles.repository.pushing import utc_now  # noqa: PLC0415 - as above

    state = place.read()
    root = rotation.unsigned(rotation.changed_root(state, changes, utc_now()))
    signed = rotation.sign_root(state, root, place.keys)
    _finish(place, state, signed, Path(f"{root.signed.version}.root.json"), as_json, [*(changed or ()), *changes])


def _finish(
    place: Workplace,
    state: State,
    root: RootMetadata,
    file: Path,
    as_json: bool,
    changed: list[str] | None = None,
) -> None:
    from edgerun_bundles.repository.metadata import raw_of  # noqa: PLC0415 - as above
    from edgerun_bundles.repository.rotation import missing_signatures  # noqa: PLC0415 - as above

    missing = missing_signatures(state, root)
    if missing:
        file.write_bytes(raw_of(root))
    else:
        place.store_root(state, root)
    if as_json:
        pending = str(file) if missing else None
        click.echo(json_line({"root": root.signed.version, "changed": changed, "pending": pending, "missing": missing}))
        return
    if missing:
        needed = " and ".join(f"{count} of the {which} keys" for which, count in missing.items())
        click.echo(f"{file} needs signatures of {needed}; hand it on for: edgerun bundle keys sign {file}")
        return
    click.echo(f"root {root.signed.version} is published")


def _difference(state: State, root: RootMetadata) -> list[str]:
    """Say what a root changes of who signs."""
    lines = [f"root {root.signed.version}, until {root.signed.expires:%Y-%m-%d}"]
    for role, new in root.signed.roles.items():
        old: Any = state.root.signed.roles[role]
        lines += [f"  {role}: + {keyid}" for keyid in new.keyids if keyid not in old.keyids]
        lines += [f"  {role}: - {keyid}" for keyid in old.keyids if keyid not in new.keyids]
        if new.threshold != old.threshold:
            lines.append(f"  {role}: {old.threshold} -> {new.threshold} signatures")
    return lines
