"""How much of a measurement is kept: times and latencies of runs as finely as the policy says, and no row is left out.

A time is rounded down, so no call is later than its label; a latency to the nearest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgerun.log.rows import LATENCY_BITS, LATENCY_CODES, Kind

if TYPE_CHECKING:
    from edgerun.log.policy import LogPolicy
    from edgerun.log.rows import Batch


def rounded(batch: Batch, policy: LogPolicy) -> Batch:
    """Return a batch whose calls and shadows have times and latencies as coarse as a policy wants them."""
    excess = LATENCY_BITS - policy.latency_bits
    code = np.minimum(batch.latency + np.uint32(1 << excess >> 1), np.uint32(LATENCY_CODES - 1))
    return batch._replace(
        time_us=np.where(batch.kind <= Kind.SHADOW, batch.time_us & -policy.time_step_us, batch.time_us),
        latency=code >> np.uint32(excess) << np.uint32(excess),
    )
