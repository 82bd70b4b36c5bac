"""``edgerun demo``: serves real handwritten digits through a split and a shadow, and says how each arm did.

It is a user of `EdgeRunner` like any other: it takes the public road only, and keeps no number that it did not measure.
"""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

import click
import numpy as np

from edgerun import LIMITS, EdgeRunner
from edgerun.cli.output import columns, duration_text, examples, json_line, share_text
from edgerun_bundles import recipes
from edgerun_bundles.cli.progress import progress_bar

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from edgerun import RunnerStats, ShadowCounts, ShadowStats

RECIPE = "digits"
CALLS_BETWEEN_WAITS = LIMITS.shadow_queue_max  # so that nothing is dropped
WAIT_S = 0.2  # at a time, so that Ctrl-C is heard


class Served(NamedTuple):
    """One call that was answered."""

    arm: str
    model: str
    right: bool
    latency_s: float
    """Seconds that predict() took."""
    run_s: float
    """Of those, inside the model."""


class Report(NamedTuple):
    """What happened: every call, in order, and the runner's counters at the end."""

    images: int
    calls: Sequence[Served]
    stats: RunnerStats


@click.command(
    short_help="Serve handwritten digits and compare the arms.",
    epilog=examples("edgerun demo", "edgerun demo --repeat 100 --json", "edgerun demo --log digits-log"),
)
@click.option("--repeat", type=click.IntRange(1, 10_000), default=10, show_default=True, help="Passes over the images.")
@click.option("--log", type=click.Path(file_okay=False), help="Log every call, its label and the shadow into a folder.")
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON; durations are in seconds.")
def demo(repeat: int, log: str | None, as_json: bool) -> None:
    """Serve 600 test images of handwritten digits, and compare the arms.

    Each image is one call. The split sends it to the control or to the challenger by its id; on the control's calls
    the challenger is watched in the shadow. Latencies are those of predict(), the model's run included.
    """
    report = serve(recipes.folder(RECIPE), repeat, log)
    click.echo(json_line(_document(report)) if as_json else _page(report))


def serve(folder: Path, repeat: int, log: str | None = None) -> Report:
    """Serve every test image of a recipe, ``repeat`` times over, and log it where there is a folder for that.

    Raises:
        EdgerunError: the bundle cannot be opened, or a call failed.
    """
    with np.load(folder / "test.npz") as file:
        images, labels, ids = file["image"], file["label"].tolist(), file["image_id"].tolist()
    calls: list[Served] = []
    rows = [*range(len(labels))] * repeat
    with EdgeRunner.open(folder / "bundle", log=log) as runner, progress_bar(len(rows), "serving") as advance:
        for first in range(0, len(rows), CALLS_BETWEEN_WAITS):
            batch = rows[first : first + CALLS_BETWEEN_WAITS]
            calls.extend(_serve_one(runner, images[row : row + 1], ids[row], labels[row], log) for row in batch)
            _wait_for_shadow(runner)
            advance(len(batch))
        return Report(len(labels), calls, runner.stats())


def _serve_one(runner: EdgeRunner, image: np.ndarray[Any, Any], image_id: int, label: int, log: str | None) -> Served:
    started = time.perf_counter()
    prediction = runner.predict(image, key=image_id)
    latency_s = time.perf_counter() - started
    if log is not None:
        runner.label(prediction.id, label)
    right = bool(prediction["label"][0] == label)
    return Served(str(prediction.arm), str(prediction.model), right, latency_s, prediction.latency_s)


def _wait_for_shadow(runner: EdgeRunner) -> None:
    runner.shadows(timeout_s=WAIT_S)
    while any(map(_is_behind, runner.stats().shadows)):
        runner.shadows(timeout_s=WAIT_S)


def _is_behind(shadow: ShadowStats) -> bool:
    return shadow.counts.done + _dropped(shadow.counts) < shadow.counts.offered


def _dropped(counts: ShadowCounts) -> int:
    return counts.dropped_full + counts.dropped_bytes + counts.dropped_closed


def _by_arm(calls: Sequence[Served]) -> dict[str, list[Served]]:
    arms = Counter(call.arm for call in calls)
    return {arm: [call for call in calls if call.arm == arm] for arm, _ in arms.most_common()}


def _percentiles(latencies_s: Sequence[float]) -> dict[str, float]:
    found = np.percentile(latencies_s, [50, 95, 99]).tolist()
    return {"mean": float(np.mean(latencies_s)), **dict(zip(("p50", "p95", "p99"), found, strict=True))}


def _summary(calls: Sequence[Served]) -> dict[str, Any]:
    return {
        "models": sorted({call.model for call in calls}),
        "calls": len(calls),
        "accuracy": float(np.mean([call.right for call in calls])),
        "latency_s": _percentiles([call.latency_s for call in calls]),
        "run_s": _percentiles([call.run_s for call in calls]),
    }


def _document(report: Report) -> dict[str, Any]:
    return {
        "bundle": report.stats.name,
        "version": report.stats.version,
        "images": report.images,
        "arms": {arm: _summary(calls) for arm, calls in _by_arm(report.calls).items()},
        "all": _summary(report.calls),
        "shadows": [
            {
                "node": shadow.node,
                "model": shadow.model,
                "watched": shadow.counts.done,
                "disagreed": shadow.counts.disagreed,
                "failed": shadow.counts.failed,
                "dropped": _dropped(shadow.counts),
            }
            for shadow in report.stats.shadows
        ],
    }


def _page(report: Report) -> str:
    document = _document(report)
    found = [*document["arms"].items(), ("all", document["all"])]
    arms = [
        ("arm", *(arm for arm, _ in found)),
        ("model", *(", ".join(summary["models"]) for summary in document["arms"].values()), ""),
        ("calls", *(f"{summary['calls']:,}" for _, summary in found)),
        ("accuracy", *(share_text(summary["accuracy"]) for _, summary in found)),
        *(
            (f"latency {name}", *(duration_text(summary["latency_s"][name]) for _, summary in found))
            for name in ("mean", "p50", "p95", "p99")
        ),
    ]
    shadows = [row for shadow in document["shadows"] for row in _shadow_rows(shadow)]
    return f"{columns(arms)}\n\n{columns(shadows)}"


def _shadow_rows(shadow: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    watched, disagreed = shadow["watched"], shadow["disagreed"]
    yield "in the shadow", f"{shadow['model']}, on the calls of {shadow['node']}"
    yield "watched", f"{watched:,} calls"
    yield "disagreed", f"{disagreed:,}" + (f" ({share_text(disagreed / watched)})" if watched else "")
    yield "failed", f"{shadow['failed']:,}"
    yield "dropped", f"{shadow['dropped']:,}"
