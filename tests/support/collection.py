"""Data of a collector in a folder: segments landed and committed, and what its tables hold."""

from __future__ import annotations

import hashlib

from edgerun_sync.collector.arrow.tables import KINDS
from edgerun_sync.collector.committing import Committer
from edgerun_sync.collector.landing import Landing, land
from edgerun_sync.limits import LIMITS

ONE_SEGMENT = LIMITS._replace(batch_segments_max=1)


def land_all(data, *segments):
    """Land segments, each for the first time."""
    for segment in segments:
        digest = hashlib.sha256(segment.body).hexdigest()
        assert land(data.objects, data.lanes, segment.landed, segment.body, digest) is Landing.STORED


def commit_all(data, limits=LIMITS):
    """Commit all that waits, and return the batches."""
    found = []
    for lane in range(data.lanes):
        committer = Committer(data.objects, data.tables.another(), lane, limits=limits)
        while (batch := committer.step()) is not None:
            found.append(batch)
    return found


def rows_in_tables(tables):
    """Every row of all tables, as (device, epoch, row)."""
    found = []
    for name in KINDS:
        table = tables.rows(name)
        columns = (table[column].to_pylist() for column in ("device", "epoch", "row"))
        found += [(device, int(epoch, 16), row) for device, epoch, row in zip(*columns, strict=True)]
    return found


def content(tables, name, without=frozenset()):
    """A table's rows as sorted texts, but for some columns."""
    rows = tables.rows(name).to_pylist()
    return sorted(repr({column: value for column, value in row.items() if column not in without}) for row in rows)
