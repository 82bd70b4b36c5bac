"""A table's files as a dataset of pyarrow, behind whatever reaches the storage."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.fs as pa_fs

from edgerun_sync.collector.arrow.schemas import PARTITION

if TYPE_CHECKING:
    from collections.abc import Sequence


def dataset_of(handler: Any, paths: Sequence[str], schema: pa.Schema) -> ds.Dataset:
    """Return the dataset of some files.

    Args:
        handler: a FileSystemHandler of the table's folder.
        paths: of the files in it, with their partition.
        schema: what the rows have; a column that a file lacks is missing there.
    """
    partitioning = ds.partitioning(pa.schema([(PARTITION, pa.date32())]), flavor="hive")
    filesystem = pa_fs.PyFileSystem(handler)
    return ds.dataset([*paths], schema=schema, format="parquet", filesystem=filesystem, partitioning=partitioning)
