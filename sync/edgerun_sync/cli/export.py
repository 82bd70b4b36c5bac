"""``edgerun collector export``: a table of a fleet as one file that other tools read."""

from __future__ import annotations

import os
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import click

from edgerun.cli.log.asked import times
from edgerun.cli.output import examples, json_line
from edgerun_sync.cli.query import DATA, ENGINE

TABLES = ("events", "labels", "profiles", "lifecycle", "captures", "devices")
_FORMS = (".parquet", ".csv")


def _out(ctx: click.Context, param: click.Parameter, path: Path) -> Path:
    if path.suffix not in _FORMS:
        raise click.BadParameter(f"{path} ends with neither {' nor '.join(_FORMS)}", ctx, param)
    return path


@click.command(
    short_help="Write a table to a file.",
    epilog=examples(
        "edgerun collector export --data /srv/edgerun events -o events.parquet --since 7d",
        "edgerun collector export --data s3://fleet/prod labels -o labels.csv --since 2026-01-01 --until 2026-02-01",
    ),
)
@click.argument("table", type=click.Choice(TABLES))
@DATA
@ENGINE
@click.option(
    "-o",
    "--output",
    required=True,
    callback=_out,
    type=click.Path(dir_okay=False, path_type=Path),
    help="FILE.parquet or FILE.csv; what is there is replaced.",
)
@times
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON.")
def export(
    table: str,
    data: str,
    engine: str | None,
    output: Path,
    since: float | None,
    until: float | None,
    as_json: bool,
) -> None:
    """Write the rows of a table, or those of some time, to a file. A file that is there is whole."""
    if table == "devices" and (since, until) != (None, None):
        raise click.UsageError("devices have a row each, of no time: leave --since and --until out")
    from edgerun_sync.collector.arrow.answers import write_csv, write_parquet  # noqa: PLC0415 - pyarrow is slow to load
    from edgerun_sync.queries import tables  # noqa: PLC0415 - Ibis is slow to load
    from edgerun_sync.queries.engines import open_engine  # noqa: PLC0415 - engines are slow to load

    question = tables.between(getattr(tables, table.upper()), _moment(since), _moment(until))
    write = write_parquet if output.suffix == ".parquet" else write_csv
    draft = output.with_name(f".{output.name}.{os.getpid()}")
    try:
        with open_engine(data, engine) as opened, draft.open("xb") as file:
            rows = write(opened.reader(tables.statement(question, opened.dialect)), file)
        draft.replace(output)
    finally:
        with suppress(FileNotFoundError):
            draft.unlink()
    if as_json:
        click.echo(json_line({"table": table, "rows": rows, "file": str(output), "bytes": output.stat().st_size}))
    else:
        click.echo(f"{rows:,} rows of {table} in {output}")


def _moment(time_s: float | None) -> datetime | None:
    return None if time_s is None else datetime.fromtimestamp(time_s, UTC)
