"""Findings: what a check of an experiment's health says, in numbers and in one sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

Stops: TypeAlias = Literal["verdict", "ship"]
"""What a broken finding stops: any verdict at all, or only the verdict to ship."""


class Finding(NamedTuple):
    """What one check says."""

    name: str
    """The check: 'sample ratio'."""

    is_ok: bool
    """Whether the experiment may be trusted as far as this check goes."""

    numbers: Mapping[str, float | None]
    """What it rests on, by name, each with its unit in the name; None where it cannot be told."""

    sentence: str
    """What was found, for people; it ends with what to do where the check is broken."""

    stops: Stops = "verdict"
    """What it stops where it is broken."""
