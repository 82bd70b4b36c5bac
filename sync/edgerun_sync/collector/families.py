"""What is measured, in nobody's library: families of numbers with labels, as Prometheus and OpenTelemetry both have."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

Kind: TypeAlias = Literal["counter", "gauge", "histogram"]


class Point(NamedTuple):
    """One number, of one set of labels."""

    labels: Mapping[str, str]
    """Their names and values."""

    value: float
    """The number."""

    since_s: float | None = None
    """When counting began, in seconds since 1970; None of what is no count."""


class Buckets(NamedTuple):
    """How many numbers lay where, of one set of labels."""

    labels: Mapping[str, str]
    """Their names and values."""

    bounds: tuple[float, ...]
    """The greatest number of each bucket but the last, which has none."""

    counts: tuple[int, ...]
    """Numbers in each bucket, not in those before it."""

    total: float
    """The sum of all numbers."""

    since_s: float | None = None
    """When counting began, in seconds since 1970."""


class Family(NamedTuple):
    """All numbers of one name."""

    name: str
    """As /metrics has it; that of a counter ends in ``_total``, and one of seconds or bytes says so before."""

    text: str
    """What it is, in a sentence."""

    kind: Kind
    """What may be done with it."""

    points: tuple[Point | Buckets, ...]
    """Buckets of a histogram, else points."""
