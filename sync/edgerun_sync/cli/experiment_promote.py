"""``edgerun experiment promote``: a treatment gets all keys, if a report says SHIP for it."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgerun.cli.output import examples, json_line, printable
from edgerun_sync.cli.experiment_phases import facts_of, kept_facts, phases_in
from edgerun_sync.cli.experiment_step import CHANNEL, VERSION, step_options, take_step
from edgerun_sync.cli.query import ENGINE
from edgerun_sync.errors import ExperimentError

if TYPE_CHECKING:
    from edgerun_bundles.experiment.published import Published
    from edgerun_sync.experiments.facts import Facts

EXIT_CLOSED = 3
"""The exit code where no report says SHIP: neither success nor an error; as of `edgerun bundle promote`."""
REPORT_MAX_AGE = timedelta(days=1)
"""How old a former report may be: the fleet goes on, and so does what it shows."""


@click.command(
    short_help="Give all keys to a treatment that ships.",
    epilog=examples(
        "edgerun experiment promote challenger challenger --facts report.json",
        "edgerun experiment promote challenger challenger --data /srv/edgerun --known-keys customers.txt",
        'edgerun experiment promote cards/challenger challenger --force "the champion has a bug"',
    ),
)
@click.argument("experiment")
@click.argument("arm")
@CHANNEL
@VERSION
@click.option("--data", metavar="DIR|s3://BUCKET/PREFIX", help="Where the collector keeps it all: make a report now.")
@ENGINE
@click.option(
    "--known-keys",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Keys that are known, one a line: --keys of the report.",
)
@click.option(
    "--facts",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A former report in JSON, not older than a day.",
)
@click.option("--force", metavar="REASON", help="Go ahead whatever a report says; the reason is kept.")
@step_options
def promote(
    experiment: str,
    arm: str,
    channel: str | None,
    version: str | None,
    data: str | None,
    engine: str | None,
    known_keys: Path | None,
    facts: Path | None,
    force: str | None,
    repository: str | None,
    keys: Path | None,
    passphrase_file: Path | None,
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """End EXPERIMENT with ARM: it gets all keys, and is the node's control from then on.

    The exit code is 0, or 3 where no report says SHIP for ARM.
    """
    if data is not None and facts is not None:
        raise click.UsageError("give --data or --facts, not both")
    if data is None and facts is None and force is None:
        raise click.UsageError("give --data or --facts, or --force with a reason")
    from edgerun_bundles.experiment.steering import decide_promote  # noqa: PLC0415 - the TUF library is slow to load
    from edgerun_bundles.gates import may_move, verdict_gate  # noqa: PLC0415 - likewise

    verdict = None
    if data is not None or facts is not None:
        phases = phases_in(repository, experiment)
        asked = (phases, repository, str(data), engine, known_keys, datetime.now(UTC))
        found = _former(facts, phases) if facts else facts_of(*asked)
        verdict = _verdict(found, arm)
    gate = verdict_gate(arm, verdict, force)
    gates = [gate._asdict()]
    if not as_json:
        click.echo(printable(f"{gate.name}  {'passed' if gate.passed else 'CLOSED'}  {gate.says}"))
    if not may_move([gate]):
        if as_json:
            click.echo(json_line({"experiment": experiment, "gates": gates, "published": False}))
        sys.exit(EXIT_CLOSED)
    take_step(
        lambda source, state: decide_promote(source, state, experiment, arm, channel, version, gate.says),
        *(repository, keys, passphrase_file),
        dry_run=dry_run,
        yes=yes,
        as_json=as_json,
        more={"gates": gates},
    )


def _former(path: Path, phases: list[Published]) -> Facts:
    """The facts of a former report, if it is about the plan and the versions that are published, and new enough."""
    from edgerun_bundles.experiment.versions import plan_of  # noqa: PLC0415 - brings numpy and the core

    found, last = kept_facts(path), phases[-1]
    if found.bundle != last.listed.name or found.plan != plan_of(last.document):
        raise ExperimentError(f"{path} is the report of another plan than that of {last.name}; make a new report")
    unknown = {phase.name for phase in found.phases} - {phase.listed.version for phase in phases}
    if unknown:
        raise ExperimentError(f"{path} is about {min(unknown)!r}, which is no published phase; make a new report")
    age = datetime.now(UTC) - datetime.fromisoformat(found.looked_at)
    if age > REPORT_MAX_AGE:
        raise ExperimentError(f"{path} looked at what was there {age.days} days ago; make a new report")
    return found


def _verdict(found: Facts, arm: str) -> tuple[str, str]:
    from edgerun_sync.experiments.scorecard import scorecard  # noqa: PLC0415 - brings scipy

    verdicts = {card.arm: card.verdict for card in scorecard(found).treatments}
    if arm not in verdicts:
        raise ExperimentError(f"the report has no treatment {arm!r}; it has: {', '.join(verdicts)}")
    return verdicts[arm].kind, verdicts[arm].reason
