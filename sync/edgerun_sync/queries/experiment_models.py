"""What the tables say of an experiment's models beyond the plan's metrics: matrices, confidences, ages and shadows.

It rests on sampled calls with their labels, and on one pass over the shadows' calls. Nothing of it is in a verdict.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgerun_sync.experiments.confusion import cell_names
from edgerun_sync.experiments.facts import ModelFacts
from edgerun_sync.limits import LIMITS
from edgerun_sync.queries.decay import decays
from edgerun_sync.queries.declared import has_labels
from edgerun_sync.queries.sampled import one_in, sampled_calls
from edgerun_sync.queries.scores import scores
from edgerun_sync.queries.shadows import shadow_moments
from edgerun_sync.queries.tables import ask
from edgerun_sync.queries.units import moments

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgerun_bundles.experiment.plan import Plan
    from edgerun_sync.experiments.moments import Moments
    from edgerun_sync.queries.engines import Engine
    from edgerun_sync.queries.gathering import Gathered, Source
    from edgerun_sync.queries.keeping import Keeper


def model_facts(
    keeper: Keeper, plan: Plan, source: Source, gathered: Gathered, bundle: str, versions: Sequence[str], events: Any
) -> ModelFacts:
    """Return what is known of the models; nothing where no metric of the plan asks what models said.

    Args:
        keeper: of the engine that sums up.
        plan: of the experiment.
        source: what it is gathered from.
        gathered: what is kept of it.
        bundle: name of the bundle.
        versions: of the bundle.
        events: the table of events, until the end.

    Raises:
        QueryError: the engine failed.
    """
    if not has_labels(plan):
        return ModelFacts()
    engine, factor = keeper.engine, one_in(gathered.calls)
    rows = sampled_calls(keeper, plan, source.calls, source.labels, gathered.units, source.begin, factor)
    of_scores = scores(engine, rows)
    classes, cells = _matrices(engine, rows)
    shadows = shadow_moments(engine, bundle, versions, events, source.labels, classes)
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
