"""What the commands of a log let their users ask for: kinds, times and arms."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any, TypeVar

import click

from edgerun.errors import LogError
from edgerun.log import Kind
from edgerun.log.moments import microseconds

if TYPE_CHECKING:
    from collections.abc import Callable

Command = TypeVar("Command", bound="Callable[..., Any]")

KINDS = tuple(kind.name.lower() for kind in Kind)
_AGO = re.compile(r"(\d+(?:\.\d+)?)([smhd])", re.ASCII)
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def moment(ctx: click.Context, param: click.Parameter, text: str | None) -> float | None:
    """Return a time that a user typed as seconds since 1970: ISO 8601, or how long ago, such as 10m."""
    if text is None:
        return None
    ago = _AGO.fullmatch(text)
    if ago:
        return time.time() - float(ago[1]) * _SECONDS[ago[2]]
    try:
        return microseconds(text) / 1e6
    except LogError as error:
        raise click.BadParameter(
            f"{text!r} is no time: give 2025-11-23T09:30 (UTC) or how long ago, as 90s, 10m, 2h, 3d", ctx, param
        ) from error


def times(command: Command) -> Command:
    """Add --since and --until to a command."""
    for name, which in (("--until", "before"), ("--since", "from")):
        command = click.option(
            name, callback=moment, metavar="TIME", help=f"Only rows {which} TIME: ISO 8601 (UTC), or 10m, 2h, 3d ago."
        )(command)
    return command


def arm(command: Command) -> Command:
    """Add --arm to a command."""
    return click.option("--arm", metavar="NAME", help="Only rows that have this arm.")(command)


def folder(command: Command) -> Command:
    """Add the log's folder to a command."""
    return click.argument("folder", metavar="DIR", type=click.Path())(command)


def as_json(command: Command) -> Command:
    """Add --json to a command."""
    return click.option("--json", "as_json", is_flag=True, help="Print one line of JSON.")(command)
