"""What a runner tells of itself: frozen views of its counters."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgerun.log.profiles import Profile
    from edgerun.log.recorder import Recorder
    from edgerun.serving import Serving
    from edgerun.shadow import ShadowCounts


class ModelStats(NamedTuple):
    """What one model has done since the bundle was opened.

    Attributes:
        runs: runs that ended, while serving, on trial with an open breaker, or to warm the model before it took over;
            not those of the shadow.
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


class ArmStats(NamedTuple):
    """What one model has answered for one arm since the log was begun, or as a watched model.

    Attributes:
        bundle: name of the bundle.
        version: of the bundle.
        model: that answered.
        arm: that the calls were assigned; None where none was.
        node: the shadow_deploy node that watched; None for calls that were served.
        calls: how many runs were recorded.
        latency_p50_s: a median of their seconds within 1 %; NaN where there was none. Likewise the next two.
        latency_p90_s: nine in ten were as fast.
        latency_p99_s: 99 in 100 were as fast.
        profile: of the inputs and outputs since profiles were last written to the log, at most 15 minutes by default.
    """

    bundle: str
    version: str
    model: str
    arm: str | None
    node: str | None
    calls: int
    latency_p50_s: float
    latency_p90_s: float
    latency_p99_s: float
    profile: Profile


class LogStats(NamedTuple):
    """How the log is doing.

    Attributes:
        folder: where it is kept.
        epoch: of this process's events, in hexadecimal.
        lost: how many events were lost so far: reason to kind to number.
        problem: why the last write failed; None where it did not.
    """

    folder: str
    epoch: str
    lost: Mapping[str, Mapping[str, int]]
    problem: str | None


class RunnerStats(NamedTuple):
    """The state of a runner.

    Attributes:
        name: of its bundle.
        version: of its bundle.
        models: model name to what the model has done.
        shadows: one for each watch, in the order of the graph.
        arms: one for each model and arm that was recorded; none without a log.
        log: how the log is doing; None without one.
    """

    name: str
    version: str
    models: Mapping[str, ModelStats]
    shadows: tuple[ShadowStats, ...]
    arms: tuple[ArmStats, ...] = ()
    log: LogStats | None = None


def runner_stats(serving: Serving, recorder: Recorder | None) -> RunnerStats:
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
    stats = RunnerStats(serving.bundle.name, serving.bundle.version, models, shadows)
    if recorder is None:
        return stats
    log = LogStats(recorder.folder, recorder.epoch, recorder.losses(), recorder.problem)
    return stats._replace(arms=tuple(recorder.arms()), log=log)
