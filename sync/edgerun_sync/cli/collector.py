"""``edgerun collector``: the fleet's service, and what its operator does beside it."""

from __future__ import annotations

import signal
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgerun.cli.output import columns, examples, json_line
from edgerun_sync.cli.collector_acting import acting_options
from edgerun_sync.cli.export import export
from edgerun_sync.cli.key_folders import PASSPHRASE_VARIABLE, opened_keys
from edgerun_sync.cli.quarantine import quarantine
from edgerun_sync.cli.tables import compact, erase, rebuild
from edgerun_sync.cli.telemetry import otlp_options, telemetry
from edgerun_sync.limits import LIMITS

if TYPE_CHECKING:
    from edgerun_sync.cli.collector_acting import Acting
    from edgerun_sync.collector.data import Data

DEFAULT_LISTEN = "127.0.0.1:8750"

_DATA = click.option(
    "--data", required=True, metavar="DIR|s3://BUCKET/PREFIX", help="Where everything is kept; made if it is not there."
)
_JSON = click.option("--json", "as_json", is_flag=True, help="Print one line of JSON.")


def parse_listen(ctx: click.Context, param: click.Parameter, text: str) -> tuple[str, int]:
    """Return HOST:PORT as what it says; an IPv6 address stands in brackets."""
    host, separator, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not separator or not host or not port.isascii() or not port.isdecimal() or int(port) > 65535:
        raise click.BadParameter(f"{text!r} is not of the form HOST:PORT", ctx, param)
    return host, int(port)


@click.group(
    short_help="Take in what a fleet recorded.",
    epilog=examples(
        "edgerun collector serve --data /srv/edgerun",
        "edgerun collector token --data /srv/edgerun --role enroll --uses 100",
        "edgerun collector audit verify --data /srv/edgerun",
    ),
)
def collector() -> None:
    """Take in what a fleet recorded: land it durably, commit it to tables, each row once."""


collector.add_command(export)


@collector.command(
    short_help="Serve devices and operators.",
    epilog=examples(
        "edgerun collector serve --data /srv/edgerun",
        "edgerun collector serve --data s3://fleet/prod --listen 0.0.0.0:443 --cert chain.pem --key key.pem",
        "EDGERUN_KEY_PASSPHRASE=... edgerun collector serve --data /srv/edgerun --online-keys /srv/online-keys",
    ),
)
@_DATA
@click.option("--listen", default=DEFAULT_LISTEN, show_default=True, callback=parse_listen, metavar="HOST:PORT")
@click.option("--cert", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="PEM; without it, no TLS.")
@click.option(
    "--key", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="The certificate's private key."
)
@click.option("--no-commit", is_flag=True, help="Only land; another collector of the same data commits.")
@click.option(
    "--commit-every",
    type=click.FloatRange(0, 3600),
    default=LIMITS.commit_every_s,
    show_default=True,
    metavar="SECONDS",
    help="Between two batches of a lane, unless more waits than one takes: fewer and larger files, and later rows.",
)
@click.option(
    "--online-keys",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder with the keys of snapshot and timestamp, which are then signed anew before they expire; "
    f"{PASSPHRASE_VARIABLE} has the passphrase.",
)
@acting_options
@otlp_options
def serve(
    data: str,
    listen: tuple[str, int],
    cert: Path | None,
    key: Path | None,
    no_commit: bool,
    commit_every: float,
    online_keys: Path | None,
    acting: Acting,
    **otlp: Any,
) -> None:
    """Serve until Ctrl-C or SIGTERM; what was acknowledged is stored, whenever that comes.

    The first start prints an admin token, once. Without TLS, listen to this machine only, behind a proxy that has it.
    """
    if (cert is None) != (key is None):
        raise click.UsageError("--cert and --key go together")
    from edgerun_sync.collector.audit import Audit  # noqa: PLC0415 - the service's libraries are slow to load
    from edgerun_sync.collector.crew_process import CrewProcess  # noqa: PLC0415 - likewise
    from edgerun_sync.collector.data import open_landings, open_repository  # noqa: PLC0415 - likewise
    from edgerun_sync.collector.http.app import Application  # noqa: PLC0415 - likewise
    from edgerun_sync.collector.http.logs import log_to_stderr  # noqa: PLC0415 - likewise
    from edgerun_sync.collector.http.metrics import Metrics  # noqa: PLC0415 - likewise
    from edgerun_sync.collector.http.server import Server  # noqa: PLC0415 - likewise
    from edgerun_sync.collector.service import Service  # noqa: PLC0415 - likewise
    from edgerun_sync.collector.upkeep import Upkeep  # noqa: PLC0415 - likewise

    log_to_stderr()
    advice = "copy online.pem and online.pub.json there"
    signers = None if online_keys is None else opened_keys(online_keys, "--online-keys", advice)
    of_channels = acting.signers()
    metrics, crew = Metrics(), None
    sending = telemetry(data, metrics, listen, **otlp)
    objects, lanes = open_landings(data)
    with ExitStack() as beside:
        if not no_commit:
            started = CrewProcess(
                data,
                every_s=commit_every,
                committed=metrics.committed,
                compacted=metrics.compacted,
                waiting=metrics.waiting,
            )
            crew = beside.enter_context(started)
        repository = open_repository(data, Audit(objects))
        service = Service(objects, lanes, repository)
        server = Server(Application(service, metrics).asgi(), *listen, cert, key)
        if crew is not None:
            crew.wait_until_ready()
        beside.enter_context(sending)
        scheme, (host, port) = "https" if cert else "http", server.address
        token = service.first_token()  # told once, so what can fail comes before
        if token is not None:
            click.echo(f"admin token, told this once: {token}")
        click.echo(f"collector at {scheme}://{f'[{host}]' if ':' in host else host}:{port}, data in {data}")
        beside.enter_context(Upkeep(repository, signers, Audit(objects)))
        watched = (data, objects, repository, Audit(objects))
        beside.enter_context(acting.watch(*watched, [signers, of_channels], metrics.looked))
        # When it has ended, uvicorn sends the signal that stopped it once more: what is beside it ends after that.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: None)
        server.run()


@collector.command(
    short_help="Make a token.",
    epilog=examples(
        "edgerun collector token --data /srv/edgerun --role enroll --uses 100 --days 30",
        "edgerun collector token --data /srv/edgerun --role read --note grafana",
    ),
)
@_DATA
@click.option("--role", type=click.Choice(["enroll", "read", "publish", "admin"]), required=True)
@click.option("--note", default="", help="What it is for.")
@click.option("--uses", type=click.IntRange(1), help="How many devices may enrol with it; 1 by default.")
@click.option("--days", type=click.FloatRange(0, min_open=True), help="After which it ends; never by default.")
@_JSON
def token(data: str, role: str, note: str, uses: int | None, days: float | None, as_json: bool) -> None:
    """Make a token and print it, which nobody can do again: only its hash is kept."""
    from edgerun_sync.collector.audit import Audit  # noqa: PLC0415 - the store's library is slow to load
    from edgerun_sync.collector.credentials import Credentials, Role  # noqa: PLC0415 - likewise

    objects = _open(data).objects
    expires = None if days is None else datetime.now(UTC) + timedelta(days=days)
    made, credential = Credentials(objects).issue(Role(role), note=note, uses=uses, expires=expires)
    Audit(objects).append("console", "token.issue", credential.name, {"role": role, "note": note})
    if as_json:
        click.echo(json_line({"token": made, **credential._asdict()}))
        return
    click.echo(made)


@collector.group(
    short_help="Who did what.",
    epilog=examples(
        "edgerun collector audit show --data /srv/edgerun", "edgerun collector audit verify --data /srv/edgerun"
    ),
)
def audit() -> None:
    """Look at the audit log, in which each entry names the digest of the one before it."""


@audit.command(
    "verify",
    short_help="Check that nobody changed it.",
    epilog=examples("edgerun collector audit verify --data /srv/edgerun"),
)
@_DATA
@_JSON
def audit_verify(data: str, as_json: bool) -> None:
    """Walk the chain of entries; exit code 1 where it is broken."""
    from edgerun_sync.collector.audit import Audit  # noqa: PLC0415 - the store's library is slow to load

    found = Audit(_open(data).objects).verify()
    if as_json:
        click.echo(json_line(found._asdict()))
    else:
        click.echo(
            columns([("entries", str(found.entries)), ("head", found.head), ("chain", found.problem or "holds")])
        )
    if found.problem is not None:
        raise click.exceptions.Exit(1)


@audit.command(
    "show", short_help="Print the entries.", epilog=examples("edgerun collector audit show --data /srv/edgerun")
)
@_DATA
@_JSON
def audit_show(data: str, as_json: bool) -> None:
    """Print the entries, oldest first; with --json, each as a line."""
    from edgerun_sync.collector.audit import Audit  # noqa: PLC0415 - the store's library is slow to load

    for entry in Audit(_open(data).objects).entries():
        if as_json:
            click.echo(json_line(entry))
        else:
            said = [entry["time"], f"{entry['who']:<12}", f"{entry['action']:<21}", entry["subject"]]
            said += [f"{name}={_shown(value)}" for name, value in entry["details"].items()]
            click.echo("  ".join([f"{entry['n']:>6}", *said]))


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json_line(value)


for command in (rebuild, compact, erase, quarantine):
    collector.add_command(command)


def _open(data: str) -> Data:
    from edgerun_sync.collector.data import open_data  # noqa: PLC0415 - the tables' library is slow to load

    return open_data(data)
