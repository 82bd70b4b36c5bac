"""The tables as Delta Lake, through delta-rs: appended to once for each batch, whoever tries how often.

The fence is Delta's own: an append names the batch as its application transaction, and goes out from the very version
of the table in which that batch was looked for. delta-rs syncs nothing on a local disk, so files of rows are written
by `Objects`, durably, before the table names them; its log is synced before anybody relies on it.
"""

from __future__ import annotations

import time
import uuid
from typing import TYPE_CHECKING, Any

from deltalake import CommitProperties, DeltaTable, Field, PostCommitHookProperties, Schema, Transaction
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError
from deltalake.transaction import AddAction, RemoveAction

from edgerun_sync.collector.arrow.parquet import day_files
from edgerun_sync.collector.arrow.schemas import PARTITION, SCHEMAS
from edgerun_sync.collector.arrow.tables import KINDS
from edgerun_sync.errors import OvertakenError, TableError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from edgerun_sync.collector.arrow.parquet import DayFile
    from edgerun_sync.collector.objects import Objects
    from edgerun_sync.collector.rows import Rows

_ATTEMPTS = 20
_CHECKPOINT_EVERY = 100
_KEEP_FILES = "interval 7 days"
_NO_HOOKS = PostCommitHookProperties(create_checkpoint=True, cleanup_expired_logs=True)


class DeltaTables:
    """The tables of one collection.

    Args:
        url: of the folder that holds them: file:// or s3://, without a slash at the end.
        objects: the same storage; `tables/NAME` of it is `url`/NAME.
        options: how delta-rs reaches the storage.
        settle: makes what delta-rs wrote below a table's folder durable, where it does not do so itself.
    """

    def __init__(
        self,
        url: str,
        objects: Objects,
        *,
        options: Mapping[str, str] | None = None,
        settle: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._url = url
        self._objects = objects
        self._options = dict(options or {})
        self._settle = settle
        self._opened: dict[str, DeltaTable] = {}

    def make(self) -> None:
        """Make the tables that are not there, and add the columns that they lack.

        Raises:
            TableError: one cannot be made or read.
        """
        for name, schema in SCHEMAS.items():
            try:
                self._table(name)
            except TableNotFoundError:
                self._create(name)
            self.widen(name, schema)
            self._settle(name)

    def widen(self, name: str, schema: Any) -> None:
        """Add the columns of a schema that a table lacks; old rows have none there.

        Raises:
            TableError: they cannot be added.
        """
        for _ in range(_ATTEMPTS):
            table = self._fresh(name)
            known = {field.name for field in table.schema().fields}
            fields = [field for field in Schema.from_arrow(schema).fields if field.name not in known]
            if not fields:
                return
            try:
                table.alter.add_columns([Field(field.name, field.type, nullable=True) for field in fields])
            except CommitFailedError:
                continue
            except DeltaError as error:
                raise TableError(f"the table {name} cannot take more columns: {error}") from error
        raise OvertakenError(f"the table {name} was changed by others {_ATTEMPTS} times")

    def committed(self, lane: int) -> int:
        """See Tables."""
        return max(self._fresh(name).transaction_version(_app(lane)) or 0 for name in SCHEMAS)

    def append(self, lane: int, number: int, rows: Rows) -> dict[str, int]:
        """See Tables."""
        written = {}
        for name, kinds in KINDS.items():
            if rows.count(*kinds) and self._append(name, lane, number, rows):
                written[name] = rows.count(*kinds)
        return written

    def rows(self, name: str) -> Any:
        """Return a table as pyarrow has it, all of it.

        Raises:
            TableError: it cannot be read.
        """
        return self._fresh(name).to_pyarrow_table()

    def _append(self, name: str, lane: int, number: int, rows: Rows) -> bool:
        """Add rows to one table, unless it has this batch; returns whether they were added."""
        actions: list[AddAction | RemoveAction] = []
        for _ in range(_ATTEMPTS):
            table = self._fresh(name)
            if (table.transaction_version(_app(lane)) or 0) >= number:
                self._settle(name)
                return False
            actions = actions or [self._placed(name, lane, number, file) for file in day_files(rows, name)]
            try:
                self._commit(table, name, actions, Transaction(_app(lane), number))
            except OvertakenError:
                continue
            self._settle(name)
            return True
        raise OvertakenError(f"the table {name} was changed by others {_ATTEMPTS} times")

    def _commit(
        self, table: DeltaTable, name: str, actions: list[AddAction | RemoveAction], transaction: Transaction
    ) -> None:
        try:
            table.create_write_transaction(
                actions,
                "append",
                table.schema(),
                partition_by=[PARTITION],
                commit_properties=CommitProperties(app_transactions=[transaction]),
                post_commithook_properties=_NO_HOOKS,
            )
        except CommitFailedError as error:
            raise OvertakenError(f"the table {name} was changed meanwhile: {error}") from error
        except (DeltaError, OSError) as error:
            raise TableError(f"the table {name} cannot be written: {error}") from error

    def _placed(self, name: str, lane: int, number: int, file: DayFile) -> AddAction:
        """Write a file of rows durably; no table names it yet."""
        path = f"{PARTITION}={file.day}/{lane}-{number}-{uuid.uuid4().hex}.parquet"
        self._objects.put_new(f"tables/{name}/{path}", file.data)
        return AddAction(path, len(file.data), {PARTITION: file.day}, time.time_ns() // 10**6, True, file.stats)

    def _create(self, name: str) -> None:
        configuration = {
            "delta.checkpointInterval": str(_CHECKPOINT_EVERY),
            "delta.deletedFileRetentionDuration": _KEEP_FILES,
        }
        try:
            DeltaTable.create(
                f"{self._url}/{name}",
                Schema.from_arrow(SCHEMAS[name]),
                mode="ignore",
                partition_by=[PARTITION],
                configuration=configuration,
                storage_options=self._options,
            )
        except (DeltaError, OSError) as error:
            raise TableError(f"the table {name} cannot be made: {error}") from error

    def _fresh(self, name: str) -> DeltaTable:
        """A table at its newest version."""
        try:
            table = self._table(name)
            table.update_incremental()
        except (DeltaError, OSError) as error:
            raise TableError(f"the table {name} cannot be read: {error}") from error
        return table

    def _table(self, name: str) -> DeltaTable:
        if name not in self._opened:
            self._opened[name] = DeltaTable(f"{self._url}/{name}", storage_options=self._options)
        return self._opened[name]


def _app(lane: int) -> str:
    return f"lane-{lane}"
