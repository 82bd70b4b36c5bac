"""What every step of ``edgerun experiment`` shares, from start to promote: options, publishing, and what it tells."""

from __future__ import annotations

import sys
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import click

from edgerun.cli.output import columns, json_line, printable, share_text
from edgerun_bundles.cli.progress import progress_bar, say
from edgerun_bundles.cli.signing import JSON_OPTION, parse_share, signing, signing_options

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from edgerun_bundles.experiment.carrying_out import Sent
    from edgerun_bundles.experiment.steering import Step
    from edgerun_bundles.repository.metadata import State
    from edgerun_bundles.repository.storage import Source
    from edgerun_bundles.repository.workplace import Workplace


def parse_weights(ctx: click.Context, param: click.Parameter, text: str | None) -> dict[str, Fraction] | None:
    """Return ``champion=95,challenger=5`` as what it says, exactly."""
    if text is None:
        return None
    found: dict[str, Fraction] = {}
    for part in text.split(","):
        arm, _, weight = part.strip().rpartition("=")
        try:
            value = Fraction(weight.strip())
        except (ValueError, ZeroDivisionError) as error:
            raise click.BadParameter(f"{part!r} is not of the form ARM=NUMBER", ctx, param) from error
        if not arm or arm in found or value < 0:
            raise click.BadParameter(f"{part!r}: each arm has one number, 0 or more", ctx, param)
        found[arm] = value
    return found


def parse_traffic(ctx: click.Context, param: click.Parameter, text: str | None) -> float | None:
    """Return a share such as ``20%`` or ``0.2``."""
    return None if text is None else parse_share(ctx, param, text) / 1_000_000


def parse_devices(ctx: click.Context, param: click.Parameter, text: str | None) -> int | None:
    """Return a share of devices in millionths."""
    return None if text is None else parse_share(ctx, param, text)


WEIGHTS = click.option(
    "--weights", callback=parse_weights, metavar="ARM=NUMBER,...", help="Of every arm; they normalise themselves."
)
TRAFFIC = click.option("--traffic", callback=parse_traffic, metavar="SHARE", help="Of the keys that take part: 20%.")
CHANNEL = click.option("--channel", help="Where it runs; may be left out where that is one channel.")
VERSION = click.option("--version", metavar="VERSION", help="The new version; the next free number by default.")
SHARE = click.option("--share", callback=parse_devices, metavar="SHARE", help="Of the channel's devices.")
GROUPS = click.option("--group", "groups", multiple=True, help="Only to devices of this group; may be repeated.")
ROLLBACK = click.option(
    "--rollback/--no-rollback", default=True, show_default=True, help="Publish the version that stops it, too."
)


def step_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options that every step has."""
    dry = click.option("--dry-run", is_flag=True, help="Say what would be done, and publish nothing.")
    yes = click.option("--yes", is_flag=True, help="Do not ask.")
    return signing_options(dry(yes(JSON_OPTION(command))))


def take_step(
    decide: Callable[[Source, State], Step],
    repository: str | None,
    keys: Path | None,
    passphrase_file: Path | None,
    *,
    dry_run: bool,
    yes: bool,
    as_json: bool,
    more: Mapping[str, Any] | None = None,
) -> None:
    """Decide a step, tell it, publish it, and tell that.

    Args:
        decide: reads the repository and returns the step.
        repository: its place; None is the default.
        keys: the folder of keys; None is the one that is known.
        passphrase_file: has their passphrase; None is the environment's.
        dry_run: whether to publish nothing.
        yes: whether to ask nobody.
        as_json: whether to print one line of JSON.
        more: further fields of that line.

    Raises:
        RepositoryError: the step cannot be decided or published.
        BundleError: the plan or the weights are wrong.
    """
    from edgerun_bundles.experiment.carrying_out import carry_out  # noqa: PLC0415 - the TUF library is slow to load

    place = signing(repository, keys, passphrase_file)
    say("looking at the repository")
    step = decide(place.source, place.read())
    if not as_json:
        for line in _lines(step):
            click.echo(line)
    if dry_run:
        sent = None
    else:
        if not yes and not as_json and sys.stdin.isatty():
            click.confirm("publish that?", abort=True, err=True)
        sent = carry_out(place, step, lambda length: progress_bar(length, "sending"))
    if as_json:
        click.echo(json_line({**step_document(place, step, sent), **(more or {})}))
    elif sent is None:
        click.echo("nothing was published")
    else:
        size = f"{sent.sent_bytes:,} bytes sent, {sent.known_bytes:,} bytes were there"
        click.echo(f"published: {_given(step)}; {size}")


def step_document(place: Workplace, step: Step, sent: Sent | None) -> dict[str, Any]:
    """Return a step as JSON has it."""
    change = step.change
    return {
        "repository": place.place,
        "action": step.action,
        "experiment": step.experiment,
        "bundle": step.parent.listed.name,
        "parent": step.parent.listed.version,
        "version": step.version,
        "made": {} if sent is None else dict(sent.digests),
        "rollback": step.rollback,
        "channel": step.channel.channel,
        "releases": [
            {"version": found.version, "share_ppm": found.share_ppm, "groups": list(found.groups)}
            for found in step.channel.releases
        ],
        "node": change.node,
        "shares": [dict(change.before.split.shares), dict(change.after.split.shares)],
        "traffic": [change.before.traffic, change.after.traffic],
        "control": change.after.control,
        "moved": float(change.moved),
        "least": float(change.least),
        "published": sent is not None,
        "sent_bytes": 0 if sent is None else sent.sent_bytes,
        "known_bytes": 0 if sent is None else sent.known_bytes,
    }


def _lines(step: Step) -> Iterator[str]:
    change, name = step.change, step.parent.listed.name
    is_new = any(document["version"] == step.version for document in step.made)
    what = "a new version" if is_new else "as it is published"
    rows = [
        (step.action, f"{step.experiment} in {step.channel.channel}"),
        ("from", step.parent.name),
        ("to", f"{name}@{step.version}, {what}"),
        ("shares", _turned(_shares(change.before.split.shares), _shares(change.after.split.shares))),
        ("traffic", _turned(share_text(change.before.traffic), share_text(change.after.traffic))),
    ]
    if change.before.control != change.after.control:
        rows.append(("control", _turned(change.before.control, change.after.control)))
    more = "" if change.moved <= change.least else f"; {share_text(float(change.least))} would be enough"
    rows.append(("moved", f"{share_text(float(change.moved))} of the keys{more}"))
    if step.action in {"start", "ramp"}:
        back = f"{name}@{step.rollback} stops it" if step.rollback else "none is prepared"
        rows.append(("way back", back))
    yield columns(rows)


def _given(step: Step) -> str:
    from edgerun.update.channel import WHOLE_PPM  # noqa: PLC0415 - brings numpy

    if not step.channel.releases:
        return printable(f"{step.channel.channel} gives nothing")
    first = step.channel.releases[0]
    whom = f"devices of {', '.join(first.groups)}" if first.groups else "all devices"
    share = "" if first.share_ppm == WHOLE_PPM else f"{share_text(first.share_ppm / WHOLE_PPM)} of "
    return printable(f"{step.channel.channel} gives {first.version} to {share}{whom}")


def _shares(shares: Mapping[str, float]) -> str:
    return ", ".join(f"{arm} {share_text(share)}" for arm, share in shares.items())


def _turned(before: str, after: str) -> str:
    return after if before == after else f"{before} -> {after}"
