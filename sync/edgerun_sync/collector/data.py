"""The data of one fleet: a folder or a bucket, how many lanes it has, and its tables. What `--data` names."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from edgerun_sync.collector.delta import TABLES, DeltaTables
from edgerun_sync.collector.files import Files
from edgerun_sync.collector.keys import CONFIG
from edgerun_sync.collector.settling import Settler, mend
from edgerun_sync.errors import CollectorError
from edgerun_sync.limits import LIMITS

if TYPE_CHECKING:
    from edgerun_sync.collector.buckets import Bucket
    from edgerun_sync.collector.objects import Objects

DEFAULT_LANES = 2
_FORMAT = 1


class Data(NamedTuple):
    """What a collector works on.

    Attributes:
        objects: landed segments, batches, archives, and whatever else has a key.
        tables: what is queried.
        lanes: how many there are; devices are divided among them for ever.
    """

    objects: Objects
    tables: DeltaTables
    lanes: int


def open_data(url: str, *, lanes: int = DEFAULT_LANES) -> Data:
    """Open the data at a place, and make what is not there yet.

    Args:
        url: a folder, ``file:///FOLDER``, or ``s3://BUCKET/PREFIX``.
        lanes: of a place that has none yet.

    Raises:
        StorageError: the place cannot be read or written, or does not keep to conditional puts.
        CollectorError: it belongs to another format.
        TableError: a table cannot be made or read.
    """
    objects, tables = _placed(url)
    found = _lanes(objects, lanes)
    tables.make()
    return Data(objects, tables, found)


def open_to_read(url: str) -> Data:
    """Open the data at a place to read them, beside whoever works on them; nothing is made and nothing is mended.

    Args:
        url: as open_data() takes it.

    Raises:
        CollectorError: there are no data, or those of another format.
        StorageError: the place cannot be read.
    """
    objects: Objects
    if url.startswith("s3://"):
        objects, tables = _bucket(url)
    elif not (_folder(url) / CONFIG).is_file():
        raise _refused(url)
    else:
        objects = Files(_folder(url))
        tables = DeltaTables(_folder(url).as_uri(), objects)
    found = objects.get(CONFIG)
    if found is None:
        raise _refused(url)
    return Data(objects, tables, _lanes_of(found))


def _refused(url: str) -> CollectorError:
    return CollectorError(f"{url} holds no data of a collector: there is no {CONFIG}; name what serve was given")


def _placed(url: str) -> tuple[Objects, DeltaTables]:
    if url.startswith("s3://"):
        bucket, tables = _bucket(url)
        bucket.check()
        return bucket, tables
    folder = _folder(url)
    files = Files(folder)
    for table in sorted((folder / TABLES).glob("*/")):
        mend(table)
    return files, DeltaTables(folder.as_uri(), files, settle=Settler(folder / TABLES))


def _bucket(url: str) -> tuple[Bucket, DeltaTables]:
    from edgerun_sync.collector.buckets import Bucket, table_options  # noqa: PLC0415 - a folder needs no S3 client

    bucket = Bucket(url)
    return bucket, DeltaTables(url.rstrip("/"), bucket, options=table_options())


def _folder(url: str) -> Path:
    return Path(os.path.abspath(url.removeprefix("file://")))  # noqa: PTH100 - resolve() would follow links


def _lanes(objects: Objects, lanes: int) -> int:
    """How many lanes a place has; whoever is first decides."""
    if not 1 <= lanes <= LIMITS.lanes_max:
        raise CollectorError(f"{lanes} lanes: there may be 1 to {LIMITS.lanes_max}")
    found = objects.get(CONFIG)
    if found is None:
        objects.put_new(CONFIG, json.dumps({"format": _FORMAT, "lanes": lanes}).encode())
        found = objects.get(CONFIG)
    return _lanes_of(found or b"")


def _lanes_of(found: bytes) -> int:
    try:
        document = json.loads(found)
        if document["format"] != _FORMAT:
            raise CollectorError(
                f"{CONFIG} is of format {document['format']}, and this edgerun reads {_FORMAT}: update it"
            )
        return int(document["lanes"])
    except (ValueError, KeyError, TypeError) as error:
        raise CollectorError(f"{CONFIG} is damaged: {found!r}") from error
