"""``edgerun bundle track``: the training runs that were tracked, so that none is lost and none is run twice."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgerun.cli.output import columns, examples, json_line, printable, short_text
from edgerun_bundles.cli.provenance_text import metric_lines, provenance_rows
from edgerun_bundles.provenance.documents import to_document
from edgerun_bundles.provenance.run_history import TrackedRun, find_run, repeated, runs, whole_provenance
from edgerun_bundles.provenance.statement import Provenance

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from edgerun_bundles.provenance.statement import Provenance

_FOLDER = click.option("--folder", type=click.Path(path_type=Path), help="Where runs are kept; else .edgerun/runs.")
_JSON = click.option("--json", "as_json", is_flag=True, help="Print one line of JSON.")


def track_commands() -> click.Group:
    """Return the group ``track``, to be added to another."""
    group = click.Group(
        "track",
        help="Look at the training runs that were tracked here.",
        epilog=examples("edgerun bundle track list", "edgerun bundle track show latest --json"),
    )
    group.add_command(_list)
    group.add_command(_show)
    return group


@click.command("list", epilog=examples("edgerun bundle track list", "edgerun bundle track list --json"))
@_FOLDER
@_JSON
def _list(folder: Path | None, as_json: bool) -> None:
    """List every run that was tracked, the oldest first, with its parameters and metrics.

    A run whose parameters an earlier one had names that one, so that no combination is run twice by mistake.
    """
    history = runs(folder)
    same = repeated(history.runs)
    for problem in history.problems:
        click.echo(f"edgerun: warning: {printable(problem)}", err=True)
    if as_json:
        for run in history.runs:
            click.echo(json_line(_row(run, same.get(run.id))))
        return
    rows = [_cells(run, same.get(run.id)) for run in history.runs]
    click.echo(columns([("run", "status", "name", "parameters", "metrics", "same as"), *rows]) if rows else "no runs")


def _row(run: TrackedRun, same: str | None) -> dict[str, Any]:
    found = run.run
    metrics: dict[str, Any] = to_document(run.provenance.metrics)
    return {
        "id": run.id,
        "name": found.name,
        "status": found.status,
        "started": found.started,
        "ended": found.ended,
        "parameters": run.provenance.parameters,
        "metrics": metrics["values"],
        "same_as": same,
    }


def _cells(run: TrackedRun, same: str | None) -> tuple[str, ...]:
    found = run.run
    metrics = run.provenance.metrics.values
    return (run.id, found.status, found.name or "", _pairs(run.provenance.parameters), _pairs(metrics), same or "")


def _pairs(values: Mapping[str, Any]) -> str:
    return " ".join(f"{name}={short_text(value)}" for name, value in sorted(values.items()))


@click.command("show", epilog=examples("edgerun bundle track show latest"))
@click.argument("run")
@_FOLDER
@_JSON
def _show(run: str, folder: Path | None, as_json: bool) -> None:
    """Show all that is kept of RUN: its id, the start or the end of it, or "latest"."""
    found = find_run(run, folder)
    provenance, _ = whole_provenance(found)
    if as_json:
        click.echo(json_line(to_document(provenance)))
        return
    click.echo("\n".join(_page(found, provenance)))


def _page(run: TrackedRun, provenance: Provenance) -> Iterator[str]:
    yield columns([*provenance_rows(provenance)])
    yield from metric_lines(provenance.metrics)
    if run.run.error:
        yield from ("", *(printable(line) for line in run.run.error.rstrip().splitlines()))
