"""Whose repository, whose keys, which passphrase: the options of every command that reads or changes a repository."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgerun.errors import BundleError
from edgerun_bundles.errors import RepositoryError
from edgerun_bundles.index import read_small
from edgerun_bundles.opening import parse_pin

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgerun_bundles.repository.workplace import Workplace

PASSPHRASE_VARIABLE = "EDGERUN_KEY_PASSPHRASE"  # noqa: S105 - the name of it
PASSPHRASE_MAX_BYTES = 4096
KEYID_SHOWN = 12

JSON_OPTION = click.option("--json", "as_json", is_flag=True, help="Print one line of JSON.")
REPOSITORY_OPTION = click.option(
    "--repository",
    metavar="PLACE",
    help="A path, file://, s3:// or http(s)://; else EDGERUN_REPOSITORY, or the default of repositories.toml.",
)
KEYS_OPTION = click.option(
    "--keys",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Your keys; else EDGERUN_KEYS, or the folder that repositories.toml names.",
)
PASSPHRASE_OPTION = click.option(
    "--passphrase-file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help=f"Has the passphrase of your keys; else {PASSPHRASE_VARIABLE}, or you are asked.",
)


def signing_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options ``--repository``, ``--keys`` and ``--passphrase-file``."""
    return REPOSITORY_OPTION(KEYS_OPTION(PASSPHRASE_OPTION(command)))


def asking(passphrase_file: Path | None) -> Callable[[Path], bytes]:
    """Return how to get the passphrase of a private key: from a file, the environment, or whoever sits there."""

    def ask(path: Path) -> bytes:
        known = _known(passphrase_file)
        if known is not None:
            return known
        if not sys.stdin.isatty():
            raise RepositoryError(f"{path} needs a passphrase: give --passphrase-file, or set {PASSPHRASE_VARIABLE}")
        return str(click.prompt(f"passphrase of {path}", hide_input=True, err=True)).encode()

    return ask


def new_passphrase(passphrase_file: Path | None) -> bytes:
    """Return the passphrase for a key that is being made; somebody who is asked types it twice."""
    known = _known(passphrase_file)
    if known is not None:
        return known
    if not sys.stdin.isatty():
        raise RepositoryError(f"a key needs a passphrase: give --passphrase-file, or set {PASSPHRASE_VARIABLE}")
    return str(click.prompt("passphrase", hide_input=True, confirmation_prompt=True, err=True)).encode()


def _known(passphrase_file: Path | None) -> bytes | None:
    if passphrase_file is not None:
        try:
            return read_small(passphrase_file, PASSPHRASE_MAX_BYTES).removesuffix(b"\n").removesuffix(b"\r")
        except BundleError as error:
            raise RepositoryError(str(error)) from error
    text = os.environ.get(PASSPHRASE_VARIABLE)
    return None if text is None else text.encode()


def reading(repository: str | None) -> Workplace:
    """Open a repository to read it."""
    from edgerun_bundles.repository.workplace import Workplace  # noqa: PLC0415 - the TUF library is slow to load

    return Workplace.open(repository)


def signing(repository: str | None, keys: Path | None, passphrase_file: Path | None) -> Workplace:
    """Open a repository to change it."""
    from edgerun_bundles.repository.workplace import Workplace  # noqa: PLC0415 - as above

    return Workplace.open(repository, keys, asking(passphrase_file))


def parse_share(ctx: click.Context, param: click.Parameter, text: str) -> int:
    """Return a share such as ``10%`` or ``0.1`` in millionths."""
    from fractions import Fraction  # noqa: PLC0415 - few commands need it

    try:
        share = Fraction(text.removesuffix("%").strip()) / (100 if text.endswith("%") else 1)
        millionths = share * 1_000_000
    except (ValueError, ZeroDivisionError) as error:
        raise click.BadParameter(f"{text!r} is no share; write 10% or 0.1", ctx, param) from error
    if not 0 <= share <= 1 or millionths.denominator != 1:
        raise click.BadParameter(f"{text!r} must be from 0% to 100%, in steps of 0.0001%", ctx, param)
    return int(millionths)


def parse_pin_argument(ctx: click.Context, param: click.Parameter, text: str) -> tuple[str, str]:
    """Return ``NAME@VERSION`` as both."""
    pin = parse_pin(text)
    if pin is None:
        raise click.BadParameter(f"{text!r} is not of the form NAME@VERSION, such as cards@1.2.0", ctx, param)
    return pin
