"""One version of a table as readers see it: files that stay while they are read, whoever commits meanwhile."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import unquote
from urllib.request import url2pathname

from edgerun_sync.collector.arrow.schemas import PARTITION, as_schema
from edgerun_sync.errors import TableError

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import date

_READER_VERSION_MAX = 2
"""From 3 on, a file may have rows that another file says are gone."""
_LOCAL = "file://"


class Snapshot(NamedTuple):
    """One version of a table, for readers.

    Attributes:
        url: of the table.
        version: its number.
        files: those of the version, as paths where the table is in a folder, else as URLs.
        schema: a pyarrow.Schema; a file may lack columns, which are missing in its rows.
        dataset: makes a pyarrow Dataset of the files, wherever they are.
    """

    url: str
    version: int
    files: tuple[str, ...]
    schema: Any
    dataset: Callable[[], Any]

    @property
    def is_local(self) -> bool:
        """Whether the files have paths."""
        return self.url.startswith(_LOCAL)

    def since(self, day: date) -> Snapshot:
        """Return the same without the files of earlier days, so that nobody opens them; a bucket's dataset has all."""
        return self._replace(files=tuple(file for file in self.files if _day_of(file) >= day.isoformat()))


def snapshot_of(frozen: Any, url: str, storage: Callable[[], Any]) -> Snapshot:
    """Return a version of a table.

    Args:
        frozen: the DeltaTable of that version, which nobody moves on.
        url: of the table.
        storage: makes what pyarrow reads the table's folder with.

    Raises:
        TableError: a file may hold rows that another one says are gone.
    """
    reader = frozen.protocol().min_reader_version
    if reader > _READER_VERSION_MAX:
        raise TableError(
            f"{url} was changed by a writer whose rows cannot be read by files (Delta's reader version {reader}); "
            "rebuild it from what was landed"
        )
    listed = frozen.get_add_actions(flatten=True)
    paths = [unquote(path) for path in listed.column(listed.schema.names.index("path")).to_pylist()]
    files = frozen.file_uris()
    if url.startswith(_LOCAL):  # delta-rs gives neither paths nor URLs where a folder's name has a space
        files = [f"{url2pathname(url.removeprefix(_LOCAL))}/{path}" for path in paths]
    schema = as_schema(frozen.schema())

    def dataset() -> Any:  # delta-rs's own one leaves rows out where a filter is on a column without statistics
        from edgerun_sync.collector.arrow.datasets import dataset_of  # noqa: PLC0415 - it loads pandas where that is

        return dataset_of(storage(), paths, schema)

    return Snapshot(url, frozen.version(), tuple(files), schema, dataset)


def _day_of(file: str) -> str:
    """The day of a file, which its folder is named by."""
    return file.rsplit("/", 2)[-2].removeprefix(f"{PARTITION}=")
