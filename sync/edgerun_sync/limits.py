"""Every limit of the fleet's package, in one frozen record; each is tested at the limit and one past it."""

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

    segment_expanded_max_bytes: int = 2**30
    """Bytes of the outputs of one segment as columns: 8 for a number, one for each character of a text, and those of
    the output's name. A frame says in few bytes what all of its rows share; a larger segment is set aside."""

    source_text_max: int = 1024
    """Characters of each text of a source and each name of an output, which every row of it has in a table."""

    segment_sources_max: int = 4096
    """Sources that one segment names: each that names its outputs in another way is a table of its own at first."""

    slice_max_bytes: int = 2**26
    """Bytes, counted likewise, after which rows that become columns of Arrow together are divided."""

    reads_at_once: int = 16
    """Objects of a bucket that are asked for before the first has come: each takes the time of a round trip."""

    batch_segments_max: int = 4096
    """Segments that are committed together; further ones are of the next batch."""

    batch_rows_max: int = 2**19
    """Rows after which a batch takes no further segment."""

    batch_plain_max_bytes: int = 2**26
    """Bytes of frames, decompressed, after which a batch takes no further segment."""

    batch_check_ins_max: int = 2**14
    """Check-ins that are committed together."""

    check_ins_wait_s: float = 10.0
    """Seconds that check-ins wait for each other: a table of many small commits is a slow one."""

    commit_every_s: float = 2.0
    """Seconds between the beginnings of two batches of a lane, where the first took all that waited."""

    lanes_max: int = 1024
    """Lanes of one collection of tables."""

    document_max_bytes: int = 64 * 2**10
    """Bytes of a JSON body."""

    bodies_max_bytes: int = 2**26
    """Bytes of bodies that one caller has under way at once, or that are being dealt with."""

    body_timeout_s: float = 60.0
    """Seconds that a body may take to come."""

    headers_timeout_s: float = 15.0
    """Seconds that a connection may take to say what it wants."""

    blob_max_bytes: int = 2**34
    """Bytes of one blob that a publisher sends."""

    upload_part_max_bytes: int = 16 * 2**20
    """Bytes of one request of an upload; a larger blob comes in parts."""

    head_max_bytes: int = 64 * 2**10
    """Bytes of a request before its body, counted in the pieces in which they come."""

    requests_per_s: float = 50.0
    """Requests of one caller a second, in the long run."""

    requests_burst: int = 500
    """Requests of one caller at once."""

    connections_max: int = 10_000
    """Connections at once, those of one collector."""

    exported_arms_max: int = 1000
    """Arms of which metrics are sent on, those with most calls first."""

    exported_arms_memory_max_bytes: int = 2**28
    """Bytes of memory in which they are counted."""

    looks_max: int = 100
    """Looks at a sequential experiment that a plan counts: more hardly change its sample, and take seconds."""

    query_rows_shown_max: int = 1000
    """Rows of an answer that a command prints as a table for people."""

    matrix_classes_max: int = 5
    """Classes of a label of which a report has confusion matrices: their moments grow with the fourth power."""

    sampled_calls_max: int = 2**18
    """Calls that the parts of a report beside its verdict are computed from; of more, some units are drawn."""

    drift_profiles_max: int = 500
    """Profiles of a week that drift is measured in; of more, some are drawn."""

    drift_columns_max: int = 64
    """Columns of inputs and outputs of which a report measures the drift."""

    facts_max_bytes: int = 2**28
    """Bytes of a former report from which another is computed."""


LIMITS = Limits()
