"""The ``edgerun`` command. It parses, calls the package and prints, and decides nothing of its own.

Results go to stdout and all else to stderr. The exit code is 0, 1 for an error of edgerun's or the system's, 2 for
wrong usage, 130 after Ctrl-C.
"""

from __future__ import annotations

import click

from edgerun.cli.device import device
from edgerun.cli.group import Commands
from edgerun.cli.log import log
from edgerun.cli.output import examples
from edgerun.cli.predict import predict
from edgerun.cli.show import show
from edgerun.cli.split import split


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=examples(
        "edgerun demo", "edgerun show digits/bundle", "edgerun predict digits/bundle --input image.json --key image-7"
    ),
)
@click.version_option(package_name="edgerun", prog_name="edgerun", message="%(prog)s %(version)s")
def main() -> None:
    """Serve versioned model bundles on this machine, each call routed through a deterministic experiment."""


main.add_command(device)
main.add_command(log)
main.add_command(predict)
main.add_command(show)
main.add_command(split)
