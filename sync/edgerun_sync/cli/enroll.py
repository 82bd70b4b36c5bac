"""``edgerun device enroll``: a device gets its name and credential from the service."""

from __future__ import annotations

import time
from importlib.metadata import version
from pathlib import Path

import click

from edgerun.cli.output import examples, json_line
from edgerun_sync.cli.agent import DEFAULT_STORE


@click.command(
    short_help="Get this device's credential from a service.",
    epilog=examples(
        "edgerun device enroll https://fleet.example --token er1_enroll_... --store /var/lib/edgerun",
        "edgerun device enroll https://fleet.example --token er1_enroll_... --name pump-7 --ca fleet-ca.pem",
    ),
)
@click.argument("url")
@click.option("--token", required=True, envvar="EDGERUN_ENROLL_TOKEN", help="For enrolment; or EDGERUN_ENROLL_TOKEN.")
@click.option("--store", type=click.Path(file_okay=False, path_type=Path), default=DEFAULT_STORE, show_default=True)
@click.option("--name", help="What the device is to be called; the service finds a name by default.")
@click.option(
    "--ca", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="PEM: the authorities to trust."
)
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON.")
def enroll(url: str, token: str, store: Path, name: str | None, ca: Path | None, as_json: bool) -> None:
    """Trade an enrolment token for this device's own credential, kept in STORE for its owner's eyes only."""
    from edgerun_sync.agent.enrolment import enrol, write_enrolment  # noqa: PLC0415 - brings the HTTP library
    from edgerun_sync.agent.http import Http  # noqa: PLC0415 - likewise

    ca_file = None if ca is None else str(ca.resolve())
    http = Http(url, ca_file=ca_file)
    try:
        enrolment, _ = enrol(http, token, device=name, edgerun=version("edgerun"), now_s=time.time())
    finally:
        http.close()
    write_enrolment(str(store), enrolment._replace(ca_file=ca_file))
    if as_json:
        click.echo(json_line({"device": enrolment.device, "store": str(store)}))
        return
    click.echo(f"{enrolment.device} is enrolled at {enrolment.url}; sync with: edgerun agent --store {store}")
