"""Every limit of the fleet package, in one frozen record; each is tested at the limit and one past it."""

from __future__ import annotations

from typing import NamedTuple


class Limits(NamedTuple):
    """What edgerun_sync takes at most. Going past a limit is an error that names it, or waits for another batch."""

    device_name_max_bytes: int = 64
    """Bytes of a device's name."""

    segment_max_bytes: int = 16 * 2**20
    """Bytes of one segment."""

    segment_rows_max: int = 2**21
    """Rows of one segment: columns that all rows share have any number of rows in a few bytes."""

    segment_plain_max_bytes: int = 2**28
    """Bytes of all frames of one segment, decompressed."""

    batch_segments_max: int = 4096
    """Segments that are committed together; further ones are of the next batch."""

    batch_rows_max: int = 2**19
    """Rows after which a batch takes no further segment."""

    batch_plain_max_bytes: int = 2**26
    """Bytes of frames, decompressed, after which a batch takes no further segment."""

    lanes_max: int = 1024
    """Lanes of one collection of tables."""


LIMITS = Limits()
