"""The hash itself, for whoever audits: what units are, and what a split looks a key up by."""

from __future__ import annotations

from edgerun._core.split import hash_of

SEED = 42
_MASK = 2**64 - 1


def xxh64(*parts: bytes) -> int:
    """Return XXH64 of some bytes under the seed 42, an integer of [0, 2^64); of several, each under the hash before.

    Spark's ``xxhash64`` is the signed view of the same. ``xxh64(key)`` is the unit of a call in the log, and
    ``xxh64(salt, key) >> 32`` the point of a key in a split (SPLIT.md section 4).
    """
    found = SEED
    for part in parts:
        found = hash_of(part, found & _MASK)
    return found
