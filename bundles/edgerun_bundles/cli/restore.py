"""``edgerun bundle restore``: what a bundle was made from, in a new folder."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgerun.cli.output import columns, examples, json_line
from edgerun_bundles.cli.clones import clones_option
from edgerun_bundles.cli.opened import of_model, opened
from edgerun_bundles.cli.progress import say
from edgerun_bundles.cli.provenance_text import data_text
from edgerun_bundles.cli.signing import REPOSITORY_OPTION
from edgerun_bundles.provenance.documents import to_document
from edgerun_bundles.restoring import PARAMETERS, restore

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgerun_bundles.restoring import Restored

EXIT_INCOMPLETE = 3
"""The exit code of restore where something that the provenance holds could not be had."""


@click.command(
    "restore",
    short_help="Give back the code, environment and notebooks of BUNDLE.",
    epilog=examples(
        "edgerun bundle restore cards-1.2.0.tar cards-code --model champion",
        "edgerun bundle restore cards@1.2.0 cards-code --clone ~/src/cards",
    ),
)
@click.argument("bundle", type=click.Path(path_type=Path))
@click.argument("dest", type=click.Path(path_type=Path))
@click.option("--model", help="Give back what this model was trained from; else what the bundle was built from.")
@clones_option
@REPOSITORY_OPTION
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON.")
def restore_command(
    bundle: Path, dest: Path, model: str | None, clones: tuple[Path, ...], repository: str | None, as_json: bool
) -> None:
    """Write what BUNDLE was made from into DEST, a new folder.

    That is the code, whose tree's hash is checked, the notebooks, a lock of the environment, the parameters and
    metrics, and where the data was.

    What cannot be restored is said. The exit code is 0, or 3 where code or a notebook that was kept could not be had.
    """
    with opened(bundle, repository) as found:
        attached = found.provenance()
        provenance = of_model(found.name, attached.provenance, model)
        say("restoring")
        restored = restore(attached, provenance, dest, clones)
        others = () if model is not None else tuple(attached.provenance.models)
    if as_json:
        click.echo(json_line(_document(found.name, model, restored)))
    else:
        click.echo(columns([*_rows(restored, others)]))
    if restored.failed:
        sys.exit(EXIT_INCOMPLETE)


def _document(name: str, model: str | None, restored: Restored) -> dict[str, Any]:
    code, environment = restored.code, restored.environment
    return {
        "bundle": name,
        "model": model,
        "folder": str(restored.folder),
        "code": None if code is None else {"folder": code.folder, "tree": code.tree, "files": code.files},
        "environment": None
        if environment is None
        else {"lock": str(environment.path), "commands": list(environment.commands)},
        "notebooks": list(restored.notebooks),
        "parameters": restored.parameters,
        "data": to_document(restored.data),
        "failed": list(restored.failed),
        "not_restored": list(restored.not_restored),
    }


def _rows(restored: Restored, others: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    if restored.code is not None:
        code = restored.code
        yield "code", f"{code.folder}, {code.files:,} files, tree {code.tree} checked"
    for notebook in restored.notebooks:
        yield "notebook", str(restored.folder / notebook)
    if restored.environment is not None:
        yield "lock", str(restored.environment.path)
        yield from (("", f"cd {restored.folder} && {command}") for command in restored.environment.commands[:1])
        yield from (("", command) for command in restored.environment.commands[1:])
    if restored.parameters:
        yield "parameters", str(restored.folder / PARAMETERS)
    yield from (("data", data_text(data)) for data in restored.data)
    yield from (("FAILED", sentence) for sentence in restored.failed)
    yield from (("not here", sentence) for sentence in restored.not_restored)
    if others:
        names = ", ".join(others)
        yield "models", f"what each was trained from is given back with --model: {names}"
