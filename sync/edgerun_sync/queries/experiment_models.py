"""What the tables say of an experiment's models beyond the plan's metrics: confusion matrices, by unit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgerun_sync.experiments.confusion import cell_names
from edgerun_sync.experiments.facts import ModelFacts
from edgerun_sync.experiments.moments import aggregate_names, from_aggregates
from edgerun_sync.limits import LIMITS
from edgerun_sync.queries.tables import ask
from edgerun_sync.queries.units import moment_sums

if TYPE_CHECKING:
    from edgerun_sync.queries.engines import Engine


def model_facts(engine: Engine, rows: Any) -> ModelFacts:
    """Return the matrices of each arm; none where nothing is labelled, or labels are of too many classes.

    Args:
        engine: that sums up.
        rows: its labelled calls, with ``arm``, ``unit``, ``label`` and ``truth``; None where no metric needs any.

    Raises:
        QueryError: the engine failed.
    """
    if rows is None:
        return ModelFacts()
    known = rows.filter(rows.label.notnull())
    seen = known.select(name=known.truth).union(known.select(name=known.label)).distinct()
    most = LIMITS.matrix_classes_max
    classes = tuple(row["name"] for row in ask(engine, seen.order_by("name").limit(most + 1)).to_pylist())
    if not 2 <= len(classes) <= most:
        return ModelFacts()
    names = cell_names(classes)
    pairs = [(known.truth == truth) & (known.label == said) for truth in classes for said in classes]
    counts = {name: known.count(where=pair) for name, pair in zip(names, pairs, strict=True)}
    units = known.group_by(["arm", "unit"]).agg(**counts)
    wanted = aggregate_names(names)
    cells = {
        row["arm"]: from_aggregates(names, {name: row[name] for name in wanted})
        for row in ask(engine, moment_sums(units, names)).to_pylist()
    }
    return ModelFacts(classes, {arm: found for arm, found in cells.items() if found.n >= 2})
