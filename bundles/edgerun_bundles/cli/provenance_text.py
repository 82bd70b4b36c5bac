"""How a terminal shows where something came from: rows of a table, confusion matrices, numbers per class."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from edgerun.cli.output import columns, printable, short_text
from edgerun_bundles.provenance.matrix_text import matrix_lines

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from edgerun_bundles.provenance.collecting import Collected
    from edgerun_bundles.provenance.data import Data
    from edgerun_bundles.provenance.environment import Environment
    from edgerun_bundles.provenance.metrics import Metrics
    from edgerun_bundles.provenance.statement import Provenance, Run

HASH_SHOWN = 12
NAMES_SHOWN = 5
_FRAMEWORKS_SHOWN = 6


def provenance_rows(provenance: Provenance) -> Iterator[tuple[str, str]]:
    """Yield what is known of a training, a row each; tables that take more room are `metric_lines`."""
    if provenance.run is not None:
        yield from _run_rows(provenance.run)
    yield from _rows(provenance)


def _build_rows(provenance: Provenance) -> Iterator[tuple[str, str]]:
    run = provenance.run
    if run is not None:
        by = "" if run.author is None else f" by {run.author.text}"
        yield "built", f"{run.ended or run.started}{by}"
        yield from (("problem", problem) for problem in run.problems)
    yield from _rows(provenance)


def _rows(provenance: Provenance) -> Iterator[tuple[str, str]]:
    yield "code", code_text(provenance.code)
    yield from (("code", line) for line in _code_rows(provenance.code or {}))
    if provenance.environment is not None:
        yield "environment", environment_text(provenance.environment)
    yield from (("data", data_text(data)) for data in provenance.data)
    for notebook in provenance.notebooks:
        order = "run" if notebook.top_to_bottom else "not run"
        yield "notebook", f"{notebook.path}, {order} from top to bottom, {notebook.source_sha256[:HASH_SHOWN]}"
    yield from ((f"parameter {name}", short_text(value)) for name, value in sorted(provenance.parameters.items()))
    yield from ((f"metric {name}", number_text(value)) for name, value in sorted(provenance.metrics.values.items()))
    for parent in provenance.parents:
        yield "parent", f"{parent.name}, sha256:{parent.digest['sha256'][:HASH_SHOWN]}"


def data_text(data: Data) -> str:
    """Return which data it was and where, in a line."""
    rows = "".join(f", {table.rows:,} rows of {len(table.columns)} columns" for table in data.tables)
    tags = "".join(f", {name}={value}" for name, value in data.tags.items())
    where = data.uri or "place unknown"
    return f"{data.name}: {where}, {data.size:,} bytes{rows}, {data.sha256[:HASH_SHOWN]}{tags}"


def _run_rows(run: Run) -> Iterator[tuple[str, str]]:
    yield "run", " ".join(filter(None, [run.id, run.name]))
    yield "status", run.status if run.exit_status is None else f"{run.status}, exit {run.exit_status}"
    if run.author is not None:
        yield "by", run.author.text
    yield "started", run.started
    if run.ended is not None:
        yield "ended", run.ended
    yield from (("model", f"{model.path}, {model.size:,} bytes, {model.sha256[:HASH_SHOWN]}") for model in run.models)
    yield from (("problem", problem) for problem in run.problems)
    yield from ((f"tag {name}", value) for name, value in sorted(run.tags.items()))


def code_text(code: Mapping[str, Any] | None) -> str:
    """Return which code it was, in a line."""
    if not code:
        return "not kept"
    commit, branch, tree = code.get("commit"), code.get("branch"), code.get("tree")
    none = "no commit yet" if code.get("has_git") else "a folder without git"
    where = f"{str(commit)[:HASH_SHOWN]}{f' on {branch}' if branch else ''}" if commit else none
    changes = " with changes" if code.get("is_dirty") and commit else ""
    return f"{where}{changes}{f', tree {str(tree)[:HASH_SHOWN]}' if tree else ''}"


def _code_rows(code: Mapping[str, Any]) -> Iterator[str]:
    """Yield what a reader should know who wants that code back."""
    for remote in code.get("remotes") or []:
        if isinstance(remote, dict):
            yield f"remote {remote.get('name')} {remote.get('url')}"
    if count := code.get("unpushed_count"):
        yield f"{count} unpushed commit{'' if count == 1 else 's'}"
    if count := code.get("left_out_count"):
        named = [str(item.get("name")) for item in code.get("left_out") or [] if isinstance(item, dict)]
        shown = ", ".join(named[:NAMES_SHOWN])
        yield f"left out: {shown}{f', and {count - NAMES_SHOWN} more' if count > NAMES_SHOWN else ''}"
    bundle = code.get("bundle")
    if isinstance(bundle, dict):
        yield f"kept in {bundle.get('size'):,} bytes"


def environment_text(environment: Environment) -> str:
    """Return what an environment is, in a line."""
    python, system = environment.python, environment.system
    named = [f"{name} {found.version}" for name, found in environment.frameworks.items() if found.imported]
    frameworks = named or [f"{name} {found.version}" for name, found in environment.frameworks.items()]
    told = [
        f"{python.implementation} {python.version}",
        f"{system.os} {system.machine}",
        f"{len(environment.packages)} packages",
        *frameworks[:_FRAMEWORKS_SHOWN],
    ]
    return ", ".join(told)


def metric_lines(metrics: Metrics) -> Iterator[str]:
    """Yield the tables of metrics: confusion matrices, and numbers per class."""
    for name, matrix in metrics.confusion_matrices.items():
        yield from ("", f"confusion matrix {printable(name)}, true classes as rows", *matrix_lines(matrix))
    if metrics.per_class:
        classes = dict.fromkeys(label for numbers in metrics.per_class.values() for label in numbers)
        head = ("class", *metrics.per_class)
        rows = [(label, *(_number_of(numbers, label) for numbers in metrics.per_class.values())) for label in classes]
        yield from ("", "numbers per class", *columns([head, *rows]).splitlines())


def _number_of(numbers: Mapping[str, float], label: str) -> str:
    return number_text(numbers[label]) if label in numbers else "-"


def number_text(value: float) -> str:
    """Return a metric for people."""
    return "NaN" if math.isnan(value) else f"{value:.6g}"


def build_rows(collected: Collected) -> Iterator[tuple[str, str]]:
    """Yield what a build kept, and of which models nothing is known."""
    provenance = collected.provenance
    yield "code", code_text(provenance.code)
    for name, model in provenance.models.items():
        if name not in collected.unknown and model.run is not None:
            yield "trained", f"{name} by run {' '.join(filter(None, [model.run.id, model.run.name]))}"
    for name, why in collected.unknown.items():
        yield "trained", f"{name}: unknown, {why}"


def provenance_lines(provenance: Provenance) -> Iterator[str]:
    """Yield all that is shown of a provenance: the bundle's own, then each model's."""
    yield columns([*_build_rows(provenance)])
    yield from metric_lines(provenance.metrics)
    for name, model in provenance.models.items():
        yield from ("", f"model {printable(name)}", columns([*provenance_rows(model)]), *metric_lines(model.metrics))
