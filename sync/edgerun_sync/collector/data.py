"""The data of one fleet: a folder or a bucket, how many lanes it has, and its tables. What `--data` names."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from edgerun_sync.collector.files import Files
from edgerun_sync.collector.keys import CONFIG, TABLES
from edgerun_sync.collector.settling import Settler, mend
from edgerun_sync.errors import CollectorError
from edgerun_sync.limits import LIMITS

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgerun_sync.collector.audit import Audit
    from edgerun_sync.collector.buckets import Bucket
    from edgerun_sync.collector.delta import DeltaTables
    from edgerun_sync.collector.objects import Objects
    from edgerun_sync.collector.repository import Repository

DEFAULT_LANES = 2
_FORMAT = 1


class Landings(NamedTuple):
    """What a collector lands in.

    Attributes:
        objects: landed segments, and whatever else has a key.
        lanes: how many there are.
    """

    objects: Objects
    lanes: int


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


def open_landings(url: str, *, lanes: int = DEFAULT_LANES) -> Landings:
    """Open the data at a place without their tables, whose library is large: what requests need.

    Args:
        url: as for `open_data`.
        lanes: likewise.

    Raises:
        StorageError: the place cannot be read or written, or does not keep to conditional puts.
        CollectorError: it belongs to another format.
    """
    objects: Objects = _bucket(url) if url.startswith("s3://") else Files(_folder(url))
    return Landings(objects, _lanes(objects, lanes))


def discard_tables(url: str) -> None:
    """Remove the tables at a place, to be made again from what was landed; nothing that was landed goes.

    Raises:
        StorageError: the place cannot be read or written.
        CollectorError: nothing was ever landed there.
    """
    objects, tables = _placed(url)
    if objects.get(CONFIG) is None:
        raise CollectorError(f"{url} has no {CONFIG}: it holds no data of a collector")
    tables.discard()


def open_repository(url: str, audit: Audit) -> Repository:
    """Open the repository of bundles that lies with the data at a place; nothing is made before somebody publishes.

    Args:
        url: as for `open_data`.
        audit: where publications are written down.

    Raises:
        RepositoryError: the place cannot be set up.
        InputError: it is no such place.
    """
    from edgerun_bundles.repository.storage import open_storage  # noqa: PLC0415 - tables need none of it
    from edgerun_sync.collector.repository import Repository  # noqa: PLC0415 - likewise

    place = url.rstrip("/") if url.startswith("s3://") else str(_folder(url))
    return Repository(open_storage(f"{place}/repository"), open_storage(f"{place}/uploads"), audit)


def open_to_read(url: str) -> Data:
    """Open the data at a place to read them, beside whoever works on them; nothing is made and nothing is mended.

    Args:
        url: as open_data() takes it.

    Raises:
        CollectorError: there are no data, or those of another format.
        StorageError: the place cannot be read.
    """
    if not url.startswith("s3://") and not (_folder(url) / CONFIG).is_file():
        raise _refused(url)
    objects: Objects = _unchecked_bucket(url) if url.startswith("s3://") else Files(_folder(url))
    tables = _tables(url, objects)
    found = objects.get(CONFIG)
    if found is None:
        raise _refused(url)
    return Data(objects, tables, _lanes_of(found))


def _refused(url: str) -> CollectorError:
    return CollectorError(f"{url} holds no data of a collector: there is no {CONFIG}; name what serve was given")


def _placed(url: str) -> tuple[Objects, DeltaTables]:
    if url.startswith("s3://"):
        bucket = _bucket(url)
        return bucket, _tables(url, bucket)
    files, folder = Files(_folder(url)), _folder(url) / TABLES
    for table in sorted(folder.glob("*/")):
        mend(table)
    return files, _tables(url, files, settle=Settler(folder))


def _tables(url: str, objects: Objects, settle: Callable[[str], None] = lambda _: None) -> DeltaTables:
    from edgerun_sync.collector.delta import DeltaTables  # noqa: PLC0415 - large, and whoever only lands needs none

    if not url.startswith("s3://"):
        return DeltaTables(_folder(url).as_uri(), objects, settle=settle)
    from edgerun_sync.collector.buckets import table_options  # noqa: PLC0415 - a folder needs no S3 client

    return DeltaTables(url.rstrip("/"), objects, options=table_options())


def _bucket(url: str) -> Bucket:
    bucket = _unchecked_bucket(url)
    bucket.check()
    return bucket


def _unchecked_bucket(url: str) -> Bucket:
    from edgerun_sync.collector.buckets import Bucket  # noqa: PLC0415 - a folder needs no S3 client

    return Bucket(url)


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
