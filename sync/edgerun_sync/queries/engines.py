"""What answers a question: DuckDB in the process, or an engine behind Spark Connect, over one version of the tables.

An engine only reads. It opens every table through Delta's log once, at its newest version, and answers from that
version for as long as it is open, whatever a collector does meanwhile: files that a table has lost stay for a week.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from edgerun_sync.collector.arrow.devices import device_rows
from edgerun_sync.collector.data import open_to_read
from edgerun_sync.collector.devices import Devices

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType
    from typing import Self

    from edgerun_sync.collector.snapshots import Snapshot

FLEET = "fleet"
"""A table besides: a row for each device that ever checked in, as it did last."""


class Engine(Protocol):
    """One version of all tables, and something that reads them.

    Attributes:
        dialect: of its SQL, as Ibis names it.
        versions: of the tables that it reads, by name.
    """

    dialect: str
    versions: Mapping[str, int]

    def rows(self, statement: str) -> Any:
        """Return the answer to a query in SQL as a pyarrow.Table.

        Raises:
            QueryError: the query is wrong, or is more than one, or would write; or the engine failed.
        """

    def reader(self, statement: str) -> Any:
        """Return the answer as a pyarrow.RecordBatchReader, so that it need not fit into memory.

        Raises:
            QueryError: as rows(). What fails later is an error of pyarrow.
        """

    def give(self, name: str, table: Any) -> None:
        """Let queries see a pyarrow.Table under a name.

        Raises:
            QueryError: the engine cannot take it.
        """

    def keep(self, name: str, statement: str) -> None:
        """Let queries see the answer to a query under a name, for as long as the engine is open.

        DuckDB computes it once, while whoever asks goes on to the next question, holds the right side of each join in
        memory, and spills to the disk what does not fit. A Spark Connect server gets back what is small, and is asked
        to keep what is large; one that cannot (Sail) computes that again for each query.

        Raises:
            QueryError: as rows(); what fails later fails with the next question, on Spark with the one that needs it.
        """

    def close(self) -> None:
        """Let go of everything; further calls change nothing."""

    def __enter__(self) -> Self:
        """Return itself."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""


def open_engine(data: str, engine: str | None = None) -> Engine:
    """Open the tables of a fleet to read them; nothing is made, mended or locked.

    Args:
        data: where they are: a folder, ``file:///FOLDER`` or ``s3://BUCKET/PREFIX``.
        engine: ``sc://HOST:PORT`` of a Spark Connect server that can reach the same place; DuckDB where it is None.

    Raises:
        CollectorError: there are no such data.
        TableError: a table cannot be read.
        StorageError: the place cannot be read.
        QueryError: the engine cannot be reached, or cannot read a table.
    """
    opened = open_to_read(data)
    snapshots: dict[str, Snapshot] = opened.tables.snapshots()
    devices = {FLEET: device_rows(Devices(opened.objects).list())}
    if engine is None:
        from edgerun_sync.queries.duck import DuckDB  # noqa: PLC0415 - whoever asks Spark needs no DuckDB

        return DuckDB(snapshots, devices)
    from edgerun_sync.queries.spark import SparkConnect  # noqa: PLC0415 - the client is of another extra, and slow

    return SparkConnect(engine, snapshots, devices)
