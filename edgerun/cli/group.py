"""The group of all commands: it finds those of other packages, and turns every failure into one line.

A package adds a command by an entry point of the group ``edgerun.commands``, and one of ``edgerun device`` by one of
``edgerun.device_commands``. One whose import lacks a module stays in
the list and names the extra to install, which is the extra of its entry point: ``demo = "package.module:command
[extra]"``.
"""

from __future__ import annotations

import contextlib
import errno
import io
import sys
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import click

from edgerun.cli.output import printable
from edgerun.errors import EdgerunError

ENTRY_POINTS = "edgerun.commands"
DEVICE_ENTRY_POINTS = "edgerun.device_commands"


class Failure(click.ClickException):
    """An error that is told in one line and ends the command."""

    def __init__(self, message: str) -> None:
        super().__init__(printable(" ".join(message.split())))

    def show(self, file: Any = None) -> None:
        """Print ``edgerun:`` and the message to stderr."""
        click.echo(f"edgerun: {self.message}", file=file, err=True)


class Interrupted(Failure):
    """Ctrl-C, with the exit code of a process that SIGINT ended."""

    exit_code = 128 + 2


class Extensible(click.Group):
    """A group whose commands are its own and, by entry points, those of other packages.

    Attributes:
        points: the group of entry points.
    """

    points = ""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands, sorted."""
        return sorted({*super().list_commands(ctx), *(point.name for point in entry_points(group=self.points))})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command; this package's own go first."""
        own = super().get_command(ctx, cmd_name)
        if own is not None:
            return own
        found = [*entry_points(group=self.points, name=cmd_name)]
        return _load(found[0]) if found else None


class DeviceCommands(Extensible):
    """The commands of ``edgerun device``."""

    points = DEVICE_ENTRY_POINTS


class Commands(Extensible):
    """The commands of this package and, by entry points, those of others."""

    points = ENTRY_POINTS

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command that was asked for; a known failure ends it with one line, and a closed pipe with none."""
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(errors="backslashreplace")  # a name must not fail where stdout is Latin-1
        try:
            return super().invoke(ctx)
        except EdgerunError as error:
            raise Failure(str(error)) from error
        except KeyboardInterrupt as error:
            raise Interrupted("interrupted") from error
        except OSError as error:
            if error.errno == errno.EPIPE:
                raise  # whoever read the output has enough; click ends quietly
            with contextlib.suppress(OSError):
                sys.stdout.close()  # or Python would try once more, at its end, to write what is left
            raise Failure(": ".join(filter(None, (error.filename, error.strerror))) or str(error)) from error


def _load(point: EntryPoint) -> click.Command:
    try:
        command = point.load()
    except (ImportError, AttributeError) as error:
        return _command_that_fails(point, error)
    if not isinstance(command, click.Command):
        return _command_that_fails(point, TypeError(f"{point.value} is no click command"))
    return command


def _command_that_fails(point: EntryPoint, error: Exception) -> click.Command:
    """Stand in for a command that cannot be loaded, so that the others still can."""
    package = point.dist.name if point.dist is not None else "edgerun"
    problem, remedy = f"cannot be loaded: {error}", f"reinstall {package}"
    if isinstance(error, ModuleNotFoundError) and point.extras:
        problem = f"needs the module {error.name!r}, which is not installed"
        remedy = f'pip install "{package}[{",".join(point.extras)}]"'

    def fail() -> None:
        raise Failure(f"{point.name!r} {problem}; try: {remedy}")

    return click.Command(
        point.name,
        callback=fail,
        short_help=f"(not installed; try: {remedy})",
        params=[click.Argument(["ignored"], nargs=-1, type=click.UNPROCESSED, expose_value=False)],
        add_help_option=False,
        context_settings={"ignore_unknown_options": True},
    )
