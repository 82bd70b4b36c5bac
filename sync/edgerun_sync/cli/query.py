"""``edgerun query``: SQL over the tables of a fleet, while a collector goes on filling them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from edgerun.cli.output import columns, examples, json_line
from edgerun_sync.limits import LIMITS

if TYPE_CHECKING:
    from collections.abc import Iterator

DATA = click.option("--data", required=True, metavar="DIR|s3://BUCKET/PREFIX", help="Where the collector keeps it all.")
ENGINE = click.option("--engine", metavar="sc://HOST:PORT", help="A Spark Connect server; DuckDB here by default.")


@click.command(
    short_help="Ask the tables in SQL.",
    epilog=examples(
        'edgerun query "SELECT arm, count(*) FROM events GROUP BY arm" --data /srv/edgerun',
        'edgerun query "SELECT * FROM devices" --data s3://fleet/prod --csv > devices.csv',
        'edgerun query "SELECT max(time) FROM events" --data /srv/edgerun --engine sc://spark:15002 --json',
    ),
)
@click.argument("sql")
@DATA
@ENGINE
@click.option("--json", "as_json", is_flag=True, help="Print each row as a line of JSON.")
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV, with the columns' names first.")
def query(sql: str, data: str, engine: str | None, as_json: bool, as_csv: bool) -> None:
    """Print the answer to SQL, a query in the engine's dialect. It only reads, and holds nobody up.

    The tables are events, labels, profiles, lifecycle, captures and devices.
    """
    if as_json and as_csv:
        raise click.UsageError("--json and --csv are two forms: choose one")
    from edgerun_sync.collector.arrow.answers import as_csv_texts, as_values  # noqa: PLC0415 - pyarrow is slow to load
    from edgerun_sync.queries.engines import open_engine  # noqa: PLC0415 - engines are slow to load

    with open_engine(data, engine) as opened:
        answer = opened.reader(sql)
        if as_csv:
            for text in as_csv_texts(answer):
                click.echo(text, nl=False)
        elif as_json:
            for row in as_values(answer):
                click.echo(json_line(dict(zip(answer.schema.names, row, strict=True))))
        else:
            _show(answer.schema.names, as_values(answer))


def _show(names: list[str], rows: Iterator[list[Any]]) -> None:
    """Print as many rows as a person reads; how many there are is said."""
    shown = [[_text(value) for value in row] for _, row in zip(range(LIMITS.query_rows_shown_max), rows, strict=False)]
    click.echo(columns([names, *shown]))
    further = sum(1 for _ in rows)
    if further:
        click.echo(f"… and {further:,} more rows; --csv or --json prints all", err=True)


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.9g}"
    return value if isinstance(value, str) else json_line(value)
