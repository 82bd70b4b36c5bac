"""A part of a report as a table: its title, its columns, its rows, and what it does not say."""

from __future__ import annotations

from typing import NamedTuple


class Table(NamedTuple):
    """One table. All cells are text; a row has as many as the head."""

    title: str
    """What it is about."""

    head: tuple[str, ...]
    """Names of the columns; the first one names what a row is of."""

    rows: tuple[tuple[str, ...], ...]
    """At least one."""

    note: str = ""
    """How it is to be read, and what it does not say."""
