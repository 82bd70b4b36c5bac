"""Distributions as values and weights, the form in which drift is measured: from edges, sketches and texts."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from edgerun.log.profiles import Numbers, Texts
from edgerun.log.sketch import cell_values, cells_of
from edgerun_sync.errors import ExperimentError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from edgerun.log.profiles import PortProfile

OTHER_TEXTS = "\N{HORIZONTAL ELLIPSIS}"
"""The category of all texts that are no category of their own."""


class Histogram(NamedTuple):
    """How often each value came."""

    values: NDArray[np.float64]
    """Ascending and distinct, float64 [values]: of bins or cells, the value that stands for each."""

    weights: NDArray[np.float64]
    """How often each came, above 0, float64 [values]."""

    missing: float
    """How often there was no value: NaN, or infinite."""


def histogram(values: ArrayLike, weights: ArrayLike, missing: float = 0.0) -> Histogram:
    """Return a histogram of values [n] in any order with their weights [n]; equal values are put together.

    Raises:
        ExperimentError: the shapes differ, a value is not finite, or a weight is negative or not finite.
    """
    found, heavy = np.asarray(values, np.float64), np.asarray(weights, np.float64)
    if found.ndim != 1 or found.shape != heavy.shape:
        raise ExperimentError(f"values and weights are [n], not {found.shape} and {heavy.shape}")
    if not np.isfinite(found).all() or not ((heavy >= 0) & np.isfinite(heavy)).all() or not missing >= 0:
        raise ExperimentError("values must be finite and weights at least 0; count NaN and infinity as missing")
    held, place = np.unique(found[heavy > 0], return_inverse=True)
    return Histogram(held, np.bincount(place, heavy[heavy > 0], len(held)).astype(np.float64), float(missing))


def histogram_of_edges(edges: ArrayLike, weights: ArrayLike, missing: float = 0.0) -> Histogram:
    """Return a histogram from ascending edges [bins + 1] and weights [bins]; the middle stands for a bin.

    Raises:
        ExperimentError: the shapes do not fit, edges do not ascend, or a weight is negative or not finite.
    """
    borders = np.asarray(edges, np.float64)
    if borders.ndim != 1 or len(borders) < 2 or not (np.diff(borders) > 0).all():
        raise ExperimentError(f"edges ascend and are one more than the bins, not of shape {borders.shape}")
    return histogram((borders[1:] + borders[:-1]) / 2, weights, missing)


def histogram_of_port(port: PortProfile, column: int = 0) -> Histogram:
    """Return the histogram of one column of a profile's numbers, from its sketch: values are within 0.78 %.

    Numbers without room in the sketch (`unsketched`) lie at the column's mean: they are known to exist and to be
    finite.

    Raises:
        ExperimentError: the port holds texts, or has no such column.
    """
    what = port.what
    if not isinstance(what, Numbers):
        raise ExperimentError(f"{port.name!r} holds texts; compare those by text_weights()")
    _require_column(port, column)
    cells, weights = cells_of(what, column)
    unsketched = float(what.unsketched[column])
    zeros = max(float(what.finite[column]) - unsketched - float(weights.sum()), 0.0)
    values = np.concatenate([cell_values(cells), [0.0, float(what.mean[column])]])
    missing = float(what.missing[column]) + float(what.infinite[column])
    return histogram(values, np.concatenate([weights.astype(np.float64), [zeros, unsketched]]), missing)


def text_weights(
    reference: PortProfile, current: PortProfile, column: int = 0
) -> tuple[tuple[str, ...], NDArray[np.float64], NDArray[np.float64]]:
    """Return categories and how often each came in two profiles of texts: names, and two float64 [categories].

    Categories are the empty text and the texts that both profiles list as frequent, or that one lists and that came
    less often in the other for certain; there they count as often as they may have come at most. `OTHER_TEXTS` is all
    the rest.

    Raises:
        ExperimentError: a port holds numbers, or has no such column.
    """
    sides = []
    for port in (reference, current):
        if not isinstance(port.what, Texts):
            raise ExperimentError(f"{port.name!r} holds numbers; compare those by histogram_of_port()")
        _require_column(port, column)
        sides.append(port.what)
    names = sorted(_comparable(sides[0], sides[1], column) | _comparable(sides[1], sides[0], column))
    weights = []
    for side in sides:
        most = float(side.error[column])
        held = [float(side.empty[column]), *(float(side.frequent[column].get(name, most)) for name in names)]
        weights.append(np.array([*held, max(float(side.total[column]) - sum(held), 0.0)]))
    return ("", *names, OTHER_TEXTS), weights[0], weights[1]


def _comparable(side: Texts, other: Texts, column: int) -> set[str]:
    """Texts that a side lists, and of which it is known how the other differs."""
    total, other_total = max(float(side.total[column]), 1.0), max(float(other.total[column]), 1.0)
    most = float(other.error[column]) / other_total
    counted = side.frequent[column].items()
    return {name for name, least in counted if name and (name in other.frequent[column] or least / total > most)}


def _require_column(port: PortProfile, column: int) -> None:
    if not 0 <= column < port.columns:
        raise ExperimentError(f"{port.name!r} has {port.columns} columns, numbered from 0, and none of number {column}")
