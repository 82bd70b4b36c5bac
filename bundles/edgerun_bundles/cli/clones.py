"""Where commands look for commits that a bundle's code stands on, before they ask any remote."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgerun_bundles.provenance.capture import repository_root

if TYPE_CHECKING:
    from collections.abc import Callable


def _with_here(_: click.Context, __: click.Parameter, given: tuple[Path, ...]) -> tuple[Path, ...]:
    here = repository_root(Path.cwd())
    return given if here is None or here in given else (*given, here)


def clones_option(command: Callable[..., None]) -> Callable[..., None]:
    """Add ``--clone``, whose value is the folders that are named, and the clone that one is in."""
    return click.option(
        "--clone",
        "clones",
        multiple=True,
        type=click.Path(path_type=Path, exists=True, file_okay=False),
        callback=_with_here,
        help="A clone to take commits from; else the one that you are in, then the remotes that are known.",
    )(command)
