"""DuckDB in the process. It is told which files a version of a table has, and can read no other file.

DuckDB's own reader of Delta would have to be fetched, and so would its reader of S3: tables of a bucket go through
delta-rs and pyarrow, which is about half as fast.
"""

from __future__ import annotations

import os
import tempfile
import warnings
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import duckdb
from duckdb.func import PythonUDFType

from edgerun_sync.collector.arrow.hashes import spark_hashes
from edgerun_sync.collector.arrow.tables import SLICE_ROWS
from edgerun_sync.errors import QueryError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from concurrent.futures import Future
    from types import TracebackType
    from typing import Self

    from edgerun_sync.collector.snapshots import Snapshot

_AS_SPARK = ("unix_micros(moment) AS epoch_us(moment)", "timestamp_micros(number) AS make_timestamptz(number)")
"""Functions of Spark, so that a question is the same on both engines."""
_ORDER_OF_JOINS = "join_order,build_side_probe_side"
"""What keeps joins from running as they are written, the right side in memory. After a few filters on events, DuckDB
takes them for fewer than labels, and would hold all of them."""
_AGAIN_S = 0.05
"""Between two times that a query is told to stop."""
_T = TypeVar("_T")
_READS = {duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN}


class DuckDB:
    """An engine in the process; see Engine. One thread may ask it at a time.

    Args:
        snapshots: the tables' versions, by name.
        further: tables of Arrow, by name.
        threads: that it may keep busy; None for one of each core.
        memory_max_bytes: that it may take; None for most of the machine's.

    Raises:
        QueryError: a table's files cannot be read.
    """

    dialect = "duckdb"

    def __init__(
        self,
        snapshots: Mapping[str, Snapshot],
        further: Mapping[str, Any],
        *,
        threads: int | None = None,
        memory_max_bytes: int | None = None,
    ) -> None:
        self.versions: Mapping[str, int] = {name: snapshot.version for name, snapshot in snapshots.items()}
        self._connection = duckdb.connect()
        self._worker = ThreadPoolExecutor(1, "edgerun-duckdb")
        self._kept: Future[None] | None = None
        self._run("SET TimeZone = 'UTC'")
        self._run("SET python_enable_replacements = false")
        spilled = Path(tempfile.gettempdir()) / f"edgerun-query-{os.getpid()}"
        self._run(f"SET temp_directory = {_text(str(spilled))}")
        if threads is not None:
            self._run(f"SET threads = {threads}")
        if memory_max_bytes is not None:
            self._run(f"SET memory_limit = '{memory_max_bytes} B'")
        folders = {str(Path(file).parents[1]) for snapshot in snapshots.values() for file in snapshot.files[:1]}
        self._run(f"SET allowed_directories = [{', '.join(map(_text, sorted(folders)))}]")
        self._run("SET enable_external_access = false")
        for macro in _AS_SPARK:
            self._run(f"CREATE MACRO {macro}")
        self._connection.create_function("xxhash64", spark_hashes, None, "BIGINT", type=PythonUDFType.ARROW)
        for name, snapshot in snapshots.items():
            self._view(name, snapshot)
        for name, table in further.items():
            self.give(name, table)

    def rows(self, statement: str) -> Any:
        """See Engine."""
        with self._settled():
            return self._answer(statement).to_arrow_table()

    def reader(self, statement: str) -> Any:
        """See Engine."""
        with self._settled():
            return self._answer(statement).to_arrow_reader(SLICE_ROWS)

    def give(self, name: str, table: Any) -> None:
        """See Engine."""
        with self._settled():
            self._connection.register(name, table)

    def interrupt(self) -> None:
        """Let what another thread asks end in KeyboardInterrupt."""
        self._connection.interrupt()

    def keep(self, name: str, statement: str) -> None:
        """See Engine."""
        with self._settled():
            self._kept = self._worker.submit(self._compute, name, self._reading(statement))

    def close(self) -> None:
        """See Engine."""
        if self._kept is not None:
            self._stop(self._kept)
        self._worker.shutdown()
        self._connection.close()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        self.close()

    def _compute(self, name: str, reading: str) -> None:
        self._connection.execute(f"SET disabled_optimizers = '{_ORDER_OF_JOINS}'")
        try:
            self._connection.execute(f"CREATE OR REPLACE TEMP TABLE {_quoted(name)} AS {reading}")
        finally:
            self._connection.execute("RESET disabled_optimizers")

    @contextmanager
    def _settled(self) -> Iterator[None]:
        """Wait for what is to be kept; what went wrong with it is raised here, and the next question goes on."""
        kept, self._kept = self._kept, None
        with _mapped():
            if kept is not None:
                self._finished(kept)
            yield

    def _answer(self, statement: str) -> duckdb.DuckDBPyConnection:
        """Run a query to its end: so run, and only so, Ctrl-C ends it."""
        return self._run(self._reading(statement))

    def _reading(self, statement: str) -> str:
        """The one statement that a text is."""
        found = self._connection.extract_statements(statement)
        if len(found) != 1 or found[0].type not in _READS:
            kinds = ", ".join(one.type.name for one in found) or "nothing"
            raise QueryError(f"a query is one SELECT, and this is {kinds}: the tables can only be read")
        return found[0].query

    def _view(self, name: str, snapshot: Snapshot) -> None:
        """Name what a table holds: all columns of its schema, whether files have them or not."""
        empty, rows = f"empty {name}", f"rows {name}"
        with _mapped():
            self._connection.register(empty, snapshot.schema.empty_table())
            if snapshot.is_local and snapshot.files:
                self._run(f"CREATE VIEW {_quoted(rows)} AS FROM {_files(snapshot.files)}")
            else:
                self._connection.register(rows, snapshot.dataset() if snapshot.files else snapshot.schema.empty_table())
            types, there = self._columns(empty), self._columns(rows)
            columns = [
                _quoted(column) if column in there else f"NULL::{type_} AS {_quoted(column)}"
                for column, type_ in types.items()
            ]
            self._run(f"CREATE VIEW {_quoted(name)} AS SELECT {', '.join(columns)} FROM {_quoted(rows)}")  # noqa: S608 - quoted

    def _columns(self, name: str) -> dict[str, str]:
        """The columns of a table or view, and their types."""
        return {
            column: str(type_) for column, type_, *_ in self._connection.execute(f"DESCRIBE {_quoted(name)}").fetchall()
        }

    def _run(self, statement: str) -> duckdb.DuckDBPyConnection:
        return self._finished(self._worker.submit(self._connection.execute, statement))

    def _finished(self, work: Future[_T]) -> _T:
        """Wait for what the worker does, and stop it where Ctrl-C is pressed meanwhile.

        DuckDB itself looks for that between its tasks alone, one of which may take hours.
        """
        try:
            return work.result()
        except KeyboardInterrupt:
            self._stop(work)
            raise

    def _stop(self, work: Future[Any]) -> None:
        while not work.done():  # a query that has not begun hears of nothing
            self._connection.interrupt()
            wait([work], _AGAIN_S)


@contextmanager
def _mapped() -> Iterator[None]:
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Arrow output on a DB-API result makes an extra copy", UserWarning)
            yield
    except duckdb.InterruptException as error:
        raise KeyboardInterrupt from error
    except RuntimeError as error:
        if "interrupt" in str(error).lower():
            raise KeyboardInterrupt from error
        raise
    except duckdb.Error as error:
        raise QueryError(str(error).partition("\n\n")[0]) from error


def _files(files: Sequence[str]) -> str:
    """A version's files; a column that some lack is missing in their rows."""
    listed = ", ".join(map(_text, files))
    return f"read_parquet([{listed}], hive_partitioning = true, hive_types = {{'day': DATE}}, union_by_name = true)"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
