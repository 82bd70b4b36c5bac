"""``edgerun bundle track`` and ``edgerun bundle check-env``: what was run, and whether this machine is the same."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgerun.cli.output import columns, examples, json_line, printable, short_text
from edgerun_bundles.errors import ProvenanceError
from edgerun_bundles.provenance.comparison import AREAS, Difference, compare
from edgerun_bundles.provenance.documents import to_document
from edgerun_bundles.provenance.environment import describe_environment
from edgerun_bundles.provenance.matrix_text import matrix_lines
from edgerun_bundles.provenance.run_history import TrackedRun, find_run, repeated, runs, whole_provenance
from edgerun_bundles.provenance.statement import Provenance, parse_statement

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ProvenanceOf = Callable[[str], Provenance]
"""Takes what the user wrote for a bundle, and returns how it came to be."""
EXIT_DIFFERENT = 3
"""The exit code of check-env where something differs: neither success nor an error."""
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


def check_env_command(provenance_of: ProvenanceOf) -> click.Command:
    """Return the command ``check-env``, to be added to a group.

    Args:
        provenance_of: finds the provenance of a bundle by what the user wrote; it raises `EdgerunError`.
    """

    @click.command(
        "check-env",
        short_help="Compare this machine with BUNDLE's environment.",
        epilog=examples("edgerun bundle check-env digits@1.2.0", "edgerun bundle check-env digits.tar --only package"),
    )
    @click.argument("bundle")
    @click.option("--model", help="Compare with the environment of this model's training.")
    @click.option("--only", multiple=True, type=click.Choice(AREAS), help="Compare this area alone; may be repeated.")
    @_JSON
    def check_env(bundle: str, model: str | None, only: tuple[str, ...], as_json: bool) -> None:
        """Compare this machine with the environment of BUNDLE, and name every difference.

        The exit code is 0 where they match one to one, and 3 where something differs.
        """
        provenance = _of_model(bundle, provenance_of(bundle), model)
        if provenance.environment is None:
            raise ProvenanceError(f"{bundle} does not say in what environment it was made")
        differences = [
            difference
            for difference in compare(provenance.environment, describe_environment())
            if not only or difference.area in only
        ]
        if as_json:
            click.echo(json_line({"bundle": bundle, "differences": to_document(differences)}))
        else:
            click.echo(_differences(differences))
        if differences:
            sys.exit(EXIT_DIFFERENT)

    return check_env


def provenance_of_file(name: str) -> Provenance:
    """Return the provenance in a file that holds a statement, as one stands beside a bundle.

    Raises:
        ProvenanceError: it cannot be read, or is no statement.
    """
    try:
        content = Path(name).read_bytes()
    except (OSError, ValueError) as error:
        raise ProvenanceError(f"{name} cannot be read: {error}") from error
    return parse_statement(content).predicate


def _of_model(bundle: str, provenance: Provenance, model: str | None) -> Provenance:
    if model is None:
        return provenance
    if model not in provenance.models:
        names = ", ".join(provenance.models) or "none"
        raise ProvenanceError(f"{bundle} does not say how a model {model!r} came to be; it says so of: {names}")
    return provenance.models[model]


def _differences(differences: list[Difference]) -> str:
    if not differences:
        return "no difference"
    return columns([("area", "name", "expected", "here"), *differences])


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
    told, code = run.run, provenance.code or {}
    changes = " with changes" if code.get("is_dirty") else ""
    rows = [
        ("run", f"{run.id} {told.name or ''}"),
        ("status", told.status if told.exit_status is None else f"{told.status}, exit {told.exit_status}"),
        ("started", told.started),
        ("ended", told.ended or ""),
        ("code", f"{code.get('commit') or 'no commit'}{changes}" if code else "not kept"),
        *(("data", f"{data.name}, {data.size:,} bytes, {data.sha256}") for data in provenance.data),
        *(
            ("notebook", f"{notebook.path}, {_order(top_to_bottom=notebook.top_to_bottom)}")
            for notebook in provenance.notebooks
        ),
        *((f"parameter {name}", short_text(value)) for name, value in sorted(provenance.parameters.items())),
        *((f"metric {name}", f"{value:.6g}") for name, value in sorted(provenance.metrics.values.items())),
        *(("problem", problem) for problem in told.problems),
    ]
    yield columns(rows)
    for name, matrix in provenance.metrics.confusion_matrices.items():
        yield from ("", f"confusion matrix {printable(name)}, true classes as rows", *matrix_lines(matrix))
    if told.error:
        yield from ("", *(printable(line) for line in told.error.rstrip().splitlines()))


def _order(*, top_to_bottom: bool) -> str:
    return "run from top to bottom" if top_to_bottom else "not run from top to bottom"
