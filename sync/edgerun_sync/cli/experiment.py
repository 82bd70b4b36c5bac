"""``edgerun experiment``: the plan before, and the scorecard after."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgerun.cli.output import examples, json_line
from edgerun_bundles.cli.signing import REPOSITORY_OPTION
from edgerun_sync.cli.experiment_holdout import holdout
from edgerun_sync.cli.query import ENGINE
from edgerun_sync.errors import ExperimentError
from edgerun_sync.limits import LIMITS

if TYPE_CHECKING:
    from edgerun.bundle import Bundle
    from edgerun.nodes import RandomSplit
    from edgerun_bundles.definition import Definition
    from edgerun_bundles.experiment.plan import Plan
    from edgerun_sync.experiments.facts import Facts

_DATA = click.option("--data", metavar="DIR|s3://BUCKET/PREFIX", help="Where the collector keeps it all.")


def parse_time(ctx: click.Context, param: click.Parameter, text: str | None) -> datetime:
    """Return a time of ISO 8601, in UTC where it has no zone; now where there is none."""
    if text is None:
        return datetime.now(UTC)
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise click.BadParameter(f"{text!r} is no time such as 2026-01-31T12:00:00", ctx, param) from error
    return found if found.tzinfo else found.replace(tzinfo=UTC)


_UNTIL = click.option("--until", callback=parse_time, metavar="TIME", help="What came later is not looked at; now.")


@click.group(
    short_help="Plan an experiment, and read what it shows.",
    epilog=examples(
        "edgerun experiment new cards --name challenger",
        "edgerun experiment plan cards --per-day 4000",
        "edgerun experiment report challenger --data /srv/edgerun --bundle cards-1.1.0",
    ),
)
def experiment() -> None:
    """Write an experiment down before it runs, and read its scorecard afterwards: docs/experiments.md."""


experiment.add_command(holdout)


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
@_DATA
@ENGINE
@_UNTIL
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


@experiment.command(
    short_help="Print the scorecard.",
    epilog=examples(
        "edgerun experiment report challenger --data /srv/edgerun --bundle cards-1.1.0 --keys customers.txt",
        "edgerun experiment report challenger --data s3://fleet/prod --bundle v1 --bundle v2 --format html > page.html",
        "edgerun experiment report challenger --facts report.json",
    ),
)
@click.argument("name")
@_DATA
@ENGINE
@click.option(
    "--bundle",
    "bundles",
    type=click.Path(path_type=Path),
    multiple=True,
    metavar="BUNDLE",
    help="A folder, tar, layout or NAME@VERSION in which it ran; once for each version, that of the plan last.",
)
@REPOSITORY_OPTION
@click.option(
    "--keys",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Keys that are known, one a line: with them, assignments are audited.",
)
@click.option(
    "--facts",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A former report in JSON, to compute it again from.",
)
@_UNTIL
@click.option("--format", "form", type=click.Choice(["text", "html", "json"]), default="text", show_default=True)
def report(
    name: str,
    data: str | None,
    engine: str | None,
    bundles: tuple[Path, ...],
    repository: str | None,
    keys: Path | None,
    facts: Path | None,
    until: datetime,
    form: str,
) -> None:
    """Print the scorecard of the experiment NAME: health first, then effects, and the verdict with its reason."""
    if (data is None) == (facts is None):
        raise click.UsageError("give --data and --bundle, or --facts")
    found = _kept(facts) if facts is not None else _asked(str(data), engine, _read(bundles, repository), keys, until)
    if found.plan.name != name:
        raise ExperimentError(f"there is the experiment {found.plan.name!r}, and none of the name {name!r}")
    from edgerun_sync.experiments.scorecard import scorecard  # noqa: PLC0415 - brings scipy

    card = scorecard(found)
    if form == "json":
        from edgerun_sync.report.document import report_document  # noqa: PLC0415 - only where it is asked for

        click.echo(json_line(report_document(card)))
    elif form == "html":
        from edgerun_sync.report.html import html_report  # noqa: PLC0415 - likewise

        click.echo(html_report(card))
    else:
        from edgerun_sync.report.text import text_report  # noqa: PLC0415 - likewise

        click.echo(text_report(card))


def _planned(definition: Definition, where: str) -> tuple[Plan, RandomSplit, float]:
    """The plan, its node, and the share of the units that the node enrols."""
    from edgerun.enrolment import enrolled_share  # noqa: PLC0415 - likewise
    from edgerun.graph import RandomSplit, parse_graph  # noqa: PLC0415 - brings numpy and the core
    from edgerun_bundles.experiment.plan import check_plan, parse_plan  # noqa: PLC0415 - likewise

    if not definition.experiment:
        raise ExperimentError(f"{where} has no [experiment]; write one with: edgerun experiment new")
    found = parse_plan(definition.experiment, where)
    graph = parse_graph(definition.name, definition.nodes, definition.route, definition.models, definition.holdout)
    check_plan(found, graph, where)
    node = graph.nodes[found.node]
    assert isinstance(node, RandomSplit)
    return found, node, float(enrolled_share(node, graph.holdout))


def _kept(path: Path) -> Facts:
    """The facts of a former report, or facts alone."""
    from edgerun_sync.experiments.facts_json import parse_facts  # noqa: PLC0415 - brings numpy

    try:
        if path.stat().st_size > LIMITS.facts_max_bytes:
            raise ExperimentError(f"{path} is larger than {LIMITS.facts_max_bytes} bytes")
        document: Any = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise ExperimentError(f"{path} cannot be read as JSON: {error}") from error
    return parse_facts(document["facts"] if isinstance(document, dict) and "facts" in document else document, str(path))


def _read(bundles: tuple[Path, ...], repository: str | None) -> list[Bundle]:
    """The bundles; whoever looks at them later needs none of their files."""
    from edgerun_bundles.cli.opened import opened  # noqa: PLC0415 - brings the models' library

    if not bundles:
        raise click.UsageError("--data needs --bundle: the plan and the split are in the bundle")
    found = []
    for path in bundles:
        with opened(path, repository) as one:
            found.append(one.bundle)
    return found


def _asked(data: str, engine: str | None, bundles: list[Bundle], keys: Path | None, until: datetime) -> Facts:
    from edgerun.enrolment import gates_of  # noqa: PLC0415 - likewise
    from edgerun.graph import RandomSplit  # noqa: PLC0415 - likewise
    from edgerun_bundles.experiment.plan import check_plan, parse_plan  # noqa: PLC0415 - likewise
    from edgerun_sync.queries.engines import open_engine  # noqa: PLC0415 - engines are slow to load
    from edgerun_sync.queries.experiment import Version, experiment_facts  # noqa: PLC0415 - likewise

    last = bundles[-1]
    if not last.experiment:
        raise ExperimentError(f"{last.name}@{last.version} has no experiment; name the version that has the plan last")
    found = parse_plan(dict(last.experiment), f"{last.name}@{last.version}")
    versions = []
    for bundle in bundles:
        if bundle.name != last.name:
            raise ExperimentError(f"{bundle.name}@{bundle.version} is no version of {last.name!r}")
        check_plan(found, bundle.graph, f"{bundle.name}@{bundle.version}")
        node = bundle.graph.nodes[found.node]
        assert isinstance(node, RandomSplit)
        versions.append(Version(bundle.version, node.split, gates_of(node, bundle.graph.holdout)))
    known = None if keys is None else _lines(keys)
    with open_engine(data, engine) as opened:
        return experiment_facts(opened, found, last.name, versions, until=until, keys=known)


def _lines(path: Path) -> list[str]:
    try:
        return [line for line in path.read_text("utf-8").splitlines() if line]
    except (OSError, ValueError) as error:
        raise ExperimentError(f"{path} cannot be read as keys, one a line, in UTF-8: {error}") from error
