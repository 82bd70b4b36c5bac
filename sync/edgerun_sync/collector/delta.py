"""The tables as Delta Lake, through delta-rs: appended to once for each batch, whoever tries how often.

The fence is Delta's own: an append names the batch as its application transaction, and goes out from the very version
of the table in which that batch was looked for. delta-rs syncs nothing on a local disk, so files of rows are written
by `Objects`, durably, before the table names them; its log is synced before anybody relies on it.
"""

from __future__ import annotations

import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any

from deltalake import CommitProperties, DeltaTable, Field, PostCommitHookProperties, Schema, Transaction
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError
from deltalake.fs import DeltaStorageHandler
from deltalake.transaction import AddAction, RemoveAction

from edgerun_sync.collector.arrow.erasing import remaining
from edgerun_sync.collector.arrow.parquet import day_files, merged_file
from edgerun_sync.collector.arrow.schemas import PARTITION, SCHEMAS
from edgerun_sync.collector.arrow.tables import count
from edgerun_sync.collector.keys import TABLES
from edgerun_sync.collector.listing import is_under_way, listed_files, small_files
from edgerun_sync.collector.snapshots import Snapshot, snapshot_of
from edgerun_sync.errors import OvertakenError, TableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from edgerun_sync.collector.arrow.erasing import Gone
    from edgerun_sync.collector.arrow.parquet import DayFile
    from edgerun_sync.collector.objects import Objects
    from edgerun_sync.collector.rows import Rows

_ATTEMPTS = 20
_CHECKPOINT_EVERY = 100
KEEP_HOURS = 7 * 24
"""How long a file stays after a table's newest version has lost it."""
FILE_BYTES = 64 * 2**20
_COMPACTED, _REWRITTEN = "compacted", "rewritten"
_REWRITES = "rewrites"
_NO_HOOKS = PostCommitHookProperties(create_checkpoint=True, cleanup_expired_logs=True)


class DeltaTables:
    """The tables of one collection.

    Args:
        url: of the storage: file:// or s3://, without a slash at the end.
        objects: the same storage.
        folder: of it, that holds the tables.
        options: how delta-rs reaches the storage.
        settle: makes what delta-rs wrote below a table's folder durable, where it does not do so itself.
    """

    def __init__(
        self,
        url: str,
        objects: Objects,
        *,
        folder: str = TABLES,
        options: Mapping[str, str] | None = None,
        settle: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._root = url
        self._folder = folder
        self._objects = objects
        self._options = dict(options or {})
        self._settle = settle
        self._opened: dict[str, DeltaTable] = {}

    def another(self) -> DeltaTables:
        """Return the same tables for another thread: what is open is not shared."""
        return DeltaTables(self._root, self._objects, folder=self._folder, options=self._options, settle=self._settle)

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
            except (DeltaError, OSError) as error:
                raise TableError(f"the table {name} cannot be read: {error}") from error
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

    def files_of(self, rows: Rows) -> dict[str, list[DayFile]]:
        """Return rows as files, by table; nothing is written. No other attempt would end otherwise.

        Raises:
            ContentError: they cannot become files.
        """
        return {name: day_files(rows, name) for name in SCHEMAS if count(rows, name)}

    def append(self, lane: int, number: int, rows: Rows) -> dict[str, int]:
        """Add a batch's rows; as `append_files` does, but only those files are made that a table lacks."""
        written = {}
        for name in SCHEMAS:
            if count(rows, name) and self._append(name, lane, number, partial(day_files, rows, name)):
                written[name] = count(rows, name)
        return written

    def append_files(self, lane: int, number: int, files: Mapping[str, Sequence[DayFile]]) -> dict[str, int]:
        """Add a batch that is files already, by table; as `append` does.

        Raises:
            TableError: a table cannot be read or written.
            StorageError: likewise.
        """
        written = {}
        for name, own in files.items():
            if own and self._append(name, lane, number, partial(list, own)):
                written[name] = sum(file.rows for file in own)
        return written

    def compact(self, name: str, *, file_bytes: int = FILE_BYTES) -> int:
        """Make one file of a day's small ones, as often as there are some; returns how many files went.

        Whoever reads an older version goes on reading its files: they stay until `vacuum` finds them old. Appends go
        on meanwhile; where somebody else has changed the same files, theirs counts.

        Args:
            name: of the table.
            file_bytes: files below half of it are small, and are put together up to it.

        Raises:
            TableError: the table cannot be read or written.
            StorageError: likewise.
        """
        gone = failures = 0
        while failures < _ATTEMPTS:
            table = self._fresh(name)
            day, paths = next(small_files(table, file_bytes), ("", []))
            if not paths:
                break
            merged = merged_file(name, day, (self._objects.get(f"{self._folder}/{name}/{path}") for path in paths))
            now_ms = time.time_ns() // 10**6
            actions = [self._placed(name, _COMPACTED, merged, changes=False)]
            removes = [RemoveAction(path, False, now_ms, None, {PARTITION: day}) for path in paths]
            try:
                self._commit(table, name, [*actions, *removes], _next_rewrite(table))
            except OvertakenError:
                failures += 1
            else:
                gone += len(paths)
        self._settle(name)
        return gone

    def erase(self, name: str, gone: Gone) -> int:
        """Remove rows from a table, and return how many; files that had them stay until they are cleared away.

        Raises:
            TableError: the table cannot be read or written.
            StorageError: likewise.
            OvertakenError: others changed the table again and again.
        """
        for _ in range(_ATTEMPTS):
            table = self._fresh(name)
            removed, actions = 0, list[AddAction | RemoveAction]()
            for path, _, day in listed_files(table):
                rows, left = remaining(name, day, self._objects.get(f"{self._folder}/{name}/{path}"), gone)
                if rows:
                    removed += rows
                    actions.append(RemoveAction(path, True, time.time_ns() // 10**6, None, {PARTITION: day}))
                    actions += [] if left is None else [self._placed(name, _REWRITTEN, left)]
            if not actions:
                return 0
            try:
                self._commit(table, name, actions, _next_rewrite(table))
            except OvertakenError:
                continue
            self._settle(name)
            return removed
        raise OvertakenError(f"the table {name} was changed by others {_ATTEMPTS} times")

    def files(self, name: str) -> Iterator[tuple[str, bytes | None]]:
        """Yield the day and the bytes of each file of a table's newest version.

        Raises:
            TableError: the table cannot be read.
            StorageError: likewise.
        """
        for path, _, day in listed_files(self._fresh(name)):
            yield day, self._objects.get(f"{self._folder}/{name}/{path}")

    def clear(self, name: str) -> int:
        """Remove every file that the newest version does not have, at once; returns how many.

        Whoever reads an older version fails. What a committer has placed and not committed yet stays.

        Raises:
            TableError: the table cannot be read.
            StorageError: a file cannot be removed.
        """
        prefix = f"{self._folder}/{name}/"
        listed = [key for key in self._objects.list(prefix) if key.endswith(".parquet") and "/_delta_log/" not in key]
        table, gone = self._fresh(name), 0
        kept = {path for path, _, _ in listed_files(table)}
        for key in listed:
            if key.removeprefix(prefix) not in kept and not is_under_way(key, partial(_committed, table)):
                self._objects.delete(key)
                gone += 1
        return gone

    def discard(self) -> None:
        """Remove all tables, to be made again from what was landed.

        Raises:
            StorageError: a file cannot be removed.
        """
        self._opened.clear()
        for key in [*self._objects.list(f"{self._folder}/")]:
            self._objects.delete(key)

    def vacuum(self, name: str, *, keep_hours: int = KEEP_HOURS) -> int:
        """Remove files that no version has had for some time, and what dead processes left; returns how many.

        Args:
            name: of the table.
            keep_hours: at least as long as any reader reads one version, and any committer takes for a batch.

        Raises:
            TableError: the table cannot be read or written.
        """
        try:
            return len(self._fresh(name).vacuum(keep_hours, dry_run=False, enforce_retention_duration=False, full=True))
        except (DeltaError, OSError) as error:
            raise TableError(f"the table {name} cannot be cleared: {error}") from error

    def url(self, name: str) -> str:
        """Return where a table is, for readers of Delta."""
        return f"{self._root}/{self._folder}/{name}"

    def rows(self, name: str) -> Any:
        """Return a table as pyarrow has it, all of it.

        Raises:
            TableError: it cannot be read.
        """
        return self._fresh(name).to_pyarrow_table()

    def snapshots(self) -> dict[str, Snapshot]:
        """Return the newest version of every table, by name; all are looked up at once.

        Raises:
            TableError: one cannot be read.
        """
        with ThreadPoolExecutor(len(SCHEMAS), "edgerun-snapshot") as lookers:
            return dict(zip(SCHEMAS, lookers.map(self.snapshot, SCHEMAS), strict=True))

    def snapshot(self, name: str) -> Snapshot:
        """Return the newest version of a table.

        Raises:
            TableError: it cannot be read.
        """
        url = self.url(name)
        try:
            frozen = DeltaTable(url, storage_options=self._options)  # no writer of ours moves this one on
        except (DeltaError, OSError) as error:
            raise TableError(f"the table {name} cannot be read: {error}") from error
        return snapshot_of(frozen, url, lambda: DeltaStorageHandler(url, self._options))

    def _append(self, name: str, lane: int, number: int, files: Callable[[], list[DayFile]]) -> bool:
        """Add rows to one table, unless it has this batch; returns whether they were added."""
        actions: list[AddAction | RemoveAction] = []
        for _ in range(_ATTEMPTS):
            table = self._fresh(name)
            if _committed(table, lane) >= number:
                self._settle(name)
                return False
            actions = actions or [self._placed(name, f"{lane}-{number}", file) for file in files()]
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

    def _placed(self, name: str, label: str, file: DayFile, *, changes: bool = True) -> AddAction:
        """Write a file of rows durably; no table names it yet."""
        path = f"{PARTITION}={file.day}/{label}-{uuid.uuid4().hex}.parquet"
        self._objects.put_new(f"{self._folder}/{name}/{path}", file.data)
        return AddAction(path, len(file.data), {PARTITION: file.day}, time.time_ns() // 10**6, changes, file.stats)

    def _create(self, name: str) -> None:
        configuration = {
            "delta.checkpointInterval": str(_CHECKPOINT_EVERY),
            "delta.deletedFileRetentionDuration": f"interval {KEEP_HOURS} hours",
        }
        try:
            DeltaTable.create(
                self.url(name),
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
            self._opened[name] = DeltaTable(self.url(name), storage_options=self._options)
        return self._opened[name]


def _app(lane: int) -> str:
    return f"lane-{lane}"


def _committed(table: DeltaTable, lane: int) -> int:
    return table.transaction_version(_app(lane)) or 0


def _next_rewrite(table: DeltaTable) -> Transaction:
    """What only one of several can be that rewrite rows which are there: delta-rs lets two through that move a file."""
    return Transaction(_REWRITES, (table.transaction_version(_REWRITES) or 0) + 1)
