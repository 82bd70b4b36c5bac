"""``edgerun experiment start``, ``ramp`` and ``stop``: versions of a bundle with other weights, given to a channel."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from edgerun.cli.output import examples
from edgerun_bundles.cli.signing import parse_pin_argument
from edgerun_sync.cli.experiment_step import (
    CHANNEL,
    GROUPS,
    ROLLBACK,
    SHARE,
    TRAFFIC,
    VERSION,
    WEIGHTS,
    step_options,
    take_step,
)

if TYPE_CHECKING:
    from fractions import Fraction
    from pathlib import Path


@click.command(
    short_help="Let an experiment begin in a channel.",
    epilog=examples(
        "edgerun experiment start cards@1.1.0 --channel stable --weights champion=95,challenger=5",
        "edgerun experiment start cards@1.1.0 --channel stable --traffic 20%",
        "edgerun experiment start cards@1.1.0 --channel canary --group lab --dry-run",
    ),
)
@click.argument("pin", callback=parse_pin_argument, metavar="NAME@VERSION")
@click.option("--channel", required=True, help="Whose devices take part; one that is not there is made.")
@WEIGHTS
@TRAFFIC
@VERSION
@SHARE
@GROUPS
@ROLLBACK
@step_options
def start(
    pin: tuple[str, str],
    channel: str,
    weights: dict[str, Fraction] | None,
    traffic: float | None,
    version: str | None,
    share: int | None,
    groups: tuple[str, ...],
    rollback: bool,
    repository: str | None,
    keys: Path | None,
    passphrase_file: Path | None,
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Give a published version with a plan to a channel, at its starting weights; by default those that it has.

    Other weights make another version of the same models. The version that stops the experiment is published with it.
    """
    from edgerun_bundles.experiment.steering import Terms, decide_start  # noqa: PLC0415 - the TUF library is slow to load

    terms = Terms(weights, traffic, version, share, groups or None, rollback)
    take_step(
        lambda source, state: decide_start(source, state, *pin, channel, terms),
        *(repository, keys, passphrase_file),
        dry_run=dry_run,
        yes=yes,
        as_json=as_json,
    )


@click.command(
    short_help="Go on with other weights, or another share of keys.",
    epilog=examples(
        "edgerun experiment ramp challenger --weights champion=50,challenger=50",
        "edgerun experiment ramp challenger --traffic 100%",
        "edgerun experiment ramp cards/challenger --channel stable --weights champion=80,challenger=20 --version 1.2.0",
    ),
)
@click.argument("experiment")
@CHANNEL
@WEIGHTS
@TRAFFIC
@VERSION
@SHARE
@GROUPS
@ROLLBACK
@step_options
def ramp(
    experiment: str,
    channel: str | None,
    weights: dict[str, Fraction] | None,
    traffic: float | None,
    version: str | None,
    share: int | None,
    groups: tuple[str, ...],
    rollback: bool,
    repository: str | None,
    keys: Path | None,
    passphrase_file: Path | None,
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Make the next phase of EXPERIMENT: a version with other weights, of which as few keys move as can."""
    if weights is None and traffic is None:
        raise click.UsageError("give --weights or --traffic")
    from edgerun_bundles.experiment.steering import Terms, decide_ramp  # noqa: PLC0415 - as above

    terms = Terms(weights, traffic, version, share, groups or None, rollback)
    take_step(
        lambda source, state: decide_ramp(source, state, experiment, channel, terms),
        *(repository, keys, passphrase_file),
        dry_run=dry_run,
        yes=yes,
        as_json=as_json,
    )


@click.command(
    short_help="Give all keys to the control.",
    epilog=examples(
        "edgerun experiment stop challenger",
        "edgerun experiment stop challenger --channel canary",
    ),
)
@click.argument("experiment")
@CHANNEL
@click.option("--version", metavar="VERSION", help="What has the control alone; VERSION-control by default.")
@step_options
def stop(
    experiment: str,
    channel: str | None,
    version: str | None,
    repository: str | None,
    keys: Path | None,
    passphrase_file: Path | None,
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """End EXPERIMENT with the control; the version that does so was published when it began, or is made now."""
    from edgerun_bundles.experiment.steering import decide_stop  # noqa: PLC0415 - as above

    take_step(
        lambda source, state: decide_stop(source, state, experiment, channel, version),
        *(repository, keys, passphrase_file),
        dry_run=dry_run,
        yes=yes,
        as_json=as_json,
    )
