"""``edgerun experiment report`` and ``off-policy``: what the tables say of an experiment."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgerun.cli.output import examples, json_line
from edgerun_bundles.cli.signing import REPOSITORY_OPTION
from edgerun_sync.cli.experiment_phases import DATA, UNTIL, facts_of, kept_facts, lines_of, phases_in, read_bundles
from edgerun_sync.cli.experiment_step import parse_weights
from edgerun_sync.cli.query import ENGINE
from edgerun_sync.errors import ExperimentError

if TYPE_CHECKING:
    from datetime import datetime
    from fractions import Fraction

    from edgerun_sync.cli.experiment_phases import ReadBundle
    from edgerun_sync.experiments.facts import Facts


_BUNDLES = click.option(
    "--bundle",
    "bundles",
    type=click.Path(path_type=Path),
    multiple=True,
    metavar="BUNDLE",
    help="A folder, tar, layout or NAME@VERSION in which it ran; once for each version, that of the plan last. "
    "By default, all versions of the repository with a plan of that name.",
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


@click.command(
    short_help="Print the scorecard.",
    epilog=examples(
        "edgerun experiment report challenger --data /srv/edgerun --keys customers.txt",
        "edgerun experiment report challenger --data s3://fleet/prod --bundle v1 --bundle v2 --format html > page.html",
        "edgerun experiment report challenger --facts report.json",
    ),
)
@click.argument("name")
@DATA
@ENGINE
@_BUNDLES
@REPOSITORY_OPTION
@_KEYS
@_FACTS
@UNTIL
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
    """Print the scorecard of the experiment NAME: health first, then effects, and the verdict with its reason.

    Its phases are the versions in the repository whose plan has that name; BUNDLE/NAME, where two bundles have one.
    """
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


@click.command(
    "off-policy",
    short_help="Estimate what other weights would have brought.",
    epilog=examples(
        "edgerun experiment off-policy challenger --weights champion=50,challenger=50 --facts report.json",
        "edgerun experiment off-policy challenger --weights challenger=1 --data /srv/edgerun --bundle v1 --keys all",
    ),
)
@click.argument("name")
@click.option(
    "--weights",
    required=True,
    callback=parse_weights,
    metavar="ARM=NUMBER,...",
    help="Of the split that is asked about.",
)
@DATA
@ENGINE
@_BUNDLES
@REPOSITORY_OPTION
@_KEYS
@_FACTS
@UNTIL
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON.")
def off_policy(
    name: str,
    weights: dict[str, Fraction],
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

    proposed = {arm: float(weight) for arm, weight in weights.items()}
    found = _facts_of(name, data, engine, bundles, repository, keys, facts, until)
    broken = [one for one in findings_of(found) if not one.is_ok and one.stops == "verdict"]
    if broken:
        raise ExperimentError(f"nothing can be said of another split while a check is broken: {broken[0].sentence}")
    cards = policy_cards(found, proposed)
    click.echo(json_line(policy_document(found, proposed, cards)) if as_json else policy_text(found, proposed, cards))


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
    """The facts of an experiment of a name: kept, or asked of the tables for these bundles or for published phases."""
    if (data is None) == (facts is None):
        raise click.UsageError("give --data or --facts")
    if facts is not None:
        found = kept_facts(facts)
    elif bundles:
        found = _asked(str(data), engine, read_bundles(bundles, repository), keys, until)
    else:
        found = facts_of(phases_in(repository, name), repository, str(data), engine, keys, until)
        name = found.plan.name
    if found.plan.name != name:
        raise ExperimentError(f"there is the experiment {found.plan.name!r}, and none of the name {name!r}")
    return found


def _asked(data: str, engine: str | None, read: list[ReadBundle], keys: Path | None, until: datetime) -> Facts:
    from edgerun.enrolment import gates_of  # noqa: PLC0415 - likewise
    from edgerun.graph import RandomSplit  # noqa: PLC0415 - likewise
    from edgerun_bundles.experiment.plan import check_plan, parse_plan  # noqa: PLC0415 - likewise
    from edgerun_sync.queries.engines import open_engine  # noqa: PLC0415 - engines are slow to load
    from edgerun_sync.queries.experiment import Version, experiment_facts  # noqa: PLC0415 - likewise

    bundles = [one.bundle for one in read]
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
    known = None if keys is None else lines_of(keys)
    with open_engine(data, engine) as opened:
        training = read[-1].training
        return experiment_facts(opened, found, last.name, versions, until=until, keys=known, training=training)
