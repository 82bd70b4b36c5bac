"""What the tables say of an experiment's models beyond the plan's metrics: matrices, confidences, ages and shadows.

It is read in one pass over the calls and their labels, and one over the shadows' calls. Nothing of it is in a verdict.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from edgerun_bundles.experiment.metrics import LABELLED
from edgerun_sync.experiments.confusion import cell_names
from edgerun_sync.experiments.declared import CALLS
from edgerun_sync.experiments.facts import ModelFacts
from edgerun_sync.limits import LIMITS
from edgerun_sync.queries.decay import decays
from edgerun_sync.queries.sampled import one_in, sampled_calls
from edgerun_sync.queries.scores import scores
from edgerun_sync.queries.shadows import shadow_moments
from edgerun_sync.queries.tables import ask
from edgerun_sync.queries.units import moments

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from edgerun_bundles.experiment.plan import Plan
    from edgerun_sync.experiments.moments import Moments
    from edgerun_sync.queries.engines import Engine


class Asked(NamedTuple):
    """What is asked about."""

    plan: Plan
    """Of the experiment."""

    bundle: str
    """Its name."""

    versions: Sequence[str]
    """Of the bundle."""

    begin: datetime
    """Of the experiment."""

    events: Any
    """The table of events, until the end."""

    labels: Any
    """The table of labels, until the end."""


def model_facts(engine: Engine, asked: Asked, calls: Any, units: Any) -> ModelFacts:
    """Return what is known of the models; nothing where no metric of the plan asks what models said.

    Args:
        engine: that sums up.
        asked: of which experiment.
        calls: its calls, as `declared.calls_of` asks for them.
        units: a row for each ``unit``, with its ``arm`` and its ``calls``.

    Raises:
        QueryError: the engine failed.
    """
    plan = asked.plan
    if not any(metric.kind in LABELLED for metric in plan.metrics.values()):
        return ModelFacts()
    total = ask(engine, units.agg(n=units[CALLS].sum())).to_pylist()[0]["n"]
    factor = one_in(int(total or 0))
    rows = sampled_calls(engine, plan, calls, asked.labels, units, asked.begin, factor)
    of_scores = scores(engine, rows)
    classes, cells = _matrices(engine, rows)
    shadows = shadow_moments(engine, asked.bundle, asked.versions, asked.events, asked.labels, classes)
    return ModelFacts(
        classes=classes,
        cells=cells,
        expected=of_scores.expected,
        shadows=shadows.moments,
        decay=decays(engine, rows),
        reliability=of_scores.reliability,
        scores=of_scores.histograms,
        one_in=factor,
        shadow_one_in=shadows.one_in,
    )


def _matrices(engine: Engine, rows: Any) -> tuple[tuple[str, ...], dict[str, Moments]]:
    """The classes, and the matrix of each arm; none where nothing is labelled, or labels are of too many classes."""
    known = rows.filter(rows.truth.notnull() & rows.label.notnull())
    seen = known.select(name=known.truth).union(known.select(name=known.label)).distinct()
    most = LIMITS.matrix_classes_max
    classes = tuple(row["name"] for row in ask(engine, seen.order_by("name").limit(most + 1)).to_pylist())
    if not 2 <= len(classes) <= most:
        return (), {}
    names = cell_names(classes)
    pairs = [(known.truth == truth) & (known.label == said) for truth in classes for said in classes]
    counts = {name: known.count(where=pair) for name, pair in zip(names, pairs, strict=True)}
    units = known.group_by(["arm", "unit"]).agg(**counts)
    return classes, {arm: found for arm, found in moments(engine, units, names).items() if found.n >= 2}
