"""``edgerun agent``: a device's syncing, in the foreground, once, or as it was last."""

from __future__ import annotations

import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgerun.cli.output import columns, examples, json_line
from edgerun.errors import EdgerunError
from edgerun_sync.errors import AgentError

if TYPE_CHECKING:
    from edgerun_sync.agent.agent import Synced
    from edgerun_sync.agent.uplink import Uplinked

DEFAULT_STORE = "/var/lib/edgerun"

_STORE = click.option(
    "--store",
    type=click.Path(file_okay=False, path_type=Path),
    default=DEFAULT_STORE,
    show_default=True,
    help="The device's.",
)
_JSON = click.option("--json", "as_json", is_flag=True, help="Print one line of JSON for each sync.")


@click.group(
    invoke_without_command=True,
    short_help="Hand over what was recorded, and fetch new bundles.",
    epilog=examples(
        "edgerun agent --store /var/lib/edgerun",
        "edgerun agent --once --json",
        "edgerun agent --bytes-per-s 20000 --interval-s 900",
        "edgerun agent status",
    ),
)
@_STORE
@click.option("--once", is_flag=True, help="Sync once, and exit with 1 if anything could not be done.")
@click.option("--interval-s", type=click.FloatRange(1, 604_800), default=300.0, show_default=True)
@click.option("--bytes-per-s", type=click.IntRange(100), help="What the uplink may take; all there is by default.")
@click.option("--newest-first", is_flag=True, help="Hand over a backlog from its new end.")
@_JSON
@click.pass_context
def agent(
    ctx: click.Context,
    store: Path,
    once: bool,
    interval_s: float,
    bytes_per_s: int | None,
    newest_first: bool,
    as_json: bool,
) -> None:
    """Hand over what the device recorded, and fetch the bundle that is meant for it.

    It runs until Ctrl-C or SIGTERM; what was not handed over by then stays for the next time.
    """
    if ctx.invoked_subcommand is not None:
        return
    from edgerun_sync.agent import Agent, SyncPolicy  # noqa: PLC0415 - brings the HTTP library

    policy = SyncPolicy(interval_s=interval_s, bytes_per_s=bytes_per_s, newest_first=newest_first)
    found = Agent(store, policy)
    if once:
        synced = found.sync(_progress)
        _tell(synced, as_json)
        if synced.problems:
            raise click.exceptions.Exit(1)
        return
    signal.signal(signal.SIGTERM, lambda *_: found.ask_to_stop())
    signal.signal(signal.SIGINT, lambda *_: found.ask_to_stop())
    found.run(lambda outcome: _tell(outcome, as_json))


@agent.command(
    short_help="Say how the last sync went.", epilog=examples("edgerun agent status --store /var/lib/edgerun")
)
@_STORE
@_JSON
def status(store: Path, as_json: bool) -> None:
    """Say in one line how the last sync went, what waits, how the clock is, and what is served."""
    from edgerun.log.handover import segment_files  # noqa: PLC0415 - brings numpy
    from edgerun_sync.agent.downlink import given_up, served_bundle  # noqa: PLC0415 - likewise
    from edgerun_sync.agent.status import read_status  # noqa: PLC0415 - likewise
    from edgerun_sync.agent.uplink import REFUSED_FOLDER, backlog  # noqa: PLC0415 - brings the HTTP library

    if not store.is_dir():
        raise AgentError(f"{store} is no folder; give the device's with --store")
    found = read_status(str(store))
    segments, size, _ = backlog(segment_files(str(store / "log")))
    bundle = served_bundle(str(store))
    refused = len([*(store / "log" / REFUSED_FOLDER).glob("*")])
    if as_json:
        last, waits = found._asdict() if found else None, {"segments": segments, "bytes": size}
        click.echo(json_line({"last": last, "backlog": waits, "refused": refused, "bundle": bundle}))
        return
    said = [_ago(found.synced_s if found else None)]
    said.append(f"{segments} segment{'s' * (segments != 1)} of {size:,} bytes wait" if segments else "nothing waits")
    if refused:
        said.append(f"{refused} refused for good, in log/{REFUSED_FOLDER}")
    if found is not None and found.clock_offset_s is not None:
        said.append(f"clock {-found.clock_offset_s:+.1f} s")
    why = None if bundle else given_up(str(store))
    none = f"no bundle: the last was given up, {why}" if why else "no bundle"
    said.append(f"{bundle['name']} {bundle['version']} ({bundle['state']})" if bundle else none)
    if found is not None:
        said += [*found.flags, *found.problems]
    click.echo("; ".join(said))


def _ago(time_s: float | None) -> str:
    if time_s is None:
        return "never synced"
    ago_s = max(0, int(time.time() - time_s))
    size, name = next(
        (size, name) for size, name in ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s")) if ago_s >= size or size == 1
    )
    return f"synced {ago_s // size} {name} ago"


def _progress(done: Uplinked) -> None:
    if sys.stderr.isatty():
        click.echo(f"\r{done.segments} segments, {done.bytes:,} bytes handed over", nl=False, err=True)


def _tell(outcome: Synced | EdgerunError, as_json: bool) -> None:
    if isinstance(outcome, EdgerunError):
        click.echo(f"edgerun: {outcome}", err=True)
        return
    if as_json:
        click.echo(json_line(_document(outcome)))
        return
    sent = outcome.uplink
    rows = [("handed over", f"{sent.segments} segments, {sent.bytes:,} bytes")]
    if sent.refused:
        rows.append(("refused", ", ".join(sent.refused)))
    if outcome.bundle is not None:
        rows.append(("bundle", outcome.bundle))
    if outcome.flags:
        rows.append(("flags", ", ".join(outcome.flags)))
    click.echo(columns(rows))
    for problem in outcome.problems:
        click.echo(f"edgerun: {problem}", err=True)


def _document(synced: Synced) -> dict[str, Any]:
    return {**synced._asdict(), "uplink": synced.uplink._asdict()}
