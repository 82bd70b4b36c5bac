"""``edgerun experiment holdout``: what all experiments of a bundle did together."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgerun.cli.output import examples, json_line
from edgerun_bundles.cli.signing import REPOSITORY_OPTION
from edgerun_sync.cli.experiment_phases import UNTIL, lines_of, read_bundles
from edgerun_sync.cli.query import DATA, ENGINE
from edgerun_sync.errors import ExperimentError

if TYPE_CHECKING:
    from datetime import datetime

    from edgerun.bundle import Bundle
    from edgerun.enrolment import Holdout
    from edgerun_sync.experiments.held_out import HoldoutFacts


@click.command(
    short_help="Compare who was held out with all others.",
    epilog=examples(
        "edgerun experiment holdout 2026-h2 --data /srv/edgerun --bundle cards-1.1.0",
        "edgerun experiment holdout 2026-h2 --data /srv/edgerun --bundle v1 --bundle v2 --keys customers.txt --json",
    ),
)
@click.argument("name")
@DATA
@ENGINE
@click.option(
    "--bundle",
    "bundles",
    type=click.Path(path_type=Path),
    multiple=True,
    required=True,
    metavar="BUNDLE",
    help="A folder, tar, layout or NAME@VERSION that had it; once for each version, that of the plan last.",
)
@REPOSITORY_OPTION
@click.option(
    "--keys",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Keys that are known, one a line: with them, it is audited who was held out.",
)
@click.option("--alpha", type=click.FloatRange(0, 1, min_open=True, max_open=True), default=0.05, show_default=True)
@UNTIL
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON.")
def holdout(
    name: str,
    data: str,
    engine: str | None,
    bundles: tuple[Path, ...],
    repository: str | None,
    keys: Path | None,
    alpha: float,
    until: datetime,
    as_json: bool,
) -> None:
    """Compare the units that the holdout NAME kept from all experiments with all others, by the metrics of the plan.

    Health comes first. Read it once, when the holdout ends.
    """
    from edgerun_sync.experiments.held_out import holdout_card  # noqa: PLC0415 - brings scipy
    from edgerun_sync.report.holdout_text import holdout_document, holdout_text  # noqa: PLC0415 - likewise

    opened = [found.bundle for found in read_bundles(bundles, repository)]
    card = holdout_card(_asked(name, data, engine, opened, None if keys is None else lines_of(keys), until), alpha)
    click.echo(json_line(holdout_document(card)) if as_json else holdout_text(card))


def _asked(
    name: str, data: str, engine: str | None, bundles: list[Bundle], keys: list[str] | None, until: datetime
) -> HoldoutFacts:
    from edgerun_bundles.experiment.plan import parse_plan  # noqa: PLC0415 - brings numpy and the core
    from edgerun_sync.queries.engines import open_engine  # noqa: PLC0415 - engines are slow to load
    from edgerun_sync.queries.holdout import HoldoutVersion, holdout_facts  # noqa: PLC0415 - likewise

    last = bundles[-1]
    if not last.experiment:
        raise ExperimentError(
            f"{last.name}@{last.version} has no experiment, whose metrics would be compared; name a version that has "
            "one last"
        )
    plan = parse_plan(dict(last.experiment), f"{last.name}@{last.version}")
    versions = [HoldoutVersion(bundle.version, _holdout(name, bundle, last.name)) for bundle in bundles]
    with open_engine(data, engine) as opened:
        return holdout_facts(opened, plan, last.name, versions, until=until, keys=keys)


def _holdout(name: str, bundle: Bundle, of_bundle: str) -> Holdout:
    """The holdout of a bundle, whose random splits must draw what it holds out: else its units are others."""
    from edgerun.graph import RandomSplit  # noqa: PLC0415 - brings numpy and the core

    where, found = f"{bundle.name}@{bundle.version}", bundle.graph.holdout
    if bundle.name != of_bundle:
        raise ExperimentError(f"{where} is no version of {of_bundle!r}")
    if found is None or found.name != name:
        there = "no holdout" if found is None else f"the holdout {found.name!r}"
        raise ExperimentError(f"{where} has {there}, and none of the name {name!r}")
    for node, split in bundle.graph.nodes.items():
        if isinstance(split, RandomSplit) and split.split_key not in {None, found.split_key}:
            raise ExperimentError(
                f"{where}: node {node!r} draws by {split.split_key!r} and the holdout by {found.split_key!r}, so their "
                "units cannot be compared"
            )
    return found
