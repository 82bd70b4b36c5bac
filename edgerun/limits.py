"""Every limit of the device package, in one frozen record; each is tested at the limit and one past it."""

from __future__ import annotations

from typing import NamedTuple


class Limits(NamedTuple):
    """What edgerun accepts at most. Going past a limit is an error that names it, never a truncation."""

    key_max_bytes: int = 2**20
    """Bytes of one key, after a text is encoded and an integer is written out."""

    salt_max_bytes: int = 1024
    """UTF-8 bytes of a split's salt; in a graph, with the suffix of each of its purposes."""

    arm_name_max_bytes: int = 128
    """UTF-8 bytes of the name of an arm or a node."""

    arms_max: int = 1024
    """Arms of one split, those of weight zero included."""

    ranges_max: int = 65536
    """Ranges of one split: ``ER_SPLIT_MAX_RANGES`` of the C core. A reweight of n arms adds at most n - 1."""

    weight_max_bits: int = 8192
    """Bits of each weight once all weights of a split are brought to one common denominator."""

    nodes_max: int = 256
    """Nodes of one routing graph."""

    routes_max: int = 4096
    """Ways through one routing graph, each counted by the cases, arms, forced arms and controls that lead to it."""

    models_max: int = 64
    """Models of one bundle."""

    bundle_json_max_bytes: int = 16 * 2**20
    """Bytes of a bundle's bundle.json or golden.json."""

    profile_max_bytes: int = 2**20
    """Bytes of a bundle's profile of its training data."""

    manifest_max_bytes: int = 2**20
    """Bytes of the manifest of a bundle."""

    layers_max: int = 4096
    """Files of one bundle."""

    layer_max_bytes: int = 2**40
    """Bytes of one file of a bundle."""

    bundle_max_bytes: int = 2**40
    """Bytes of all files of a bundle; a device gives what it has room for."""

    path_max_bytes: int = 255
    """Bytes of a path within a bundle."""

    channel_max_bytes: int = 65536
    """Bytes of a channel document."""

    channel_releases_max: int = 64
    """Releases of a channel document."""

    metadata_max_bytes: int = 4 * 2**20
    """Bytes of one file of TUF metadata: 30,000 versions of a bundle."""

    timestamp_max_bytes: int = 16384
    """Bytes of TUF's timestamp, which a device fetches each time it looks."""

    metadata_version_max: int = 2**32 - 1
    """The version of a file of TUF metadata."""

    root_rotations_max: int = 256
    """Roots that a device that was away follows in one go; the next time it goes on from there."""

    fetch_attempts_max: int = 4
    """Times that one blob is asked for in one update; each goes on where the one before broke off."""

    stick_files_max: int = 65536
    """Files of a repository in a tar."""

    stick_pax_max_bytes: int = 4096
    """Bytes of one extended header of such a tar."""

    ports_max: int = 256
    """Inputs of one model, and outputs: ``ER_PORTS_MAX`` of the C core."""

    rank_max: int = 32
    """Dimensions of one input or output: ``ER_RANK_MAX`` of the C core."""

    lane_shapes_max: int = 16
    """Sets of input shapes for which one model keeps prepared lanes; calls with further shapes run freely."""

    lane_max_bytes: int = 2**20
    """Bytes of all inputs and outputs of a prepared lane; larger calls run freely, where a copy would cost."""

    shadow_queue_max: int = 64
    """Calls that may wait for the shadow; a power of two. What comes on top is dropped and counted."""

    shadow_queue_max_bytes: int = 16 * 2**20
    """Bytes of the tensors that wait for the shadow."""

    shadow_tolerance: float = 0.01
    """How far single-valued float outputs may lie apart and still agree, where a shadow_deploy does not say."""

    watches_max: int = 16
    """Models that watch one call: ``ER_WATCHES_MAX`` of the C core, less the place of a trial."""

    threads_max: int = 256
    """Threads of one model run; onnxruntime would start any number of them."""

    workers_max: int = 4
    """Threads for calls with a deadline, and for apredict()."""

    outcome_name_max_bytes: int = 128
    """UTF-8 bytes of the name of an outcome."""

    note_max_bytes: int = 16384
    """Bytes of one label or outcome as msgpack."""

    label_max_depth: int = 8
    """Lists and dicts within each other in the value of a label."""

    log_frame_max_bytes: int = 16 * 2**20
    """Bytes of the payload of a log's frame, stored and not."""

    log_frame_rows_max: int = 65536
    """Rows of a log's frame: a column that all rows share has any number of rows in a few bytes."""

    log_containers_max: int = 2**20
    """Maps and lists of a log's frame: each takes hundreds of bytes of memory, and few in the frame."""

    log_column_depth_max: int = 4
    """How deep a column of a log's frame may choose from columns that choose."""

    store_bad_max: int = 16
    """Bundles that a store remembers as bad; the oldest are forgotten."""

    store_history_max: int = 32
    """Happenings that a store remembers; the oldest are forgotten."""

    store_floors_max: int = 16
    """TUF roles whose versions a store remembers."""

    store_role_max_bytes: int = 128
    """UTF-8 bytes of the name of a TUF role."""

    store_why_max_bytes: int = 64
    """UTF-8 bytes of the reason that a store remembers of a bad bundle; what is longer is cut."""

    store_metadata_files_max: int = 64
    """Files of a store's metadata."""

    store_metadata_max_bytes: int = 16 * 2**20
    """Bytes of one file of a store's metadata."""

    store_document_max_bytes: int = 2**16
    """Bytes of a store's device.json, root.json or subscription.json."""


LIMITS = Limits()
