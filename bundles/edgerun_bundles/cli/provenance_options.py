"""What a person can say on the command line of how a bundle came to be, on top of what its ``bundle.toml`` says."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgerun_bundles.provenance.capture import DataSource
from edgerun_bundles.provenance.declared import Declared, merged, merged_metrics, read_metrics, read_parameters
from edgerun_bundles.provenance.metrics import Metrics, metric_values

if TYPE_CHECKING:
    from collections.abc import Callable

_FILE = click.Path(path_type=Path)


def provenance_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options to a command; their values go to `declared_by`, and ``no_provenance`` to the command."""
    options = (
        click.option(
            "--parameters",
            type=_FILE,
            metavar="FILE",
            help="What was chosen, as JSON, TOML or YAML.",
        ),
        click.option("--metrics", type=_FILE, metavar="FILE", help="What was measured, likewise."),
        click.option(
            "--metric",
            "numbers",
            multiple=True,
            metavar="NAME=VALUE",
            callback=_parse_numbers,
            help="One number that was measured; may be repeated.",
        ),
        click.option(
            "--data",
            multiple=True,
            metavar="NAME=PATH",
            callback=_parse_pairs,
            help="Data that it was made from, which is hashed as a whole; may be repeated.",
        ),
        click.option("--notebook", "notebooks", multiple=True, type=_FILE, metavar="PATH", help="A notebook to keep."),
        click.option(
            "--run",
            "runs",
            multiple=True,
            metavar="MODEL=RUN",
            callback=_parse_pairs,
            help="The tracked run, or the folder of the MLflow run, that a model came from.",
        ),
        click.option("--no-provenance", is_flag=True, help="Keep nothing of where the bundle comes from."),
    )
    for option in reversed(options):
        command = option(command)
    return command


def declared_by(
    models: tuple[str, ...],
    *,
    parameters: Path | None,
    metrics: Path | None,
    numbers: dict[str, float],
    data: dict[str, str],
    notebooks: tuple[Path, ...],
    runs: dict[str, str],
) -> Declared:
    """Return what the options say.

    Args:
        models: the names of the bundle's models.
        parameters: ``--parameters``.
        metrics: ``--metrics``.
        numbers: ``--metric``.
        data: ``--data``.
        notebooks: ``--notebook``.
        runs: ``--run``.

    Raises:
        BundleError: a file cannot be read.
        InputError: a value is none of its kind.
        ProvenanceError: a file is no YAML that is taken.
    """
    for model in runs.keys() - {*models}:
        raise click.BadParameter(f"there is no model {model!r}; there are: {', '.join(models)}", param_hint="--run")
    measured = Metrics() if metrics is None else read_metrics(metrics)
    said = Declared(
        {} if parameters is None else read_parameters(parameters),
        merged_metrics(measured, Metrics(values=numbers)),
        {name: DataSource(path) for name, path in data.items()},
        notebooks,
    )
    return merged(said, Declared(models={model: Declared(run=_absolute(run)) for model, run in runs.items()}))


def _absolute(run: str) -> str:
    """A path on the command line is relative to where one is, in bundle.toml to that."""
    return str(Path(run).absolute()) if Path(run).is_dir() else run


def _parse_pairs(ctx: click.Context, param: click.Parameter, given: tuple[str, ...]) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for text in given:
        name, separator, value = text.partition("=")
        if not name or not separator or not value:
            raise click.BadParameter(f"{text!r} is not of the form {param.metavar}", ctx, param)
        if name in pairs:
            raise click.BadParameter(f"{name!r} is given twice", ctx, param)
        pairs[name] = value
    return pairs


def _parse_numbers(ctx: click.Context, param: click.Parameter, given: tuple[str, ...]) -> dict[str, float]:
    try:
        numbers: dict[str, Any] = {name: float(text) for name, text in _parse_pairs(ctx, param, given).items()}
    except ValueError as error:
        raise click.BadParameter(str(error), ctx, param) from error
    return metric_values(numbers)
