"""Accuracy by the age of an experiment, from the tables: sums of each unit's labelled calls by day."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgerun_sync.experiments.decay import DECAY_NAMES
from edgerun_sync.queries.units import moments

if TYPE_CHECKING:
    from edgerun_sync.experiments.moments import Moments
    from edgerun_sync.queries.engines import Engine


def decays(engine: Engine, rows: Any) -> dict[str, Moments]:
    """Return the moments that `experiments.decay` takes, of each arm that has two units with a label.

    Args:
        engine: that sums up.
        rows: calls with ``arm``, ``unit``, ``age`` in whole days, ``label`` and ``truth``.

    Raises:
        QueryError: the engine failed.
    """
    known = rows.filter(rows.truth.notnull() & rows.label.notnull())
    right = (known.truth == known.label).cast("int64")
    sums = (known.count(), known.age.sum(), (known.age * known.age).sum(), right.sum(), (right * known.age).sum())
    units = known.group_by(["arm", "unit"]).agg(**dict(zip(DECAY_NAMES, sums, strict=True)))
    return {arm: found for arm, found in moments(engine, units, DECAY_NAMES).items() if found.n >= 2}
