"""What the commands of a device have in common: which store, and how bundles are shown."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgerun.store import Store, StoredBundle

Command = TypeVar("Command", bound="Callable[..., Any]")

ROOM = 12
"""Digits of a digest that people are shown."""


def store_folder(command: Command) -> Command:
    """Add --store to a command."""
    return click.option(
        "--store",
        "folder",
        metavar="DIR",
        envvar="EDGERUN_STORE",
        required=True,
        type=click.Path(),
        help="The device's store; else EDGERUN_STORE says where it is.",
    )(command)


def as_json(command: Command) -> Command:
    """Add --json to a command."""
    return click.option("--json", "as_json", is_flag=True, help="Print one line of JSON.")(command)


def opened(folder: str) -> Store:
    """Open a store.

    Raises:
        StoreError: there is none.
    """
    from edgerun.store import Store  # noqa: PLC0415 - other commands need none

    return Store(folder)


def full_name(found: StoredBundle) -> str:
    """Return a bundle as NAME@VERSION."""
    return f"{found.name}@{found.version}"


def document(found: StoredBundle | None) -> dict[str, Any] | None:
    """Return a bundle as JSON shows it."""
    return None if found is None else {"name": found.name, "version": found.version, "digest": found.digest}


def short(digest: str) -> str:
    """Return the first digits of a digest."""
    return digest.removeprefix("sha256:")[:ROOM]


def time_text(time_s: int) -> str:
    """Return a time in seconds since 1970 as ISO 8601, in UTC."""
    from edgerun.update.clock import moment_of  # noqa: PLC0415 - likewise

    return moment_of(time_s).astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
