"""``edgerun experiment``: the plan before, and the scorecard after."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgerun.cli.output import examples, json_line
from edgerun_bundles.cli.signing import REPOSITORY_OPTION
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

_BUNDLES = click.option(
    "--bundle",
    "bundles",
    type=click.Path(path_type=Path),
    multiple=True,
    metavar="BUNDLE",
    help="A folder, tar, layout or NAME@VERSION in which it ran; once for each version, that of the plan last.",
)
_KEYS = click.option(
    "--keys",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Keys that are known, one a line: with them, assignments are audited.",
)
_FACTS = click.option(
    "--facts",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A former report in JSON, to compute it again from.",
)


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

    Traffic is that of the plan; --data measures it, and options say otherwise.
    """
    from edgerun_bundles.definition import read_definition  # noqa: PLC0415 - brings numpy and the core
    from edgerun_sync.experiments.outlook import outlook  # noqa: PLC0415 - brings scipy
    from edgerun_sync.experiments.planning import Traffic  # noqa: PLC0415 - likewise
    from edgerun_sync.report.plan_text import outlook_document, outlook_text  # noqa: PLC0415 - likewise

    definition = read_definition(folder)
    found, node = _planned(definition, str(folder / "bundle.toml"))
    traffic = Traffic(found.traffic.at_once * node.traffic, found.traffic.per_day * node.traffic)
    if data is not None:
        from edgerun_sync.queries.engines import open_engine  # noqa: PLC0415 - engines are slow to load
        from edgerun_sync.queries.traffic import traffic as measured  # noqa: PLC0415 - likewise

        with open_engine(data, engine) as opened:
            of_fleet = measured(opened, definition.name, until)
        traffic = Traffic(of_fleet.at_once * node.traffic, of_fleet.per_day * node.traffic)
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
@_BUNDLES
@REPOSITORY_OPTION
@_KEYS
@_FACTS
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
    from edgerun_sync.experiments.scorecard import scorecard  # noqa: PLC0415 - brings scipy

    card = scorecard(_facts_of(name, data, engine, bundles, repository, keys, facts, until))
    if form == "json":
        from edgerun_sync.report.document import report_document  # noqa: PLC0415 - only where it is asked for

        click.echo(json_line(report_document(card)))
    elif form == "html":
        from edgerun_sync.report.html import html_report  # noqa: PLC0415 - likewise

        click.echo(html_report(card))
    else:
        from edgerun_sync.report.text import text_report  # noqa: PLC0415 - likewise

        click.echo(text_report(card))


@experiment.command(
    short_help="Estimate what other weights would have brought.",
    epilog=examples(
        "edgerun experiment off-policy challenger --weights champion=50,challenger=50 --facts report.json",
        "edgerun experiment off-policy challenger --weights challenger=1 --data /srv/edgerun --bundle v1 --keys all",
    ),
)
@click.argument("name")
@click.option("--weights", required=True, metavar="ARM=W,ARM=W", help="Of the split that is asked about.")
@_DATA
@ENGINE
@_BUNDLES
@REPOSITORY_OPTION
@_KEYS
@_FACTS
@_UNTIL
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON.")
def off_policy(
    name: str,
    weights: str,
    data: str | None,
    engine: str | None,
    bundles: tuple[Path, ...],
    repository: str | None,
    keys: Path | None,
    facts: Path | None,
    until: datetime,
    as_json: bool,
) -> None:
    """Estimate each metric of the experiment NAME under other weights, from the units that were routed by its own.

    It says nothing of an arm that had no share, and decides nothing. Of an experiment whose health is broken, it is
    refused.
    """
    from edgerun_sync.experiments.checks import findings_of  # noqa: PLC0415 - brings scipy
    from edgerun_sync.experiments.policy_cards import policy_cards  # noqa: PLC0415 - likewise
    from edgerun_sync.report.policy_text import policy_document, policy_text  # noqa: PLC0415 - likewise

    proposed = _weights(weights)
    found = _facts_of(name, data, engine, bundles, repository, keys, facts, until)
    broken = [one for one in findings_of(found) if not one.is_ok and one.stops == "verdict"]
    if broken:
        raise ExperimentError(f"nothing can be said of another split while a check is broken: {broken[0].sentence}")
    cards = policy_cards(found, proposed)
    click.echo(json_line(policy_document(found, proposed, cards)) if as_json else policy_text(found, proposed, cards))


def _weights(text: str) -> dict[str, float]:
    found = {}
    for part in text.split(","):
        arm, equals, weight = part.rpartition("=")
        try:
            found[arm.strip()] = float(weight)
        except ValueError:
            equals = ""
        if not equals or not arm.strip():
            raise click.BadParameter(f"{part!r} is no weight such as challenger=50", param_hint="--weights")
    return found


def _facts_of(
    name: str,
    data: str | None,
    engine: str | None,
    bundles: tuple[Path, ...],
    repository: str | None,
    keys: Path | None,
    facts: Path | None,
    until: datetime,
) -> Facts:
    """The facts of an experiment of a name, asked of the tables or kept."""
    if (data is None) == (facts is None):
        raise click.UsageError("give --data and --bundle, or --facts")
    found = _kept(facts) if facts is not None else _asked(str(data), engine, _read(bundles, repository), keys, until)
    if found.plan.name != name:
        raise ExperimentError(f"there is the experiment {found.plan.name!r}, and none of the name {name!r}")
    return found


def _planned(definition: Definition, where: str) -> tuple[Plan, RandomSplit]:
    from edgerun.graph import RandomSplit, parse_graph  # noqa: PLC0415 - brings numpy and the core
    from edgerun_bundles.experiment.plan import check_plan, parse_plan  # noqa: PLC0415 - likewise

    if not definition.experiment:
        raise ExperimentError(f"{where} has no [experiment]; write one with: edgerun experiment new")
    found = parse_plan(definition.experiment, where)
    graph = parse_graph(definition.name, definition.nodes, definition.route, definition.models)
    check_plan(found, graph, where)
    node = graph.nodes[found.node]
    assert isinstance(node, RandomSplit)
    return found, node


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
        versions.append(Version(bundle.version, node.split))
    known = None if keys is None else _lines(keys)
    with open_engine(data, engine) as opened:
        return experiment_facts(opened, found, last.name, versions, until=until, keys=known)


def _lines(path: Path) -> list[str]:
    try:
        return [line for line in path.read_text("utf-8").splitlines() if line]
    except (OSError, ValueError) as error:
        raise ExperimentError(f"{path} cannot be read as keys, one a line, in UTF-8: {error}") from error
