"""``edgerun device enroll``: a device gets its name and credential from the service, and follows its repository."""

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
        "edgerun device enroll https://fleet.example --token er1_enroll_... --bundle cards",
        "edgerun device enroll https://fleet.example --token er1_enroll_... --name pump-7 --ca fleet-ca.pem",
        "edgerun device enroll https://fleet.example --token er1_enroll_... --bundle cards --channel beta --group lab",
    ),
)
@click.argument("url")
@click.option("--token", required=True, envvar="EDGERUN_ENROLL_TOKEN", help="For enrolment; or EDGERUN_ENROLL_TOKEN.")
@click.option("--store", type=click.Path(file_okay=False, path_type=Path), default=DEFAULT_STORE, show_default=True)
@click.option("--name", help="What the device is to be called; the service finds a name by default.")
@click.option(
    "--ca", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="PEM: the authorities to trust."
)
@click.option("--bundle", metavar="NAME", help="The bundle to follow in the service's repository.")
@click.option("--channel", default="stable", show_default=True, metavar="NAME", help="The channel to follow it in.")
@click.option("--group", "groups", multiple=True, metavar="NAME", help="A group that the device is in.")
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON.")
def enroll(
    url: str,
    token: str,
    store: Path,
    name: str | None,
    ca: Path | None,
    bundle: str | None,
    channel: str,
    groups: tuple[str, ...],
    as_json: bool,
) -> None:
    """Trade an enrolment token for this device's own credential, kept in STORE for its owner's eyes only.

    With --bundle, STORE follows that bundle in the service's repository, whose root comes with the credential.
    """
    from edgerun_sync.agent.enrolment import enrol, write_enrolment  # noqa: PLC0415 - brings the HTTP library
    from edgerun_sync.agent.following import check_wish, follow  # noqa: PLC0415 - likewise
    from edgerun_sync.agent.http import Http  # noqa: PLC0415 - likewise

    ca_file = None if ca is None else str(ca.resolve())
    wanted = check_wish(str(store), name, bundle, channel, groups)
    http = Http(url, ca_file=ca_file)
    try:
        enrolment, offer = enrol(http, token, device=wanted, edgerun=version("edgerun"), now_s=time.time())
    finally:
        http.close()
    write_enrolment(str(store), enrolment._replace(ca_file=ca_file))
    repository = None if bundle is None else follow(str(store), enrolment, offer, bundle, channel, groups)
    if as_json:
        said = {"device": enrolment.device, "store": str(store)}
        click.echo(json_line(said if repository is None else {**said, "repository": repository, "bundle": bundle}))
        return
    click.echo(f"{enrolment.device} is enrolled at {enrolment.url}; sync with: edgerun agent --store {store}")
    if repository is not None:
        click.echo(f"it follows {bundle} in {channel} of {repository}")
