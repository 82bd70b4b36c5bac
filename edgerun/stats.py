"""What a runner tells of itself: frozen views of its counters."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgerun.serving import Serving
    from edgerun.shadow import ShadowCounts


class ModelStats(NamedTuple):
    """What one model has done since the bundle was opened.

    Attributes:
        runs: runs that ended, while serving or on trial with an open breaker; not those of the shadow.
        failures: runs that onnxruntime ended with an error.
        nonfinite: runs as a challenger that gave NaN or infinity.
        latency_s: a running mean of the time of a run in seconds.
        fallbacks: how often the control stood in for this model, by reason.
        breaker_open: whether its breaker keeps it from serving now.
    """

    runs: int
    failures: int
    nonfinite: int
    latency_s: float
    fallbacks: Mapping[str, int]
    breaker_open: bool


class ShadowStats(NamedTuple):
    """What became of the calls offered to one watched model of one node.

    Attributes:
        node: the shadow_deploy node that watches.
        model: the watched model.
        counts: the calls, by what became of them.
    """

    node: str
    model: str
    counts: ShadowCounts


class ShadowResult(NamedTuple):
    """How one watched model answered one call, against what was served.

    Attributes:
        id: of the call's event.
        node: the shadow_deploy node that watches.
        model: the watched model.
        disagree: a label or an argmax differs, or a single value by more than the node's tolerance.
        max_abs_diff: the largest absolute difference of any float; infinity where only one side is finite.
        latency_s: seconds of the watched run.
        failed: the watched model raised, so there is no comparison.
        nonfinite: the watched model's outputs hold NaN or infinity.
    """

    id: str
    node: str
    model: str
    disagree: bool
    max_abs_diff: float
    latency_s: float
    failed: bool
    nonfinite: bool


class RunnerStats(NamedTuple):
    """The state of a runner.

    Attributes:
        name: of its bundle.
        version: of its bundle.
        models: model name to what the model has done.
        shadows: one for each watch, in the order of the graph.
    """

    name: str
    version: str
    models: Mapping[str, ModelStats]
    shadows: tuple[ShadowStats, ...]


def runner_stats(serving: Serving) -> RunnerStats:
    """Read all counters of a snapshot."""
    serving.collect()
    fallbacks = serving.fallbacks()
    models = {}
    for name, session in serving.sessions.items():
        counts = session.model.counts()
        reasons = {problem: count for (model, problem), count in fallbacks.items() if model == name}
        models[name] = ModelStats(
            counts.runs, counts.failures, counts.nonfinite, counts.latency_s, reasons, session.breaker.is_open
        )
    shadows = tuple(ShadowStats(w.node, w.model, serving.shadow_counts(w.slot)) for w in serving.watches)
    return RunnerStats(serving.bundle.name, serving.bundle.version, models, shadows)
