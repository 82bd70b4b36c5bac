"""What the tables say of confidences: how often calls of each were right, and what they let one expect of all calls.

The confidence is that of the class that was said, the column ``score``. A score that is no chance from 0 to 1, or comes
without a class, is none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from edgerun_sync.experiments.expected_accuracy import EXPECTED_NAMES
from edgerun_sync.experiments.histograms import histogram
from edgerun_sync.experiments.reliability import ScoreBins
from edgerun_sync.queries.tables import ask
from edgerun_sync.queries.units import moments

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgerun_sync.experiments.histograms import Histogram
    from edgerun_sync.experiments.moments import Moments
    from edgerun_sync.queries.engines import Engine

CONFIDENCE_BINS = 20
"""Of equal width, from 0 to 1; a confidence of 1 is in the last."""


class Scores(NamedTuple):
    """Of each arm that has confidences."""

    reliability: dict[str, ScoreBins]
    """Labelled calls by confidence; a positive is a call that was right."""

    histograms: dict[str, Histogram]
    """All calls by confidence: the mean of each bin, and its calls."""

    expected: dict[str, Moments]
    """Moments of `expected_accuracy.EXPECTED_NAMES` over units; of arms with at least two."""


def scores(engine: Engine, rows: Any) -> Scores:
    """Return what calls say of their confidences.

    Args:
        engine: that sums up.
        rows: calls with ``arm``, ``unit``, ``label``, ``score`` and ``truth``.

    Raises:
        QueryError: the engine failed.
    """
    known = rows.filter(rows.label.notnull() & rows.score.between(0, 1))
    known = known.mutate(
        bin=(known.score * CONFIDENCE_BINS).floor().cast("int64").clip(upper=CONFIDENCE_BINS - 1),
        has_label=known.truth.notnull(),
    )
    sums = {
        "calls": known.count(),
        "confidence": known.score.sum(),
        "labelled": known.count(where=known.has_label),
        "labelled_confidence": known.has_label.ifelse(known.score, 0.0).sum(),
        "right": known.count(where=known.has_label & (known.truth == known.label)),
    }
    by_bin: dict[str, list[Mapping[str, Any]]] = {}
    for row in ask(engine, _binned(known, sums)).to_pylist():
        by_bin.setdefault(row["arm"], []).append(row)
    expected = moments(engine, known.group_by(["arm", "unit"]).agg(**sums), EXPECTED_NAMES)
    return Scores(
        {arm: _bins(held) for arm, held in by_bin.items() if any(row["calls"] for row in held)},
        {arm: _histogram(held) for arm, held in by_bin.items()},
        {arm: found for arm, found in expected.items() if found.n >= 2},
    )


def _binned(known: Any, sums: Mapping[str, Any]) -> Any:
    """Ask for the columns of ScoreBins by arm and bin, and for all calls with the sum of their confidences."""
    units = known.group_by(["arm", "bin", "unit"]).agg(**sums)
    return (
        units.group_by(["arm", "bin"])
        .agg(
            all=units.calls.sum(),
            confidence=units.confidence.sum(),
            units=units.count(where=units.labelled > 0),
            calls=units.labelled.sum(),
            score=units.labelled_confidence.sum(),
            positive=units.right.sum(),
            calls_squared=(units.labelled * units.labelled).sum(),
            calls_positive=(units.labelled * units.right).sum(),
            positive_squared=(units.right * units.right).sum(),
        )
        .order_by(["arm", "bin"])
    )


def _bins(held: list[Mapping[str, Any]]) -> ScoreBins:
    columns = {name: np.zeros(CONFIDENCE_BINS) for name in ScoreBins._fields}
    for row in held:
        for name, column in columns.items():
            column[row["bin"]] = row[name]
    return ScoreBins(**columns)


def _histogram(held: list[Mapping[str, Any]]) -> Histogram:
    return histogram([row["confidence"] / row["all"] for row in held], [row["all"] for row in held])
