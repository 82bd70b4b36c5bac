"""``edgerun experiment status``: the phases of an experiment in a repository, and who gets them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from edgerun.cli.output import columns, examples, json_line, share_text
from edgerun_bundles.cli.progress import progress_bar
from edgerun_bundles.cli.signing import JSON_OPTION, REPOSITORY_OPTION, reading

if TYPE_CHECKING:
    from edgerun_bundles.experiment.published import Published, Running


@click.command(
    short_help="Say where experiments run, and at which weights.",
    epilog=examples(
        "edgerun experiment status",
        "edgerun experiment status challenger",
        "edgerun experiment status cards/challenger --json",
    ),
)
@click.argument("experiment", required=False)
@REPOSITORY_OPTION
@JSON_OPTION
def status(experiment: str | None, repository: str | None, as_json: bool) -> None:
    """Print the phases of EXPERIMENT with their weights, since when, and in which channels; or all that run."""
    from edgerun_bundles.experiment.published import all_running, phases_of  # noqa: PLC0415 - TUF is slow to load

    place = reading(repository)
    state = place.read()
    everywhere = all_running(place.source, state)
    if experiment is None:
        documents = [_running(found) for found in everywhere]
        if as_json:
            click.echo(json_line({"repository": place.place, "running": documents}))
            return
        rows = [(one["experiment"], one["channel"], one["bundle"], one["version"]) for one in documents]
        click.echo(columns([("experiment", "channel", "bundle", "version"), *rows]) if rows else "no experiment runs")
        return
    phases = phases_of(
        place.source, state, experiment, lambda length: progress_bar(length, "looking through the versions")
    )
    listed = [_phase(phase, everywhere) for phase in phases]
    bundle = phases[0].listed.name
    if as_json:
        name = phases[0].experiment
        click.echo(json_line({"repository": place.place, "experiment": name, "bundle": bundle, "phases": listed}))
        return
    heads = ("phase", "published", "weights", "traffic", "channels")
    click.echo(columns([heads, *(_row(bundle, one) for one in listed)]))


def _running(found: Running) -> dict[str, Any]:
    return {
        "experiment": found.newest.experiment,
        "bundle": found.channel.bundle,
        "channel": found.channel.channel,
        "version": found.newest.listed.version,
        "versions": [phase.listed.version for phase in found.phases],
    }


def _phase(phase: Published, everywhere: list[Running]) -> dict[str, Any]:
    from edgerun_bundles.experiment.versions import node_of, plan_of  # noqa: PLC0415 - brings numpy and the core

    version, bundle = phase.listed.version, phase.listed.name
    node = node_of(phase.document, plan_of(phase.document))
    return {
        "version": version,
        "digest": phase.listed.digest,
        "published": phase.listed.published,
        "shares": dict(node.split.shares),
        "traffic": node.traffic,
        "channels": [
            {"channel": found.channel.channel, "share_ppm": release.share_ppm, "groups": list(release.groups)}
            for found in everywhere
            if found.channel.bundle == bundle and phase in found.phases
            for release in found.channel.releases
            if release.version == version
        ],
    }


def _row(bundle: str, one: dict[str, Any]) -> tuple[str, ...]:
    channels = [
        found["channel"] + ("" if found["share_ppm"] == 1_000_000 else f" ({share_text(found['share_ppm'] / 1e6)})")
        for found in one["channels"]
    ]
    shares = ", ".join(f"{arm} {share_text(share)}" for arm, share in one["shares"].items())
    where = ", ".join(dict.fromkeys(channels)) or "none"
    return (f"{bundle}@{one['version']}", one["published"], shares, share_text(one["traffic"]), where)
