"""Captures: the inputs of a sampled call, from the recorder's binary form to a row of the log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edgerun._core.recorder import Captured, read_capture
from edgerun.log.payload import pack
from edgerun.log.rows import Batch, Kind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgerun.log.policy import Capture


def capture_below(capture: Capture) -> int:
    """Return the share of calls to capture, of 2^32; at most one less, since it is 32 bits."""
    return 0 if capture.inputs == "none" else min(2**32 - 1, round(capture.rate * 2**32))


def with_captures(batch: Batch, capture: Capture, names: Mapping[int, tuple[str, ...]]) -> Batch:
    """Return a batch whose captures are values in msgpack; ``names`` has those of the inputs of each source."""
    rows = np.flatnonzero(batch.kind == Kind.CAPTURE).tolist()
    if not rows:
        return batch
    parts, done = [], 0
    lengths = np.diff(batch.data_at.astype(np.int64))
    for row in rows:
        begin, end = int(batch.data_at[row]), int(batch.data_at[row + 1])
        inputs = zip(names.get(int(batch.source[row]), ()), read_capture(batch.data[begin:end]), strict=False)
        value = np.frombuffer(pack(_value(dict(inputs), capture)), np.uint8)
        parts += [batch.data[done:begin], value]
        lengths[row], done = len(value), end
    parts.append(batch.data[done:])
    data_at = np.concatenate([[0], np.cumsum(lengths)]).astype(np.uint32)
    return batch._replace(data=np.concatenate(parts), data_at=data_at)


def _value(inputs: Mapping[str, Captured], capture: Capture) -> dict[str, Any]:
    return {
        "probability": capture_below(capture) / 2**32 if capture.rate < 1 else 1.0,
        "inputs": {name: _tensor(found) for name, found in inputs.items() if found.data is not None},
        "redacted": [name for name, found in inputs.items() if found.data is None],
    }


def _tensor(found: Captured) -> dict[str, Any]:
    data = found.data
    if isinstance(data, bytes) and found.dtype is not None:  # little-endian on the disk
        data = np.frombuffer(data, np.dtype(found.dtype)).astype(np.dtype(found.dtype).newbyteorder("<")).tobytes()
    return {"dtype": found.dtype, "shape": list(found.shape), "data": data}
