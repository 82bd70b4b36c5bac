"""``edgerun log``: looks into a metrics log, whoever is writing to it. Nothing here changes one."""

from __future__ import annotations

import click

from edgerun.cli.log.dump import dump
from edgerun.cli.log.ls import ls
from edgerun.cli.log.stats import stats
from edgerun.cli.log.verify import verify
from edgerun.cli.output import examples


@click.group(epilog=examples("edgerun log stats store/log", "edgerun log dump store/log --json"))
def log() -> None:
    """Look into the metrics log of a device."""


for command in (dump, ls, stats, verify):
    log.add_command(command)
