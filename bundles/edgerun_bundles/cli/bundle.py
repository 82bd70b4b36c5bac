"""``edgerun bundle``: the workstation's commands around one bundle."""

from __future__ import annotations

import click

from edgerun.cli.output import examples
from edgerun_bundles.cli.build import build, init
from edgerun_bundles.cli.check_env import check_env
from edgerun_bundles.cli.diff import diff
from edgerun_bundles.cli.log import log
from edgerun_bundles.cli.promote import no_repository, promote_command
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
        "edgerun bundle push cards-1.0.0.tar oci://registry.example/team/cards",
    ),
)
def bundle() -> None:
    """Build, inspect, compare and publish bundles.

    A BUNDLE is a bundle's folder, a .tar that `build` wrote, or an OCI image layout.
    """


_TO_AND_FRO = (push, pull, promote_command(no_repository))
_ORIGINS = (track_commands(), log, restore_command, check_env)
_COMMANDS = (init, build, show, verify, diff, *_ORIGINS, *_TO_AND_FRO)
for _command in _COMMANDS:
    bundle.add_command(_command)
