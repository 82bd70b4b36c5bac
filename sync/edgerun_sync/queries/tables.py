"""The tables as Ibis sees them, and how a question about them is asked. Nothing here touches a row."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import ibis

from edgerun_sync.collector.arrow.devices import DEVICES as _FLEET
from edgerun_sync.collector.arrow.schemas import SCHEMAS
from edgerun_sync.errors import QueryError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from edgerun_sync.queries.engines import Engine

Every: TypeAlias = Literal["minute", "hour", "day", "week"]
"""A length of time into which rows are divided, in UTC; weeks begin on Monday."""

BY = ("bundle", "version", "model", "arm")
"""What tells one thing that serves from another."""

CALLS = ("inference", "fallback")
"""The kinds of events that answered a call."""

EVENTS, LABELS, PROFILES, LIFECYCLE, CAPTURES = (
    ibis.table(ibis.Schema.from_pyarrow(SCHEMAS[name]), name=name)
    for name in ("events", "labels", "profiles", "lifecycle", "captures")
)
"""The tables of PROTOCOL.md, section 5."""

FLEET = ibis.table(ibis.Schema.from_pyarrow(_FLEET), name="fleet")
"""A row for each device, as it checked in last."""

_MOMENT = EVENTS.time.type()
_MINUTE_US = 60 * 10**6
_DAY_US = 24 * 60 * _MINUTE_US
_LENGTHS_US = {"minute": _MINUTE_US, "hour": 60 * _MINUTE_US, "day": _DAY_US, "week": 7 * _DAY_US}
_MONDAY_US = 3 * _DAY_US
"""1970 began on a Thursday."""


def statement(question: Any, dialect: str) -> str:
    """Return a question, an Ibis table expression, as SQL.

    Args:
        question: an expression over the tables of this module, or of what an engine was given.
        dialect: of an engine.

    Raises:
        QueryError: the dialect cannot say it.
    """
    if dialect == "pyspark":
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "PySpark does not yet fully support pandas", FutureWarning)
            ibis.pyspark.name  # noqa: B018 - it loads the options of the dialect
    try:
        return str(ibis.to_sql(question, dialect=dialect))
    except ibis.IbisError as error:
        raise QueryError(f"this cannot be asked in {dialect}: {error}") from error


def ask(engine: Engine, question: Any) -> Any:
    """Return the answer to a question as a pyarrow.Table, of the types that the question says.

    Raises:
        QueryError: the engine failed, or the question cannot be said in its dialect.
    """
    found = engine.rows(statement(question, engine.dialect))
    return found.select(question.columns).cast(question.schema().to_pyarrow())


def given(engine: Engine, name: str, table: Any) -> Any:
    """Let an engine see a pyarrow.Table, and return it as questions are asked of it.

    Raises:
        QueryError: the engine cannot take it.
    """
    engine.give(name, table)
    return ibis.table(ibis.Schema.from_pyarrow(table.schema), name=name)


def between(table: Any, since: datetime | None = None, until: datetime | None = None) -> Any:
    """Return the rows of a table from one time on and up to, not including, another; both with a zone.

    Raises:
        QueryError: a time has no zone.
    """
    for time in (since, until):
        if time is not None and time.tzinfo is None:
            raise QueryError(f"the time {time.isoformat()} has no zone; write one, such as +00:00")
    found = table if since is None else table.filter(table.time >= ibis.literal(since))
    return found if until is None else found.filter(found.time < ibis.literal(until))


def divided(table: Any, by: Sequence[str], every: Every | None) -> tuple[Any, list[str]]:
    """Return a table, with the column ``begin`` where times are divided, and the columns to group by.

    Raises:
        QueryError: there is no such column, or no such length.
    """
    missing = [name for name in by if name not in table.columns]
    if missing:
        raise QueryError(f"there is no column {missing[0]!r} to group by, only {', '.join(table.columns)}")
    if every is None:
        return table, [*by]
    if every not in _LENGTHS_US:
        raise QueryError(f"time is divided into {', '.join(_LENGTHS_US)}, not {every!r}")
    length, shift = _LENGTHS_US[every], _MONDAY_US if every == "week" else 0
    since_1970 = microseconds(table.time)
    within = ((since_1970 + shift) % length + length) % length  # a remainder has the sign of what was divided
    return table.mutate(begin=_moment(since_1970 - within)), [*by, "begin"]


def microseconds(time: Any) -> Any:
    """Return times as microseconds since 1970: cutting them is exact, and eight times as fast as date_trunc."""
    return _unix_micros(time)


def _unix_micros_of(time: Any) -> Any:
    """Spark's function; DuckDB here is given it."""


def _timestamp_micros_of(number: Any) -> Any:
    """Its inverse, likewise."""


_builtin = ibis.udf.scalar.builtin
_unix_micros = _builtin(_unix_micros_of, name="unix_micros", signature=((_MOMENT,), "int64"))
_moment = _builtin(_timestamp_micros_of, name="timestamp_micros", signature=(("int64",), _MOMENT))


def is_one_of(text: Any, names: Sequence[str]) -> Any:
    """Return whether texts are among names; false where one is missing.

    DuckDB asks that once for each text of a dictionary. A plain IN goes into its reader of Parquet, which asks it for
    each row: of 10 M arms, 0.4 s of CPU instead of 0.1 s.
    """
    return ibis.coalesce(text.isin(names), ibis.literal(value=False))


def tally(condition: Any) -> Any:
    """Return how many rows meet a condition, those not where it is missing.

    It is counted what is not missing: a pass of counts with filters takes DuckDB a seventh longer.
    """
    return ibis.ifelse(condition, ibis.literal(1, "int8"), ibis.null("int8")).count()
