"""``edgerun device``: the store of this device, and the repository that it follows."""

from __future__ import annotations

import click

from edgerun.cli.device.join import join
from edgerun.cli.device.rollback import rollback
from edgerun.cli.device.status import history, status
from edgerun.cli.device.update import update
from edgerun.cli.device.verify import verify
from edgerun.cli.group import DeviceCommands
from edgerun.cli.output import examples


@click.group(
    cls=DeviceCommands,
    epilog=examples(
        "edgerun device join https://fleet.example --root root.json --bundle cards",
        "edgerun device update --store store",
        "edgerun device status --store store --json",
    ),
)
def device() -> None:
    """Keep the bundles of this device, and follow a repository."""


for command in (join, update, status, history, rollback, verify):
    device.add_command(command)
