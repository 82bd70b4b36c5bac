"""``edgerun experiment``: the plan before; what comes after it is in modules of its own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgerun.cli.output import examples, json_line
from edgerun_sync.cli.experiment_holdout import holdout
from edgerun_sync.cli.experiment_phases import DATA, UNTIL
from edgerun_sync.cli.experiment_promote import promote
from edgerun_sync.cli.experiment_report import off_policy, report
from edgerun_sync.cli.experiment_status import status
from edgerun_sync.cli.experiment_steer import ramp, start, stop
from edgerun_sync.cli.query import ENGINE
from edgerun_sync.errors import ExperimentError

if TYPE_CHECKING:
    from datetime import datetime

    from edgerun.nodes import RandomSplit
    from edgerun_bundles.definition import Definition
    from edgerun_bundles.experiment.plan import Plan


@click.group(
    short_help="Plan an experiment, run it, and read what it shows.",
    epilog=examples(
        "edgerun experiment new cards --name challenger",
        "edgerun experiment plan cards --per-day 4000",
        "edgerun experiment start cards@1.1.0 --channel stable --weights champion=95,challenger=5",
        "edgerun experiment report challenger --data /srv/edgerun",
    ),
)
def experiment() -> None:
    """Write an experiment down before it runs, steer it, and read its scorecard: docs/experiments.md."""


for command in (start, ramp, stop, promote, status, report, off_policy, holdout):
    experiment.add_command(command)


@experiment.command(
    short_help="Write the section of a plan.",
    epilog=examples("edgerun experiment new cards --name challenger --node ab"),
)
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option("--name", required=True, help="What the experiment is known by.")
@click.option("--node", help="The random split that it is about; the only one by default.")
def new(folder: Path, name: str, node: str | None) -> None:
    """Add a commented [experiment] to the bundle.toml in FOLDER, to be edited."""
    from edgerun_bundles.experiment.section import add_section  # noqa: PLC0415 - brings numpy and the core

    chosen = add_section(folder, name, node)
    click.echo(
        f"added an [experiment] about {chosen} to {folder / 'bundle.toml'}; edit it, then: edgerun experiment plan"
    )


@experiment.command(
    short_help="Compute what a plan takes.",
    epilog=examples(
        "edgerun experiment plan cards",
        "edgerun experiment plan cards --at-once 20000 --per-day 300",
        "edgerun experiment plan cards --data /srv/edgerun --json",
    ),
)
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option("--at-once", type=click.FloatRange(0), help="Units that are there on the first day.")
@click.option("--per-day", type=click.FloatRange(0), help="New units a day.")
@DATA
@ENGINE
@UNTIL
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON.")
def plan(
    folder: Path,
    at_once: float | None,
    per_day: float | None,
    data: str | None,
    engine: str | None,
    until: datetime,
    as_json: bool,
) -> None:
    """Compute the sample of each arm, the days it takes and the power, from the bundle.toml in FOLDER.

    Traffic is that of the plan; --data measures it. Of either, the share counts that the node enrols: what its holdout,
    its slice of a layer and its own traffic leave. Options say the units that are enrolled themselves.
    """
    from edgerun_bundles.definition import read_definition  # noqa: PLC0415 - brings numpy and the core
    from edgerun_sync.experiments.outlook import outlook  # noqa: PLC0415 - brings scipy
    from edgerun_sync.experiments.planning import Traffic  # noqa: PLC0415 - likewise
    from edgerun_sync.report.plan_text import outlook_document, outlook_text  # noqa: PLC0415 - likewise

    definition = read_definition(folder)
    found, node, share = _planned(definition, str(folder / "bundle.toml"))
    traffic = Traffic(found.traffic.at_once * share, found.traffic.per_day * share)
    if data is not None:
        from edgerun_sync.queries.engines import open_engine  # noqa: PLC0415 - engines are slow to load
        from edgerun_sync.queries.traffic import traffic as measured  # noqa: PLC0415 - likewise

        with open_engine(data, engine) as opened:
            of_fleet = measured(opened, definition.name, until)
        traffic = Traffic(of_fleet.at_once * share, of_fleet.per_day * share)
    traffic = Traffic(traffic.at_once if at_once is None else at_once, traffic.per_day if per_day is None else per_day)
    seen = outlook(found, node.split.shares, traffic)
    click.echo(json_line(outlook_document(found, seen, traffic)) if as_json else outlook_text(found, seen, traffic))


def _planned(definition: Definition, where: str) -> tuple[Plan, RandomSplit, float]:
    """The plan, its node, and the share of the units that the node enrols."""
    from edgerun.enrolment import enrolled_share  # noqa: PLC0415 - likewise
    from edgerun.graph import RandomSplit, parse_graph  # noqa: PLC0415 - brings numpy and the core
    from edgerun_bundles.experiment.plan import check_plan, parse_plan  # noqa: PLC0415 - likewise

    if not definition.experiment:
        raise ExperimentError(
            f"{where} has no [experiment]; write one with: edgerun experiment new {Path(where).parent} --name NAME"
        )
    found = parse_plan(definition.experiment, where)
    graph = parse_graph(definition.name, definition.nodes, definition.route, definition.models, definition.holdout)
    check_plan(found, graph, where)
    node = graph.nodes[found.node]
    assert isinstance(node, RandomSplit)
    return found, node, float(enrolled_share(node, graph.holdout))
