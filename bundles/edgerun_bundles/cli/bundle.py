"""``edgerun bundle``: the workstation's commands around one bundle."""

from __future__ import annotations

import click

from edgerun.cli.output import examples
from edgerun_bundles.cli.build import build, init
from edgerun_bundles.cli.channels import export, import_, release, withdraw
from edgerun_bundles.cli.check_env import check_env
from edgerun_bundles.cli.diff import diff
from edgerun_bundles.cli.keys import keys
from edgerun_bundles.cli.log import log
from edgerun_bundles.cli.promote import move_in_repository, promote_command
from edgerun_bundles.cli.repository import repository
from edgerun_bundles.cli.restore import restore_command
from edgerun_bundles.cli.show import show
from edgerun_bundles.cli.track import track_commands
from edgerun_bundles.cli.transfer import pull, push
from edgerun_bundles.cli.verify import verify


@click.group(
    short_help="Build, inspect, compare and publish bundles.",
    epilog=examples(
        "edgerun bundle init cards --name cards --model champion=model.onnx",
        "edgerun bundle build cards -o cards-1.0.0.tar",
        "edgerun bundle push cards-1.0.0.tar /srv/bundles --channel canary",
    ),
)
def bundle() -> None:
    """Build, inspect, compare and publish bundles.

    A BUNDLE is a bundle's folder, a .tar that `build` wrote, an OCI image layout, or NAME@VERSION of a repository.
    """


for _command in (
    *(init, build, show, verify, diff, log, restore_command, check_env, track_commands()),
    *(push, pull, release, withdraw, promote_command(move_in_repository), export, import_, repository, keys),
):
    bundle.add_command(_command)
