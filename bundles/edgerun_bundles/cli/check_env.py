"""``edgerun bundle check-env``: whether this machine is the one that a bundle, or a model in it, was made on."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgerun.cli.output import columns, examples, json_line
from edgerun_bundles.cli.opened import of_model, opened
from edgerun_bundles.cli.signing import REPOSITORY_OPTION
from edgerun_bundles.errors import ProvenanceError
from edgerun_bundles.provenance.comparison import AREAS, Difference, compare
from edgerun_bundles.provenance.documents import to_document
from edgerun_bundles.provenance.environment import describe_environment

if TYPE_CHECKING:
    from collections.abc import Sequence

EXIT_DIFFERENT = 3
"""The exit code of check-env where something differs: neither success nor an error."""


@click.command(
    "check-env",
    short_help="Compare this machine with BUNDLE's environment.",
    epilog=examples(
        "edgerun bundle check-env digits@1.2.0",
        "edgerun bundle check-env digits-1.2.0.tar --only package --only python",
        "edgerun bundle check-env digits-1.2.0.tar --model champion --json",
    ),
)
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option("--model", help="Compare with the environment of this model's training.")
@click.option("--only", multiple=True, type=click.Choice(AREAS), help="Compare this area alone; may be repeated.")
@REPOSITORY_OPTION
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON.")
def check_env(bundle: Path, model: str | None, only: tuple[str, ...], repository: str | None, as_json: bool) -> None:
    """Compare this machine with the environment that BUNDLE was built in, and name every difference.

    The exit code is 0 where they match one to one, and 3 where something differs.
    """
    with opened(bundle, repository) as found:
        name, provenance = found.name, found.provenance().provenance
    chosen = of_model(name, provenance, model)
    if chosen.environment is None:
        raise ProvenanceError(f"{name} does not say in what environment it was made")
    differences = [
        difference
        for difference in compare(chosen.environment, describe_environment())
        if not only or difference.area in only
    ]
    if as_json:
        document = {"bundle": name, "model": model, "differences": to_document(differences)}
        click.echo(json_line(document))
    else:
        click.echo(_page(differences))
    if differences:
        sys.exit(EXIT_DIFFERENT)


def _page(differences: Sequence[Difference]) -> str:
    if not differences:
        return "no difference"
    return columns([("area", "name", "expected", "here"), *differences])
