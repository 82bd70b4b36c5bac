"""What a training measured: numbers, their course, numbers per class and confusion matrices, all checked.

A confusion matrix is kept as counts; precision, recall, F1 and support follow from it and are computed here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from edgerun.errors import InputError
from edgerun_bundles.errors import ProvenanceError
from edgerun_bundles.limits import LIMITS, Limits
from edgerun_bundles.provenance.values import number_of, readable

DEFAULT_NAME = "test"
"""What a confusion matrix is called that was given without a name."""


class ClassNumbers(NamedTuple):
    """How one class was recognised."""

    precision: float
    """Of those said to be it, the share that was. NaN where none was said to be."""
    recall: float
    """Of those that were it, the share said to be. NaN where none was."""
    f1: float
    support: int
    """How many were it."""


class ConfusionMatrix(NamedTuple):
    """How often each class was said, for each true class."""

    labels: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]
    """``counts[i][j]``: how often ``labels[j]`` was said where ``labels[i]`` was true."""

    @staticmethod
    def from_predictions(
        true: Any, said: Any, labels: Sequence[Any] | None = None, *, limits: Limits = LIMITS
    ) -> ConfusionMatrix:
        """Count answers, as ``sklearn.metrics.confusion_matrix`` does.

        Args:
            true: a label per example, as a list or a one-dimensional array.
            said: as many labels.
            labels: the classes in the order of the matrix; else all that occur, sorted.
            limits: the limits in force.

        Raises:
            InputError: the lengths differ, there are too many classes, or a label is not among ``labels``.
        """
        pairs = [(_label(t), _label(s)) for t, s in zip(_flat(true), _flat(said), strict=False)]
        if len(pairs) != len(_flat(true)) or len(pairs) != len(_flat(said)):
            raise InputError(f"{len(_flat(true))} true labels, and {len(_flat(said))} that were said")
        names = [_label(x) for x in (_sorted_labels(_flat(true) + _flat(said)) if labels is None else labels)]
        place = {name: i for i, name in enumerate(names)}
        counts = [[0] * len(names) for _ in names[: limits.classes_max + 1]]
        matrix = confusion_matrix_of((names, counts), "confusion_matrix", limits)
        for pair in pairs:
            for name in pair:
                if name not in place:
                    raise InputError(f"the label {name!r} is not among labels")
            counts[place[pair[0]]][place[pair[1]]] += 1
        return matrix._replace(counts=tuple(map(tuple, counts)))

    @property
    def total(self) -> int:
        """How many examples were counted."""
        return sum(map(sum, self.counts))

    @property
    def accuracy(self) -> float:
        """The share that was right; NaN where nothing was counted."""
        return _share(sum(row[i] for i, row in enumerate(self.counts)), self.total)

    def per_class(self) -> dict[str, ClassNumbers]:
        """Return precision, recall, F1 and support of every class."""
        said = [sum(column) for column in zip(*self.counts, strict=True)]
        found = {}
        for i, (label, row) in enumerate(zip(self.labels, self.counts, strict=True)):
            right, support = row[i], sum(row)
            f1 = _share(2 * right, support + said[i])
            found[label] = ClassNumbers(_share(right, said[i]), _share(right, support), f1, support)
        return found

    def check(self, place: str) -> None:
        """Refuse a matrix whose parts do not fit.

        Raises:
            ProvenanceError: it is not square, a count is negative, or two labels are the same.
        """
        problem = _problem(self, LIMITS)
        if problem:
            raise ProvenanceError(f"{place}: {problem}")


class Series(NamedTuple):
    """The course of one metric."""

    step: tuple[int, ...]
    value: tuple[float, ...]

    def check(self, place: str) -> None:
        """Refuse two lists that do not fit.

        Raises:
            ProvenanceError: their lengths differ.
        """
        if len(self.step) != len(self.value):
            raise ProvenanceError(f"{place}: {len(self.step)} steps, and {len(self.value)} values")


class Metrics(NamedTuple):
    """All that a run measured."""

    values: dict[str, float] = {}  # noqa: RUF012 - a record's default; records are never written to
    series: dict[str, Series] = {}  # noqa: RUF012 - as above
    per_class: dict[str, dict[str, float]] = {}  # noqa: RUF012 - as above
    confusion_matrices: dict[str, ConfusionMatrix] = {}  # noqa: RUF012 - as above
    dropped: int = 0
    """Values that were logged and not kept, because a limit was reached."""


def metric_values(given: Any, place: str = "metrics") -> dict[str, float]:
    """Return metrics as numbers by name; a mapping inside becomes names with a slash, such as ``test/accuracy``.

    Raises:
        InputError: they are no mapping, a name is no text, or a value is not one number.
    """
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise InputError(f"{place} must be a mapping of name to number, got a {type(given).__name__}")
    found: dict[str, float] = {}
    _collect(given, "", place, found)
    return found


def _collect(given: Mapping[Any, Any], prefix: str, place: str, found: dict[str, float], depth: int = 0) -> None:
    if depth > LIMITS.document_max_depth:
        raise InputError(f"{place}: more than {LIMITS.document_max_depth} mappings within each other")
    for key, value in given.items():
        name = f"{prefix}{_label(key)}"
        if isinstance(value, Mapping):
            _collect(value, f"{name}/", place, found, depth + 1)
        elif name in found:
            raise InputError(f"{place}: two metrics are named {name!r}")
        else:
            found[name] = number_of(value, f"{place}[{name!r}]")


def per_class_numbers(given: Any, limits: Limits = LIMITS) -> dict[str, dict[str, float]]:
    """Return metrics per class, ``{"auc": {"gold": 0.93}}``, as numbers.

    Raises:
        InputError: they are no mapping of mappings of numbers, or name too many classes.
    """
    if given is None:
        return {}
    if not isinstance(given, Mapping) or not all(isinstance(item, Mapping) for item in given.values()):
        raise InputError('per_class must be a mapping of metric to class to number, such as {"auc": {"gold": 0.93}}')
    found = {_label(name): metric_values(item, f"per_class[{name!r}]") for name, item in given.items()}
    for name, numbers in found.items():
        if len(numbers) > limits.classes_max:
            raise InputError(f"per_class[{name!r}]: more than {limits.classes_max} classes (classes_max)")
    return found


def confusion_matrices_of(given: Any, limits: Limits = LIMITS) -> dict[str, ConfusionMatrix]:
    """Return confusion matrices by name, from one of them or a mapping of name to one.

    Raises:
        InputError: one of them is no confusion matrix.
    """
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        return {DEFAULT_NAME: confusion_matrix_of(given, "confusion_matrix", limits)}
    return {
        _label(name): confusion_matrix_of(item, f"confusion_matrix[{name!r}]", limits) for name, item in given.items()
    }


def confusion_matrix_of(given: Any, place: str, limits: Limits = LIMITS) -> ConfusionMatrix:
    """Return a confusion matrix from one, from a square array of counts, or from a pair of labels and such an array.

    Raises:
        InputError: it is none of these, a count is negative or no whole number, or there are too many classes.
    """
    labels, counts = _parts(given, place)
    try:
        array = np.asarray(counts)
    except ValueError as error:
        raise InputError(f"{place}: rows of different lengths") from error
    if array.ndim != 2 or array.shape[0] != array.shape[1] or array.dtype.kind not in "iuf":
        raise InputError(f"{place} must be a square array of counts, got {array.dtype} of shape {array.shape}")
    if not np.all(np.isfinite(array)) or np.any(array != np.floor(array)):
        raise InputError(f"{place} must hold counts, not shares; leave out normalize=")
    names = tuple(map(str, range(len(array)))) if labels is None else tuple(map(_label, labels))
    matrix = ConfusionMatrix(names, tuple(tuple(map(int, row)) for row in array[: limits.classes_max + 1].tolist()))
    problem = _problem(matrix, limits)
    if problem:
        raise InputError(f"{place}: {problem}")
    return matrix


def _parts(given: Any, place: str) -> tuple[Any, Any]:
    if isinstance(given, ConfusionMatrix):
        return given
    if isinstance(given, tuple) and len(given) == 2 and np.ndim(given[0]) == 1 and _is_two_dimensional(given[1]):
        return given
    if isinstance(given, str | bytes) or not hasattr(given, "__len__"):
        raise InputError(f"{place} must be a square array of counts, or (labels, array); got {given!r:.60}")
    return None, given


def _is_two_dimensional(value: Any) -> bool:
    try:
        return np.ndim(value) == 2 or len(value) == 0
    except (TypeError, ValueError):
        return False


def _problem(matrix: ConfusionMatrix, limits: Limits) -> str:
    size = len(matrix.labels)
    if size > limits.classes_max:
        return f"more than {limits.classes_max} classes (classes_max)"
    if len(matrix.counts) != size or any(len(row) != size for row in matrix.counts):
        return f"{size} labels do not fit {len(matrix.counts)} rows of counts"
    if len({*matrix.labels}) != size:
        return "two classes have the same label"
    if any(count < 0 for row in matrix.counts for count in row):
        return "a count is negative"
    return ""


def _flat(values: Any) -> list[Any]:
    flat = values.tolist() if hasattr(values, "tolist") else list(values)
    if not isinstance(flat, list) or any(isinstance(item, list) for item in flat[:1]):
        raise InputError("labels must be a list or a one-dimensional array")
    return flat


def _sorted_labels(values: list[Any]) -> list[Any]:
    distinct = list(dict.fromkeys(values))
    try:
        return sorted(distinct)
    except TypeError:
        return sorted(distinct, key=str)


def _label(value: Any) -> str:
    plain = value.item() if isinstance(value, np.generic) else value
    if isinstance(plain, float) and plain.is_integer():
        plain = int(plain)
    return readable(str(plain))


def _share(part: int, whole: int) -> float:
    return part / whole if whole else math.nan
