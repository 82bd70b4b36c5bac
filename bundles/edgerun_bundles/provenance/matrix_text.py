"""Shows a confusion matrix in a terminal: counts, with precision, recall and F1 of each class beside them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from edgerun.cli.output import columns, printable, share_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgerun_bundles.provenance.metrics import ConfusionMatrix

CLASSES_SHOWN = 20
"""More would not fit into a terminal; then only the numbers per class are shown, the worst recognised first."""
_LABEL_MAX = 12


def matrix_lines(matrix: ConfusionMatrix) -> Sequence[str]:
    """Return a confusion matrix as lines."""
    numbers = matrix.per_class()
    if not numbers:
        return ["no classes"]
    fits = len(matrix.labels) <= CLASSES_SHOWN
    order = [*range(len(matrix.labels))]
    if not fits:
        order = sorted(order, key=lambda i: _worst_first(numbers[matrix.labels[i]].f1))[:CLASSES_SHOWN]
    head = ["", *(_short(label) for label in matrix.labels if fits), "support", "precision", "recall", "F1"]
    rows = [head]
    for i in order:
        label, found = matrix.labels[i], numbers[matrix.labels[i]]
        counts = [f"{count:,}" for count in matrix.counts[i]] if fits else []
        shares = [_share(found.precision), _share(found.recall), _share(found.f1)]
        rows.append([_short(label), *counts, f"{found.support:,}", *shares])
    told = [f"accuracy {_share(matrix.accuracy)} of {matrix.total:,}"]
    if not fits:
        told.append(f"the {CLASSES_SHOWN} of {len(matrix.labels)} classes with the lowest F1")
    return [*columns(_right(rows)).splitlines(), *told]


def _worst_first(f1: float) -> float:
    return 2.0 if math.isnan(f1) else f1


def _right(rows: list[list[str]]) -> list[list[str]]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [[cell.rjust(width) for cell, width in zip(row, widths, strict=True)] for row in rows]


def _share(value: float) -> str:
    return "-" if math.isnan(value) else share_text(round(value, 4))


def _short(label: str) -> str:
    text = printable(label)
    return text if len(text) <= _LABEL_MAX else f"{text[: _LABEL_MAX - 1]}~"
