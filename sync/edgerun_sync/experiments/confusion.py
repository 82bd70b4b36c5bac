"""Confusion matrices of an arm, and what is read off them: accuracy, precision, recall and F1, with units as clusters.

A unit's row holds sums over its labelled calls. All of a matrix has k² of them for k classes; the measures need only
the 3k margins, so that a database may sum those up where there are many classes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from edgerun_sync.errors import ExperimentError
from edgerun_sync.experiments.interval_estimates import (
    Difference,
    IntervalEstimate,
    as_difference,
    difference,
    interval_estimate,
)
from edgerun_sync.experiments.moments import Moments, moments_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

_MARGINS = ("right", "truth", "predicted")


class ConfusionMatrix(NamedTuple):
    """The labelled calls of an arm by true class (rows) and predicted class (columns)."""

    classes: tuple[str, ...]
    """Names of the k classes, in the order of rows and columns."""

    calls: NDArray[np.float64]
    """Calls, float64 [k, k]."""

    share: NDArray[np.float64]
    """Of all labelled calls, float64 [k, k]; of a difference, treatment less control."""

    low: NDArray[np.float64]
    """Lower ends of the intervals of the shares, float64 [k, k]; NaN where units do not differ."""

    high: NDArray[np.float64]
    """Upper ends, likewise."""


class Measures(NamedTuple):
    """Measures of an arm, or of the difference of two."""

    names: tuple[str, ...]
    """``accuracy``, ``macro_precision``, ``macro_recall``, ``macro_f1``; then of each class x ``precision_x``, of each
    ``recall_x``, of each ``f1_x``. All micro-averages are the accuracy: a call has one true and one predicted class."""

    value: NDArray[np.float64]
    """float64, a value for each name; NaN where it is not defined, as a precision where nothing was predicted."""

    covariance: NDArray[np.float64]
    """Of the values, float64 [names, names]; NaN where one of the two is not defined."""

    degrees: int
    """Units less one."""

    def estimate_of(self, name: str, alpha: float = 0.05) -> IntervalEstimate:
        """Return a measure with its interval at the level 1 - alpha.

        Raises:
            ExperimentError: there is no such measure, or alpha is not between 0 and 1.
        """
        at = _at(self, name)
        return interval_estimate(float(self.value[at]), float(self.covariance[at, at]), self.degrees, alpha)


def cell_names(classes: Sequence[str]) -> tuple[str, ...]:
    """Return the variables of a matrix of units, k²: ``cell_i_j``, calls of the true class i and the predicted class j.

    Classes go by their numbers from 0, so that a name may hold anything.
    """
    numbers = range(len(classes))
    return tuple(f"cell_{truth}_{predicted}" for truth in numbers for predicted in numbers)


def margin_names(classes: Sequence[str]) -> tuple[str, ...]:
    """Return the variables from which measures are computed, 3k: ``right_i``, ``truth_i`` and ``predicted_i``.

    They are calls that are rightly of class i, truly of it, and predicted to be; i is the class's number from 0.
    """
    return tuple(f"{margin}_{number}" for margin in _MARGINS for number in range(len(classes)))


def cell_moments(classes: Sequence[str], cells: ArrayLike) -> Moments:
    """Return moments from a confusion matrix of each unit.

    Args:
        classes: names of the k classes.
        cells: calls of each unit by true and by predicted class, [units, k, k].

    Raises:
        ExperimentError: the shape is wrong, a class is named twice, or a count is negative or not finite.
    """
    found = np.asarray(cells, np.float64)
    k = len(classes)
    if len({*classes}) < k or found.shape[1:] != (k, k):
        raise ExperimentError(f"{k} classes have matrices [units, {k}, {k}] and a name each, not {found.shape}")
    if not (found >= 0).all():
        raise ExperimentError("counts of calls are numbers of at least 0")
    return moments_of(dict(zip(cell_names(classes), found.reshape(len(found), -1).T, strict=True)))


def margins_of(cells: Moments, classes: Sequence[str]) -> Moments:
    """Return the moments of `margin_names` from those of `cell_names`; nothing is lost that a measure needs.

    Raises:
        ExperimentError: a cell is missing.
    """
    found = cells.select(cell_names(classes))
    one = np.eye(len(classes))
    all_of = np.ones(len(classes))
    sums = np.concatenate([np.stack([np.kron(e, e) for e in one]), np.kron(one, all_of), np.kron(all_of, one)])
    return Moments(margin_names(classes), found.n, sums @ found.mean, sums @ found.m2 @ sums.T)


def confusion_matrix(cells: Moments, classes: Sequence[str], alpha: float = 0.05) -> ConfusionMatrix:
    """Return an arm's matrix, with intervals of the shares at the level 1 - alpha.

    Args:
        cells: moments of `cell_names`, over units.
        classes: names of the k classes.
        alpha: 1 less the level of each interval; together they hold less often.

    Raises:
        ExperimentError: a cell is missing, there is no call, fewer than two units, or alpha is not between 0 and 1.
    """
    found = cells.select(cell_names(classes))
    share, variances = _shares(found)
    intervals = [interval_estimate(*pair, found.n - 1, alpha) for pair in zip(share, variances, strict=True)]
    return _matrix(classes, found.mean * found.n, intervals)


def compare_confusion(
    control: Moments, treatment: Moments, classes: Sequence[str], alpha: float = 0.05
) -> ConfusionMatrix:
    """Return how much greater each share is in the treatment, with intervals; counts are those of both arms together.

    Args:
        control: moments of `cell_names`, over the control's units.
        treatment: likewise.
        classes: names of the k classes.
        alpha: 1 less the level of each interval; together they hold less often.

    Raises:
        ExperimentError: as `confusion_matrix`.
    """
    arms = [arm.select(cell_names(classes)) for arm in (control, treatment)]
    first, second = (
        [interval_estimate(*pair, arm.n - 1, alpha) for pair in zip(*_shares(arm), strict=True)] for arm in arms
    )
    intervals = [difference(*pair, alpha) for pair in zip(first, second, strict=True)]
    counts = arms[0].mean * arms[0].n + arms[1].mean * arms[1].n
    return _matrix(classes, counts, intervals)


def measures(margins: Moments, classes: Sequence[str]) -> Measures:
    """Return accuracy, precision, recall and F1 of an arm.

    A macro-average is over the classes that have the measure at all: a precision is missing where the class was never
    predicted, a recall where it was never true, an F1 where neither.

    Args:
        margins: moments of `margin_names`, over units.
        classes: names of the k classes.

    Raises:
        ExperimentError: a margin is missing, or there are fewer than two units.
    """
    found = margins.select(margin_names(classes))
    return _measures(found, classes, _defined(found, len(classes)))


def compare_measures(
    control: Moments, treatment: Moments, classes: Sequence[str], alpha: float = 0.05
) -> dict[str, Difference]:
    """Return the difference of each measure, by its name in `Measures`, between arms that share no unit.

    Macro-averages are over the classes that have the measure in both arms: like is compared with like.

    Args:
        control: moments of `margin_names`, over the control's units.
        treatment: likewise.
        classes: names of the k classes.
        alpha: 1 less the level of the intervals.

    Raises:
        ExperimentError: a margin is missing, an arm has fewer than two units, or alpha is not between 0 and 1.
    """
    arms = [arm.select(margin_names(classes)) for arm in (control, treatment)]
    both = np.logical_and(*(_defined(arm, len(classes)) for arm in arms))
    first, second = (_measures(arm, classes, both) for arm in arms)
    return {name: difference(first.estimate_of(name), second.estimate_of(name), alpha) for name in first.names}


def paired_names(classes: Sequence[str]) -> tuple[str, ...]:
    """Return the variables of two models on the same calls, 6k: `margin_names` of the control and of the treatment."""
    return tuple(f"{side}_{name}" for side in ("control", "treatment") for name in margin_names(classes))


def compare_paired_measures(paired: Moments, classes: Sequence[str], alpha: float = 0.05) -> dict[str, Difference]:
    """Return the difference of each measure between two models on the same calls, as a shadow gives them.

    Args:
        paired: moments of `paired_names`, over units.
        classes: names of the k classes.
        alpha: 1 less the level of the intervals.

    Raises:
        ExperimentError: a margin is missing, there are fewer than two units, or alpha is not between 0 and 1.
    """
    found = paired.select(paired_names(classes))
    half, k = len(found.names) // 2, len(classes)
    sides = [found.select(found.names[:half]), found.select(found.names[half:])]
    both = np.logical_and(*(_defined(side, k) for side in sides))
    (first, first_slope), (second, second_slope) = (_values(side.mean, k, both) for side in sides)
    slope = np.concatenate([-first_slope, second_slope], axis=1)
    variances = np.einsum("ij,jk,ik->i", slope, found.covariance(), slope) / found.n
    pairs = zip(_names(classes), second - first, variances, strict=True)
    return {
        name: as_difference(interval_estimate(float(value), float(variance), found.n - 1, alpha))
        for name, value, variance in pairs
    }


def _at(found: Measures, name: str) -> int:
    if name not in found.names:
        raise ExperimentError(f"there is no measure {name!r}, only {', '.join(found.names)}")
    return found.names.index(name)


def _shares(cells: Moments) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Of each cell, its share of all calls and the variance of that."""
    total = float(cells.mean.sum())
    if total == 0:
        raise ExperimentError("an arm has no labelled call yet; wait for labels")
    share = cells.mean / total
    slope = (np.eye(len(share)) - share[:, None]) / total
    return share, np.einsum("ij,jk,ik->i", slope, cells.covariance(), slope) / cells.n


def _matrix(
    classes: Sequence[str], count: NDArray[np.float64], intervals: Sequence[IntervalEstimate | Difference]
) -> ConfusionMatrix:
    k = len(classes)
    share, low, high = (np.array([getattr(found, end) for found in intervals]) for end in ("value", "low", "high"))
    return ConfusionMatrix(tuple(classes), *(array.reshape(k, k) for array in (count, share, low, high)))


def _names(classes: Sequence[str]) -> tuple[str, ...]:
    each = ("precision", "recall", "f1")
    macro = tuple(f"macro_{measure}" for measure in each)
    return ("accuracy", *macro, *(f"{measure}_{name}" for measure in each for name in classes))


def _defined(margins: Moments, k: int) -> NDArray[np.bool_]:
    """Which classes have a precision, a recall and an F1: bool [3, k]."""
    _, truth, predicted = margins.mean.reshape(3, k)
    return np.stack([predicted > 0, truth > 0, truth + predicted > 0])


def _measures(margins: Moments, classes: Sequence[str], defined: NDArray[np.bool_]) -> Measures:
    value, slope = _values(margins.mean, len(classes), defined)
    return Measures(_names(classes), value, slope @ margins.covariance() @ slope.T / margins.n, margins.n - 1)


def _values(
    mean: NDArray[np.float64], k: int, defined: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The measures and their derivatives by the margins, [measures] and [measures, 3k]; NaN where not defined."""
    right, truth, predicted = mean.reshape(3, k)
    one, none = np.eye(k), np.zeros((k, k))
    with np.errstate(invalid="ignore", divide="ignore"):  # of a class that is not there, NaN is the answer
        precision, recall, f1 = right / predicted, right / truth, 2 * right / (truth + predicted)
        accuracy = right.sum() / truth.sum()
        slopes = [
            np.concatenate([one, none, -one * precision], axis=1) / predicted[:, None],
            np.concatenate([one, -one * recall, none], axis=1) / truth[:, None],
            np.concatenate([2 * one, -one * f1, -one * f1], axis=1) / (truth + predicted)[:, None],
        ]
        overall = np.concatenate([np.ones(k), np.full(k, -accuracy), np.zeros(k)]) / (truth.sum() or np.nan)
    values = [np.where(has, value, np.nan) for has, value in zip(defined, (precision, recall, f1), strict=True)]
    slopes = [np.where(has[:, None], slope, np.nan) for has, slope in zip(defined, slopes, strict=True)]
    macro = [_mean_of(value, has) for value, has in zip(values, defined, strict=True)]
    macro_slopes = [_mean_of(slope, has) for slope, has in zip(slopes, defined, strict=True)]
    return np.concatenate([[accuracy], macro, *values]), np.concatenate([[overall], macro_slopes, *slopes])


def _mean_of(rows: NDArray[np.float64], has: NDArray[np.bool_]) -> NDArray[np.float64]:
    if not has.any():
        return np.full(rows.shape[1:], np.nan)
    mean: NDArray[np.float64] = rows[has].mean(axis=0)
    return mean
