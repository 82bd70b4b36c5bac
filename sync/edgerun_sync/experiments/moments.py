"""Moments of what was measured on the units of one arm: how many, the means, and the sums of centred products.

They merge exactly, so that devices, days and phases can be summed up apart and put together in any order. They are kept
in central form: raw sums of squares lose every digit where a mean is large beside its spread.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from edgerun_sync.errors import ExperimentError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray


_ROUNDING = 1e-12
"""How far below 0 an engine's rounding may leave a variance, beside the square of the mean."""


class Moments(NamedTuple):
    """Moments of several variables over the same units. Of no units, the means and products are 0."""

    names: tuple[str, ...]
    """The variables, k of them, each in the unit of its own metric."""

    n: int
    """Units."""

    mean: NDArray[np.float64]
    """Means, float64 [k]."""

    m2: NDArray[np.float64]
    """Sums of products of deviations from the means, float64 [k, k], symmetric."""

    def at(self, name: str) -> int:
        """Return the place of a variable.

        Raises:
            ExperimentError: there is none of that name.
        """
        if name not in self.names:
            raise ExperimentError(f"there are no moments of {name!r}, only of {', '.join(map(repr, self.names))}")
        return self.names.index(name)

    def mean_of(self, name: str) -> float:
        """Return the mean of a variable.

        Raises:
            ExperimentError: there is none of that name.
        """
        return float(self.mean[self.at(name)])

    def covariance(self) -> NDArray[np.float64]:
        """Return the sample covariances (divided by n - 1), float64 [k, k].

        Raises:
            ExperimentError: there are fewer than two units.
        """
        if self.n < 2:
            raise ExperimentError(f"a variance needs two units, and there are {self.n}; wait for more")
        return self.m2 / (self.n - 1)

    def select(self, names: Sequence[str]) -> Moments:
        """Return the moments of some of the variables, in the order of `names`.

        Raises:
            ExperimentError: one of them is not there.
        """
        places = [self.at(name) for name in names]
        return Moments(tuple(names), self.n, self.mean[places], self.m2[np.ix_(places, places)])


def moments_of(columns: Mapping[str, ArrayLike]) -> Moments:
    """Return the moments of columns, each a number per unit [n], all in the same order of units.

    Source: the corrected two-pass algorithm of Chan, Golub and LeVeque, "Algorithms for computing the sample variance"
    (The American Statistician 37, 1983).

    Raises:
        ExperimentError: columns differ in length, have another rank than 1, or hold NaN or infinity.
    """
    arrays = [np.asarray(column, np.float64) for column in columns.values()]
    shapes = {array.shape for array in arrays}
    if len(shapes) != 1 or len(next(iter(shapes))) != 1:
        raise ExperimentError(f"columns must have one number per unit, not the shapes {sorted(shapes)}")
    values = np.stack(arrays, axis=1)
    _require_finite(tuple(columns), values.sum(axis=0))
    n = len(values)
    if n == 0:
        return nothing(tuple(columns))
    mean = values.mean(axis=0)
    values -= mean
    rest = values.mean(axis=0)
    return Moments(tuple(columns), n, mean + rest, values.T @ values - n * np.outer(rest, rest))


def nothing(names: Sequence[str]) -> Moments:
    """Return the moments of no units at all, with which merging changes nothing."""
    return Moments(tuple(names), 0, np.zeros(len(names)), np.zeros((len(names), len(names))))


def from_aggregates(names: Sequence[str], row: Mapping[str, Any]) -> Moments:
    """Return the moments that an engine computed in a group-by.

    Args:
        names: the variables.
        row: ``n``; ``mean_x`` for each variable x; ``cov_x_y``, the population covariance (divided by n), for each pair
            in the order of `names`, ``cov_x_x`` included: see `aggregate_names`. Of no rows, they may be None.

    Raises:
        ExperimentError: an aggregate is missing, not finite, or a variance is negative.
    """
    missing = [name for name in aggregate_names(names) if name not in row]
    if missing:
        raise ExperimentError(f"the aggregate {missing[0]!r} is missing; the query must give all of aggregate_names()")
    n = int(row["n"])
    if n == 0:
        return nothing(names)
    try:
        mean = np.array([row[f"mean_{name}"] for name in names], np.float64)
        upper = np.zeros((len(names), len(names)))
        for i, first in enumerate(names):
            for j, second in enumerate(names[i:], i):
                upper[i, j] = upper[j, i] = row[f"cov_{first}_{second}"]
    except (TypeError, ValueError) as error:
        raise ExperimentError(f"an aggregate of {', '.join(names)} over {n} units is no number") from error
    return from_covariances(names, n, mean, upper)


def aggregate_names(names: Sequence[str]) -> list[str]:
    """Return the names of the aggregates that `from_aggregates` takes."""
    pairs = [f"cov_{first}_{second}" for i, first in enumerate(names) for second in names[i:]]
    return ["n", *(f"mean_{name}" for name in names), *pairs]


def from_covariances(names: Sequence[str], n: int, mean: ArrayLike, covariance: ArrayLike) -> Moments:
    """Return moments of n units from means [k] and population covariances (divided by n) [k, k].

    Raises:
        ExperimentError: a shape is wrong, a number is not finite, or a variance is negative.
    """
    means, covariances = np.asarray(mean, np.float64), np.array(covariance, np.float64)
    k = len(names)
    if means.shape != (k,) or covariances.shape != (k, k):
        raise ExperimentError(f"{k} variables have no means {means.shape} and covariances {covariances.shape}")
    _require_finite(names, means + covariances.sum(axis=1))
    if n < 0 or (covariances.diagonal() < -_ROUNDING * (means * means)).any():
        raise ExperimentError(f"a number of units or a variance of {', '.join(names)} is negative")
    np.fill_diagonal(covariances, covariances.diagonal().clip(min=0))
    return Moments(tuple(names), n, means, n * covariances) if n else nothing(names)


def merge(parts: Iterable[Moments]) -> Moments:
    """Return the moments of all units of several parts, which share no unit. The variables are those of the first part.

    Source: Chan, Golub and LeVeque, "Updating formulae and a pairwise algorithm for computing sample variances" (1979),
    and Pébay, "Formulas for robust, one-pass parallel computation of covariances" (SAND2008-6212, 2008), for any number
    of parts at once.

    Raises:
        ExperimentError: there is no part, or the parts have not the same variables.
    """
    parts = list(parts)
    if not parts:
        raise ExperimentError("there are no moments to merge")
    names = parts[0].names
    parts = [part if part.names == names else part.select(names) for part in parts]
    n = sum(part.n for part in parts)
    if n == 0:
        return parts[0]
    counts = np.array([part.n for part in parts], np.float64)
    means = np.stack([part.mean for part in parts])
    origin = means[int(counts.argmax())]  # deviations from a mean in their midst are small, and lose no digits
    mean = origin + counts @ (means - origin) / n
    away = means - mean
    return Moments(names, n, mean, sum((part.m2 for part in parts), (away.T * counts) @ away))


def _require_finite(names: Sequence[str], totals: NDArray[np.float64]) -> None:
    for name, total in zip(names, totals.tolist(), strict=True):
        if not np.isfinite(total):
            raise ExperimentError(f"{name!r} holds NaN or infinity; leave such units out of the query, and count them")
