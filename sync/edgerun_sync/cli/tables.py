"""``edgerun collector rebuild``, ``compact`` and ``erase``: what an operator does to the tables."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from edgerun.cli.output import columns, examples, json_line

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgerun_sync.collector.data import Data

DATA = click.option("--data", required=True, metavar="DIR|s3://BUCKET/PREFIX", help="What serve was given.")
JSON = click.option("--json", "as_json", is_flag=True, help="Print one line of JSON.")


@click.command(
    short_help="Make the tables again.",
    epilog=examples(
        "edgerun collector rebuild --data /srv/edgerun", "edgerun collector rebuild --data /srv/edgerun --discard"
    ),
)
@DATA
@click.option("--discard", is_flag=True, help="Remove the tables that are there, first.")
@JSON
def rebuild(data: str, discard: bool, as_json: bool) -> None:
    """Add to the tables every batch that was ever committed and that they lack, from the archives.

    Stop all collectors first: beside one that commits it is refused. Cut short, it goes on where it was. Tables that
    are damaged are discarded and made anew; who queries meanwhile sees a part.
    """
    from edgerun_sync.collector.claims import require_unclaimed  # noqa: PLC0415 - the tables' library is slow to load
    from edgerun_sync.collector.data import discard_tables, open_to_read  # noqa: PLC0415 - likewise
    from edgerun_sync.collector.rebuild import Rebuilt  # noqa: PLC0415 - likewise
    from edgerun_sync.collector.rebuild import rebuild as rebuild_tables  # noqa: PLC0415 - likewise

    def tell(done: Rebuilt) -> None:
        _progress(f"{done.batches} batches, {done.segments} segments, {sum(done.rows.values())} rows")

    there = open_to_read(data)
    require_unclaimed(there.objects, there.lanes)
    if discard:
        discard_tables(data)
    opened = _open(data)
    done = rebuild_tables(opened.objects, opened.lanes, opened.tables, tell)
    _end_progress()
    _say(as_json, {"batches": done.batches, "segments": done.segments}, rows=done.rows)


@click.command(
    short_help="Put small files of the tables together.",
    epilog=examples("edgerun collector compact --data /srv/edgerun"),
)
@DATA
@JSON
def compact(data: str, as_json: bool) -> None:
    """Put small files together, and remove those that no version of the last seven days has.

    A collector that commits does so by itself every hour. Readers and collectors are not disturbed.
    """
    from edgerun_sync.collector.compaction import compact_all  # noqa: PLC0415 - the tables' library is slow to load

    found = compact_all(_open(data).tables, _progress)
    _end_progress()
    _say(as_json, {}, compacted=found.compacted, removed=found.removed)


@click.command(
    short_help="Erase a device or a unit.",
    epilog=examples(
        "edgerun collector erase --data /srv/edgerun --unit customer-42 --at-once",
        "edgerun collector erase --data /srv/edgerun --device oven-7",
    ),
)
@DATA
@click.option("--unit", metavar="KEY", help="The key that calls were made with.")
@click.option("--unit-hash", type=click.IntRange(-(2**63), 2**64 - 1), help="Its hash, as the tables have it.")
@click.option("--device", metavar="NAME", help="A device: all that it ever sent, its credential, what is known of it.")
@click.option("--at-once", is_flag=True, help="Remove old files of the tables now, under whoever still reads them.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@JSON
def erase(
    data: str, unit: str | None, unit_hash: int | None, device: str | None, at_once: bool, yes: bool, as_json: bool
) -> None:
    """Erase a device, or a unit with its calls, labels, outcomes and captures: from tables and archives, for good.

    The audit log says that it was done, and how much went. Without --at-once, old versions of the tables keep the rows
    for seven days.
    """
    if sum(given is not None for given in (unit, unit_hash, device)) != 1:
        raise click.UsageError("give one of --unit, --unit-hash and --device")
    from edgerun.feedback import outcome_row  # noqa: PLC0415 - the core is not needed for the help
    from edgerun_sync.collector.erasing import erase_device, erase_unit  # noqa: PLC0415 - the tables' library is slow
    from edgerun_sync.names import check_device  # noqa: PLC0415 - likewise

    if device is not None:
        check_device(device)
    if not yes:
        click.confirm(f"Erase {f'the device {device}' if device else 'the unit'} from {data}, for good?", abort=True)
    opened = _open(data)
    if device is not None:
        done = erase_device(opened, device, who="console", at_once=at_once, tell=_progress)
    else:
        number = unit_hash if unit is None else outcome_row("any", 0, None, unit)[1]["unit"]  # as a device has it
        assert number is not None
        done = erase_unit(opened, number, who="console", at_once=at_once, tell=_progress)
    _end_progress()
    counts = {"segments": done.segments, "archives": len(done.archives), "files": done.files, "entry": done.entry}
    _say(as_json, counts, rows=done.rows)


def _open(data: str) -> Data:
    from edgerun_sync.collector.data import open_data  # noqa: PLC0415 - the tables' library is slow to load

    return open_data(data)


def _progress(text: str) -> None:
    """Say on a terminal what is being done, on one line."""
    if sys.stderr.isatty():
        click.echo(f"\r\x1b[K{text}", nl=False, err=True)


def _end_progress() -> None:
    if sys.stderr.isatty():
        click.echo("\r\x1b[K", nl=False, err=True)


def _say(as_json: bool, counts: Mapping[str, int], **by_table: Mapping[str, int]) -> None:
    if as_json:
        click.echo(json_line({**counts, **{name: dict(found) for name, found in by_table.items()}}))
        return
    lines = [(name, f"{value:,}") for name, value in counts.items()]
    lines += [(f"{table} {name}", f"{value:,}") for name, found in by_table.items() for table, value in found.items()]
    click.echo(columns(lines))
