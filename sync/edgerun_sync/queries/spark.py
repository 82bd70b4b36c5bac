"""Any engine behind Spark Connect: Apache Spark, Databricks, Sail. The one module that knows its client.

The server reads the tables itself, at the versions that were looked up here, so it must be able to reach the same
place; a folder must be one of its own machine.
"""

from __future__ import annotations

import re
import socket
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from edgerun_sync.errors import QueryError
from edgerun_sync.limits import LIMITS

_OF_PANDAS = "PySpark does not yet fully support pandas"
"""No pandas is used here; the client looks for one wherever it loads another part of itself."""

with warnings.catch_warnings():
    warnings.filterwarnings("ignore", _OF_PANDAS, FutureWarning)
    from pyspark.errors import PySparkException
    from pyspark.sql import SparkSession
    from pyspark.sql.pandas.types import from_arrow_schema

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import TracebackType
    from typing import Self

    from edgerun_sync.collector.snapshots import Snapshot

CONNECT_S = 10.0
"""Seconds in which a server must take a connection: its client would try for minutes, and say nothing."""
KEPT_HERE_ROWS = 2 * LIMITS.sampled_calls_max
"""Rows up to which an answer that is to be kept passes through this process, as sampled calls do: not every server can
keep one."""
_PORT = 15002
_REASON_CHARACTERS_MAX = 500
_FIRST_WORD = re.compile(r"(?:\s|--[^\n]*\n|/\*.*?\*/|\()*(\w*)", re.DOTALL)
_READS = {"SELECT", "VALUES"}


class SparkConnect:
    """A session of its own on a server; see Engine.

    Args:
        url: ``sc://HOST:PORT``, and what Spark Connect lets follow that.
        snapshots: the tables' versions, by name.
        further: tables of Arrow, by name.

    Raises:
        QueryError: the server does not answer, or cannot read a table.
    """

    dialect = "pyspark"

    def __init__(self, url: str, snapshots: Mapping[str, Snapshot], further: Mapping[str, Any]) -> None:
        self.versions: Mapping[str, int] = {name: snapshot.version for name, snapshot in snapshots.items()}
        _require_answer(url)
        with _mapped():
            self._session: Any = SparkSession.builder.remote(url).create()
        try:
            self._name(snapshots, further)
        except BaseException:
            self.close()
            raise

    def rows(self, statement: str) -> Any:
        """See Engine."""
        with _mapped():
            self._require_reading(statement)
            return self._session.sql(statement).toArrow()

    def reader(self, statement: str) -> Any:
        """See Engine."""
        return self.rows(statement).to_reader()

    def give(self, name: str, table: Any) -> None:
        """See Engine."""
        with _mapped():
            if table.num_rows:
                found = self._session.createDataFrame(table)
            else:
                found = self._session.createDataFrame([], from_arrow_schema(table.schema))
            found.createOrReplaceTempView(name)

    def keep(self, name: str, statement: str) -> None:
        """See Engine."""
        with _mapped():
            self._require_reading(statement)
            found = self._session.sql(f"SELECT * FROM ({statement}\n) LIMIT {KEPT_HERE_ROWS + 1}").toArrow()  # noqa: S608 - it is what was asked for
            if found.num_rows > KEPT_HERE_ROWS:
                self._session.sql(statement).persist().createOrReplaceTempView(name)
                return
        self.give(name, found)

    def close(self) -> None:
        """See Engine."""
        with _mapped():
            self._session.stop()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        self.close()

    def _name(self, snapshots: Mapping[str, Snapshot], further: Mapping[str, Any]) -> None:
        with _mapped():
            self._session.conf.set("spark.sql.session.timeZone", "UTC")
            for name, snapshot in snapshots.items():
                rows = self._session.read.format("delta").option("versionAsOf", str(snapshot.version))
                found = rows.load(unquote(snapshot.url))  # to Spark a path is a text with no escapes
                found.select(*snapshot.schema.names).createOrReplaceTempView(name)
        for name, table in further.items():
            self.give(name, table)

    def _require_reading(self, statement: str) -> None:
        found = _FIRST_WORD.match(statement)
        word = found[1].upper() if found else ""
        if word == "WITH":  # an INSERT may follow; but nothing that writes can be selected from
            self._session.sql(f"SELECT * FROM ({statement}\n) LIMIT 0")  # noqa: S608 - it is what was asked for
        elif word not in _READS:
            raise QueryError(f"a query is one SELECT, and this begins with {word!r}: the tables can only be read")


@contextmanager
def _mapped() -> Iterator[None]:
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", _OF_PANDAS, FutureWarning)
            yield
    except PySparkException as error:
        raise QueryError(" ".join(str(error).split())[:_REASON_CHARACTERS_MAX]) from error


def _require_answer(url: str) -> None:
    parts = urlsplit(url)
    try:
        host, port = parts.hostname, parts.port or _PORT
    except ValueError:
        host, port = None, 0
    if parts.scheme != "sc" or not host:
        raise QueryError(f"{url!r} is no engine: write sc://HOST:PORT")
    try:
        socket.create_connection((host, port), CONNECT_S).close()
    except OSError as error:
        raise QueryError(f"no engine answers at {host}:{port}: {error}") from error
