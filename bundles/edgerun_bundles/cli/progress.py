"""Progress bars on stderr; where nobody watches there are none."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BAR_UPDATES = 200  # at most: each costs time on a slow terminal


@contextlib.contextmanager
def progress_bar(length: int, label: str) -> Iterator[Callable[[int], None]]:
    """Give a function that advances a bar by so many of its steps."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    steps = 1 + length // BAR_UPDATES
    bar = click.progressbar(length=length, label=label, width=0, update_min_steps=steps, file=sys.stderr)
    try:  # the bar's own "with" leaves the cursor hidden where Ctrl-C comes at its start
        bar.render_progress()
        yield bar.update
        bar.finish()
        bar.render_progress()  # the last steps may have been too few to show
    finally:
        bar.render_finish()


def say(text: str) -> None:
    """Tell on a terminal what takes a while."""
    if sys.stderr.isatty():
        click.echo(f"{text} ...", err=True)
